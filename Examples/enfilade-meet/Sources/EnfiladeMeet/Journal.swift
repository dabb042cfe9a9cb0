// The last events of one room, numbered, so that a stream that broke off can go on where it stopped.

package import Enfilade

/// A bounded list of numbered signals.
///
/// An event's id is `epoch-number`; the epoch tells this journal from that of another run.
package struct Journal {
  /// Several seconds of a room of fifty that all come at once: each joins, publishes twice and is given two slots by each of the others
  /// (50 × 49 × 2), of which a reader is sent only its own.
  package static let capacity = 8192

  package let epoch: String
  private var entries: [Signal] = []
  /// The number of the oldest entry that is still kept.
  private var firstNumber = 1
  package private(set) var lastNumber = 0

  package init(epoch: String) {
    self.epoch = epoch
  }

  package mutating func append(_ signal: Signal) {
    lastNumber += 1
    entries.append(signal)
    // Dropping half at once makes the cost per event constant.
    if entries.count > Self.capacity {
      let surplus = entries.count / 2
      entries.removeFirst(surplus)
      firstNumber += surplus
    }
  }

  /// The signals after `number` that `reader` may see, or `nil` if some of them are no longer kept.
  package func signals(
    after number: Int, for reader: ParticipantID, isModerator: Bool = false
  ) -> [(number: Int, signal: Signal)]? {
    guard number >= firstNumber - 1, number <= lastNumber else { return nil }
    return entries[(number - firstNumber + 1)...].enumerated().compactMap { offset, signal in
      guard signal.isFor(reader, isModerator: isModerator) else { return nil }
      return (number + 1 + offset, signal)
    }
  }

  package func id(of number: Int) -> String { "\(epoch)-\(number)" }

  /// The number in an event's id, if the id is from this journal.
  package func number(ofID id: some StringProtocol) -> Int? {
    let parts = id.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == epoch, let number = Int(parts[1]), (0...lastNumber).contains(number) else { return nil }
    return number
  }
}

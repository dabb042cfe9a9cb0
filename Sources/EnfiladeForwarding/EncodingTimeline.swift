// One time line for all encodings of a publication: each has timestamps of its own, and sender reports tie them to one clock (RFC 3550 §6.4.1).

package import EnfiladeWire

/// Finds by how much the timestamps of each encoding are moved, so that pictures captured together have one time. The first encoding with
/// a report is the measure of the others; the line does not jump when reports come again.
package struct EncodingTimeline: Sendable {
  /// The first report there was.
  private var reference: (ntp: NTPTimestamp, timestamp: RTPTimestamp)?
  private let clockRate: Int64

  package init(clockRate: Int) { self.clockRate = Int64(clockRate) }

  /// Forgets the measure: the publisher started anew.
  package mutating func reset() { reference = nil }

  /// A sender report of one encoding came; gives what is to be added to its timestamps, for ``Encoding/timelineOffset``.
  package mutating func handleSenderReport(ntp: NTPTimestamp, timestamp: RTPTimestamp) -> UInt32 {
    guard let reference else {
      self.reference = (ntp, timestamp)
      return 0
    }
    // Split at the second, so that the product fits for any distance.
    let elapsed = (ntp - reference.ntp).nanoseconds
    let rest = elapsed % 1_000_000_000
    let ticks = elapsed / 1_000_000_000 &* clockRate &+ (rest &* clockRate &+ (rest < 0 ? -500_000_000 : 500_000_000)) / 1_000_000_000
    return reference.timestamp.rawValue &+ UInt32(truncatingIfNeeded: ticks) &- timestamp.rawValue
  }
}

// Feedback by stream (RFC 8888) names packets by SSRC and sequence number; everything behind it counts packets of the link.

package import EnfiladeWire

/// Finds the number of a sent packet by its stream and sequence number. Only links whose peers send RFC 8888 feedback have one.
package struct FeedbackStreamIndex: ~Copyable {
  /// The number of the packet that had a sequence number last; the whole sequence number tells rounds apart.
  struct Mark: BitwiseCopyable {
    var number: Int64 = -1
    var sequence: UInt16 = 0
  }

  private var ssrcs = UniqueArray<SSRC>()
  /// ``Limits/feedbackStreamPacketCount`` for each stream, one stream after the other.
  private var marks = UniqueArray<Mark>()
  /// The stream that was asked for last: packets come in runs.
  private var recent = 0
  /// Packets of streams beyond ``Limits/feedbackStreamCount``.
  package private(set) var refusedCount: UInt64 = 0

  package init() {}

  var heldByteCount: Int { marks.capacity * MemoryLayout<Mark>.stride + ssrcs.capacity * MemoryLayout<SSRC>.stride }

  /// Notes that `sequence` of `ssrc` was the link's packet `number`. Allocates at a stream's first packet.
  package mutating func handleSent(_ ssrc: SSRC, _ sequence: SequenceNumber, number: Int64) {
    var stream = find(ssrc)
    if stream == nil {
      guard ssrcs.count < Limits.feedbackStreamCount else {
        refusedCount &+= 1
        return
      }
      ssrcs.append(ssrc)
      marks.reserveCapacity(ssrcs.count * Limits.feedbackStreamPacketCount)
      for _ in 0..<Limits.feedbackStreamPacketCount { marks.append(Mark()) }
      stream = ssrcs.count - 1
    }
    recent = stream!
    marks[slot(stream!, sequence)] = Mark(number: number, sequence: sequence.rawValue)
  }

  /// The link's number of a packet, or `nil` if it is unknown or too long ago.
  package mutating func number(of ssrc: SSRC, _ sequence: SequenceNumber) -> Int64? {
    guard let stream = find(ssrc) else { return nil }
    recent = stream
    let mark = marks[slot(stream, sequence)]
    return mark.number >= 0 && mark.sequence == sequence.rawValue ? mark.number : nil
  }

  private func slot(_ stream: Int, _ sequence: SequenceNumber) -> Int {
    stream * Limits.feedbackStreamPacketCount + (Int(sequence.rawValue) & (Limits.feedbackStreamPacketCount - 1))
  }

  private func find(_ ssrc: SSRC) -> Int? {
    if recent < ssrcs.count, ssrcs[recent] == ssrc { return recent }
    for index in 0..<ssrcs.count where ssrcs[index] == ssrc { return index }
    return nil
  }
}

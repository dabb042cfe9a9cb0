// The receiving side of transport-wide feedback: remembers when packets arrived and says so in time
// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

import EnfiladeRTP
package import EnfiladeWire

/// Remembers the arrival of every packet of one transport until it has been reported.
///
/// A packet is reported once. One that arrives after later ones were reported is reported with all that follow it, if it
/// is still inside the back window; a sender takes the first word it gets about a packet.
package struct ReceivedPacketRecorder: Sendable {
  /// How many numbers are remembered: the back window at 40 Mbit/s, in 16 KiB.
  package static let capacity = 2048
  /// A packet that is older than this, behind what was reported, is not reported any more.
  package static let backWindow = TimeDelta.milliseconds(500)
  /// Feedback at least this often while packets arrive: slower, and a sender's estimator starves.
  package static let maximumInterval = TimeDelta.milliseconds(100)
  /// Feedback at most this often: faster costs packets and tells nothing.
  package static let minimumInterval = TimeDelta.milliseconds(50)
  /// What a report costs on the wire, headers and tag included; at most a twentieth of the bandwidth goes into reports.
  package static let reportByteCount: Int64 = 68
  /// The most bytes one feedback takes, so that it and a report fit one datagram on any path.
  package static let maximumFeedbackByteCount = 1100
  /// The most arrivals looked at for one feedback: each takes a byte of it at least.
  private static let arrivalsPerFeedback = 1024

  /// Nanoseconds of arrival at `number & (capacity - 1)`; ``absent`` where none.
  private var arrivals: [Int64]
  private var scratch: [TransportArrival]
  /// The oldest number remembered.
  private var oldest = ExtendedSequenceNumber(0)
  /// The next number to report.
  private var nextToReport = ExtendedSequenceNumber(0)
  /// One after the newest number.
  private var end = ExtendedSequenceNumber(0)
  private var hasBegun = false
  /// Whether something has left the window at its old end: from then on the end does not move back.
  private var hasForgotten = false
  /// Since when something waits to be reported.
  private var pendingSince: Instant?
  private var lastFeedback: Instant?
  /// After a far jump back: the number that must follow to believe in it.
  private var expectedAfterJump: SequenceNumber?
  private var feedbackCount: UInt8 = 0
  private var interval = Self.maximumInterval

  /// Packets that were recorded before.
  package private(set) var duplicateCount: UInt64 = 0
  /// Packets too old to be reported.
  package private(set) var tooOldCount: UInt64 = 0
  /// Packets that left the window before they could be reported.
  package private(set) var unreportedCount: UInt64 = 0

  private static let absent = Int64.min

  package init() {
    arrivals = [Int64](repeating: Self.absent, count: Self.capacity)
    scratch = []
    scratch.reserveCapacity(Self.arrivalsPerFeedback)
  }

  /// Adapts the interval to what the path carries.
  package mutating func setAvailableBitrate(_ bitrate: Bitrate) {
    let bitsPerSecond = max(1, bitrate.bitsPerSecond / 20)
    let nanoseconds = Self.reportByteCount * 8 * 1_000_000_000 / bitsPerSecond
    interval = max(Self.minimumInterval, min(Self.maximumInterval, TimeDelta(nanoseconds: nanoseconds)))
  }

  /// When ``pollFeedback(into:senderSSRC:mediaSSRC:at:)`` has something to say; `nil` when nothing waits.
  package var nextDeadline: Instant? {
    guard let pendingSince else { return nil }
    // The first feedback waits one interval as well, so that it speaks of more than one packet.
    return max(pendingSince, (lastFeedback ?? pendingSince) + interval)
  }

  /// Records a packet that was authenticated.
  ///
  /// - Parameters:
  ///   - number: the transport-wide sequence number it carried.
  ///   - now: when it arrived.
  package mutating func record(_ number: UInt16, at now: Instant) {
    let wire = SequenceNumber(number)
    guard hasBegun else {
      begin(at: wire, now)
      return
    }
    let newest = end - 1
    let wide = newest + wire.distance(from: newest.wire)
    if wide < oldest, !hasForgotten, end - wide <= Self.capacity { oldest = wide }
    if wide < oldest {
      tooOldCount &+= 1
      // Two packets in a row from far behind are a sender that began anew (RFC 3550 §A.1).
      if end - wide > Self.capacity, expectedAfterJump == wire {
        begin(at: wire, now)
      } else {
        expectedAfterJump = SequenceNumber(number &+ 1)
      }
      return
    }
    expectedAfterJump = nil
    if wide >= end {
      advance(to: wide)
    } else if arrivals[slot(wide)] != Self.absent {
      duplicateCount &+= 1
      return
    }
    arrivals[slot(wide)] = now.nanoseconds
    if wide < nextToReport { nextToReport = wide }
    if pendingSince == nil { pendingSince = now }
    forget(before: now - Self.backWindow)
  }

  /// Writes one feedback packet if one is due. Call until `false`: what does not fit one packet comes in the next.
  ///
  /// - Returns: whether a packet was written.
  @_lifetime(writer: copy writer)
  package mutating func pollFeedback(into writer: inout ByteWriter, senderSSRC: SSRC, mediaSSRC: SSRC, at now: Instant) -> Bool {
    guard let deadline = nextDeadline, now >= deadline else { return false }
    scratch.removeAll(keepingCapacity: true)
    var number = nextToReport
    while number < end, scratch.count < Self.arrivalsPerFeedback {
      let nanoseconds = arrivals[slot(number)]
      if nanoseconds != Self.absent {
        scratch.append(TransportArrival(sequenceNumber: number, arrival: Instant(nanoseconds: nanoseconds)))
      }
      number = number + 1
    }
    let covered = RTCPWriter.transportFeedback(
      senderSSRC: senderSSRC, mediaSSRC: mediaSSRC, feedbackCount: feedbackCount, base: nextToReport, arrivals: scratch.span,
      maximumByteCount: Self.maximumFeedbackByteCount, into: &writer)
    guard covered > 0 else { return false }
    feedbackCount &+= 1
    nextToReport = scratch[covered - 1].sequenceNumber + 1
    // The rest is due at once: the deadline has not moved.
    guard covered == scratch.count, number == end else { return true }
    pendingSince = nil
    lastFeedback = now
    return true
  }

  private func slot(_ number: ExtendedSequenceNumber) -> Int { Int(truncatingIfNeeded: number.rawValue) & (Self.capacity - 1) }

  /// Starts, or starts anew, with `number` as the first.
  private mutating func begin(at number: SequenceNumber, _ now: Instant) {
    if hasBegun {
      for index in arrivals.indices { arrivals[index] = Self.absent }
    }
    hasBegun = true
    hasForgotten = false
    expectedAfterJump = nil
    // One round up, so that what came before the first number has a place.
    let wide = ExtendedSequenceNumber(0x1_0000 + Int64(number.rawValue))
    oldest = wide
    nextToReport = wide
    end = wide + 1
    arrivals[slot(wide)] = now.nanoseconds
    pendingSince = pendingSince ?? now
  }

  /// Makes room for `newest`.
  private mutating func advance(to newest: ExtendedSequenceNumber) {
    let newEnd = newest + 1
    let newOldest = max(oldest, newEnd - Self.capacity)
    // What leaves the window at its old end.
    var number = oldest
    while number < min(newOldest, end) {
      if number >= nextToReport, arrivals[slot(number)] != Self.absent { unreportedCount &+= 1 }
      arrivals[slot(number)] = Self.absent
      number = number + 1
    }
    if newOldest > oldest { hasForgotten = true }
    oldest = newOldest
    end = newEnd
    if nextToReport < oldest { nextToReport = oldest }
  }

  /// Lets go of what was reported and is too old to be told of again.
  private mutating func forget(before limit: Instant) {
    while oldest < nextToReport {
      let nanoseconds = arrivals[slot(oldest)]
      guard nanoseconds == Self.absent || nanoseconds < limit.nanoseconds else { return }
      arrivals[slot(oldest)] = Self.absent
      oldest = oldest + 1
      hasForgotten = true
    }
  }
}

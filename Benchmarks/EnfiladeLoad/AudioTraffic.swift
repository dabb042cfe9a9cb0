// Opus as Chromium sends it: fifty packets a second.

package import EnfiladeWire

/// The packets of one Opus stream, one after another.
package struct AudioTraffic: Sendable {
  package static let interval = TimeDelta.milliseconds(20)
  private static let ticksPerPacket: UInt32 = 960
  /// Sizes in bytes of UDP payload, as often as they were captured. Packets of silence (33 bytes, a fifth) are as small here as a stamp
  /// allows.
  private static let byteCounts = [66, 66, 66, 65, 97, 98, 99, 101, 102, 103, 104, 105, 107, 111, 111, 111]

  private var random: SeededRandom
  private var next: ScheduledPacket

  package init(seed: UInt64, startingAt start: Instant) {
    random = SeededRandom(seed: seed)
    next = ScheduledPacket(due: start, byteCount: 111, startsFrame: true, endsFrame: true, isKeyframe: false, timestamp: 0)
  }

  /// When the next packet is due.
  package var nextDue: Instant { next.due }

  /// Takes the packet that is due at ``nextDue``.
  package mutating func take() -> ScheduledPacket {
    let taken = next
    next.due += Self.interval
    next.timestamp &+= Self.ticksPerPacket
    next.byteCount = Self.byteCounts.randomElement(using: &random) ?? 111
    return taken
  }

  /// Leaves out what should have been sent before `now`.
  package mutating func skip(to now: Instant) {
    let missed = (now - next.due).nanoseconds / Self.interval.nanoseconds
    if missed > 1 { next.due += Self.interval * missed }
  }
}

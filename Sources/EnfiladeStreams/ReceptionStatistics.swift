// What a receiver counts about one source, for its report blocks (RFC 3550 §6.4.1, A.1, A.3, A.8).

package import EnfiladeRTP
package import EnfiladeWire

/// Counts one source as a receiver sees it. There is no probation (RFC 3550 A.1): a packet whose tag fits has a source that is real.
package struct ReceptionStatistics: Sendable {
  /// RFC 3550 A.1: a jump beyond this is a restart, if the next packet confirms it.
  private static let maximumDropout = 3000
  /// RFC 3550 A.1: a packet older than this is the sign of a restart.
  private static let maximumMisorder = 100

  /// Packets that came, duplicates and late ones included, since the source (re)started.
  package private(set) var receivedCount: Int64 = 0
  /// Bytes of RTP that came, headers included, over the whole life.
  package private(set) var receivedByteCount: Int64 = 0
  /// How often the source restarted its numbers.
  package private(set) var restartCount: UInt32 = 0
  package private(set) var highest: ExtendedSequenceNumber?
  package private(set) var lastPacketAt: Instant?

  private var clockRate: Int64
  private var base = ExtendedSequenceNumber(0)
  /// The number that would confirm a restart.
  private var suspect: ExtendedSequenceNumber?
  private var expectedPrior: Int64 = 0
  private var receivedPrior: Int64 = 0
  /// Jitter in 1/16 tick (RFC 3550 A.8).
  private var scaledJitter: Int64 = 0
  private var lastTimestamp: RTPTimestamp?
  private var lastSenderReport: (compact: UInt32, arrival: Instant)?

  /// - Parameter clockRate: ticks per second of the source's RTP clock.
  package init(clockRate: Int) {
    precondition(clockRate > 0)
    self.clockRate = Int64(clockRate)
  }

  // MARK: Look

  /// Packets that should have come since the source (re)started.
  package var expectedCount: Int64 {
    guard let highest else { return 0 }
    return Int64(highest - base) + 1
  }
  /// Jitter in ticks of the source's clock.
  package var jitter: UInt32 { UInt32(clamping: scaledJitter >> 4) }

  // MARK: Handle

  /// A packet of the source itself; one that came by RTX belongs to another source and is not counted here.
  package mutating func handlePacket(_ sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp, byteCount: Int, at now: Instant) {
    receivedByteCount &+= Int64(byteCount)
    guard place(sequence) else { return }
    receivedCount &+= 1
    updateJitter(timestamp, at: now)
    lastTimestamp = timestamp
    lastPacketAt = now
  }

  /// The source's sender report came.
  package mutating func handleSenderReport(ntp: NTPTimestamp, at now: Instant) { lastSenderReport = (ntp.compact, now) }

  /// The source speaks a codec of another clock from now on; jitter starts again.
  package mutating func setClockRate(_ clockRate: Int) {
    precondition(clockRate > 0)
    guard Int64(clockRate) != self.clockRate else { return }
    self.clockRate = Int64(clockRate)
    scaledJitter = 0
    lastTimestamp = nil
  }

  // MARK: Poll

  /// The report due now; the fraction lost starts again from here.
  package mutating func makeReport(of ssrc: SSRC, at now: Instant) -> ReportBlock {
    let expected = expectedCount
    let expectedInterval = expected - expectedPrior
    let lostInterval = expectedInterval - (receivedCount - receivedPrior)
    expectedPrior = expected
    receivedPrior = receivedCount
    // RFC 3550 A.3: duplicates can make the loss negative; that is no loss.
    let fraction = expectedInterval <= 0 || lostInterval <= 0 ? 0 : min(255, (lostInterval << 8) / expectedInterval)
    var delay: UInt32 = 0
    if let lastSenderReport {
      let elapsed = max(0, (now - lastSenderReport.arrival).microseconds)
      delay = UInt32(clamping: (elapsed << 16) / 1_000_000)
    }
    return ReportBlock(
      ssrc: ssrc, fractionLost: UInt8(fraction), cumulativeLost: Int32(max(-0x80_0000, min(0x7F_FFFF, expected - receivedCount))),
      extendedHighestSequenceNumber: UInt32(truncatingIfNeeded: highest?.rawValue ?? 0), jitter: jitter,
      lastSenderReport: lastSenderReport?.compact ?? 0, delaySinceLastSenderReport: delay)
  }

  // MARK: -

  /// Whether the number counts (RFC 3550 A.1 `update_seq`).
  private mutating func place(_ sequence: ExtendedSequenceNumber) -> Bool {
    guard let highest else {
      restart(at: sequence)
      return true
    }
    let distance = sequence - highest
    if distance > 0 && distance < Self.maximumDropout {
      self.highest = sequence
      suspect = nil
      return true
    }
    if distance <= 0 && distance >= -Self.maximumMisorder { return true }
    if sequence == suspect {
      restart(at: sequence)
      restartCount &+= 1
      return true
    }
    suspect = sequence + 1
    return false
  }

  private mutating func restart(at sequence: ExtendedSequenceNumber) {
    base = sequence
    highest = sequence
    suspect = nil
    receivedCount = 0
    expectedPrior = 0
    receivedPrior = 0
    lastTimestamp = nil
  }

  private mutating func updateJitter(_ timestamp: RTPTimestamp, at now: Instant) {
    guard let lastTimestamp, let lastPacketAt else { return }
    let elapsed = (now - lastPacketAt).nanoseconds
    // A silence of a minute says nothing about the network, and keeps the product below in range.
    guard elapsed >= 0, elapsed < 60_000_000_000 else { return }
    let arrival = elapsed * clockRate / 1_000_000_000
    let difference = abs(arrival - Int64(timestamp.distance(from: lastTimestamp)))
    // RFC 3550 A.8: J += (|D| − J) / 16, in sixteenths.
    scaledJitter += difference - ((scaledJitter + 8) >> 4)
  }
}

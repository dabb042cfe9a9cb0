// One subscriber's downlink: what it carries, when its packets leave, and what its pictures are given of it.

package import EnfiladeCongestion
package import EnfiladeForwarding
package import EnfiladeWire

/// How a link's peer tells what has arrived.
package enum FeedbackKind: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// Of every packet, by transport-wide numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01).
  case transportWide
  /// Of every packet, by stream (RFC 8888).
  case byStream
  /// Shares of loss (RFC 3550 §6.4) and an estimate of its own (draft-alvestrand-rmcat-remb-03).
  case estimate
}

/// The congestion control of one link. It lies in a table of its own, so that a link without it carries nothing along.
package struct LinkCongestion: ~Copyable {
  // What writing a packet touches lies together: the end of the pacer, the beginning of the controller, and what is between.

  package var pacer: Pacer
  package let feedback: FeedbackKind
  /// Counts the packets of the link; the low 16 bits are the transport-wide number.
  var nextNumber = ExtendedSequenceNumber(1)
  private var firstDeparture: Instant?
  package var controller: CongestionController
  package var policy = AllocationPolicy()

  // Sharing out.
  /// From when on the next report has layers shared out again, and when that is done without one.
  private(set) var nextAllocation = Instant.distantFuture
  private(set) var allocationDeadline = Instant.distantFuture
  /// What the last sharing out was made with.
  var sharedOut = Bitrate.zero
  package internal(set) var summary = BandwidthAllocator.Summary()
  /// Since when not everybody's least fits.
  var shortSince: Instant?
  /// What sound and repair take.
  package internal(set) var reserved = Bitrate.zero
  private var reservedByteCount = 0
  private var reservedSince: Instant?

  // Reports.
  private var reportCredit = LinkCongestion.reportBurst
  private var reportCreditUpdated = Instant.zero
  /// Reports of packets that came faster than any receiver needs.
  package private(set) var refusedReportCount: UInt64 = 0
  /// The share of packets that the last report blocks called lost, for peers that report no packets.
  var reportedLoss = 0.0
  /// Which of the packets sent lately a probe repeats next.
  var repetition = 0

  init(feedback: FeedbackKind, profile: CongestionProfile) {
    self.feedback = feedback
    controller = CongestionController(profile: profile)
    pacer = Pacer(target: profile.start, factor: profile.pacingFactor)
  }

  /// Where what writing touches begins, and how much it is.
  static let writtenOffset = MemoryLayout<Pacer>.size - 64
  static let writtenByteCount = 320

  // MARK: Look

  /// When the controller or the sharing out is due: read where it lies, since handing the controller to another module would copy it.
  var nextQuietDeadline: Instant { min(controller.nextUpdate, controller.probes.deadline, allocationDeadline) }
  var nextDeadline: Instant { mutating get { min(nextQuietDeadline, pacer.nextDeadline) } }
  /// What it takes of memory, all in all, in bytes.
  var memoryByteCount: Int { MemoryLayout<LinkCongestion>.stride + controller.heldByteCount + pacer.heldByteCount }
  /// The share of what was sent that was lost lately.
  package mutating func fractionLost() -> Double { reportsPackets ? controller.statistics().loss : reportedLoss }

  /// Whether the peer reports packets, and does not only say that it could.
  var reportsPackets: Bool { controller.hasPacketFeedback }
  /// Whether nothing can be proven by packets: the peer has not reported one for so long that it is not going to.
  func isUnreported(at now: Instant) -> Bool {
    if feedback == .estimate { return true }
    guard !reportsPackets, let firstDeparture else { return false }
    return now - firstDeparture > Self.reportPatience
  }

  /// Receivers in use report for the first time a quarter of a second after the first packet.
  private static var reportPatience: TimeDelta { .seconds(Int64(3)) }
  mutating func noteFirstDeparture(at now: Instant) { if firstDeparture == nil { firstDeparture = now } }

  // MARK: Sharing out

  /// Has layers shared out at `time`, report or not; ``Instant/distantFuture`` for not at all.
  mutating func setAllocation(at time: Instant) {
    nextAllocation = time
    allocationDeadline = time
  }

  /// The same, with the first report after `time` if one comes soon: everything that is looked at is at hand then.
  mutating func setAllocation(after time: Instant) {
    nextAllocation = time
    allocationDeadline = time + Self.allocationPatience
  }

  /// Receivers in use report at least this often while packets come.
  private static var allocationPatience: TimeDelta { .milliseconds(100) }

  // MARK: Sound and repair

  /// Sound or repair was sent.
  mutating func noteReserved(byteCount: Int) { reservedByteCount += byteCount }

  /// Makes a rate of what was noted since the last time.
  mutating func measureReserved(at now: Instant) {
    guard let since = reservedSince else {
      reservedSince = now
      reservedByteCount = 0
      return
    }
    let elapsed = now - since
    guard elapsed >= .milliseconds(200) else { return }
    let rate = DataSize.bytes(Int64(reservedByteCount)).rate(over: elapsed).bitsPerSecond
    // Sound comes evenly and repair in bursts: a second's worth is looked back at.
    let share = min(1, elapsed.seconds)
    reserved = .bitsPerSecond(reserved.bitsPerSecond + Int64(Double(rate - reserved.bitsPerSecond) * share))
    reservedByteCount = 0
    reservedSince = now
  }

  // MARK: Reports

  /// Reports that may come at once, and in each second: receivers in use send one every 50 to 250 ms, or one a frame.
  private static let reportBurst = 32.0
  private static let reportsPerSecond = 100.0

  /// Whether a report of packets is worth its work; a peer cannot make us compute as much as it likes.
  mutating func admitReport(at now: Instant) -> Bool {
    let elapsed = max(0, (now - reportCreditUpdated).seconds)
    reportCredit = min(Self.reportBurst, reportCredit + elapsed * Self.reportsPerSecond)
    reportCreditUpdated = now
    guard reportCredit >= 1 else {
      refusedReportCount &+= 1
      return false
    }
    reportCredit -= 1
    return true
  }
}

/// What one subscription was given, and what the application was told of it.
package struct StreamAllocation: Sendable {
  package var allotment = LayerAllotment.open
  var option = LayerOption(spatial: 0, temporal: 0, bitrate: .zero, width: 0, height: 0, framesPerSecond: 0)
  var wanted = LayerOption(spatial: 0, temporal: 0, bitrate: .zero, width: 0, height: 0, framesPerSecond: 0)
  package var reason = AllocationReason.limitedByPublication
  var changed = Instant.zero
  var wentDown = false
  private var told: (allotment: LayerAllotment, reason: AllocationReason)?
  private var nextTelling = Instant.zero

  /// No subscription is told about more often.
  private static let tellingInterval = TimeDelta.seconds(Int64(1))

  init() {}

  /// Whether there is news that the application may be told now.
  mutating func takeNews(at now: Instant) -> Bool {
    guard now >= nextTelling else { return false }
    if let told, told == (allotment, reason) { return false }
    told = (allotment, reason)
    nextTelling = now + Self.tellingInterval
    return true
  }

  package var shown: SlotAllocation {
    SlotAllocation(
      targetBitrate: wanted.bitrate, allocatedBitrate: option.bitrate, width: option.width, height: option.height,
      framesPerSecond: option.framesPerSecond, wantedWidth: wanted.width, wantedHeight: wanted.height, reason: reason)
  }
}

/// What a slot's subscriber is given of its downlink, and why.
package struct SlotAllocation: Hashable, Sendable {
  /// What the best that is of use would cost.
  package var targetBitrate: Bitrate
  /// What is sent costs this much; zero while nothing is.
  package var allocatedBitrate: Bitrate
  /// Zero where nobody knows.
  package var width: UInt16
  package var height: UInt16
  package var framesPerSecond: UInt8
  package var wantedWidth: UInt16
  package var wantedHeight: UInt16
  package var reason: AllocationReason
}

/// What a link's congestion control says of itself when asked.
package struct DownlinkReport: Sendable {
  package var feedback: FeedbackKind
  package var congestion: CongestionStatistics
  /// The share of what was sent that was lost lately.
  package var fractionLost: Double
  /// How long what waits in the pacer takes to leave.
  package var queueTime: TimeDelta
  package var queuedPacketCount: Int
  /// Packets that waited too long and were dropped, and packets that found no room.
  package var expiredCount: UInt64
  package var refusedCount: UInt64
  /// What sound and repair take.
  package var reserved: Bitrate
  package var allocated: Bitrate
  package var wanted: Bitrate
  /// What all of this takes of memory, in bytes.
  package var memoryByteCount: Int
  package var slots: [(slot: SlotKey, allocation: SlotAllocation)]

  /// What the link is believed to carry.
  package var estimate: Bitrate { congestion.estimate }
  package var roundTrip: TimeDelta { congestion.roundTrip }
  /// How long packets wait in the network.
  package var networkQueueTime: TimeDelta { congestion.queue }
}

// What a participant's downlink carries, and what its pictures are given of it: to show, and to log.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeWire

/// What a participant's downlink carries, as of now. Seen from the engine; where webrtc-stats has a name for a value, it has that name.
public struct ConnectionQuality: Sendable, Hashable {
  /// What the link is believed to carry, in bits per second (webrtc-stats, `availableOutgoingBitrate`).
  public var availableOutgoingBitrate: Int
  /// What the pictures that are sent now cost, in bits per second.
  public var allocatedBitrate: Int
  /// What everything that is wanted would cost, sound included, in bits per second.
  public var targetBitrate: Int
  /// What sound and repair take, in bits per second; pictures are given what is left.
  public var reservedBitrate: Int
  /// From a packet's leaving to the report that speaks of it (webrtc-stats, `currentRoundTripTime`).
  public var currentRoundTripTime: Duration
  /// The share of what was sent that was lost lately, 0 to 1 (webrtc-stats, `fractionLost`).
  public var fractionLost: Double
  /// How long what waits in the engine for this link takes to leave.
  public var pacerQueueTime: Duration
  /// How long packets wait in the network, above the path's own delay.
  public var networkQueueTime: Duration
  /// One for each media section that a picture is bound to, in the order of the description.
  public var allocations: [VideoAllocation]
}

/// What one receiving media section is given of its participant's downlink, and why.
public struct VideoAllocation: Sendable, Hashable {
  /// The media section.
  public var mid: String
  /// What is shown there; `nil` when that has just ended.
  public var publication: PublicationID?
  /// What the best that is of use would cost, in bits per second (webrtc-stats, `targetBitrate`).
  public var targetBitrate: Int
  /// What is sent costs, in bits per second; zero while nothing is.
  public var allocatedBitrate: Int
  /// Pixels of what is sent (webrtc-stats, `frameWidth`); zero while nobody knows.
  public var frameWidth: Int
  /// See ``frameWidth``.
  public var frameHeight: Int
  /// Frames per second of what is sent (webrtc-stats, `framesPerSecond`).
  public var framesPerSecond: Int
  /// Pixels of the best that is of use; zero while nobody knows.
  public var targetFrameWidth: Int
  /// See ``targetFrameWidth``.
  public var targetFrameHeight: Int
  /// Why it is not more, or that it is all.
  public var reason: VideoAllocationReason
}

/// Why a media section is given what it is given.
public enum VideoAllocationReason: String, Sendable, Hashable, CaseIterable {
  /// All that is of use.
  case satisfied
  /// The publisher sends nothing better, or nothing yet.
  case limitedByPublication
  /// The link carries no more.
  case limitedByBandwidth
  /// More would fit, but nothing has shown yet that it is really there.
  case awaitingProbe
  /// It went down lately, and goes up again when it has stayed so for a while.
  case dwelling
  /// Not even the least fits.
  case paused
  /// ``BandwidthPolicy/isAudioOnly``.
  case audioOnly
  /// More is sent than fits: a screen that cannot be read is worth nothing.
  case oversent
  /// More is sent than fits: ``BandwidthPolicy/neverPausesVideo``.
  case neverPaused
}

/// What a picture is to the one who looks at it: who is first when not everything fits.
public enum VideoPriority: String, Sendable, Hashable, CaseIterable {
  case screenShare
  case pinned
  case speaker
  case gallery
  case thumbnail
}

/// How a participant's downlink is shared out among its pictures.
public struct BandwidthPolicy: Sendable, Hashable {
  /// Everybody is seen in the least quality at least, even where that is more than the link is known to carry. Otherwise pictures are paused, the
  /// least important first, so that sound stays whole.
  public var neverPausesVideo: Bool
  /// No pictures at all.
  public var isAudioOnly: Bool
  /// After a step down, the next step up waits at least so long, and for proof that the link carries it.
  public var minimumDwell: Duration
  /// A screen may cost this much more than fits, in bits per second.
  public var screenShareOversend: Int

  /// A policy; what is not given is as usual.
  public init(
    neverPausesVideo: Bool = false, isAudioOnly: Bool = false, minimumDwell: Duration = .seconds(3), screenShareOversend: Int = 500_000
  ) {
    self.neverPausesVideo = neverPausesVideo
    self.isAudioOnly = isAudioOnly
    self.minimumDwell = minimumDwell
    self.screenShareOversend = screenShareOversend
  }
}

// MARK: - From the engine

extension ConnectionQuality {
  init(_ report: DownlinkReport, allocations: [VideoAllocation]) {
    availableOutgoingBitrate = Int(report.estimate.bitsPerSecond)
    allocatedBitrate = Int(report.allocated.bitsPerSecond)
    targetBitrate = Int(report.wanted.bitsPerSecond)
    reservedBitrate = Int(report.reserved.bitsPerSecond)
    currentRoundTripTime = Duration(report.roundTrip)
    fractionLost = report.fractionLost
    pacerQueueTime = Duration(report.queueTime)
    networkQueueTime = Duration(report.networkQueueTime)
    self.allocations = allocations
  }
}

extension VideoAllocation {
  init(_ allocation: SlotAllocation, mid: String, publication: PublicationID?) {
    self.mid = mid
    self.publication = publication
    targetBitrate = Int(allocation.targetBitrate.bitsPerSecond)
    allocatedBitrate = Int(allocation.allocatedBitrate.bitsPerSecond)
    frameWidth = Int(allocation.width)
    frameHeight = Int(allocation.height)
    framesPerSecond = Int(allocation.framesPerSecond)
    targetFrameWidth = Int(allocation.wantedWidth)
    targetFrameHeight = Int(allocation.wantedHeight)
    reason = VideoAllocationReason(allocation.reason)
  }
}

extension VideoAllocationReason {
  init(_ reason: AllocationReason) {
    switch reason {
    case .satisfied: self = .satisfied
    case .limitedByPublication: self = .limitedByPublication
    case .limitedByBandwidth: self = .limitedByBandwidth
    case .awaitingProbe: self = .awaitingProbe
    case .dwelling: self = .dwelling
    case .paused: self = .paused
    case .audioOnly: self = .audioOnly
    case .oversent: self = .oversent
    case .neverPaused: self = .neverPaused
    }
  }
}

extension SubscriptionRole {
  init(_ priority: VideoPriority) {
    switch priority {
    case .screenShare: self = .screenShare
    case .pinned: self = .pinned
    case .speaker: self = .speaker
    case .gallery: self = .gallery
    case .thumbnail: self = .thumbnail
    }
  }
}

extension AllocationPolicy {
  /// More than any link carries, and little enough to be added to.
  private static var largestOversend: Int { 1_000_000_000_000 }

  init(_ policy: BandwidthPolicy) {
    self.init()
    neverPausesVideo = policy.neverPausesVideo
    isAudioOnly = policy.isAudioOnly
    minimumDwell = TimeDelta(nanoseconds: max(0, policy.minimumDwell.clampedNanoseconds))
    screenShareOversend = .bitsPerSecond(Int64(min(max(0, policy.screenShareOversend), Self.largestOversend)))
  }
}

extension Duration {
  fileprivate init(_ delta: TimeDelta) { self = .nanoseconds(delta.nanoseconds) }
}

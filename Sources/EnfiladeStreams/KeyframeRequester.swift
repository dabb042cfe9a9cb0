// When one encoding's publisher is asked for a keyframe (RFC 4585 §6.3.1, RFC 5104 §4.3.1).

package import EnfiladeWire

/// One encoding's budget of keyframe requests: everybody's wishes are merged, and at most one request leaves in two round trips.
///
///                 ┌──────────── keyframe ◀──────────────┐
///                 ▼                                     │
///     idle ──request, long since the last──▶ asked ──deadline──▶ asked again (twice the wait, bounded) ──▶ given up ▶ idle
///      └──request, too soon──▶ deferred ──deadline──▶ asked
///                                 └──keyframe──▶ idle
package struct KeyframeRequester: Sendable {
  /// Who wants a keyframe, and what for.
  package enum Reason: UInt8, Hashable, Sendable, CaseIterable {
    /// Somebody joined.
    case newSubscriber
    /// A subscriber sent PLI.
    case pictureLoss
    /// A subscriber sent FIR.
    case fullIntraRequest
    /// A forwarder wants to switch to this encoding.
    case layerSwitch
    /// Repair towards the publisher gave up.
    case unrecoveredLoss
    /// A media worker's decoder starts, or lost its place.
    case decoder
  }

  /// What became of a wish.
  package enum Outcome: Hashable, Sendable {
    /// Ask the publisher now.
    case send(Request)
    /// It will be asked at this instant, unless a keyframe comes first.
    case deferred(until: Instant)
    /// A request is on its way, or deferred, already.
    case merged
  }

  /// A request that leaves now.
  package struct Request: Hashable, Sendable {
    /// The FIR sequence number: a repetition keeps the number of what it repeats (RFC 5104 §4.3.1.1).
    package var sequenceNumber: UInt8
    package var isRepetition: Bool
    package var reason: Reason
  }

  package struct Counters: Hashable, Sendable {
    /// Wishes.
    package var asked: UInt64 = 0
    /// Wishes that another one's request served.
    package var merged: UInt64 = 0
    /// Wishes that had to wait.
    package var deferred: UInt64 = 0
    /// Requests that left, repetitions included.
    package var sent: UInt64 = 0
    package var repeated: UInt64 = 0
    /// Requests that a keyframe answered.
    package var answered: UInt64 = 0
    /// Wishes that a keyframe served before a request left.
    package var spared: UInt64 = 0
    /// Requests that were given up.
    package var abandoned: UInt64 = 0

    package init() {}

    package static func += (sum: inout Counters, part: Counters) {
      sum.asked &+= part.asked
      sum.merged &+= part.merged
      sum.deferred &+= part.deferred
      sum.sent &+= part.sent
      sum.repeated &+= part.repeated
      sum.answered &+= part.answered
      sum.spared &+= part.spared
      sum.abandoned &+= part.abandoned
    }
  }

  private enum State: Hashable {
    case idle
    case deferred(until: Instant, Reason)
    case asked(repeatAt: Instant, repetitions: Int, Reason)
  }

  /// The smoothed round trip to the publisher.
  package var roundTripTime: TimeDelta = Limits.assumedRoundTripTime
  package private(set) var counters = Counters()
  private var state = State.idle
  private var lastSentAt: Instant?
  private var sequenceNumber: UInt8 = 0

  package init() {}

  // MARK: Look

  /// Whether a keyframe is wanted and has not come.
  package var isWaiting: Bool { state != .idle }

  /// When ``pollRequest(at:)`` may have something, or ``Instant/distantFuture``.
  package var nextDeadline: Instant {
    switch state {
    case .idle: .distantFuture
    case .deferred(let until, _): until
    case .asked(let repeatAt, _, _): repeatAt
    }
  }

  // MARK: Verbs

  /// Somebody wants a keyframe.
  package mutating func request(_ reason: Reason, at now: Instant) -> Outcome {
    counters.asked &+= 1
    switch state {
    case .idle:
      let earliest = lastSentAt.map { $0 + interval } ?? now
      guard now < earliest else { return .send(ask(reason, at: now)) }
      state = .deferred(until: earliest, reason)
      counters.deferred &+= 1
      return .deferred(until: earliest)
    case .deferred, .asked:
      counters.merged &+= 1
      return .merged
    }
  }

  /// Nobody wants a keyframe any more: the encoding has no subscriber, or its publisher paused it.
  package mutating func cancel() { state = .idle }

  // MARK: Handle

  /// A keyframe's first packet came; it serves every wish so far.
  package mutating func handleKeyframe(at now: Instant) {
    switch state {
    case .idle: return
    case .deferred: counters.spared &+= 1
    case .asked: counters.answered &+= 1
    }
    state = .idle
  }

  // MARK: Poll

  /// The request that is due now, if any.
  package mutating func pollRequest(at now: Instant) -> Request? {
    switch state {
    case .deferred(let until, let reason) where now >= until:
      return ask(reason, at: now)
    case .asked(let repeatAt, let repetitions, let reason) where now >= repeatAt:
      guard repetitions < Limits.keyframeRetryCount else {
        counters.abandoned &+= 1
        state = .idle
        return nil
      }
      let wait = min(Limits.keyframeRetryCeiling, interval * (2 << Int64(repetitions)))
      state = .asked(repeatAt: now + wait, repetitions: repetitions + 1, reason)
      lastSentAt = now
      counters.sent &+= 1
      counters.repeated &+= 1
      return Request(sequenceNumber: sequenceNumber, isRepetition: true, reason: reason)
    default:
      return nil
    }
  }

  // MARK: -

  /// Two round trips, within bounds.
  private var interval: TimeDelta { min(Limits.keyframeIntervalCeiling, max(Limits.keyframeIntervalFloor, roundTripTime * 2)) }

  private mutating func ask(_ reason: Reason, at now: Instant) -> Request {
    sequenceNumber &+= 1
    lastSentAt = now
    state = .asked(repeatAt: now + interval, repetitions: 0, reason)
    counters.sent &+= 1
    return Request(sequenceNumber: sequenceNumber, isRepetition: false, reason: reason)
  }
}

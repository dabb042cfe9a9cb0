// What the engine does about sound that gets lost: redundant audio data (RFC 2198).

import EnfiladeEngine

/// How redundant Opus (`red/48000/2`, RFC 2198) is used.
///
/// Redundancy repeats the packet or two before in each packet. It bridges loss without a round trip, and costs as many bits again, so it is made
/// only for those who report loss unless it is asked for. A publisher that sends it of its own accord is passed on to those who take it; the
/// others are sent what is inside.
///
/// Where media is encrypted end to end none may be made: receivers could not decrypt what the engine put together, and the engine cannot see
/// that it is encrypted. So it is made only where the application says so. A redundant payload that is encrypted is passed on to those who take
/// RED, and not sent to the others.
public enum RedundantAudio: Sendable, Hashable {
  /// Not negotiated.
  case off
  /// Passed on and taken off, never made.
  case passedOn
  /// Made for those who report a loss of two percent and more, with up to `distance` earlier packets, one or two.
  case whenLossy(distance: Int)
  /// Made for everybody who takes it.
  case always(distance: Int)

  var policy: RedundancyPolicy {
    switch self {
    case .off, .passedOn: RedundancyPolicy(distance: 0)
    case .whenLossy(let distance): RedundancyPolicy(distance: max(1, distance))
    case .always(let distance): RedundancyPolicy(distance: max(1, distance), isForLossy: false)
    }
  }
}

// Transport-wide feedback for a server that sends by it.

import EnfiladeCongestion
import EnfiladeWire

/// The arrivals of one client, and the source its feedback names.
struct TransportRecorder {
  let media: SSRC
  var arrivals = ReceivedPacketRecorder()

  init(media: SSRC) { self.media = media }

  var nextDeadline: Instant? { arrivals.nextDeadline }
  mutating func record(_ number: UInt16, at now: Instant) { arrivals.record(number, at: now) }
}

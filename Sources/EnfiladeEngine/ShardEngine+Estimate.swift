// What publishers are told of their way to us, where they take nothing better than one number (draft-alvestrand-rmcat-remb-03).

import EnfiladeCongestion
import EnfiladeRTP
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Turns a link's estimate on or off, as its sections were negotiated: where packets are numbered across the transport, their sender
  /// estimates for itself, and where they do not say when they left, nothing can be estimated.
  mutating func configureEstimate(_ link: Int, _ sections: [ReceiveSection]) {
    let wants = sections.contains { section in
      section.extensions[.absoluteSendTime] != nil && section.extensions[.transportSequenceNumber] == nil
        && section.formats.contains { $0.feedback.contains(.receiverEstimatedMaximumBitrate) }
    }
    guard wants else { return endEstimate(of: link) }
    guard links[link].receiverEstimator < 0 else { return }
    let maximum = min(links[link].policer.limit ?? CongestionProfile().maximum, CongestionProfile().maximum)
    guard let place = receiverEstimators.insert(ReceiverEstimator(maximum: maximum)) else { return }
    links[link].receiverEstimator = Int32(place)
  }

  mutating func endEstimate(of link: Int) {
    guard links[link].receiverEstimator >= 0 else { return }
    _ = receiverEstimators.remove(at: Int(links[link].receiverEstimator))
    links[link].receiverEstimator = -1
  }

  /// A packet of such a link came.
  mutating func estimate(_ sendTime: AbsoluteSendTime, byteCount: Int, link: Int, at now: Instant) {
    let place = Int(links[link].receiverEstimator)
    receiverEstimators[place].handlePacket(
      sendTime: sendTime, byteCount: byteCount, roundTrip: links[link].roundTripTime, at: now)
    deadlines.advance(receiverEstimators[place].nextDeadline, for: link)
  }

  /// When the link is told; `nil` where it never is.
  mutating func estimateDeadline(of link: Int) -> Instant? {
    links[link].receiverEstimator < 0 ? nil : receiverEstimators[Int(links[link].receiverEstimator)].nextDeadline
  }

  mutating func pollEstimate(of link: Int, at now: Instant) -> Bitrate? {
    receiverEstimators[Int(links[link].receiverEstimator)].pollEstimate(at: now)
  }
}

// How a scripted peer says what has arrived: of every packet in either of two formats, or by an estimate of its own.

import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeRTP
package import EnfiladeWire

/// What a peer reports of the packets it receives.
package enum ReportingStyle: Hashable, Sendable {
  case nothing
  /// draft-holmer-rmcat-transport-wide-cc-extensions-01
  case transportWide
  /// RFC 8888.
  case byStream
  /// draft-alvestrand-rmcat-remb-03
  case estimate(Bitrate)
  /// Promises transport-wide feedback, and sends an estimate of its own instead.
  case estimateInstead(Bitrate)
}

/// Arrivals that wait to be reported.
struct ArrivalReporter {
  static let interval = TimeDelta.milliseconds(50)

  var recorder = ReceivedPacketRecorder()
  /// By stream: the next number to report, and arrivals of it and later ones.
  var streams: [SSRC: (next: Int64, arrivals: [Int64: Instant])] = [:]
  var media = SSRC(0)
  var nextReport = Instant.distantFuture
}

extension ScriptedPeer {
  /// Negotiates, and from then on gives, this kind of report. Before the peer is added.
  package func report(_ style: ReportingStyle) {
    reporting = style
    let plain: FeedbackCapabilities = [.nack, .pictureLossIndication, .fullIntraRequest]
    switch style {
    case .nothing, .transportWide, .estimateInstead: break
    case .byStream:
      numbers.transportSequenceNumber = nil
      (numbers.videoFeedback, numbers.audioFeedback) = (plain.union(.congestionControl), .congestionControl)
    case .estimate:
      numbers.transportSequenceNumber = nil
      (numbers.videoFeedback, numbers.audioFeedback) = (plain.union(.receiverEstimatedMaximumBitrate), [])
    }
  }

  /// Remembers an arrival.
  func noteArrival(_ packet: RTPBytes, index: ExtendedSequenceNumber, at now: Instant) {
    switch reporting {
    case .nothing: return
    case .transportWide:
      guard let data = packet[numbers.transportSequenceNumber] else { return }
      transportNumbers.append((UInt16(truncatingIfNeeded: number(data[...])), now))
      reporter.media = SSRC(packet.ssrc)
      reporter.recorder.record(UInt16(truncatingIfNeeded: number(data[...])), at: now)
    case .byStream:
      let ssrc = SSRC(packet.ssrc)
      reporter.streams[ssrc, default: (index.rawValue, [:])].arrivals[index.rawValue] = now
    case .estimate, .estimateInstead: break
    }
    if reporter.nextReport == .distantFuture { reporter.nextReport = now + ArrivalReporter.interval }
  }

  var nextReporting: Instant {
    switch reporting {
    case .nothing: .distantFuture
    case .transportWide: reporter.recorder.nextDeadline ?? .distantFuture
    case .byStream, .estimate, .estimateInstead: reporter.nextReport
    }
  }

  func sendArrivalReports(at now: Instant, in world: EngineWorld) {
    switch reporting {
    case .nothing: return
    case .transportWide:
      let media = reporter.media
      sendRTCP(in: world) { _ = reporter.recorder.pollFeedback(into: &$0, senderSSRC: SSRC(1), mediaSSRC: media, at: now) }
    case .byStream:
      sendStreamReport(at: now, in: world)
      reporter.nextReport = .distantFuture
    case .estimate(let bitrate), .estimateInstead(let bitrate):
      let sources = slots.map(\.ssrc)
      sendRTCP(in: world) { RTCPWriter.maximumBitrate(senderSSRC: SSRC(1), bitrate: bitrate, sources: sources.span, into: &$0) }
      reporter.nextReport = now + .milliseconds(500)
    }
  }

  private func sendStreamReport(at now: Instant, in world: EngineWorld) {
    sendRTCP(in: world) { writer in
      guard let report = CongestionControlFeedbackWriter(senderSSRC: SSRC(1), into: &writer) else { return }
      for ssrc in reporter.streams.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
        guard let state = reporter.streams[ssrc], let newest = state.arrivals.keys.max(), newest >= state.next else { continue }
        let metrics = (state.next...newest).map { index in
          state.arrivals[index].map { PacketMetric(receivedBefore: now - $0) } ?? PacketMetric(isReceived: false)
        }
        let begin = SequenceNumber(UInt16(truncatingIfNeeded: state.next))
        guard report.add(ssrc: ssrc, beginSequenceNumber: begin, metrics: metrics.span, into: &writer) else { break }
        reporter.streams[ssrc] = (newest + 1, [:])
      }
      report.finish(timestamp: UInt32(truncatingIfNeeded: now.nanoseconds / 1000 * 65_536 / 1_000_000), into: &writer)
    }
  }
}

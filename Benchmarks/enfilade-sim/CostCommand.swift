// What congestion control costs for each packet.

import ArgumentParser
import EnfiladeCongestion
import EnfiladeRTP
import EnfiladeWire
import Foundation

struct CostCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cost", abstract: "Measures nanoseconds for each packet: admission to the pacer, the note of sending, and the report.")

  @Option(help: "Packets in each report.") var packetsPerReport = 16
  @Option(help: "Reports in each round.") var reports = 20_000
  @Option(help: "Rounds; the least is shown, and the middle.") var rounds = 7

  @Flag(help: "Show where the estimate went.") var verbose = false

  func run() throws {
    // Packets 3 ms apart: frames of four, at about 3 Mbit/s.
    let interval: Int64 = 3_000_000
    var written: [[UInt8]] = []
    for report in 0..<reports {
      let first = Int64(report * packetsPerReport)
      let arrivals = (0..<Int64(packetsPerReport)).map { index in
        let sent = (first + index) / 4 * 4 * interval
        return TransportArrival(
          sequenceNumber: ExtendedSequenceNumber(first + index),
          arrival: Instant(nanoseconds: 1_000_000_000 + sent + 50_000_000 + (first + index) % 4 * 2_000_000))
      }
      let bytes = [UInt8].writing(capacity: 1500) { writer in
        _ = RTCPWriter.transportFeedback(
          senderSSRC: SSRC(1), mediaSSRC: SSRC(2), feedbackCount: UInt8(truncatingIfNeeded: report), base: ExtendedSequenceNumber(first),
          arrivals: arrivals.span, into: &writer)
      }
      guard let bytes else { throw ValidationError("a report does not fit") }
      written.append(bytes)
    }
    print("\(packetsPerReport) packets a report, \(reports) reports, least and middle of \(rounds) rounds, ns a packet")
    show("pacer and note of sending") { sendOnly(interval) }
    show("with reports") { everything(interval, written) }
    show("reference, with reports") { everything(interval, written, profile: .reference) }
  }

  private func show(_ title: String, _ body: () -> Duration) {
    let count = Double(packetsPerReport * reports)
    let times = (0..<rounds).map { _ -> Double in
      let (seconds, attoseconds) = body().components
      return (Double(seconds) * 1e9 + Double(attoseconds) * 1e-9) / count
    }
    let sorted = times.sorted()
    print(String(format: "  %@: %.1f, %.1f", title.padding(toLength: 28, withPad: " ", startingAt: 0), sorted[0], sorted[sorted.count / 2]))
  }

  private func sendOnly(_ interval: Int64) -> Duration {
    var controller = CongestionController()
    var pacer = Pacer(target: .megabitsPerSecond(4))
    return ContinuousClock().measure {
      for number in 0..<Int64(packetsPerReport * reports) { send(number, interval, &controller, &pacer) }
    }
  }

  private func everything(_ interval: Int64, _ written: [[UInt8]], profile: CongestionProfile = CongestionProfile()) -> Duration {
    var profile = profile
    profile.start = .megabitsPerSecond(4)
    var controller = CongestionController(profile: profile)
    var pacer = Pacer(target: .megabitsPerSecond(4))
    return ContinuousClock().measure {
      var number: Int64 = 0
      for bytes in written {
        for _ in 0..<packetsPerReport {
          send(number, interval, &controller, &pacer)
          number += 1
        }
        let now = Instant(nanoseconds: number * interval + 100_000_000 + 1_000_000_000)
        var reader = RTCPReader(bytes.rawBytes)
        while let packet = reader.next() {
          if case .transportFeedback(let feedback) = packet { controller.handleFeedback(feedback, at: now) }
        }
        while controller.pollProbe() != nil {}
        if let target = controller.pollTarget() { pacer.setTarget(target, at: min(now, sentTime(number, interval))) }
      }
      if verbose {
        print(
          "    target \(controller.target.bitsPerSecond / 1000) kbit/s, waited \(pacer.delayedCount) of \(pacer.delayedCount + pacer.immediateCount)"
        )
      }
    }
  }

  private func sentTime(_ number: Int64, _ interval: Int64) -> Instant { Instant(nanoseconds: 1_000_000_000 + number / 4 * 4 * interval) }

  @inline(__always)
  private func send(_ number: Int64, _ interval: Int64, _ controller: inout CongestionController, _ pacer: inout Pacer) {
    let now = sentTime(number, interval)
    if case .now(let probe) = pacer.admit(Int32(truncatingIfNeeded: number), byteCount: 1100, purpose: .video, at: now) {
      controller.handleSent(ExtendedSequenceNumber(number), byteCount: 1100, purpose: .video, probe: probe, at: now)
    } else {
      // Noted all the same, so that the reports find what they speak of.
      controller.handleSent(ExtendedSequenceNumber(number), byteCount: 1100, purpose: .video, at: now)
      while pacer.poll(at: now) != nil {}
    }
  }
}

// When packets leave.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Pacer")
struct PacerTests {
  static func at(_ milliseconds: Double) -> Instant { Instant(nanoseconds: Int64(milliseconds * 1e6)) }

  /// Lets a pacer run to the end of its queue; the packets as they leave, with the times in milliseconds.
  static func drain(_ pacer: inout Pacer, from start: Double) -> [(packet: Int32, milliseconds: Double)] {
    var departures: [(Int32, Double)] = []
    var now = at(start)
    while pacer.queuedPacketCount > 0 {
      while let departure = pacer.poll(at: now) {
        if case .packet(let packet, _, _, _) = departure { departures.append((packet, Double(now.nanoseconds) * 1e-6)) }
      }
      guard pacer.queuedPacketCount > 0 else { break }
      #expect(pacer.nextDeadline > now)
      now = pacer.nextDeadline
    }
    return departures
  }

  @Test("Frames at the target pass undelayed, in one run each, for minutes", arguments: [300.0, 1000, 5000])
  func undelayed(kilobits: Double) {
    var pacer = Pacer(target: Bitrate(bitsPerSecond: Int64(kilobits * 1000)))
    let frame = kilobits * 1000 / 30 / 8
    for index in 0..<3000 {
      var left = frame * (index % 2 == 0 ? 1.15 : 0.85)
      while left > 0 {
        #expect(pacer.admit(0, byteCount: Int(min(1200, left)) + 1, purpose: .video, at: Self.at(Double(index) * 1000 / 30)) == .now(.none))
        left -= 1200
      }
    }
    #expect(pacer.delayedCount == 0)
  }

  @Test("A key frame of ten frames' size leaves at two and a half times the target, in bursts, and in order")
  func keyFrame() {
    var pacer = Pacer(target: .megabitsPerSecond(1))
    var immediate = 0
    for index in 0..<35 {
      switch pacer.admit(Int32(index), byteCount: 1200, purpose: .video, at: Self.at(0)) {
      case .now: immediate += 1
      case .queued: break
      case .full: Issue.record("full")
      }
    }
    #expect(immediate >= 5 && immediate <= 7)
    let departures = Self.drain(&pacer, from: 0)
    #expect(departures.map(\.packet) == (Int32(immediate)..<35).map { $0 })
    // 29 packets of 9600 bits at 2.5 Mbit/s.
    let last = departures.last!.milliseconds
    #expect(last > 90 && last < 125, "\(last)")
    #expect(Set(departures.map(\.milliseconds)).count <= departures.count)
  }

  @Test("Audio never waits; retransmissions go before video")
  func order() {
    var pacer = Pacer(target: .kilobitsPerSecond(500))
    for index in 0..<20 { _ = pacer.admit(Int32(index), byteCount: 1200, purpose: .video, at: Self.at(0)) }
    #expect(pacer.admit(100, byteCount: 1000, purpose: .retransmission, at: Self.at(0)) == .queued)
    #expect(pacer.admit(200, byteCount: 80, purpose: .audio, at: Self.at(0)) == .now(.none))
    #expect(Self.drain(&pacer, from: 0).first?.packet == 100)
  }

  @Test("However much is queued, it is gone in about the time a queue may last")
  func boundedInTime() {
    var pacer = Pacer(target: .kilobitsPerSecond(100))
    for index in 0..<200 { _ = pacer.admit(Int32(index), byteCount: 1200, purpose: .video, at: Self.at(0)) }
    // The rate follows what is left, so the tail is slow; most must be gone.
    let departures = Self.drain(&pacer, from: 0)
    #expect(departures.count + Int(pacer.expiredCount) >= 190)
    #expect(departures.last!.milliseconds <= Double(Limits.pacerPacketAge.milliseconds) + 60)
  }

  @Test("A full pacer refuses, and says so")
  func full() {
    var pacer = Pacer(target: .kilobitsPerSecond(30))
    var refused = 0
    for index in 0..<(Limits.pacerPacketCount + 100)
    where pacer.admit(Int32(index), byteCount: 1200, purpose: .video, at: Self.at(0)) == .full {
      refused += 1
    }
    #expect(refused > 0 && pacer.refusedCount == UInt64(refused))
    #expect(pacer.queuedPacketCount == Limits.pacerPacketCount)
  }

  @Test("A probe is filled with padding at its rate, and ends")
  func probe() {
    var pacer = Pacer(target: .kilobitsPerSecond(300))
    pacer.begin(Probe(id: ProbeID(9), rate: 2e6), at: Self.at(0))
    var byteCount = 0
    var packetCount = 0
    var now = Self.at(0)
    var last = now
    while pacer.isProbing, packetCount < 100 {
      while let departure = pacer.poll(at: now) {
        guard case .padding(let bytes, let probe) = departure else { continue }
        #expect(probe == ProbeID(9))
        byteCount += bytes
        packetCount += 1
        last = now
      }
      now = max(pacer.nextDeadline, now)
    }
    #expect(packetCount == Probe.packetCount)
    // Five packets of 1200 bytes at 2 Mbit/s: four gaps of 4.8 ms.
    #expect(abs((last - Self.at(0)).seconds - 0.0192) < 0.003)
    #expect(byteCount == 6000)
    #expect(pacer.nextDeadline == .distantFuture)
  }

  @Test("While a probe is on, a frame goes at its pace and counts for it")
  func frameInProbe() {
    var pacer = Pacer(target: .megabitsPerSecond(1))
    pacer.begin(Probe(id: ProbeID(4), rate: 2e6), at: Self.at(0))
    for index in 0..<4 { #expect(pacer.admit(Int32(index), byteCount: 1200, purpose: .video, at: Self.at(0)) == .queued) }
    var probed = 0
    var now = Self.at(0)
    for _ in 0..<50 where pacer.isProbing || pacer.queuedPacketCount > 0 {
      while let departure = pacer.poll(at: now) {
        if case .packet(_, _, _, let probe) = departure, probe == ProbeID(4) { probed += 1 }
      }
      now = max(now, pacer.nextDeadline)
    }
    #expect(probed == 4)
    #expect(pacer.queuedPacketCount == 0)
  }

  @Test("A sounding is a few small packets at once")
  func sounding() {
    var pacer = Pacer(target: .kilobitsPerSecond(100))
    pacer.begin(Probe.sounding(ProbeID(5)), at: Self.at(0))
    var sizes: [Int] = []
    while let departure = pacer.poll(at: Self.at(0)) {
      if case .padding(let byteCount, _) = departure { sizes.append(byteCount) }
    }
    #expect(sizes == Array(repeating: Probe.soundingByteCount, count: Probe.soundingPacketCount))
    let isProbing = pacer.isProbing
    #expect(!isProbing)
  }
}

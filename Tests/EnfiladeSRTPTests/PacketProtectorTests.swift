// What every protector must do, held against each backend with each profile.

import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Packet protector")
struct PacketProtectorTests {
  @Test("What one end protects the other opens, out of place and in place", arguments: combinations)
  func roundTrip(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let (near, far) = (try #require(makeProtector(backend)), try #require(makeProtector(backend)))
    let (nearSession, farSession) = (try near.openSession(keys.near), try far.openSession(keys.far))
    var random = SeededRandom(seed: 7)
    var packets: [ClearPacket] = []
    for index in 0..<60 { packets.append(ClearPacket(index: Int64(1_000 + index), ssrc: 77, using: &random)) }
    let sealed = near.protectAll(packets, nearSession)
    for (packet, result) in zip(packets, sealed) {
      #expect(result.outcome == .done)
      #expect(result.bytes.count == packet.bytes.count + profile.rtpOverheadByteCount)
      #expect(Array(result.bytes.prefix(packet.header.count)) == packet.header)
      #expect(near.protectInPlace(packet, nearSession) == result.bytes)
    }
    let firstHalf = far.unprotectAll(sealed[0..<30].map(\.bytes), farSession)
    let secondHalf = far.unprotectAll(sealed[30...].map(\.bytes), farSession, inPlace: true)
    for (packet, opened) in zip(packets, firstHalf + secondHalf) {
      #expect(opened == Opened(outcome: .done, bytes: packet.bytes, index: packet.index.rawValue))
    }
  }

  @Test("Reports survive the round trip and grow by tag and index", arguments: combinations)
  func reports(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let (near, far) = (try #require(makeProtector(backend)), try #require(makeProtector(backend)))
    let (nearSession, farSession) = (try near.openSession(keys.near), try far.openSession(keys.far))
    for (count, byteCount) in [8, 12, 52, 120, 1_100].enumerated() {
      let clear = report(ssrc: 5, byteCount: byteCount)
      let sealed = near.protectReport(clear, nearSession)
      #expect(sealed.count == clear.count + profile.rtcpOverheadByteCount, "report \(count)")
      #expect(far.unprotect(sealed, farSession, isRTCP: true).bytes == clear)
      #expect(far.unprotect(sealed, farSession, isRTCP: true).outcome == .replayed)
    }
  }

  @Test("A packet that was accepted is not accepted again; one beyond the window is too old", arguments: combinations)
  func replay(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let (near, far) = (try #require(makeProtector(backend)), try #require(makeProtector(backend)))
    let (nearSession, farSession) = (try near.openSession(keys.near), try far.openSession(keys.far))
    let sealed = (0..<1_100).map { near.protect(ClearPacket(index: Int64(500 + $0), payload: [1, 2, 3]), nearSession) }
    // In reverse: the newest first, so that the window is walked from its front to its end.
    for position in stride(from: 1_099, through: 0, by: -1) {
      let opened = far.unprotect(sealed[position], farSession)
      if position > 1_099 - 1_024 {
        #expect(opened.outcome == .done, "position \(position)")
        #expect(far.unprotect(sealed[position], farSession).outcome == .replayed)
      } else {
        #expect(opened.outcome == .tooOld, "position \(position)")
      }
    }
  }

  @Test("Two copies in one batch: the first is opened, the second is a replay", arguments: combinations)
  func replayWithinBatch(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let protector = try #require(makeProtector(backend))
    let (nearSession, farSession) = (try protector.openSession(keys.near), try protector.openSession(keys.far))
    let sealed = (0..<20).map { protector.protect(ClearPacket(index: Int64(9 + $0), payload: [UInt8(1 + $0)]), nearSession) }
    let opened = protector.unprotectAll(sealed + sealed, farSession)
    #expect(opened.map(\.outcome) == Array(repeating: .done, count: 20) + Array(repeating: .replayed, count: 20))
    let fresh = protector.protect(ClearPacket(index: 100, payload: [7]), nearSession)
    var forged = fresh
    forged[12] ^= 1
    #expect(protector.unprotectAll([forged, fresh, fresh], farSession).map(\.outcome) == [.authenticationFailed, .done, .replayed])
  }

  @Test("The rollover counter follows the sequence number through two wraps, with reordering", arguments: combinations)
  func rollover(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let protector = try #require(makeProtector(backend))
    let (nearSession, farSession) = (try protector.openSession(keys.near), try protector.openSession(keys.far))
    var random = SeededRandom(seed: 3)
    var indices: [Int64] = []
    // Steps far below half a round, so that the estimate of RFC 3711 Appendix A always holds.
    var next: Int64 = 20_000
    while next < 3 * 65_536 {
      indices.append(contentsOf: [next, next + 2, next + 1].shuffled(using: &random))
      next += Int64.random(in: 3...900, using: &random)
    }
    for index in indices {
      let packet = ClearPacket(index: index, payload: [UInt8(truncatingIfNeeded: index)])
      let opened = protector.unprotect(protector.protect(packet, nearSession), farSession)
      #expect(opened == Opened(outcome: .done, bytes: packet.bytes, index: index))
    }
  }

  @Test("A source may begin at a rollover counter other than zero, go back for a retransmission, and go on", arguments: combinations)
  func senderIndex(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let (one, other) = (try #require(makeProtector(backend)), try #require(makeProtector(backend)))
    let (oneSession, otherSession) = (try one.openSession(keys.near), try other.openSession(keys.near))
    // The second protector gets there step by step; the first is thrown in.
    for index in stride(from: Int64(1), to: 65_536 * 2 + 5, by: 20_000) {
      _ = other.protect(ClearPacket(index: index, payload: [1]), otherSession)
    }
    for index: Int64 in [65_536 * 2 + 5, 65_536 * 2 + 6, 65_536 * 2 - 3, 65_536 * 2 + 7, 65_536 * 2 + 7] {
      let packet = ClearPacket(index: index, payload: [UInt8](repeating: 9, count: 40))
      let sealed = one.protect(packet, oneSession)
      #expect(!sealed.isEmpty)
      #expect(sealed == other.protect(packet, otherSession), "index \(index)")
    }
  }

  @Test("A packet with any bit flipped is refused and moves nothing", arguments: combinations)
  func flipped(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let protector = try #require(makeProtector(backend))
    let (nearSession, farSession) = (try protector.openSession(keys.near), try protector.openSession(keys.far))
    let packet = ClearPacket(index: 10, csrcCount: 1, extensionWordCount: 1, payload: [1, 2, 3, 4, 5])
    let sealed = protector.protect(packet, nearSession)
    for bit in 0..<sealed.count * 8 {
      var forged = sealed
      forged[bit / 8] ^= 1 << UInt8(bit % 8)
      let outcome = protector.unprotect(forged, farSession).outcome
      #expect(outcome == .authenticationFailed || outcome == .malformed, "bit \(bit): \(outcome)")
    }
    #expect(protector.unprotect(sealed, farSession).outcome == .done)
    let clear = report(ssrc: 5)
    let sealedReport = protector.protectReport(clear, nearSession)
    for bit in 0..<sealedReport.count * 8 {
      var forged = sealedReport
      forged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(protector.unprotect(forged, farSession, isRTCP: true).outcome != .done, "bit \(bit)")
    }
    #expect(protector.unprotect(sealedReport, farSession, isRTCP: true).outcome == .done)
  }

  @Test("A packet cut at any length is refused", arguments: combinations)
  func truncated(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let protector = try #require(makeProtector(backend))
    let (nearSession, farSession) = (try protector.openSession(keys.near), try protector.openSession(keys.far))
    let sealed = protector.protect(ClearPacket(index: 10, csrcCount: 2, extensionWordCount: 2, payload: [1, 2, 3]), nearSession)
    let sealedReport = protector.protectReport(report(ssrc: 5), nearSession)
    for length in 0..<sealed.count {
      let outcome = protector.unprotect(Array(sealed.prefix(length)), farSession).outcome
      #expect(outcome == .authenticationFailed || outcome == .malformed, "length \(length)")
    }
    for length in 0..<sealedReport.count {
      #expect(protector.unprotect(Array(sealedReport.prefix(length)), farSession, isRTCP: true).outcome != .done, "length \(length)")
    }
    #expect(protector.unprotect(sealed, farSession).outcome == .done)
    #expect(protector.unprotect(sealedReport, farSession, isRTCP: true).outcome == .done)
  }

  @Test("A closed session's name opens nothing, even after its slot is used again", arguments: combinations)
  func closed(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let protector = try #require(makeProtector(backend))
    let keys = KeyPair(profile)
    let first = try protector.openSession(keys.near)
    protector.closeSession(first)
    let second = try protector.openSession(keys.near)
    #expect(first != second)
    #expect(protector.protectAll([ClearPacket(index: 1, payload: [1])], first)[0].outcome == .noKey)
    #expect(protector.unprotect([UInt8](repeating: 0x80, count: 60), first).outcome == .noKey)
    #expect(protector.protectAll([ClearPacket(index: 1, payload: [1])], second)[0].outcome == .done)
    protector.closeSession(first)
    #expect(protector.protectAll([ClearPacket(index: 2, payload: [1])], second)[0].outcome == .done)
  }

  @Test("Keys of the wrong length are refused", arguments: combinations)
  func wrongLength(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let protector = try #require(makeProtector(backend))
    var keys = KeyPair(profile).near
    keys.receiveMasterSalt.removeLast()
    #expect(throws: ProtectorError.wrongKeyLength) { try protector.openSession(keys) }
  }

  @Test("A peer cannot make us remember more than 1,024 sources", arguments: combinations)
  func sourceLimit(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let keys = KeyPair(profile)
    let protector = try #require(makeProtector(backend))
    let (nearSession, farSession) = (try protector.openSession(keys.near), try protector.openSession(keys.far))
    for source in UInt32(0)..<1_030 {
      let sealed = protector.protect(ClearPacket(index: 3, ssrc: source, payload: [1]), nearSession)
      #expect(protector.unprotect(sealed, farSession).outcome == (source < 1_024 ? .done : .noKey), "source \(source)")
    }
    let known = protector.protect(ClearPacket(index: 4, ssrc: 0, payload: [1]), nearSession)
    #expect(protector.unprotect(known, farSession).outcome == .done)
  }
}

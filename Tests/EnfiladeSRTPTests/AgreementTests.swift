// The backends must not differ: byte for byte on the way out, verdict for verdict on the way in.

import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Backends agree", .enabled(if: ProtectorBackend.multiBuffer.isAvailable))
struct AgreementTests {
  private struct Ends {
    let reference: any PacketProtector
    let fast: any PacketProtector
    let referenceSession: ProtectorSession
    let fastSession: ProtectorSession

    init(_ keys: SRTPKeyingMaterial) throws {
      reference = try #require(makeProtector(.libsrtp))
      fast = try #require(makeProtector(.multiBuffer))
      referenceSession = try reference.openSession(keys)
      fastSession = try fast.openSession(keys)
    }
  }

  @Test(
    "Random packets come out the same, in batches of any size, through two wraps of the sequence number", arguments: SRTPProfile.allCases)
  func protect(profile: SRTPProfile) throws {
    let ends = try Ends(KeyPair(profile, seed: 21).near)
    var random = SeededRandom(seed: 22)
    var next: [Int64] = [1, 40_000, 65_530, 3]
    var compared = 0
    while next[0] < 65_536 * 2 + 2_000 {
      let batch = (0..<Int.random(in: 1...150, using: &random)).map { _ in
        let source = Int.random(in: 0..<next.count, using: &random)
        next[source] += Int64.random(in: 1...400, using: &random)
        return ClearPacket(index: next[source], ssrc: 100 + UInt32(source), using: &random)
      }
      let expected = ends.reference.protectAll(batch, ends.referenceSession)
      let got = ends.fast.protectAll(batch, ends.fastSession)
      for (packet, (one, other)) in zip(batch, zip(expected, got)) {
        #expect(one.outcome == .done)
        #expect(other.outcome == .done)
        #expect(one.bytes == other.bytes, "index \(packet.index), \(packet.payload.count) bytes")
      }
      compared += batch.count
    }
    #expect(compared > 2_000)
  }

  @Test("Every payload length up to 300 bytes comes out the same", arguments: SRTPProfile.allCases)
  func lengths(profile: SRTPProfile) throws {
    let ends = try Ends(KeyPair(profile, seed: 23).near)
    let packets = (0...300).map { ClearPacket(index: Int64($0 + 1), payload: [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: $0)) }
    let expected = ends.reference.protectAll(packets, ends.referenceSession)
    let got = ends.fast.protectAll(packets, ends.fastSession)
    #expect(expected.map(\.bytes) == got.map(\.bytes))
    for (packet, bytes) in zip(packets, expected) { #expect(ends.fast.protectInPlace(packet, ends.fastSession) == bytes.bytes) }
  }

  @Test("Reports come out the same, and each opens the other's", arguments: SRTPProfile.allCases)
  func reports(profile: SRTPProfile) throws {
    let keys = KeyPair(profile, seed: 24)
    let (near, far) = (try Ends(keys.near), try Ends(keys.far))
    for byteCount in stride(from: 8, through: 400, by: 4) {
      let clear = report(ssrc: 9, byteCount: byteCount)
      let sealed = near.reference.protectReport(clear, near.referenceSession)
      #expect(sealed == near.fast.protectReport(clear, near.fastSession), "\(byteCount) bytes")
      #expect(far.reference.unprotect(sealed, far.referenceSession, isRTCP: true) == Opened(outcome: .done, bytes: clear, index: 0))
      #expect(far.fast.unprotect(sealed, far.fastSession, isRTCP: true) == Opened(outcome: .done, bytes: clear, index: 0))
    }
    // Several senders in one session: the reference counts for each, the other for all; both open what the other sealed.
    for round in 0..<20 {
      let clear = report(ssrc: 50 + UInt32(round % 3))
      let (one, other) = (near.reference.protectReport(clear, near.referenceSession), near.fast.protectReport(clear, near.fastSession))
      #expect(far.fast.unprotect(one, far.fastSession, isRTCP: true).bytes == clear)
      #expect(far.reference.unprotect(other, far.referenceSession, isRTCP: true).bytes == clear)
    }
  }

  @Test("Late, repeated, damaged and cut packets get the same verdicts", arguments: SRTPProfile.allCases, [UInt64(31), 32])
  func unprotect(profile: SRTPProfile, seed: UInt64) throws {
    let keys = KeyPair(profile, seed: seed)
    let sender = try #require(makeProtector(.libsrtp))
    let session = try sender.openSession(keys.near)
    let far = try Ends(keys.far)
    var random = SeededRandom(seed: seed)
    var sealed: [[UInt8]] = []
    var next: [Int64] = [30_000, 65_000]
    for _ in 0..<3_000 {
      let source = Int.random(in: 0...1, using: &random)
      next[source] += Int64.random(in: 1...60, using: &random)
      sealed.append(sender.protect(ClearPacket(index: next[source], ssrc: 7 + UInt32(source), using: &random), session))
    }
    // What a bad network makes of it: most in order, some late by up to two windows, some twice, some damaged, some cut.
    var arriving: [[UInt8]] = []
    for position in sealed.indices {
      arriving.append(sealed[position])
      switch Int.random(in: 0..<10, using: &random) {
      case 0: arriving.append(sealed[max(0, position - Int.random(in: 0...2_000, using: &random))])
      case 1: arriving.append(sealed[position])
      case 2:
        var damaged = sealed[max(0, position - Int.random(in: 0...3, using: &random))]
        damaged[Int.random(in: 0..<damaged.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
        arriving.append(damaged)
      case 3: arriving.append(Array(sealed[position].prefix(Int.random(in: 0..<sealed[position].count, using: &random))))
      case 4:
        let other = Int.random(in: 0..<arriving.count, using: &random)
        arriving.swapAt(other > arriving.count - 40 ? other : arriving.count - 1, arriving.count - 1)
      default: break
      }
    }
    var start = 0
    var seen: Set<ProtectionOutcome> = []
    while start < arriving.count {
      let end = min(arriving.count, start + Int.random(in: 1...100, using: &random))
      let batch = Array(arriving[start..<end])
      let expected = far.reference.unprotectAll(batch, far.referenceSession)
      let got = far.fast.unprotectAll(batch, far.fastSession, inPlace: Bool.random(using: &random))
      for position in batch.indices {
        var (one, other) = (expected[position], got[position])
        // A copy in flight with packets that move the window: whether it is called repeated or too old depends on who looks when.
        if one.outcome == .tooOld, other.outcome == .replayed { other.outcome = .tooOld }
        if one.outcome != .done { (one.bytes, other.bytes, one.index, other.index) = ([], [], 0, 0) }
        #expect(one == other, "packet \(start + position)")
      }
      seen.formUnion(expected.map(\.outcome))
      start = end
    }
    #expect(seen == [.done, .replayed, .tooOld, .authenticationFailed, .malformed])
  }
}

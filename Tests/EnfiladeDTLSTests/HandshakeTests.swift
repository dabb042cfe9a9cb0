// Handshakes between two of our own ends: what must connect, what must not, and what must change nothing.

import EnfiladeDTLS
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("DTLS handshake")
struct HandshakeTests {
  @Test("Both ends connect and export the same keys, told apart by direction")
  func connects() {
    let pair = HandshakePair()
    #expect(pair.client.state == .idle)
    #expect(pair.server.nextDeadline == nil)
    pair.run()
    pair.expectConnected()
    #expect(pair.client.nextDeadline == nil)
    #expect(pair.server.nextDeadline == nil)
    #expect(pair.sent.allSatisfy { $0.bytes.count <= Limits.handshakeMTU })
  }

  @Test("Each profile is negotiated when it is the only one offered", arguments: SRTPProfile.negotiated)
  func profile(profile: SRTPProfile) throws {
    HandshakePairBox(client: try OpenSSLHandshakeFactory(profiles: [profile]), server: HandshakePair.serverFactory).expect(profile)
    HandshakePairBox(client: HandshakePair.clientFactory, server: try OpenSSLHandshakeFactory(profiles: [profile])).expect(profile)
  }

  @Test("The server's order of profiles decides")
  func serverOrder() throws {
    let client = try OpenSSLHandshakeFactory(profiles: [.aes128CMHMACSHA1_80, .aeadAES256GCM, .aeadAES128GCM])
    HandshakePairBox(client: client, server: HandshakePair.serverFactory).expect(.aeadAES128GCM)
    let server = try OpenSSLHandshakeFactory(profiles: [.aeadAES256GCM, .aeadAES128GCM])
    HandshakePairBox(client: client, server: server).expect(.aeadAES256GCM)
  }

  @Test("Without a shared profile both fail and neither has keys")
  func noSharedProfile() throws {
    let pair = HandshakePair(
      client: try OpenSSLHandshakeFactory(profiles: [.aeadAES128GCM]), server: try OpenSSLHandshakeFactory(profiles: [.aes128CMHMACSHA1_80])
    )
    pair.run()
    #expect(pair.client.state == .failed(.noSharedProfile))
    #expect(pair.server.state == .failed(.noSharedProfile))
    #expect(pair.client.keyingMaterial == nil)
    #expect(pair.server.keyingMaterial == nil)
  }

  @Test("A certificate that signaling did not announce fails before keys exist", arguments: [HandshakePair.Side.client, .server])
  func wrongFingerprint(side: HandshakePair.Side) throws {
    let (one, other) = (HandshakePair.clientFactory, HandshakePair.serverFactory)
    let stranger = CertificateFingerprint(algorithm: "sha-256", digest: [UInt8](repeating: 7, count: 32))
    let pair = HandshakePair(
      client: one.makeHandshake(role: .active, remoteFingerprints: [side == .client ? stranger : other.localFingerprint]),
      server: other.makeHandshake(role: .passive, remoteFingerprints: [side == .server ? stranger : one.localFingerprint]))
    pair.run()
    #expect(pair[side].state == .failed(.fingerprintMismatch))
    #expect(pair[side].keyingMaterial == nil)
    #expect(pair[side == .client ? .server : .client].state != .connected)
  }

  @Test(
    "No fingerprint, or one of a hash function that is refused, fits nothing",
    arguments: [
      [], [CertificateFingerprint(algorithm: "sha-1", digest: [UInt8](repeating: 0, count: 20))],
    ])
  func noFingerprint(fingerprints: [CertificateFingerprint]) {
    let (one, other) = (HandshakePair.clientFactory, HandshakePair.serverFactory)
    let pair = HandshakePair(
      client: one.makeHandshake(role: .active, remoteFingerprints: [other.localFingerprint]),
      server: other.makeHandshake(role: .passive, remoteFingerprints: fingerprints))
    pair.run()
    #expect(pair.server.state == .failed(.fingerprintMismatch))
  }

  @Test("Any one of several announced fingerprints is enough")
  func severalFingerprints() {
    let (one, other) = (HandshakePair.clientFactory, HandshakePair.serverFactory)
    let stranger = CertificateFingerprint(algorithm: "sha-512", digest: [UInt8](repeating: 7, count: 64))
    let pair = HandshakePair(
      client: one.makeHandshake(role: .active, remoteFingerprints: [stranger, other.localFingerprint]),
      server: other.makeHandshake(role: .passive, remoteFingerprints: [stranger, one.localFingerprint]))
    pair.run()
    pair.expectConnected()
  }

  // MARK: Loss, reordering, fragments

  @Test("The loss of any one datagram is repaired by our timer", arguments: 0..<10)
  func loss(lost: Int) {
    let pair = HandshakePair()
    pair.network = { position, _, bytes in position == lost ? [] : [bytes] }
    pair.run()
    pair.expectConnected()
    #expect(pair.now - Instant(nanoseconds: 1_000_000_000) <= .seconds(Int64(1)))
  }

  @Test("Three flights lost of five are still repaired in time", arguments: UInt64(1)...5)
  func heavyLoss(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let pair = HandshakePair()
    // The datagrams of one flight share their fate, so that a flight is what is lost.
    var fate: (at: Instant, from: HandshakePair.Side, lost: Bool)?
    pair.network = { [unowned pair] _, from, bytes in
      if fate?.at != pair.now || fate?.from != from { fate = (pair.now, from, Int.random(in: 0..<10, using: &random) < 6) }
      return fate!.lost ? [] : [bytes]
    }
    pair.run()
    pair.expectConnected()
  }

  @Test("Every datagram twice, or each flight in reverse, still connects")
  func duplicated() {
    let doubled = HandshakePair()
    doubled.network = { _, _, bytes in [bytes, bytes] }
    doubled.run()
    doubled.expectConnected()
  }

  @Test("Without an answer the client tries again, ever more slowly, and gives up after thirty seconds")
  func timeout() {
    let pair = HandshakePair()
    pair.network = { _, _, _ in [] }
    let begin = pair.now
    pair.run()
    #expect(pair.client.state == .failed(.timedOut))
    #expect(pair.now - begin == Limits.handshakeTimeout)
    #expect((5...13).contains(pair.sent.count))
    #expect(pair.server.state == .idle)
  }

  @Test("A hello in several datagrams is put together, in any order, with copies", arguments: [40, 100, 200], [false, true])
  func fragments(size: Int, reversed: Bool) throws {
    let pair = HandshakePair()
    pair.network = { position, from, bytes in
      guard position == 0, from == .client else { return [bytes] }
      let parts = fragment(bytes, fragmentByteCount: size)
      return (reversed ? parts.reversed() : parts).flatMap { [$0, $0] }
    }
    pair.run()
    #expect(pair.sent[0].bytes.count > 100)
    pair.expectConnected()
    #expect(pair.now == Instant(nanoseconds: 1_000_000_000))
  }

  // MARK: Goodbye

  @Test("Goodbye from either side closes both", arguments: [HandshakePair.Side.client, .server])
  func close(side: HandshakePair.Side) {
    let pair = HandshakePair()
    pair.run()
    pair[side].close(at: pair.now)
    #expect(pair[side].state == .closed)
    pair.settle()
    #expect(pair.client.state == .closed)
    #expect(pair.server.state == .closed)
    #expect(pair.client.nextDeadline == nil)
  }

  @Test("A handshake that was closed does not start again")
  func closedStaysClosed() {
    let pair = HandshakePair()
    pair.client.close(at: pair.now)
    pair.run()
    #expect(pair.client.state == .closed)
    #expect(pair.sent.isEmpty)
  }

  // MARK: What must change nothing

  @Test("Random bytes change nothing, before, between and after")
  func garbage() {
    var random = SeededRandom(seed: 11)
    func junk() -> [UInt8] {
      let size = Int.random(in: 1...1_200, using: &random)
      var bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
      // Content types of RFC 7983 §7, and a version now and then, so that some get further.
      bytes[0] = UInt8.random(in: 20...63, using: &random)
      if size > 2, Bool.random(using: &random) { (bytes[1], bytes[2]) = (0xFE, 0xFD) }
      return bytes
    }
    let pair = HandshakePair()
    for _ in 0..<2_000 { pair.server.handleDatagram(junk().rawBytes, at: pair.now) }
    #expect(pair.server.state == .idle)
    #expect(pair.server.drain().isEmpty)
    pair.network = { _, _, bytes in (0..<20).map { _ in junk() } + [bytes] }
    pair.run()
    pair.expectConnected()
    let keys = pair.server.keyingMaterial
    for _ in 0..<2_000 {
      pair.server.handleDatagram(junk().rawBytes, at: pair.now)
      pair.client.handleDatagram(junk().rawBytes, at: pair.now)
    }
    #expect(pair.server.keyingMaterial == keys)
    pair.expectConnected()
  }

  @Test("A forged record with the highest number does not make the true ones look old")
  func forgedRecordNumber() {
    let pair = HandshakePair()
    // A change of cipher that nobody asked for, in clear, numbered at the end of the epoch.
    let forged: [UInt8] = [20, 0xFE, 0xFD, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1, 1]
    pair.network = { _, _, bytes in [forged, bytes] }
    pair.run()
    pair.expectConnected()
    #expect(pair.now == Instant(nanoseconds: 1_000_000_000))
  }

  @Test("A first flight cut at any length does no harm to the whole one behind it")
  func truncatedHello() throws {
    let pair = HandshakePair()
    pair.client.start(at: pair.now)
    let hello = try #require(pair.client.drain().first)
    for length in 0..<hello.count {
      pair.server.handleDatagram(Array(hello.prefix(length)).rawBytes, at: pair.now)
      _ = pair.server.drain()
    }
    pair.server.handleDatagram(hello.rawBytes, at: pair.now)
    pair.settle()
    pair.expectConnected()
  }

  @Test("A first flight with any bit flipped does no harm to the true one behind it")
  func flippedHello() throws {
    let factory = HandshakePair.clientFactory
    let first = HandshakePair()
    first.client.start(at: first.now)
    let hello = try #require(first.client.drain().first)
    for bit in 0..<hello.count * 8 {
      var forged = hello
      forged[bit / 8] ^= 1 << UInt8(bit % 8)
      let server = HandshakePair.serverFactory.makeHandshake(role: .passive, remoteFingerprints: [factory.localFingerprint])
      server.handleDatagram(forged.rawBytes, at: first.now)
      _ = server.drain()
      server.handleDatagram(hello.rawBytes, at: first.now)
      var answer = server.drain()
      if answer.isEmpty, let deadline = server.nextDeadline {
        // Only the record's number was damaged: what it said was taken, and the answer, which was thrown away above, comes again.
        server.handleTimeout(at: deadline)
        answer = server.drain()
      }
      #expect(answer.first.map { $0.count > 13 && $0[0] == 22 && $0[13] == 2 } == true, "bit \(bit)")
      // One in sixteen all the way through, because a handshake costs a signature on each side.
      guard bit % 16 == 3 else { continue }
      let pair = HandshakePair()
      pair.network = { [unowned pair] position, _, bytes in
        guard position == 0 else { return [bytes] }
        var damaged = bytes
        damaged[bit / 8] ^= 1 << UInt8(bit % 8)
        pair.server.handleDatagram(damaged.rawBytes, at: pair.now)
        _ = pair.server.drain()
        return [bytes]
      }
      pair.run()
      pair.expectConnected(.aeadAES128GCM, "bit \(bit)")
    }
  }

  @Test("After the handshake, a new hello, application data and a repeated last flight change nothing")
  func afterwards() {
    let pair = HandshakePair()
    pair.run()
    let keys = pair.server.keyingMaterial
    let other = HandshakePair()
    other.client.start(at: pair.now)
    let hello = other.client.drain()
    for _ in 0..<50 { for datagram in hello { pair.server.handleDatagram(datagram.rawBytes, at: pair.now) } }
    for datagram in pair.sent where datagram.from == .client {
      for _ in 0..<50 { pair.server.handleDatagram(datagram.bytes.rawBytes, at: pair.now) }
    }
    // Application data with no key that fits.
    pair.server.handleDatagram(([23, 0xFE, 0xFD, 0, 1] + [UInt8](repeating: 0, count: 40)).rawBytes, at: pair.now)
    #expect(pair.server.state == .connected)
    #expect(pair.server.keyingMaterial == keys)
    #expect(pair.server.drain().count <= 32)
  }

  @Test("Three hundred hellos of strangers leave one association and a bounded queue")
  func flood() {
    let server = HandshakePair.serverFactory.makeHandshake(
      role: .passive, remoteFingerprints: [HandshakePair.clientFactory.localFingerprint])
    var random = SeededRandom(seed: 5)
    let pair = HandshakePair()
    pair.client.start(at: pair.now)
    let hello = pair.client.drain()[0]
    for _ in 0..<300 {
      var other = hello
      for offset in 27..<59 { other[offset] = UInt8.random(in: 0...255, using: &random) }
      server.handleDatagram(other.rawBytes, at: pair.now)
    }
    #expect(server.drain().count <= 32)
    server.handleDatagram(hello.rawBytes, at: pair.now)
    let rest = HandshakePair(client: pair.client, server: server)
    rest.settle()
    rest.expectConnected()
  }

  @Test("The fingerprint is a sha-256 digest and differs from certificate to certificate")
  func fingerprint() throws {
    #expect(HandshakePair.clientFactory.localFingerprint.algorithm == "sha-256")
    #expect(HandshakePair.clientFactory.localFingerprint.digest.count == 32)
    #expect(HandshakePair.clientFactory.localFingerprint != HandshakePair.serverFactory.localFingerprint)
  }
}

/// A pair of factories whose handshakes must end in a profile.
struct HandshakePairBox {
  var client: OpenSSLHandshakeFactory
  var server: OpenSSLHandshakeFactory

  func expect(_ profile: SRTPProfile) {
    let pair = HandshakePair(client: client, server: server)
    pair.run()
    pair.expectConnected(profile)
  }
}

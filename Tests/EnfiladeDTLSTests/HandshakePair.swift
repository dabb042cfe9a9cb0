// Two handshakes and the network between them, in virtual time.

import EnfiladeDTLS
import EnfiladeTransport
import EnfiladeWire
import Testing

/// A client and a server, and what passes between them.
final class HandshakePair {
  enum Side: Hashable { case client, server }

  let client: any Handshake
  let server: any Handshake
  var now = Instant(nanoseconds: 1_000_000_000)
  /// Every datagram that was sent, in order.
  private(set) var sent: [(from: Side, bytes: [UInt8])] = []
  /// What the network does with a datagram: the datagrams that arrive in its place.
  var network: (_ position: Int, _ from: Side, _ bytes: [UInt8]) -> [[UInt8]] = { _, _, bytes in [bytes] }

  static let clientFactory = try! OpenSSLHandshakeFactory()
  static let serverFactory = try! OpenSSLHandshakeFactory()

  init(client clientFactory: OpenSSLHandshakeFactory = clientFactory, server serverFactory: OpenSSLHandshakeFactory = serverFactory) {
    client = clientFactory.makeHandshake(role: .active, remoteFingerprints: [serverFactory.localFingerprint])
    server = serverFactory.makeHandshake(role: .passive, remoteFingerprints: [clientFactory.localFingerprint])
  }

  init(client: any Handshake, server: any Handshake) {
    self.client = client
    self.server = server
  }

  subscript(side: Side) -> any Handshake { side == .client ? client : server }

  /// Carries datagrams until neither has one to send.
  func settle() {
    for _ in 0..<100 {
      var moved = false
      for side in [Side.client, .server] {
        for bytes in self[side].drain() {
          moved = true
          let position = sent.count
          sent.append((side, bytes))
          for arriving in network(position, side, bytes) {
            self[side == .client ? .server : .client].handleDatagram(arriving.rawBytes, at: now)
          }
        }
      }
      if !moved { return }
    }
  }

  /// Starts the client and lets time pass from deadline to deadline until both are done, or `limit` has passed.
  func run(limit: TimeDelta = .seconds(Int64(60))) {
    let end = now + limit
    client.start(at: now)
    settle()
    while let next = [client.nextDeadline, server.nextDeadline].compactMap({ $0 }).min(), next <= end {
      now = max(now, next)
      client.handleTimeout(at: now)
      server.handleTimeout(at: now)
      settle()
    }
  }

  func expectConnected(_ profile: SRTPProfile = .aeadAES128GCM, _ comment: Comment? = nil) {
    #expect(client.state == .connected, comment)
    #expect(server.state == .connected, comment)
    guard let ours = client.keyingMaterial, let theirs = server.keyingMaterial else {
      Issue.record("no keys")
      return
    }
    #expect(ours.profile == profile)
    #expect(theirs.profile == profile)
    #expect(ours.sendMasterKey == theirs.receiveMasterKey)
    #expect(ours.sendMasterSalt == theirs.receiveMasterSalt)
    #expect(ours.receiveMasterKey == theirs.sendMasterKey)
    #expect(ours.receiveMasterSalt == theirs.sendMasterSalt)
    #expect(ours.sendMasterKey != ours.receiveMasterKey)
    #expect(ours.sendMasterKey.count == profile.masterKeyByteCount)
    #expect(ours.sendMasterSalt.count == profile.masterSaltByteCount)
  }
}

extension Handshake {
  /// Everything it has to send.
  func drain() -> [[UInt8]] {
    var result: [[UInt8]] = []
    while true {
      var buffer = [UInt8](repeating: 0, count: Limits.handshakeMTU)
      var span = buffer.mutableSpan
      var bytes = span.mutableBytes
      let count = pollTransmit(into: &bytes)
      if count == 0 { return result }
      result.append(Array(buffer.prefix(count)))
    }
  }
}

/// A ClientHello cut into datagrams with `fragmentByteCount` bytes of it in each, as a client with a small MTU, or one with a large
/// hello, sends it (RFC 6347 §4.2.3).
func fragment(_ hello: [UInt8], fragmentByteCount: Int) -> [[UInt8]] {
  // One record: 13 bytes of record header, 12 of handshake header, the body.
  let body = Array(hello[25...])
  return stride(from: 0, to: body.count, by: fragmentByteCount).enumerated().map { number, offset in
    let part = Array(body[offset..<min(offset + fragmentByteCount, body.count)])
    func three(_ value: Int) -> [UInt8] { [UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    let message = [1] + three(body.count) + [0, 0] + three(offset) + three(part.count) + part
    let record: [UInt8] = Array(hello[0..<3]) + [0, 0, 0, 0, 0, 0, 0, UInt8(number)]
    return record + [UInt8(message.count >> 8), UInt8(message.count & 0xFF)] + message
  }
}

// Links without ICE: whose packets are taken, where packets go, and how a peer's address is learned (RFC 3550, RFC 4961).

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Plain links")
struct PlainLinkTests {
  private static let alice = SocketAddress(ipv4: 0xC000_0201, port: 4_000)
  private static let bob = SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 7, port: 6_000)
  private static let mallory = SocketAddress(ipv4: 0xC633_6401, port: 4_000)

  /// Two plain links: what the first sends, the second is sent.
  private final class Call {
    let world: EngineWorld
    let sender: PlainLinkConfiguration
    private let seal = NullProtector()
    private var session: ProtectorSession?
    var sequence: UInt16 = 100
    private static let link = LinkID(901)
    private static let other = LinkID(902)
    let publication = PublicationKey(number: 903, shard: 0)
    private let slot = SlotKey(904)

    init(
      remote: SocketAddress? = PlainLinkTests.alice, latching: SourceLatching = .never, isProtected: Bool = false,
      reportSocket: UInt32? = nil, silenceLimit: TimeDelta? = nil
    ) throws {
      world = EngineWorld(seed: 7)
      var keys = SRTPKeyingMaterial.clear
      if isProtected {
        keys = SRTPKeyingMaterial(
          profile: .aes128CMHMACSHA1_80, sendMasterKey: [UInt8](repeating: 1, count: 16), sendMasterSalt: [UInt8](repeating: 2, count: 14),
          receiveMasterKey: [UInt8](repeating: 3, count: 16), receiveMasterSalt: [UInt8](repeating: 4, count: 14))
        session = try seal.openSession(
          SRTPKeyingMaterial(
            profile: keys.profile, sendMasterKey: keys.receiveMasterKey, sendMasterSalt: keys.receiveMasterSalt,
            receiveMasterKey: keys.sendMasterKey, receiveMasterSalt: keys.sendMasterSalt))
      }
      sender = PlainLinkConfiguration(
        socket: 11, reportSocket: reportSocket, remote: remote, latching: latching, keys: keys, silenceLimit: silenceLimit)
      let formats = [
        NegotiatedFormat(format: .pcma, payloadType: PayloadType(8)),
        NegotiatedFormat(format: .telephoneEvent, payloadType: PayloadType(101)),
      ]
      world.perform(.addPlainLink(Self.link, sender))
      world.perform(
        .configure(
          Self.link,
          MediaConfiguration(receive: [
            ReceiveSection(publication: publication, mid: [], kind: .audio, formats: formats, extensions: ExtensionMap())
          ])))
      world.perform(
        .addPlainLink(
          Self.other, PlainLinkConfiguration(socket: 12, remote: PlainLinkTests.bob, latching: .never, keys: .clear)))
      world.perform(
        .configure(
          Self.other,
          MediaConfiguration(send: [
            SendSection(
              slot: slot, mid: [], kind: .audio, formats: formats, extensions: ExtensionMap(), allowsMixedExtensions: false,
              source: SSRC(77), retransmissionSource: nil)
          ])))
      world.perform(.bind(slot, publication))
    }

    /// What the peer would send.
    func packet(payloadType: UInt8 = 8, marker: Bool = false, timestamp: UInt32? = nil, payload: [UInt8]? = nil) -> [UInt8] {
      sequence += 1
      let time = timestamp ?? UInt32(sequence) * 160
      var bytes: [UInt8] = [0x80, (marker ? 0x80 : 0) | payloadType, UInt8(sequence >> 8), UInt8(sequence & 255)]
      for word in [time, 0x1234_5678] { for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) } }
      bytes += payload ?? [UInt8](repeating: 0xD5, count: 160)
      guard let session else { return bytes }
      let clear = bytes.count
      bytes += [UInt8](repeating: 0, count: 32)
      let index = ExtendedSequenceNumber(Int64(sequence))
      let count = bytes.withUnsafeMutableBytes { raw in
        var job = ProtectJob(
          session: session, isRTCP: false, headerByteCount: 12, payloadByteCount: clear - 12, ssrc: SSRC(0x1234_5678), index: index,
          payload: UnsafeRawPointer(raw.baseAddress! + 12), destination: raw.baseAddress!)
        withUnsafeMutablePointer(to: &job) { seal.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
        return Int(job.resultByteCount)
      }
      return Array(bytes.prefix(count))
    }

    func send(_ bytes: [UInt8]? = nil, from address: SocketAddress, socket: UInt32 = 11) {
      world.inject(bytes ?? packet(), from: address.through(socket: socket))
    }

    /// RTP that the second peer was sent.
    var arrived: Int { sent(to: PlainLinkTests.bob.through(socket: 12), isRTCP: false) }

    func sent(to address: SocketAddress, isRTCP: Bool) -> Int {
      world.strays.count { $0.address == address && (200...206).contains(Int($0.bytes[1])) == isRTCP }
    }

    func drops(_ reason: DropReason) -> UInt64 { world.engine.drops[reason] }

    var states: [LinkState] {
      world.events.compactMap { if case .linkChanged(Self.link, let state) = $0.event { state } else { nil } }
    }

    func hangUp() {
      world.perform(.removeLink(Self.link))
      world.perform(.removeLink(Self.other))
      world.run(for: .seconds(Int64(1)))
    }
  }

  @Test("What comes from the address that was told goes on, over IPv4 and IPv6; from any other, and through any other socket, nothing does")
  func fixed() throws {
    let call = try Call()
    for _ in 0..<5 { call.send(from: Self.alice) }
    #expect(call.arrived == 5)
    call.send(from: Self.mallory)
    call.send(from: Self.bob)
    #expect(call.drops(.sourceNotLatched) == 2)
    // The other link's socket, and the shard's own port.
    call.send(from: Self.alice, socket: 12)
    call.world.inject(call.packet(), from: Self.alice)
    #expect(call.drops(.sourceNotLatched) == 3)
    #expect(call.drops(.mediaFromUnknownAddress) == 1)
    #expect(call.arrived == 5)
    #expect(call.states == [.connected])
    call.hangUp()
    #expect(call.world.engine.census == ShardEngine.Census())
    #expect(call.world.violations.isEmpty)
  }

  @Test("Neither checks nor handshakes are taken where a link without ICE listens")
  func mediaOnly() throws {
    let call = try Call(remote: nil, latching: .first)
    call.send([0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + [UInt8](repeating: 7, count: 12), from: Self.alice)
    call.send([22, 254, 253] + [UInt8](repeating: 0, count: 20), from: Self.alice)
    #expect(call.drops(.unknownDatagramKind) == 2)
    #expect(call.states.isEmpty)
  }

  @Test("In clear the first packet of an agreed payload type says where the peer is, once; malformed ones and others' do not")
  func firstInClear() throws {
    let call = try Call(remote: nil, latching: .first)
    call.send(call.packet(payloadType: 96), from: Self.mallory)
    call.send([0x80, 8, 0, 1], from: Self.mallory)
    call.send([0x81, 201, 0, 1, 0, 0, 0, 1], from: Self.mallory)
    #expect(call.states.isEmpty)
    #expect(call.drops(.sourceNotLatched) == 3)
    call.send(from: Self.alice)
    #expect(call.states == [.connected])
    call.send(from: Self.mallory)
    call.send(from: Self.alice)
    #expect(call.arrived == 2)
    #expect(call.drops(.sourceNotLatched) == 4)
    call.world.run(for: .seconds(Int64(3)))
    // Reports go where the media came from, and nowhere else.
    #expect(call.sent(to: Self.alice.through(socket: 11), isRTCP: true) >= 1)
    #expect(call.sent(to: Self.mallory.through(socket: 11), isRTCP: true) == 0)
  }

  @Test("A packet of the peer at its told address ends the learning in clear, too")
  func toldAddressIsFirst() throws {
    let call = try Call(latching: .first)
    call.send(from: Self.alice)
    call.send(from: Self.mallory)
    #expect(call.arrived == 1)
    #expect(call.drops(.sourceNotLatched) == 1)
  }

  @Test(
    "With SRTP what is forged, damaged or repeated leads nowhere; what is authentic and new does, and what was overtaken does not lead back"
  )
  func authenticated() throws {
    let call = try Call(remote: nil, latching: .authenticated, isProtected: true)
    var forged = call.packet()
    forged[40] ^= 1
    call.send(forged, from: Self.mallory)
    #expect(call.states.isEmpty)
    #expect(call.drops(.authenticationFailed) == 1)
    let first = call.packet()
    call.send(first, from: Self.alice)
    #expect(call.states == [.connected])
    call.send(first, from: Self.mallory)
    #expect(call.drops(.replayed) == 1)
    // The peer moves; a packet from before comes late from where it was.
    let overtaken = call.packet()
    let moved = SocketAddress(ipv4: 0xC000_0201, port: 9_999)
    call.send(from: moved)
    call.send(overtaken, from: Self.alice)
    #expect(call.drops(.sourceNotLatched) == 1)
    #expect(call.arrived == 2)
    call.send(from: moved)
    #expect(call.arrived == 3)
    call.world.run(for: .seconds(Int64(3)))
    #expect(
      call.sent(to: moved.through(socket: 11), isRTCP: false) + call.world.strays.count { $0.address == moved.through(socket: 11) } > 0)
    #expect(!call.world.strays.contains { $0.address == Self.mallory.through(socket: 11) })
    call.hangUp()
    #expect(call.world.engine.census == ShardEngine.Census())
    #expect(call.world.openSessionCount == 0)
  }

  @Test("With SRTP and learning once, a second address is not even opened")
  func authenticatedOnce() throws {
    let call = try Call(remote: nil, latching: .first, isProtected: true)
    call.send(from: Self.alice)
    call.send(from: Self.mallory)
    #expect(call.drops(.sourceNotLatched) == 1)
    #expect(call.arrived == 1)
  }

  @Test("RTCP with a port of its own goes to the port above, and to where it came from once it has")
  func apart() throws {
    let call = try Call(remote: nil, latching: .first, reportSocket: 13)
    call.send(from: Self.alice)
    call.world.run(for: .seconds(Int64(2)))
    var above = Self.alice
    above.port += 1
    #expect(call.sent(to: above.through(socket: 13), isRTCP: true) >= 1)
    #expect(call.sent(to: Self.alice.through(socket: 11), isRTCP: true) == 0)
    var elsewhere = Self.alice
    elsewhere.port = 5_555
    let report: [UInt8] = [0x80, 201, 0, 1, 0x12, 0x34, 0x56, 0x78]
    // Not from another machine, not RTP, and not where RTP comes.
    call.send(report, from: Self.mallory, socket: 13)
    call.send(from: elsewhere, socket: 13)
    call.send(report, from: elsewhere)
    #expect(call.drops(.sourceNotLatched) == 3)
    call.send(report, from: elsewhere, socket: 13)
    // Without media either way the next report would be seconds away.
    call.send(from: Self.alice)
    call.world.run(for: .seconds(Int64(2)))
    #expect(call.sent(to: elsewhere.through(socket: 13), isRTCP: true) >= 1)
    call.hangUp()
    #expect(call.world.engine.census == ShardEngine.Census())
  }

  @Test("A peer that is silent too long has failed; one that need not speak has not")
  func silence() throws {
    let call = try Call(silenceLimit: .seconds(Int64(5)))
    for _ in 0..<20 {
      call.send(from: Self.alice)
      call.world.run(for: .seconds(Int64(1)))
    }
    #expect(call.states == [.connected])
    // What is not its own does not keep it alive.
    for _ in 0..<6 {
      call.send(from: Self.mallory)
      call.world.run(for: .seconds(Int64(1)))
    }
    #expect(call.states == [.connected, .failed(.consentExpired)])
    let patient = try Call()
    patient.world.run(for: .seconds(Int64(600)))
    #expect(patient.states == [.connected])
  }

  @Test("A key is told once when it begins and once when it ends, whatever is lost or comes again")
  func tones() throws {
    let call = try Call()
    call.send(from: Self.alice)
    for (duration, isEnd) in [(160, false), (320, false), (800, true), (800, true), (800, true)] {
      let tone = TelephoneEvent(code: 11, isEnd: isEnd, volume: 7, duration: UInt16(duration))
      call.send(call.packet(payloadType: 101, marker: duration == 160, timestamp: 50_000, payload: tone.bytes), from: Self.alice)
    }
    call.send(call.packet(payloadType: 101, timestamp: 60_000, payload: [1, 2]), from: Self.alice)
    let told = call.world.events.compactMap { entry -> String? in
      guard case .telephoneEvent(call.publication, let code, let volume, let isEnd, let duration) = entry.event else { return nil }
      return "\(code) \(volume) \(isEnd) \(duration.nanoseconds / 1_000_000)"
    }
    #expect(told == ["11 7 false 0", "11 7 true 100"])
    #expect(call.drops(.telephoneEventMalformed) == 1)
  }
}

// Who is believed: nothing changes before a peer has proved who it is, and nobody takes another one's path (RFC 8445 §7.3, RFC 7675).

import EnfiladeEngine
import EnfiladeSTUN
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Trust")
struct TrustTests {
  @Test("A check with the right password connects the link, and the application hears of it once")
  func connects() {
    let world = EngineWorld(seed: 1)
    let peer = world.addPeer("a")
    world.connect()
    #expect(peer.isConnected)
    #expect(world.states(of: peer) == [.connected])
    #expect(world.protector.openCount == 1)
    #expect(world.violations.isEmpty)
  }

  @Test("Before a handshake is complete, nothing but authenticated STUN and DTLS changes anything")
  func onlyAuthenticatedChanges() {
    let world = EngineWorld(seed: 2)
    let peer = world.addPeer("a", publishes: [.audio]) { $0.isChecking = false }
    let before = world.engine.census
    let check = peer.check(nominates: true)
    // Bit for bit: a damaged check proves nothing.
    for bit in 0..<check.count * 8 {
      var damaged = check
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      world.inject(damaged, from: peer.address)
    }
    let media = RTPBytes(payloadType: 111, sequence: 1, timestamp: 2, ssrc: 3, payload: [1, 2, 3]).bytes + [UInt8](repeating: 0, count: 16)
    world.inject(media, from: peer.address)
    world.inject([0x80, 200, 0, 1, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 20), from: peer.address)
    world.inject([22, 0xFE, 0xFD, 1] + [UInt8](repeating: 1, count: 52), from: peer.address)
    #expect(world.engine.census == before)
    #expect(world.states(of: peer).isEmpty)
    #expect(world.engine.drops[.mediaFromUnknownAddress] == 2)
    #expect(world.engine.drops[.dtlsFromUnknownAddress] == 1)
    // The undamaged one does.
    world.inject(check, from: peer.address)
    #expect(world.engine.census.addresses == 1)
    world.inject(media, from: peer.address)
    #expect(world.engine.drops[.mediaBeforeHandshake] == 1)
    #expect(world.engine.census.leasedSlots == 0)
  }

  @Test("A refusal is never longer than what it refuses")
  func noAmplification() {
    let world = EngineWorld(seed: 3)
    let peer = world.addPeer("a") { $0.isChecking = false }
    let stranger = SocketAddress(ipv4: 0x0B00_0001, port: 9)
    var forged = peer.check(nominates: true)
    forged[40] ^= 0x01
    for length in 20...forged.count where length % 4 == 0 {
      let strays = world.strays.count
      world.inject(Array(forged.prefix(length)), from: stranger)
      for stray in world.strays[strays...] { #expect(stray.bytes.count <= length) }
    }
  }

  @Test("Media from an address that was not validated is dropped and counted, even with the right keys")
  func unvalidatedAddress() throws {
    let world = EngineWorld(seed: 4)
    let publisher = world.addPeer("a", publishes: [.audio])
    let subscriber = world.addPeer("b", receives: [.audio])
    world.connect()
    world.subscribe(subscriber, to: publisher, .audio)
    world.run(for: .milliseconds(200))
    #expect(!subscriber.packets(on: subscriber.slot(.audio)).isEmpty)
    // From now on it sends from elsewhere, and checks nothing there.
    publisher.isChecking = false
    publisher.address = SocketAddress(ipv4: 0x0C00_0001, port: 7)
    world.run(for: .milliseconds(20))
    let count = subscriber.packets(on: subscriber.slot(.audio)).count
    let dropped = world.engine.drops[.mediaFromUnknownAddress]
    world.run(for: .milliseconds(500))
    #expect(subscriber.packets(on: subscriber.slot(.audio)).count == count)
    #expect(world.engine.drops[.mediaFromUnknownAddress] >= dropped + 20)
  }

  @Test("A certificate other than the announced one fails the link, and no key is taken")
  func wrongCertificate() {
    let world = EngineWorld(seed: 5)
    let other = NullHandshakeFactory(seed: 77)
    let peer = world.addPeer("a") { $0.isChecking = false }
    world.inject(peer.check(nominates: true), from: peer.address)
    let impostor = other.makeHandshake(role: .active, remoteFingerprints: [world.handshakes.localFingerprint])
    impostor.start(at: world.now)
    var buffer = [UInt8](repeating: 0, count: 1200)
    var span = buffer.mutableSpan
    var bytes = span.mutableBytes
    let count = impostor.pollTransmit(into: &bytes)
    world.inject(Array(buffer.prefix(count)), from: peer.address)
    #expect(world.states(of: peer) == [.failed(.handshake(.fingerprintMismatch))])
    #expect(world.protector.openCount == 0)
  }

  @Test("Keys that the protector refuses are told to the application")
  func protectorRefuses() {
    let world = EngineWorld(seed: 6)
    world.protector.sessionLimit = 0
    let peer = world.addPeer("a")
    world.run(for: .seconds(Int64(2)))
    #expect(world.refusals.contains(.protectorRefused(peer.link, .tooManySessions)))
    #expect(!world.states(of: peer).contains(.connected))
    #expect(world.violations.isEmpty)
  }

  @Test("A link that nobody checks in time has failed: it never connected")
  func neverConnected() {
    let world = EngineWorld(seed: 7)
    let peer = world.addPeer("a") { $0.isChecking = false }
    world.run(for: Limits.connectTimeout + .seconds(Int64(1)))
    #expect(world.states(of: peer) == [.failed(.neverConnected)])
    #expect(world.violations.isEmpty)
  }

  @Test("A peer that falls silent is disconnected first and has failed when consent is over; then it is sent nothing")
  func consentExpires() throws {
    let world = EngineWorld(seed: 8)
    let publisher = world.addPeer("a", publishes: [.audio, .video])
    let subscriber = world.addPeer("b", receives: [.audio, .video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .audio)
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(3)))
    #expect(world.states(of: subscriber) == [.connected])
    world.silence(subscriber)
    let silentSince = world.now
    world.run(for: .seconds(Int64(60)))
    #expect(world.states(of: subscriber) == [.connected, .disconnected, .failed(.consentExpired)])
    let last = try #require(world.strays.last { $0.address == subscriber.address })
    #expect(last.at - silentSince <= Limits.consentTimeout + .milliseconds(100))
    #expect(world.engine.drops[.noPath] > 0)
    #expect(world.states(of: publisher) == [.connected])
    #expect(world.violations.isEmpty)
  }

  @Test("A peer that says goodbye in its handshake has closed")
  func peerCloses() {
    let world = EngineWorld(seed: 9)
    let peer = world.addPeer("a")
    world.connect()
    peer.isChecking = false
    peer.handshake.close(at: world.now)
    world.run(for: .milliseconds(10))
    var buffer = [UInt8](repeating: 0, count: 1200)
    var span = buffer.mutableSpan
    var bytes = span.mutableBytes
    let count = peer.handshake.pollTransmit(into: &bytes)
    if count > 0 { world.inject(Array(buffer.prefix(count)), from: peer.address) }
    #expect(world.states(of: peer).last == .closed)
  }

  // MARK: Paths

  /// A publisher and a subscriber of its audio, connected and running.
  private static func pair(seed: UInt64) -> (world: EngineWorld, publisher: ScriptedPeer, subscriber: ScriptedPeer) {
    let world = EngineWorld(seed: seed)
    let publisher = world.addPeer("a", publishes: [.audio])
    let subscriber = world.addPeer("b", receives: [.audio])
    world.connect()
    world.subscribe(subscriber, to: publisher, .audio)
    world.run(for: .milliseconds(500))
    return (world, publisher, subscriber)
  }

  @Test("A peer that nominates a new address gets its media there from the next packet on, and may send from there")
  func movesToNewAddress() throws {
    let (world, publisher, subscriber) = Self.pair(seed: 10)
    let count = subscriber.packets(on: subscriber.slot(.audio)).count
    #expect(count > 10)
    let old = subscriber.address
    subscriber.address = SocketAddress(ipv4: 0x0D00_0001, port: 1234)
    publisher.address = SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 9, port: 4321)
    subscriber.nextCheckAt = world.now
    publisher.nextCheckAt = world.now
    world.run(for: .milliseconds(30))
    let strays = world.strays.count
    world.run(for: .seconds(Int64(1)))
    #expect(world.strays.count == strays)
    let packets = subscriber.packets(on: subscriber.slot(.audio))
    #expect(packets.count >= count + 48)
    // Only what was under way when it moved is missing.
    #expect(Int(packets.last!.index.rawValue - packets.first!.index.rawValue) + 1 - packets.count <= 6)
    #expect(world.states(of: subscriber) == [.connected])
    // The old address is forgotten once nobody has checked there for as long as consent lasts.
    world.run(for: Limits.consentTimeout + .seconds(Int64(5)))
    #expect(world.engine.census.addresses == 2)
    world.inject([0x80, 111] + [UInt8](repeating: 0, count: 40), from: old)
    #expect(world.engine.drops[.mediaFromUnknownAddress] > 0)
    #expect(world.violations.isEmpty)
  }

  @Test("A check that does not nominate proves an address and moves nothing")
  func checkWithoutNomination() {
    let (world, _, subscriber) = Self.pair(seed: 11)
    world.inject(subscriber.check(nominates: false), from: SocketAddress(ipv4: 0x0D00_0002, port: 5))
    let strays = world.strays.count
    world.run(for: .milliseconds(500))
    #expect(world.strays.count == strays)
    #expect(world.engine.census.addresses == 3)
  }

  @Test("While its owner lives, an address cannot be taken by another authenticated link")
  func addressIsNotStolen() {
    let (world, publisher, subscriber) = Self.pair(seed: 12)
    let thief = world.addPeer("thief", publishes: [.audio]) { $0.isChecking = false }
    // Longer than an address is held without a sign of life.
    for _ in 0..<8 {
      world.run(for: .seconds(Int64(5)))
      world.inject(thief.check(nominates: true), from: publisher.address)
      world.inject(thief.check(nominates: true), from: subscriber.address)
    }
    #expect(world.engine.drops[.addressInUse] == 16)
    let before = subscriber.packets(on: subscriber.slot(.audio)).count
    let failures = world.engine.drops[.authenticationFailed]
    world.run(for: .seconds(Int64(1)))
    #expect(subscriber.packets(on: subscriber.slot(.audio)).count >= before + 49)
    #expect(world.engine.drops[.authenticationFailed] == failures)
    #expect(world.states(of: publisher) == [.connected])
  }

  @Test("When its owner is gone, an address goes over to who checks from it")
  func addressGoesOver() {
    let (world, publisher, _) = Self.pair(seed: 13)
    // The same application again, from the same port, before the engine knows that the old one is gone.
    let successor = world.addPeer("again", publishes: [.audio], address: publisher.address) { $0.checkInterval = .milliseconds(500) }
    world.silence(publisher)
    world.run(for: .seconds(Int64(1)))
    #expect(world.engine.drops[.addressInUse] > 0)
    world.run(for: Limits.addressHold + .seconds(Int64(2)))
    #expect(successor.isConnected)
    #expect(world.states(of: successor).last == .connected)
    world.removeLink(of: publisher)
    world.run(for: .seconds(Int64(1)))
    let dropped = world.engine.drops[.mediaFromUnknownAddress]
    world.run(for: .seconds(Int64(1)))
    #expect(world.engine.drops[.mediaFromUnknownAddress] == dropped)
    #expect(world.states(of: successor).last == .connected)
  }

  @Test("When the owner is removed, the address goes over at the next check")
  func addressGoesOverAtOnce() {
    let (world, publisher, _) = Self.pair(seed: 14)
    let successor = world.addPeer("again", publishes: [.audio], address: publisher.address) { $0.checkInterval = .milliseconds(200) }
    world.silence(publisher)
    world.run(for: .milliseconds(500))
    world.removeLink(of: publisher)
    world.run(for: .seconds(Int64(1)))
    #expect(successor.isConnected)
    #expect(world.states(of: successor) == [.connected])
  }

  // MARK: ICE restart

  @Test("An ICE restart keeps media flowing, and the old credentials are over once the new ones nominate")
  func iceRestart() {
    let (world, _, subscriber) = Self.pair(seed: 15)
    let oldCheck = subscriber.check(nominates: true)
    let (local, remote) = (ICECredentials.make(using: &world.random), ICECredentials.make(using: &world.random))
    world.perform(.restartICE(subscriber.link, local: local, remote: remote))
    // Before the peer has the answer, it goes on with what it has.
    let before = subscriber.packets(on: subscriber.slot(.audio)).count
    subscriber.nextCheckAt = world.now
    world.run(for: .milliseconds(500))
    subscriber.engineCredentials = local
    subscriber.credentials = remote
    subscriber.nextCheckAt = world.now
    subscriber.address = SocketAddress(ipv4: 0x0D00_0003, port: 6)
    world.run(for: .milliseconds(30))
    world.run(for: .milliseconds(500))
    let packets = subscriber.packets(on: subscriber.slot(.audio))
    #expect(packets.count >= before + 47)
    #expect(world.states(of: subscriber) == [.connected])
    #expect(world.engine.census.fragments == 2)
    let unknown = world.engine.drops[.stunUnknownCredentials]
    world.inject(oldCheck, from: subscriber.address)
    #expect(world.engine.drops[.stunUnknownCredentials] == unknown + 1)
    #expect(world.violations.isEmpty)
  }

  @Test("A link that lost consent comes back by an ICE restart, with the same keys, and gets media and reports again")
  func restartAfterFailure() {
    let (world, _, subscriber) = Self.pair(seed: 16)
    subscriber.isChecking = false
    world.run(for: Limits.consentTimeout + .seconds(Int64(10)))
    #expect(world.states(of: subscriber).last == .failed(.consentExpired))
    let (local, remote) = (ICECredentials.make(using: &world.random), ICECredentials.make(using: &world.random))
    world.perform(.restartICE(subscriber.link, local: local, remote: remote))
    subscriber.engineCredentials = local
    subscriber.credentials = remote
    subscriber.isChecking = true
    subscriber.nextCheckAt = world.now
    world.run(for: .milliseconds(100))
    #expect(world.states(of: subscriber).last == .connected)
    let before = subscriber.packets(on: subscriber.slot(.audio)).count
    let reports = subscriber.compounds.count
    world.run(for: .seconds(Int64(4)))
    #expect(subscriber.packets(on: subscriber.slot(.audio)).count >= before + 199)
    #expect(subscriber.compounds.count >= reports + 2)
    #expect(world.violations.isEmpty)
  }

  @Test("Restarts one after another, with and without a nomination between, leave no credentials behind")
  func manyRestarts() {
    let (world, _, subscriber) = Self.pair(seed: 17)
    for round in 0..<50 {
      let (local, remote) = (ICECredentials.make(using: &world.random), ICECredentials.make(using: &world.random))
      world.perform(.restartICE(subscriber.link, local: local, remote: remote))
      subscriber.engineCredentials = local
      subscriber.credentials = remote
      if round % 3 == 0 { subscriber.nextCheckAt = world.now }
      world.run(for: .milliseconds(100))
      #expect(world.engine.census.fragments <= 3)
    }
    subscriber.nextCheckAt = world.now
    world.run(for: .milliseconds(100))
    #expect(world.engine.census.fragments == 2)
    #expect(world.states(of: subscriber) == [.connected])
  }
}

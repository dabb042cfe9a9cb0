// The lite agent: who may change what, and when.

import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire
import Testing

func seconds(_ count: Double) -> Instant { Instant.zero + TimeDelta.seconds(count) }

/// A lite agent, and a peer that can write any check to it.
struct LiteScene {
  static let server = credentials("srvufrag", "serverserverserverserver")
  static let serverAgain = credentials("srvagain", "againagainagainagainagain")
  static let client = credentials("peer", "clientclientclientclient")
  static let clientAgain = credentials("reep", "tneilctneilctneilctneilc")
  static let home = SocketAddress(ipv4: 0xC000_0201, port: 1000)
  static let away = SocketAddress(ipv4: 0xC633_6407, port: 2000)

  static func credentials(_ ufrag: String, _ password: String) -> ICECredentials {
    guard let credentials = ICECredentials(ufrag: ufrag, password: password) else { preconditionFailure("Bad credentials.") }
    return credentials
  }

  /// Holds the agent, which is not copied, so that a scene may be.
  private final class Holder {
    var agent = ICELiteAgent(local: server, remote: client, at: .zero)
  }

  private let holder = Holder()
  var agent: ICELiteAgent {
    _read { yield holder.agent }
    nonmutating _modify { yield &holder.agent }
  }
  var random = SeededRandom(seed: 5)
  func isValidated(_ address: SocketAddress) -> Bool { agent.isValidated(address) }

  /// The last answer.
  var response: [UInt8] = []

  /// A check's bytes; a part left `nil` stays away.
  mutating func check(
    _ nominate: Bool = false, to receiver: ICECredentials = server, by sender: ICECredentials = client,
    role: STUNRole? = .controlling(tieBreaker: 9),
    id: STUNTransactionID? = nil, username: Bool = true, key: STUNKey?? = nil, fingerprint: Bool = true, extra: [UInt16] = []
  ) -> [UInt8] {
    let id = id ?? STUNTransactionID(using: &random)
    let nothing: [UInt8] = []
    let bytes = [UInt8].writing(capacity: 1500) { writer in
      let message = STUNComposer(.request, transactionID: id, into: &writer)
      if username { message.username(receiver: receiver.ufrag.rawBytes, sender: sender.ufrag.rawBytes, into: &writer) }
      message.priority(1, into: &writer)
      if let role { message.role(role, into: &writer) }
      if nominate { message.useCandidate(into: &writer) }
      for type in extra { message.attribute(STUNAttributeType(type), nothing.rawBytes, into: &writer) }
      message.finish(key: key ?? receiver.key, fingerprint: fingerprint, into: &writer)
    }
    return bytes ?? []
  }

  /// Hands bytes to the agent.
  mutating func hand(_ bytes: [UInt8], from source: SocketAddress = home, at now: Instant) -> ICEVerdict? {
    guard let message = STUNMessageView.parse(bytes.rawBytes).message else { return nil }
    var verdict: ICEVerdict?
    response =
      [UInt8].writing(capacity: 1500) { writer in
        verdict = agent.handleRequest(message, in: bytes.rawBytes, from: source, at: now, response: &writer)
      } ?? []
    return verdict
  }

  /// A good check from `source`, which must be answered.
  @discardableResult
  mutating func good(
    _ nominate: Bool = false, from source: SocketAddress = home, to receiver: ICECredentials = server, by sender: ICECredentials = client,
    at now: Double
  ) -> ICEActions? {
    let bytes = check(nominate, to: receiver, by: sender)
    guard case .respond(let actions) = hand(bytes, from: source, at: seconds(now)) else { return nil }
    return actions
  }

  /// Lets time pass, doing what is due on the way; gives what happened, with its second.
  mutating func wait(until end: Double) -> [(at: Double, actions: ICEActions)] {
    var log: [(at: Double, actions: ICEActions)] = []
    while agent.nextDeadline <= seconds(end), log.count < 100 {
      let at = agent.nextDeadline
      log.append((at: Double((at - .zero).milliseconds) / 1_000, actions: agent.handleTimeout(at: at)))
    }
    return log
  }

  var answer: STUNMessageView? { STUNMessageView.parse(response.rawBytes).message }

  func answerFits(_ key: STUNKey) -> Bool {
    guard let answer else { return false }
    return answer.hasValidMessageIntegrity(in: response.rawBytes, key: key) && answer.hasValidFingerprint(in: response.rawBytes)
  }
}

private func actions(_ change: (inout ICEActions) -> Void) -> ICEActions {
  var actions = ICEActions()
  change(&actions)
  return actions
}

@Suite struct ICELiteAgentTests {
  private let home = LiteScene.home
  private let away = LiteScene.away

  @Test("A good check is answered with the mapped address, signed with our password, and proves its source")
  func check() throws {
    var scene = LiteScene()
    let result = scene.good(at: 1)
    #expect(
      result
        == actions {
          $0.stateChanged = true
          $0.addressAdded = home
        })
    #expect(scene.agent.state == .checking)
    #expect(scene.isValidated(home) && !scene.isValidated(away))
    #expect(scene.agent.selectedAddress == nil)
    #expect(scene.answer?.messageClass == .successResponse && scene.answer?.xorMappedAddress == home)
    #expect(scene.answerFits(LiteScene.server.key))
    #expect(scene.response.count <= 76)
  }

  @Test("A check over IPv6 is answered in at most 76 bytes")
  func ipv6() {
    var scene = LiteScene()
    let address = SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 1, port: 5)
    #expect(scene.good(from: address, at: 1) != nil)
    #expect(scene.answer?.xorMappedAddress == address && scene.response.count == 76)
  }

  @Test("USE-CANDIDATE selects the pair")
  func nomination() {
    var scene = LiteScene()
    #expect(scene.good(true, at: 1)?.selectedChanged == true)
    #expect(scene.agent.state == .connected && scene.agent.selectedAddress == home)
    // The same again changes nothing.
    #expect(scene.good(true, at: 2) == ICEActions())
  }

  @Test("The newest nomination wins, and a peer that moves takes its path along")
  func peerMoves() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    let moved = scene.good(true, from: away, at: 2)
    #expect(moved?.selectedChanged == true && moved?.addressAdded == away)
    #expect(scene.agent.selectedAddress == away && scene.agent.state == .connected)
    #expect(scene.isValidated(home))
    #expect(scene.good(true, at: 3)?.selectedChanged == true)
    #expect(scene.agent.selectedAddress == home)
  }

  @Test("A check without nomination never moves the selection")
  func plainCheckElsewhere() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    #expect(scene.good(from: away, at: 2)?.selectedChanged == false)
    #expect(scene.agent.selectedAddress == home)
  }

  @Test("A nomination retransmitted late does not undo a newer one")
  func lateRetransmission() {
    var scene = LiteScene()
    let first = scene.check(true)
    _ = scene.hand(first, at: seconds(1))
    scene.good(true, from: away, at: 2)
    #expect(scene.hand(first, at: seconds(3)) == .respond(ICEActions()))
    #expect(scene.agent.selectedAddress == away)
  }

  @Test("A check replayed from another address neither proves nor selects it")
  func replay() {
    var scene = LiteScene()
    let captured = scene.check(true)
    _ = scene.hand(captured, at: seconds(1))
    #expect(scene.hand(captured, from: away, at: seconds(2)) == .drop(.replayed))
    #expect(scene.response.isEmpty)
    #expect(!scene.isValidated(away) && scene.agent.selectedAddress == home)
  }

  @Test("What is not authenticated changes nothing and gets what RFC 8489 §9.1.3 says")
  func unauthenticated() {
    var scene = LiteScene()
    let stranger = LiteScene.credentials("stranger", "strangerstrangerstranger")
    let wrong = stranger.key
    let cases: [(String, [UInt8], ICEVerdict)] = [
      ("no integrity", scene.check(true, key: .some(nil)), .refuse(.badRequest)),
      ("no username", scene.check(true, username: false), .refuse(.badRequest)),
      ("wrong password", scene.check(true, key: wrong), .refuse(.unauthenticated)),
      ("another's ufrag", scene.check(true, to: stranger), .refuse(.unauthenticated)),
      ("another's ufrag, our password", scene.check(true, to: stranger, key: LiteScene.server.key), .refuse(.unauthenticated)),
      ("from another peer", scene.check(true, by: stranger), .refuse(.unauthenticated)),
      ("no fingerprint", scene.check(true, fingerprint: false), .drop(.fingerprint)),
    ]
    for (name, bytes, expected) in cases {
      #expect(scene.hand(bytes, at: seconds(1)) == expected, "\(name)")
      if case .refuse(let code) = expected {
        #expect(scene.answer?.errorCode == code && scene.answer?.hasMessageIntegrity == false, "\(name)")
        #expect(scene.response.count <= bytes.count, "\(name)")
      } else {
        #expect(scene.response.isEmpty, "\(name)")
      }
      #expect(scene.agent.state == .new && scene.agent.selectedAddress == nil && scene.agent.addressCount == 0, "\(name)")
    }
  }

  @Test("No answer to a stranger is longer than what it answers")
  func amplification() {
    var scene = LiteScene()
    for padding in 0..<20 {
      let bytes =
        [UInt8].writing(capacity: 200) { writer in
          let message = STUNComposer(.request, transactionID: STUNTransactionID(high: 1, low: 2), into: &writer)
          message.attribute(.software, [UInt8](repeating: 65, count: padding * 2).rawBytes, into: &writer)
          message.finish(key: nil, into: &writer)
        } ?? []
      let verdict = scene.hand(bytes, at: seconds(1))
      #expect(scene.response.count <= bytes.count)
      #expect(verdict == .refuse(.badRequest) || verdict == .drop(.wouldAmplify))
      #expect((verdict == .refuse(.badRequest)) == (bytes.count >= 52))
    }
  }

  @Test("A check flipped at any bit changes nothing")
  func flipped() {
    var scene = LiteScene()
    let whole = scene.check(true)
    for bit in 0..<whole.count * 8 {
      var bytes = whole
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      _ = scene.hand(bytes, at: seconds(1))
      #expect(scene.agent.state == .new && scene.agent.addressCount == 0, "bit \(bit)")
    }
  }

  @Test("Only binding requests are looked at", arguments: [STUNClass.indication, .successResponse, .errorResponse])
  func otherClasses(messageClass: STUNClass) {
    var scene = LiteScene()
    let bytes =
      [UInt8].writing(capacity: 200) { writer in
        let message = STUNComposer(messageClass, transactionID: STUNTransactionID(high: 1, low: 2), into: &writer)
        let (server, client) = (LiteScene.server.ufrag, LiteScene.client.ufrag)
        message.username(receiver: server.rawBytes, sender: client.rawBytes, into: &writer)
        message.useCandidate(into: &writer)
        message.finish(key: LiteScene.server.key, into: &writer)
      } ?? []
    #expect(scene.hand(bytes, at: seconds(1)) == .drop(.notARequest))
    #expect(scene.agent.state == .new && scene.response.isEmpty)
  }

  @Test("A method other than binding is dropped")
  func otherMethod() {
    var scene = LiteScene()
    let bytes =
      [UInt8].writing(capacity: 200) { writer in
        let message = STUNComposer(.request, STUNMethod(3), transactionID: STUNTransactionID(high: 1, low: 2), into: &writer)
        message.finish(key: LiteScene.server.key, into: &writer)
      } ?? []
    #expect(scene.hand(bytes, at: seconds(1)) == .drop(.unknownMethod))
  }

  @Test("An unknown attribute that must be understood gets a signed 420 and changes nothing (RFC 8489 §6.3.1)")
  func unknownAttribute() {
    var scene = LiteScene()
    let bytes = scene.check(true, extra: [0x7001, 0x8FFF, 0x7002])
    #expect(scene.hand(bytes, at: seconds(1)) == .refuse(.unknownAttribute))
    #expect(scene.answer?.errorCode == .unknownAttribute && scene.answerFits(LiteScene.server.key))
    #expect(scene.answer?.unknownAttributes?.byteCount == 4)
    #expect(scene.agent.state == .new && scene.agent.addressCount == 0)
  }

  @Test("A peer that claims to be controlled gets 487, and one that claims nothing is served (RFC 8445 §7.3.1.1)")
  func roleConflict() {
    var scene = LiteScene()
    #expect(scene.hand(scene.check(true, role: .controlled(tieBreaker: .max)), at: seconds(1)) == .refuse(.roleConflict))
    #expect(scene.answerFits(LiteScene.server.key))
    #expect(scene.agent.state == .new && scene.agent.addressCount == 0)
    _ = scene.hand(scene.check(true, role: nil), at: seconds(2))
    #expect(scene.agent.state == .connected)
  }

  @Test("Before the peer's ufrag is known any is taken; afterwards only the peer's")
  func remoteUnknown() {
    var scene = LiteScene()
    scene.agent = ICELiteAgent(local: LiteScene.server, remote: nil, at: .zero)
    #expect(scene.good(by: LiteScene.clientAgain, at: 1) != nil)
    scene.agent.setRemote(LiteScene.client)
    #expect(scene.good(by: LiteScene.clientAgain, at: 2) == nil)
    #expect(scene.good(at: 3) != nil)
  }

  @Test("A response buffer without room drops the check before anything changes")
  func noRoom() {
    var scene = LiteScene()
    let bytes = scene.check(true)
    guard let message = STUNMessageView.parse(bytes.rawBytes).message else { return }
    var verdict: ICEVerdict?
    _ = [UInt8].writing(capacity: 127) { writer in
      verdict = scene.agent.handleRequest(message, in: bytes.rawBytes, from: home, at: seconds(1), response: &writer)
    }
    #expect(verdict == .drop(.noRoom) && scene.agent.state == .new)
  }

  // MARK: Addresses

  @Test("The ninth address pushes out the one unheard of for longest, but never the selected one")
  func eviction() {
    var scene = LiteScene()
    func address(_ number: Int) -> SocketAddress { SocketAddress(ipv4: 0x0A00_0000, port: UInt16(number)) }
    scene.good(true, from: address(0), at: 1)
    for number in 1..<8 { #expect(scene.good(from: address(number), at: 1 + Double(number) / 10)?.addressRemoved == nil) }
    // Number 1 speaks again, so number 2 is the oldest.
    scene.good(from: address(1), at: 2)
    let result = scene.good(from: address(8), at: 3)
    #expect(result?.addressAdded == address(8) && result?.addressRemoved == address(2))
    #expect(scene.agent.addressCount == 8 && scene.isValidated(address(0)) && !scene.isValidated(address(2)))
    for number in 9..<500 {
      scene.good(from: address(number), at: 4)
      #expect(scene.agent.addressCount == 8 && scene.isValidated(address(0)))
    }
  }

  @Test("An address that is not selected is forgotten thirty seconds after its last check")
  func forgetting() throws {
    var scene = LiteScene()
    scene.good(from: away, at: 1)
    for at in stride(from: 2.0, through: 30, by: 4) { scene.good(true, at: at) }
    #expect(scene.agent.nextTimer?.reason == .forgetAddress)
    let log = scene.wait(until: 31)
    #expect(log.map(\.at) == [31] && log.first?.actions == actions { $0.addressRemoved = away })
    #expect(!scene.isValidated(away) && scene.isValidated(home))
  }

  // MARK: Time

  @Test("A silent pair is disturbed after fifteen seconds and over after thirty, and then its addresses come back one by one")
  func consent() {
    var scene = LiteScene()
    scene.good(from: away, at: 1)
    scene.good(true, at: 1)
    let log = scene.wait(until: 100)
    #expect(log.map(\.at) == [16, 31, 31, 31])
    #expect(log[0].actions == actions { $0.stateChanged = true })
    #expect(log.filter { $0.actions.selectedChanged && $0.actions.stateChanged }.count == 1)
    #expect(Set(log.compactMap(\.actions.addressRemoved)) == [home, away])
    #expect(scene.agent.state == .failed && scene.agent.selectedAddress == nil && scene.agent.addressCount == 0)
    #expect(scene.agent.nextDeadline == .distantFuture)
  }

  @Test("A check on the selected pair ends the disturbance; one on another pair does not")
  func reconnection() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    _ = scene.wait(until: 17)
    #expect(scene.agent.state == .disconnected && scene.agent.selectedAddress == home)
    scene.good(from: away, at: 18)
    #expect(scene.agent.state == .disconnected)
    #expect(scene.good(at: 19)?.stateChanged == true)
    #expect(scene.agent.state == .connected && scene.agent.nextDeadline == seconds(34))
  }

  @Test("After consent is lost the same credentials open nothing (RFC 7675 §5.1); new ones do")
  func afterFailure() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    _ = scene.wait(until: 40)
    let bytes = scene.check(true)
    #expect(scene.hand(bytes, at: seconds(41)) == .drop(.consentLost))
    let restarted = scene.agent.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: seconds(42))
    #expect(restarted.ufragRetired == LiteScene.server.ufragKey && scene.agent.state == .new)
    #expect(scene.good(true, at: 43) == nil)
    #expect(scene.good(true, to: LiteScene.serverAgain, by: LiteScene.clientAgain, at: 44)?.selectedChanged == true)
    #expect(scene.agent.state == .connected)
  }

  @Test("An agent that nobody nominates fails after a minute, checks or not", arguments: [false, true])
  func connectTimeout(withChecks: Bool) {
    var scene = LiteScene()
    if withChecks { scene.good(at: 59) }
    let log = scene.wait(until: 61)
    #expect(log.first?.at == 60 && log.first?.actions.stateChanged == true)
    #expect(scene.agent.state == .failed && scene.agent.addressCount == 0)
  }

  // MARK: Restart

  @Test("During a restart both credentials are served, and the first nomination with the new ones retires the old")
  func restart() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    let restarted = scene.agent.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: seconds(2))
    #expect(restarted == ICEActions())
    #expect(scene.agent.state == .connected && scene.agent.selectedAddress == home)
    #expect(scene.agent.currentUfragKey == LiteScene.serverAgain.ufragKey && scene.agent.previousUfragKey == LiteScene.server.ufragKey)
    // The old ones still keep consent, and are answered with the old password.
    #expect(scene.good(true, at: 3) == ICEActions())
    #expect(scene.answerFits(LiteScene.server.key))
    // Plain checks with the new ones change no selection.
    #expect(scene.good(from: away, to: LiteScene.serverAgain, by: LiteScene.clientAgain, at: 4)?.selectedChanged == false)
    #expect(scene.answerFits(LiteScene.serverAgain.key))
    #expect(scene.agent.selectedAddress == home)
    let nominated = scene.good(true, from: away, to: LiteScene.serverAgain, by: LiteScene.clientAgain, at: 5)
    #expect(nominated?.selectedChanged == true && nominated?.ufragRetired == LiteScene.server.ufragKey)
    #expect(scene.agent.selectedAddress == away && scene.agent.previousUfragKey == nil)
    #expect(scene.good(true, at: 6) == nil)
    #expect(scene.answer?.errorCode == .unauthenticated)
  }

  @Test("The halves of two generations do not mix")
  func mixedGenerations() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    _ = scene.agent.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: seconds(2))
    #expect(scene.good(to: LiteScene.serverAgain, by: LiteScene.client, at: 3) == nil)
    #expect(scene.good(to: LiteScene.server, by: LiteScene.clientAgain, at: 3) == nil)
    #expect(
      scene.hand(scene.check(to: LiteScene.serverAgain, by: LiteScene.clientAgain, key: LiteScene.server.key), at: seconds(3))
        == .refuse(.unauthenticated))
  }

  @Test("A second restart before the first was used keeps the credentials of the path in use")
  func restartTwice() {
    var scene = LiteScene()
    let third = LiteScene.credentials("srvthird", "thirdthirdthirdthirdthird")
    scene.good(true, at: 1)
    _ = scene.agent.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: seconds(2))
    let second = scene.agent.restart(local: third, remote: LiteScene.clientAgain, at: seconds(3))
    #expect(second.ufragRetired == LiteScene.serverAgain.ufragKey)
    #expect(scene.good(true, at: 4) == ICEActions())
    #expect(scene.good(true, to: LiteScene.serverAgain, by: LiteScene.clientAgain, at: 5) == nil)
    #expect(scene.good(true, to: third, by: LiteScene.clientAgain, at: 6)?.ufragRetired == LiteScene.server.ufragKey)
  }

  @Test("The old path's end during a restart leaves the new credentials their minute")
  func restartOutlivesThePath() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    _ = scene.agent.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: seconds(10))
    let log = scene.wait(until: 40)
    #expect(log.contains { $0.actions.selectedChanged && $0.actions.ufragRetired == LiteScene.server.ufragKey })
    #expect(scene.agent.state == .checking && scene.agent.selectedAddress == nil)
    #expect(scene.good(true, from: away, to: LiteScene.serverAgain, by: LiteScene.clientAgain, at: 45)?.selectedChanged == true)
    #expect(scene.agent.state == .connected)
  }

  @Test("New credentials that were not used within their minute do not outlive the old path")
  func restartNeverUsed() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    _ = scene.agent.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: seconds(2))
    for at in stride(from: 5.0, through: 60, by: 5) { scene.good(at: at) }
    #expect(scene.agent.state == .connected)
    _ = scene.wait(until: 95)
    #expect(scene.agent.state == .failed && scene.agent.selectedAddress == nil)
  }

  @Test("A closed agent answers nothing, returns its addresses and stays closed")
  func close() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    let closed = scene.agent.close(at: seconds(2))
    #expect(closed.stateChanged && closed.selectedChanged && scene.agent.selectedAddress == nil)
    #expect(scene.hand(scene.check(true), at: seconds(3)) == .drop(.closed))
    #expect(scene.wait(until: 4).map(\.actions.addressRemoved) == [home])
    let restarted = scene.agent.restart(local: LiteScene.serverAgain, remote: nil, at: seconds(5))
    #expect(restarted == ICEActions())
    #expect(scene.agent.state == .closed && scene.agent.nextDeadline == .distantFuture)
  }

  @Test("Twenty thousand damaged checks leave a connected pair as it was")
  func flood() {
    var scene = LiteScene()
    scene.good(true, at: 1)
    var random = SeededRandom(seed: 11)
    let sample = scene.check(true)
    for _ in 0..<20_000 {
      var bytes = sample
      for _ in 0...random.next() % 3 { bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 + random.next() % 255) }
      if bytes == sample { continue }
      let source = SocketAddress(ipv4: UInt32(truncatingIfNeeded: random.next()), port: 9)
      if case .respond = scene.hand(bytes, from: source, at: seconds(2)) { Issue.record("A damaged check was believed.") }
    }
    #expect(scene.agent.addressCount == 1 && scene.agent.selectedAddress == home && scene.agent.state == .connected)
  }
}

// The controlling agent against the lite one, over a network that lives in an array.

import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire
import Testing

/// A client and a server joined by a loop; the network drops what it is told to.
private final class Loop {
  static let serverAddress = SocketAddress(ipv4: 0x0A00_0001, port: 5000)
  static let otherServerAddress = SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 1, port: 5000)

  var client: ICEControllingAgent
  var server: ICELiteAgent
  var clientAddress = SocketAddress(ipv4: 0xC000_0205, port: 40_000)
  /// Addresses of the server that swallow what they get.
  var deaf: Set<SocketAddress> = []
  var isDown = false
  var now = Instant.zero
  /// What the client sent: when, where to, nominating or not.
  var sent: [(at: Double, to: SocketAddress, nominates: Bool)] = []

  init(seed: UInt64 = 1, isControlling: Bool = true) {
    client = ICEControllingAgent(
      local: LiteScene.client, remote: LiteScene.server, random: SeededRandom(seed: seed), isControlling: isControlling, at: .zero)
    server = ICELiteAgent(local: LiteScene.server, remote: LiteScene.client, at: .zero)
    client.addRemoteCandidate(Self.serverAddress, priority: 100)
  }

  /// Runs until nothing is due before `end`.
  func run(until end: Double) {
    var steps = 0
    while steps < 10_000 {
      steps += 1
      drain()
      let next = min(client.nextDeadline, server.nextDeadline)
      guard next <= seconds(end) else { break }
      now = max(now, next)
      if client.nextDeadline <= now { _ = client.handleTimeout(at: now) }
      if server.nextDeadline <= now { _ = server.handleTimeout(at: now) }
    }
    now = max(now, seconds(end))
  }

  private func drain() {
    while true {
      var destination: SocketAddress?
      let request = [UInt8].writing(capacity: 1500) { destination = client.pollTransmit(at: now, into: &$0) } ?? []
      guard let destination, let message = STUNMessageView.parse(request.rawBytes).message else { return }
      sent.append((at: Double((now - .zero).milliseconds) / 1_000, to: destination, nominates: message.useCandidate))
      guard !isDown, !deaf.contains(destination) else { continue }
      var verdict = ICEVerdict.drop(.noRoom)
      let response =
        [UInt8].writing(capacity: 1500) {
          verdict = server.handleRequest(message, in: request.rawBytes, from: clientAddress, at: now, response: &$0)
        } ?? []
      if case .drop = verdict { continue }
      guard let answer = STUNMessageView.parse(response.rawBytes).message else { continue }
      _ = client.handleMessage(answer, in: response.rawBytes, from: destination, at: now)
    }
  }
}

@Suite struct ICEControllingAgentTests {
  @Test("One plain check, then one that nominates, and both sides have the same pair")
  func connects() {
    let loop = Loop()
    loop.run(until: 1)
    #expect(loop.sent.map(\.nominates) == [false, true])
    #expect(loop.client.state == .connected && loop.client.selectedAddress == Loop.serverAddress)
    #expect(loop.client.mappedAddress == loop.clientAddress)
    #expect(loop.server.state == .connected && loop.server.selectedAddress == loop.clientAddress)
  }

  @Test("Candidates are tried by priority, fifty milliseconds apart, and the first that answers is nominated")
  func pacing() {
    let loop = Loop()
    loop.client.addRemoteCandidate(Loop.otherServerAddress, priority: 200)
    loop.deaf = [Loop.otherServerAddress]
    loop.run(until: 1)
    #expect(loop.sent.map(\.to) == [Loop.otherServerAddress, Loop.serverAddress, Loop.serverAddress])
    #expect(loop.sent.map(\.at) == [0, 0.05, 0.05])
    #expect(loop.client.selectedAddress == Loop.serverAddress)
  }

  @Test("A check without answer is sent seven times, each wait twice the last, and given up after 39.5 seconds (RFC 8489 §6.2.1)")
  func retransmission() {
    let loop = Loop()
    loop.isDown = true
    loop.run(until: 39.4)
    #expect(loop.sent.map(\.at) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    #expect(loop.client.state == .new && loop.client.nextDeadline == seconds(39.5))
    loop.run(until: 40)
    #expect(loop.client.state == .failed && loop.client.nextDeadline == .distantFuture)
  }

  @Test(
    "Consent checks come every four to six seconds for as long as they are answered (RFC 7675 §5.1)",
    arguments: 1...5 as ClosedRange<UInt64>)
  func consent(seed: UInt64) {
    let loop = Loop(seed: seed)
    loop.run(until: 600)
    let times = loop.sent.dropFirst().map(\.at)
    let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
    #expect(gaps.count > 90 && gaps.allSatisfy { 4...6 ~= $0 })
    #expect(Set(gaps).count > 80)
    #expect(loop.client.state == .connected && loop.server.state == .connected)
  }

  @Test("When the network goes, both sides are disconnected after fifteen seconds and failed after thirty")
  func networkGoes() {
    let loop = Loop()
    loop.run(until: 20)
    loop.isDown = true
    loop.run(until: 36)
    #expect(loop.client.state == .disconnected && loop.server.state == .disconnected)
    #expect(loop.client.selectedAddress != nil)
    loop.run(until: 51)
    #expect(loop.client.state == .failed && loop.client.selectedAddress == nil)
    #expect(loop.server.state == .failed && loop.server.selectedAddress == nil)
  }

  @Test("A network that comes back within thirty seconds heals by itself")
  func networkComesBack() {
    let loop = Loop()
    loop.run(until: 20)
    loop.isDown = true
    loop.run(until: 40)
    loop.isDown = false
    loop.run(until: 47)
    #expect(loop.client.state == .connected && loop.server.state == .connected)
  }

  @Test("A client whose address changes is followed at its next consent check")
  func clientMoves() {
    let loop = Loop()
    loop.run(until: 20)
    loop.clientAddress = SocketAddress(ipv4: 0xC633_6409, port: 50_000)
    loop.run(until: 27)
    #expect(loop.server.selectedAddress == loop.clientAddress && loop.server.state == .connected)
    #expect(loop.client.mappedAddress == loop.clientAddress)
  }

  @Test("A client that takes itself for controlled is told 487, switches, and connects (RFC 8445 §7.2.5.1)")
  func roleConflict() {
    let loop = Loop(isControlling: false)
    loop.run(until: 1)
    #expect(loop.sent.map(\.nominates) == [false, false, true])
    #expect(loop.client.state == .connected && loop.server.state == .connected)
  }

  @Test("A refusal without integrity is not believed: the check runs its course")
  func refused() {
    let loop = Loop()
    loop.server = ICELiteAgent(local: LiteScene.serverAgain, remote: nil, at: .zero)
    // The 401 carries no integrity, so anybody could have sent it.
    loop.run(until: 1)
    #expect(loop.client.state == .new && loop.sent.count == 2)
  }

  @Test("An ICE restart goes over to new credentials without losing the path")
  func restart() {
    let loop = Loop()
    loop.run(until: 20)
    _ = loop.server.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: loop.now)
    _ = loop.client.restart(local: LiteScene.clientAgain, remote: LiteScene.serverAgain, at: loop.now)
    #expect(loop.client.selectedAddress == Loop.serverAddress && loop.client.state == .connected)
    loop.run(until: 60)
    #expect(loop.client.state == .connected && loop.server.state == .connected)
    #expect(loop.server.previousUfragKey == nil && loop.server.currentUfragKey == LiteScene.serverAgain.ufragKey)
  }

  @Test("After failure a restart on both sides connects again")
  func restartAfterFailure() {
    let loop = Loop()
    loop.run(until: 5)
    loop.isDown = true
    loop.run(until: 50)
    loop.isDown = false
    _ = loop.server.restart(local: LiteScene.serverAgain, remote: LiteScene.clientAgain, at: loop.now)
    _ = loop.client.restart(local: LiteScene.clientAgain, remote: LiteScene.serverAgain, at: loop.now)
    #expect(loop.client.state == .new && loop.server.state == .new)
    loop.run(until: 52)
    #expect(loop.client.state == .connected && loop.server.state == .connected)
  }

  @Test("Answers that are forged, from elsewhere, or to nothing we asked are ignored")
  func forgedAnswers() throws {
    var client = ICEControllingAgent(local: LiteScene.client, remote: LiteScene.server, random: SeededRandom(seed: 3), at: .zero)
    client.addRemoteCandidate(Loop.serverAddress, priority: 1)
    let request = [UInt8].writing(capacity: 1500) { _ = client.pollTransmit(at: .zero, into: &$0) } ?? []
    let id = try #require(STUNMessageView.parse(request.rawBytes).message).transactionID

    func answer(_ id: STUNTransactionID, key: STUNKey?, from source: SocketAddress) -> ICEClientVerdict {
      let bytes =
        [UInt8].writing(capacity: 200) { writer in
          let message = STUNComposer(.successResponse, transactionID: id, into: &writer)
          message.xorMappedAddress(LiteScene.home, into: &writer)
          message.finish(key: key, into: &writer)
        } ?? []
      guard let view = STUNMessageView.parse(bytes.rawBytes).message else { return .ignored }
      return client.handleMessage(view, in: bytes.rawBytes, from: source, at: seconds(0.1))
    }
    let key = LiteScene.server.key
    #expect(answer(id, key: LiteScene.client.key, from: Loop.serverAddress) == .ignored)
    #expect(answer(id, key: nil, from: Loop.serverAddress) == .ignored)
    #expect(answer(id, key: key, from: LiteScene.away) == .ignored)
    #expect(answer(STUNTransactionID(high: id.high, low: id.low ^ 1), key: key, from: Loop.serverAddress) == .ignored)
    #expect(client.state == .new && client.mappedAddress == nil)
    #expect(answer(id, key: key, from: Loop.serverAddress) != .ignored)
    #expect(client.state == .checking)
    // A second copy answers nothing any more.
    #expect(answer(id, key: key, from: Loop.serverAddress) == .ignored)
  }

  @Test("An answer to a consent check counts once, and later ones still in flight keep counting")
  func consentAnswers() {
    let loop = Loop()
    loop.run(until: 1)
    // Three consent checks whose answers are held back.
    var held: [[UInt8]] = []
    while held.count < 3 {
      loop.now = loop.client.nextDeadline
      _ = loop.client.handleTimeout(at: loop.now)
      let request = [UInt8].writing(capacity: 1500) { _ = loop.client.pollTransmit(at: loop.now, into: &$0) } ?? []
      guard let view = STUNMessageView.parse(request.rawBytes).message else { continue }
      let key = LiteScene.server.key
      held.append(
        [UInt8].writing(capacity: 200) {
          STUNComposer.bindingSuccess(view.transactionID, mappedAddress: loop.clientAddress, key: key, into: &$0)
        } ?? [])
    }
    func hand(_ index: Int) -> ICEClientVerdict {
      let answer = held[index]
      guard let view = STUNMessageView.parse(answer.rawBytes).message else { return .ignored }
      return loop.client.handleMessage(view, in: answer.rawBytes, from: Loop.serverAddress, at: loop.now)
    }
    #expect(hand(1) != .ignored)
    #expect(hand(1) == .ignored)
    #expect(hand(0) == .ignored)
    #expect(hand(2) != .ignored)
  }

  @Test("Requests are not answered, and candidates beyond eight or given twice are refused")
  func bounds() {
    var client = ICEControllingAgent(local: LiteScene.client, remote: LiteScene.server, random: SeededRandom(seed: 3), at: .zero)
    let added = (0..<10).map { client.addRemoteCandidate(SocketAddress(ipv4: 1, port: UInt16($0)), priority: 1) }
    #expect(added.filter { $0 }.count == 8)
    var other = ICEControllingAgent(local: LiteScene.client, remote: LiteScene.server, random: SeededRandom(seed: 3), at: .zero)
    let twice = (0..<2).map { _ in other.addRemoteCandidate(Loop.serverAddress, priority: 1) }
    #expect(twice == [true, false])
  }

  @Test("Two runs from one seed send the same at the same times")
  func repeatable() {
    let (one, two) = (Loop(seed: 9), Loop(seed: 9))
    one.run(until: 100)
    two.run(until: 100)
    #expect(one.sent.map(\.at) == two.sent.map(\.at))
  }
}

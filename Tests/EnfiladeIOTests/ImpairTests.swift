// The bad link of the browser tests must be as bad as it says, and no worse.

import EnfiladeIO
import EnfiladeWire
import Testing
import enfilade_impair

@Suite("Impairment")
struct ImpairTests {
  private func settings(_ change: (inout ImpairmentSettings) -> Void) -> ImpairmentSettings {
    var settings = ImpairmentSettings()
    change(&settings)
    return settings
  }

  /// Sends datagrams of 1,000 bytes at even distances and lists when they leave.
  private func releases(_ settings: ImpairmentSettings, count: Int, every distance: TimeDelta, seed: UInt64 = 1) -> [Instant?] {
    var link = ImpairedLink(settings, seed: seed)
    return (0..<count).map { link.admit(byteCount: 1_000, at: .zero + distance * Int64($0)) }
  }

  @Test("A perfect link forwards everything at once")
  func perfect() {
    #expect(releases(settings { _ in }, count: 100, every: .milliseconds(1)) == (0..<100).map { .zero + .milliseconds(1) * Int64($0) })
  }

  @Test("Losses come to the share that was asked for, and the same seed loses the same", arguments: [0.05, 0.5])
  func loss(share: Double) {
    let lossy = settings { $0.loss = share }
    let lost = releases(lossy, count: 20_000, every: .milliseconds(1)).count { $0 == nil }
    #expect(abs(Double(lost) / 20_000 - share) < 0.02)
    #expect(releases(lossy, count: 500, every: .milliseconds(1)) == releases(lossy, count: 500, every: .milliseconds(1)))
    #expect(releases(lossy, count: 500, every: .milliseconds(1)) != releases(lossy, count: 500, every: .milliseconds(1), seed: 2))
  }

  @Test("Bursts come to their share and to their mean length")
  func bursts() {
    let result = releases(
      settings {
        $0.burstLoss = 0.1
        $0.burstDatagramCount = 8
      }, count: 100_000, every: .milliseconds(1))
    let lost = result.count { $0 == nil }
    var bursts = 0
    for position in result.indices where result[position] == nil && (position == 0 || result[position - 1] != nil) { bursts += 1 }
    #expect(abs(Double(lost) / 100_000 - 0.1) < 0.02)
    #expect(abs(Double(lost) / Double(bursts) - 8) < 1)
  }

  @Test("Delay and jitter keep the order; overtaken datagrams are late by what was asked for")
  func order() {
    let jittery = releases(
      settings {
        $0.delay = .milliseconds(30)
        $0.jitter = .milliseconds(10)
      }, count: 1_000, every: .milliseconds(1)
    ).compactMap { $0 }
    #expect(jittery.count == 1_000)
    #expect(zip(jittery, jittery.dropFirst()).allSatisfy { $0 <= $1 })
    for (position, release) in jittery.enumerated() {
      let delay = release - (Instant.zero + .milliseconds(1) * Int64(position))
      #expect(delay >= .milliseconds(30) && delay <= .milliseconds(40))
    }
    let overtaken = releases(settings { $0.reorder = 0.1 }, count: 1_000, every: .milliseconds(1)).compactMap { $0 }
    let late = overtaken.enumerated().count { $0.element - (Instant.zero + .milliseconds(1) * Int64($0.offset)) == .milliseconds(20) }
    #expect((60...140).contains(late))
  }

  @Test("A rate spaces datagrams, and its queue drops what does not fit")
  func rate() {
    // 1,000 bytes at 800 kbit/s take 10 ms; they come every 5 ms, so every second one must go once 100 ms are queued.
    let result = releases(
      settings {
        $0.rate = .kilobitsPerSecond(800)
        $0.queue = .milliseconds(100)
      }, count: 400, every: .milliseconds(5))
    let sent = result.compactMap { $0 }
    #expect(zip(sent, sent.dropFirst()).allSatisfy { $1 - $0 >= .milliseconds(10) })
    for (position, release) in result.enumerated() {
      if let release { #expect(release - (Instant.zero + .milliseconds(5) * Int64(position)) <= .milliseconds(110)) }
    }
    #expect((190...215).contains(sent.count))
  }

  @Test("The delay queue gives back in order of time, then of arrival, and holds no more than its limit")
  func delayQueue() {
    var queue = DelayQueue<Int>(limit: 100)
    var random = SeededRandom(seed: 4)
    let instants = (0..<100).map { _ in Instant(nanoseconds: Int64.random(in: 0..<20, using: &random)) }
    for (number, instant) in instants.enumerated() {
      let isTaken = queue.push(number, release: instant)
      #expect(isTaken)
    }
    let isTaken = queue.push(100, release: .zero)
    #expect(!isTaken)
    let early = queue.pop(at: Instant(nanoseconds: -1))
    #expect(early == nil)
    var order: [Int] = []
    while let next = queue.pop(at: Instant(nanoseconds: 100)) { order.append(next) }
    #expect(order == instants.indices.sorted { (instants[$0], $0) < (instants[$1], $1) })
  }

  @Test("Settings that make no sense are refused by name")
  func problems() {
    #expect(settings { _ in }.problem == nil)
    #expect(settings { $0.loss = 1.5 }.problem?.contains("loss") == true)
    #expect(settings { $0.rate = .zero }.problem?.contains("rate") == true)
    #expect(settings { $0.delay = .milliseconds(-1) }.problem != nil)
  }

  @Test("Endpoints of this machine are taken, others refused")
  func endpoints() throws {
    let own = try #require(parseEndpoint("127.0.0.1:6000"))
    #expect(own == SocketAddress(ipv4: 0x7F00_0001, port: 6_000))
    #expect(isOwnAddress(own))
    #expect(isOwnAddress(try #require(parseEndpoint("[::1]:6000"))))
    #expect(!isOwnAddress(try #require(parseEndpoint("192.0.2.1:6000"))))
    for text in ["", "127.0.0.1", "::1:6000", "host:1", "127.0.0.1:70000"] { #expect(parseEndpoint(text) == nil, "\(text)") }
  }

  @Test("Two clients talk to a server through it, each from a socket of its own, and the counters add up")
  func relay() throws {
    let server = try UDPSocket(bindingTo: loopback)
    let clients = [try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback)]
    let wakeUp = try WakeUp()
    let impairer = try Impairer(
      listen: loopback, to: server.localAddress, up: ImpairmentSettings(), down: ImpairmentSettings(), seed: 1, wakeUp: wakeUp)
    let end = MonotonicClock.now + .seconds(Int64(10))
    let payloads = [Payload([1]), Payload([2])]
    for (client, payload) in zip(clients, payloads) { #expect(client.send([payload.datagram(to: impairer.localAddress)]).sentCount == 1) }
    while impairer.report.up.forwarded < 2, impairer.step(until: end) {}
    let arrived = try collect(2, from: server, batch: ReceiveBatch())
    #expect(Set(arrived.map(\.from)).count == 2)
    // The server answers each where it came from, with what it said.
    for (bytes, address) in arrived { #expect(server.send([Payload(bytes).datagram(to: address)]).sentCount == 1) }
    while impairer.report.down.forwarded < 2, impairer.step(until: end) {}
    for (client, payload) in zip(clients, [1, 2] as [UInt8]) {
      let answer = try collect(1, from: client, batch: ReceiveBatch())
      #expect(answer.first?.bytes == [payload])
      #expect(answer.first?.from == impairer.localAddress)
    }
    wakeUp.signal()
    #expect(!impairer.step(until: end))
    #expect(impairer.report.clients == 2)
    #expect(impairer.report.up.received == 2)
    #expect(impairer.report.down.received == 2)
  }
}

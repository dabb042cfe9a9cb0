// Limits, load, and what an operator is told before anything starts.

import EnfiladeIO
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@testable import Enfilade

@Suite("Limits and load")
struct OverloadTests {
  @Test("Load holds pictures back step by step, rest gives them back, and a peak does neither")
  func shedding() {
    var shedding = LoadShedding(limitPermille: 900)
    var now = Instant(nanoseconds: 1_000_000_000)
    var levels: [Int] = []
    func run(_ permille: Int, for milliseconds: Int) {
      for _ in 0..<milliseconds / 250 {
        if shedding.handleLoad(permille: permille, at: now) { levels.append(shedding.level) }
        now = now + .milliseconds(250)
      }
    }
    run(950, for: 1000)
    run(500, for: 250)
    run(950, for: 1000)
    #expect(levels.isEmpty)
    run(950, for: 10_000)
    #expect(levels == [1, 2, 3])
    // Between rest and too much, things stay as they are.
    run(700, for: 20_000)
    #expect(levels == [1, 2, 3])
    run(500, for: 30_000)
    #expect(levels == [1, 2, 3, 2, 1, 0])
  }

  @Test("What is left of a constraint is never more than it was")
  func constraints() {
    #expect(VideoConstraint().shed(0) == VideoConstraint())
    #expect(VideoConstraint().shed(1) == VideoConstraint(maximumWidth: 640, maximumHeight: 360, maximumFramesPerSecond: 15))
    #expect(VideoConstraint().shed(2) == VideoConstraint(maximumWidth: 320, maximumHeight: 180, maximumFramesPerSecond: 15))
    #expect(VideoConstraint().shed(3).isPaused == true)
    let small = VideoConstraint(maximumWidth: 160, maximumHeight: 90, maximumFramesPerSecond: 7)
    #expect(small.shed(1) == small && small.shed(2) == small)
    #expect(VideoConstraint(maximumWidth: .max, maximumHeight: .max).shed(1).maximumWidth == 640)
  }

  @Test("Rooms and participants are counted, and what is beyond the limits is refused with a sentence")
  func limits() async throws {
    let engine = try await Engine(
      .init(udpPort: 0, bindAddress: "127.0.0.1", shards: 1, includeLoopback: true, roomLimit: 2, participantLimit: 3, loadLimit: 10))
    let first = try await engine.room("1")
    let second = try await engine.room("2")
    await #expect { _ = try await engine.room("3") } throws: { ($0 as? EngineError)?.code == .limitReached }
    #expect(try await engine.room("1") === first)
    let one = try await first.join(name: "1")
    _ = try await first.join(name: "2")
    _ = try await second.join(name: "3")
    await #expect { _ = try await second.join(name: "4") } throws: { ($0 as? RoomError)?.code == .limitReached }
    await one.leave()
    _ = try await second.join(name: "4")
    await first.close()
    _ = try await engine.room("3")
    await engine.shutdown()
  }

  @Test("While every thread is too busy nobody new comes in, and subscribers are told why pictures are held back")
  func overload() async throws {
    // A limit that any thread is beyond.
    let engine = try await Engine(
      .init(udpPort: 0, bindAddress: "127.0.0.1", shards: 1, includeLoopback: true, loadLimit: 10))
    let room = try await engine.room("1")
    let log = EventLog(room)
    _ = try await room.join(name: "1")
    await engine.core.setShedding(1, of: 0)
    await #expect { _ = try await room.join(name: "2") } throws: {
      ($0 as? RoomError)?.code == .overloaded && ($0 as? RoomError)?.reason.contains("busy") == true
    }
    await engine.core.setShedding(0, of: 0)
    _ = try await room.join(name: "2")
    await eventually("it is told") { log.words.filter { $0.hasPrefix("limited") }.count == 2 && log.contains("limited no more") }
    await engine.shutdown()
  }

  // MARK: Diagnosis

  @Test("A port that is taken, a private address that is announced, and ports that do not exist are found")
  func diagnosis() throws {
    let socket = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0))
    let port = Int(socket.localAddress.port)
    let taken = Engine.diagnose(.init(udpPort: port, bindAddress: "127.0.0.1", shards: 1))
    #expect(!taken.isSound)
    #expect(taken.findings.first?.text.contains("taken") == true)
    #expect(taken.candidates == ["127.0.0.1:\(port)"])
    let announced = Engine.diagnose(
      .init(udpPort: 0, announcedAddresses: ["192.168.1.7", "203.0.113.7", "203.0.113.7", "127.0.0.1", "[2001:db8::7]:6000"], shards: 2))
    #expect(announced.isSound)
    for (word, count) in [("192.168.1.7", 1), ("twice", 1), ("127.0.0.1", 1), ("port of its own", 1), ("203.0.113.7 ", 0)] {
      #expect(announced.findings.count { $0.text.contains(word) } == count, "\(word): \(announced.findings)")
    }
    #expect(announced.candidates == ["192.168.1.7:0", "203.0.113.7:0", "127.0.0.1:0", "[2001:db8::7]:6000"])
    #expect(!Engine.diagnose(.init(udpPort: 65_535, shards: 2)).isSound)
    let listener = try StreamListener(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0))
    let tcpPort = Int(listener.localAddress.port)
    let takenTCP = Engine.diagnose(.init(udpPort: 0, tcpPort: tcpPort, bindAddress: "127.0.0.1", shards: 1))
    #expect(!takenTCP.isSound && takenTCP.findings.first?.text.contains("TCP port \(tcpPort) is taken") == true)
    #expect(takenTCP.candidates == ["127.0.0.1:0", "127.0.0.1:\(tcpPort)/tcp"])
    #expect(!Engine.diagnose(.init(udpPort: 0, tcpPort: 65_536, shards: 1)).isSound)
    #expect(Engine.diagnose(.init(udpPort: 0, bindAddress: "127.0.0.1", shards: 1)).findings.contains { $0.text.hasPrefix("TCP is off") })
    #expect(!Engine.diagnose(.init(udpPort: 0, announcedAddresses: ["example.org"])).isSound)
    #expect(!Engine.diagnose(.init(udpPort: 0, bindAddress: "203.0.113.7")).isSound)
    #expect(!Engine.diagnose(.init(udpPort: 0, bindAddress: "localhost")).isSound)
  }

  @Test(
    "How far an address reaches",
    arguments: [
      ("127.0.0.1", "loopback"), ("10.1.2.3", "local"), ("172.16.0.1", "local"), ("172.31.255.255", "local"), ("172.32.0.1", "global"),
      ("192.168.0.1", "local"), ("169.254.1.1", "local"), ("100.64.0.1", "local"), ("100.127.255.255", "local"), ("100.128.0.1", "global"),
      ("203.0.113.7", "global"), ("::1", "loopback"), ("fc00::1", "local"), ("fd12::1", "local"), ("fe80::1", "local"),
      ("2001:db8::1", "global"),
    ])
  func reach(_ text: String, _ expected: String) throws {
    let address = try #require(SocketAddress(host: text, port: 0))
    #expect("\(address.reach)" == expected)
  }
}

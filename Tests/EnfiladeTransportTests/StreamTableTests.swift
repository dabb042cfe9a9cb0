// Who may stay, what waits, what is dropped: the rules of TCP connections in virtual time.

import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("TCP connections")
struct StreamTableTests {
  private static let second = TimeDelta.seconds(Int64(1))

  private static func source(_ number: Int) -> SocketAddress {
    SocketAddress(ipv4: 0x0A00_0000 + UInt32(number >> 12), port: UInt16(1024 + number & 0xFFF))
  }

  // MARK: Who may stay

  @Test("A connection that proves nothing is ended when its time is over, and one that did is not")
  func proof() throws {
    var table = StreamTable()
    let silent = try table.admit(from: Self.source(1))
    let proved = try table.admit(from: Self.source(2))
    table.prove(proved)
    var ended: [(Int, Instant)] = []
    var now = Instant.zero
    while now < .zero + .seconds(Int64(30)) {
      now = min(table.nextDeadline, .zero + .seconds(Int64(30)))
      while let number = table.handleTimeout(at: now, isKnown: { _ in true }) { ended.append((number, now)) }
    }
    #expect(ended.map(\.0) == [silent])
    let at = try #require(ended.first?.1)
    #expect(at - .zero >= table.limits.proofTimeout && at - .zero <= table.limits.proofTimeout + table.limits.sweepInterval)
    #expect(table.counters.unproved == 1 && table.count == 1)
  }

  @Test("A slow sender of single bytes is held to the same time, and holds no more than one frame")
  func slowloris() throws {
    var table = StreamTable()
    var now = Instant.zero
    let number = try table.admit()
    // A frame of 1500 bytes, one byte every 10 ms: it would take 15 seconds.
    let frame: [UInt8] = [0x05, 0xDC] + [UInt8](repeating: 1, count: 1500)
    var sent = 0
    while table.contains(number) {
      #expect(table.take([frame[sent]], from: number) == [])
      sent += 1
      now = now + .milliseconds(10)
      while table.handleTimeout(at: now, isKnown: { _ in true }) != nil {}
    }
    #expect(now - .zero <= table.limits.proofTimeout + table.limits.sweepInterval)
    #expect(table.counters.unproved == 1)
  }

  @Test("Of those that proved nothing there are so many from one address, and so many in all; the oldest makes room")
  func bounds() throws {
    var limits = StreamLimits()
    limits.connectionCount = 64
    limits.unprovedCount = 16
    limits.unprovedCountPerAddress = 4
    var table = StreamTable(limits: limits)
    let crowd = SocketAddress(ipv4: 0xC633_6401, port: 1)
    var first: [Int] = []
    for _ in 0..<4 { first.append(try table.admit(from: crowd)) }
    #expect(table.handleConnection(from: crowd, at: .zero) == .refused)
    #expect(table.counters.refusedPerAddress == 1)
    for host in 0..<12 { _ = try table.admit(from: SocketAddress(ipv4: 0x0A00_0001 + UInt32(host), port: 9)) }
    #expect(table.unprovedCount == 16)
    guard case .taken(_, let evicted) = table.handleConnection(from: SocketAddress(ipv4: 0x0A00_1000, port: 9), at: .zero) else {
      Issue.record("nobody made room")
      return
    }
    #expect(evicted == first[0])
    #expect(table.counters.evicted == 1 && table.unprovedCount == 16)
  }

  @Test("Connections that proved themselves are never ended for others, and fill the table up to its bound")
  func full() throws {
    var limits = StreamLimits()
    limits.connectionCount = 64
    var table = StreamTable(limits: limits)
    for number in 0..<64 { table.prove(try table.admit(from: SocketAddress(ipv4: 0x0A00_0000 + UInt32(number), port: 9))) }
    #expect(table.handleConnection(from: Self.source(0), at: .zero) == .refused)
    #expect(table.count == 64 && table.counters.refusedFull == 1 && table.counters.evicted == 0)
  }

  @Test("A hundred thousand connections that prove nothing leave nothing behind")
  func churn() {
    var table = StreamTable()
    var now = Instant.zero
    var refused = 0
    for number in 0..<100_000 {
      if table.handleConnection(from: Self.source(number), at: now) == .refused { refused += 1 }
      #expect(table.count <= table.limits.unprovedCount)
      now = now + .milliseconds(1)
    }
    while !table.isEmpty {
      now = table.nextDeadline
      while table.handleTimeout(at: now, isKnown: { _ in true }) != nil {}
    }
    let counters = table.counters
    #expect(counters.accepted + UInt64(refused) == 100_000)
    #expect(counters.evicted + counters.unproved == counters.accepted)
    #expect(table.nextDeadline == .distantFuture)
  }

  @Test("A connection whose link is gone is ended at the next look")
  func orphaned() throws {
    var table = StreamTable()
    let number = try table.admit()
    table.prove(number)
    let address = table.address(of: number)
    var asked: [SocketAddress] = []
    let ended = table.handleTimeout(at: .zero + Self.second) { candidate in
      asked.append(candidate)
      return false
    }
    #expect(ended == number && asked == [address] && table.counters.orphaned == 1 && table.isEmpty)
  }

  @Test("What a connection proved does not pass to the next one from the same port")
  func identity() throws {
    var table = StreamTable()
    let first = try table.admit()
    let old = table.address(of: first)
    table.end(first, .hungUp)
    let second = try table.admit()
    let new = table.address(of: second)
    #expect(first == second && old != new && LinkKey(old) != LinkKey(new))
    #expect(old.isTCP && old.port == StreamTable.peer.port && LinkKey(old) != LinkKey(StreamTable.peer))
    table.prove(second)
    table.send([[1, 2, 3]], to: old, at: .zero)
    #expect(table.counters.undeliverable == 1 && table.pendingByteCount(of: second) == 0)
  }

  // MARK: In

  @Test("What is no frame breaks the connection, and nothing behind it is read")
  func malformed() throws {
    var table = StreamTable()
    let number = try table.admit()
    #expect(table.take([0, 1, 9, 0x05, 0xDD, 0, 1, 8], from: number) == [[9]])
    #expect(table.isBroken(number) == true)
  }

  @Test("100,000 connections' worth of noise: every byte is taken, and no connection holds more than a frame")
  func noise() throws {
    var random = SeededRandom(seed: 6544)
    var table = StreamTable()
    var broken = 0
    var datagrams = 0
    for round in 0..<100_000 {
      guard case .taken(let number, nil) = table.handleConnection(from: Self.source(round), at: .zero) else {
        Issue.record("not taken")
        return
      }
      for _ in 0..<1 + Int(random.next() % 3) where !table.isBroken(number) {
        let count = Int(random.next() % 40)
        // Lengths that could be true as often as not.
        var bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        if count > 1, random.next() % 2 == 0 { bytes[0] = 0 }
        datagrams += table.take(bytes, from: number).count
      }
      if table.isBroken(number) { broken += 1 }
      table.end(number, table.isBroken(number) ? .malformed : .hungUp)
    }
    print("noise: \(broken) of 100000 connections broken, \(datagrams) datagrams cut out")
    #expect(table.counters.malformed == UInt64(broken) && broken > 10_000 && broken < 90_000)
    #expect(table.counters.datagramsIn == UInt64(datagrams) && table.isEmpty)
  }

  // MARK: Out

  @Test("A run leaves as one frame for each datagram, however little the network takes at a time")
  func run() throws {
    var table = StreamTable()
    let number = try table.admit()
    table.prove(number)
    let datagrams = (0..<5).map { index in [UInt8](repeating: UInt8(index), count: index == 4 ? 10 : 100) }
    table.send(datagrams, to: table.address(of: number), at: .zero)
    #expect(table.pollPending() == number && table.pollPending() == nil)
    var other = StreamTable()
    let far = try other.admit()
    var received: [[UInt8]] = []
    while table.pendingByteCount(of: number) > 0 { received += other.take(table.carry(7, of: number, at: .zero), from: far) }
    #expect(received == datagrams)
    #expect(table.counters.datagramsOut == 5)
  }

  @Test("Of what waits for a slow peer video is dropped first, by bytes; sound when there is no room at all")
  func dropsByBytes() throws {
    var limits = StreamLimits()
    limits.outputByteCount = 8192
    limits.videoByteCount = 4096
    var table = StreamTable(limits: limits)
    let number = try table.admit()
    table.prove(number)
    let address = table.address(of: number)
    let packet = [UInt8](repeating: 1, count: 998)
    for _ in 0..<10 { table.send([packet], to: address, at: .zero) }
    #expect(table.counters.droppedVideo == 6 && table.pendingByteCount(of: number) == 4000)
    for _ in 0..<10 { table.send([packet], to: address, isUrgent: true, at: .zero) }
    #expect(table.counters.droppedUrgent == 6 && table.pendingByteCount(of: number) == 8000)
    // What was taken is whole frames, in order.
    var other = StreamTable()
    let far = try other.admit()
    #expect(other.take(table.carry(of: number, at: .zero), from: far).count == 8)
    #expect(other.isBroken(far) == false)
  }

  @Test("While something has waited too long no video is taken, and again when it has gone")
  func dropsByAge() throws {
    var table = StreamTable()
    let number = try table.admit()
    table.prove(number)
    let address = table.address(of: number)
    var now = Instant.zero
    table.send([[1]], to: address, at: now)
    now = now + .milliseconds(249)
    table.send([[2]], to: address, at: now)
    #expect(table.counters.droppedVideo == 0)
    now = now + .milliseconds(1)
    table.send([[3]], to: address, at: now)
    table.send([[4]], to: address, isUrgent: true, at: now)
    #expect(table.counters.droppedVideo == 1 && table.counters.datagramsOut == 3)
    // The first goes; what is left is younger.
    _ = table.carry(3, of: number, at: now)
    table.send([[5]], to: address, at: now)
    #expect(table.counters.droppedVideo == 1 && table.counters.datagramsOut == 4)
  }

  @Test("A peer that takes nothing is given up; one that takes a little is not")
  func stalled() throws {
    var table = StreamTable()
    let stuck = try table.admit(from: Self.source(1))
    let slow = try table.admit(from: Self.source(2))
    for number in [stuck, slow] {
      table.prove(number)
      table.send([[UInt8](repeating: 0, count: 1000)], to: table.address(of: number), at: .zero)
    }
    var ended: [Int] = []
    var now = Instant.zero
    while now < .zero + .seconds(Int64(30)) {
      now = now + .milliseconds(500)
      _ = table.carry(1, of: slow, at: now)
      while let number = table.handleTimeout(at: now, isKnown: { _ in true }) { ended.append(number) }
    }
    #expect(ended == [stuck] && table.counters.stalled == 1)
  }

  @Test("To a connection that proved nothing little is sent, urgent or not")
  func unprovedOutput() throws {
    var table = StreamTable()
    let number = try table.admit()
    let address = table.address(of: number)
    for _ in 0..<100 { table.send([[UInt8](repeating: 0, count: 98)], to: address, isUrgent: true, at: .zero) }
    #expect(table.pendingByteCount(of: number) == table.limits.unprovedByteCount / 100 * 100)
  }

  @Test("A connection that ends while something of it waits is asked for no more")
  func endWhilePending() throws {
    var table = StreamTable()
    let one = try table.admit(from: Self.source(1))
    let other = try table.admit(from: Self.source(2))
    for number in [one, other] { table.send([[7]], to: table.address(of: number), isUrgent: true, at: .zero) }
    table.end(one, .hungUp)
    #expect(table.pollPending() == other && table.pollPending() == nil)
    // A number that is used again begins without anything.
    let again = try table.admit(from: Self.source(3))
    #expect(again == one && table.pendingByteCount(of: again) == 0)
  }
}

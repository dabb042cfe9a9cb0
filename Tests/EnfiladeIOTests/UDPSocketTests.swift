// Sockets on loopback: batches, segmentation, refusals. Nothing here waits for time to pass.

import EnfiladeIO
import EnfiladeWire
import Testing

let loopback = SocketAddress(ipv4: 0x7F00_0001, port: 0)
let loopback6 = SocketAddress(ipv6High: 0, low: 1, port: 0)

/// Collects datagrams until `count` have come; loopback delivers before the send call returns, the poller is for the rest.
func collect(_ count: Int, from socket: UDPSocket, batch: ReceiveBatch) throws -> [(bytes: [UInt8], from: SocketAddress)] {
  let poller = try Poller()
  try poller.watch(socket.descriptor, for: .readable, token: 1)
  var result: [(bytes: [UInt8], from: SocketAddress)] = []
  while result.count < count {
    guard poller.wait(timeout: .seconds(Int64(5))) > 0 else { break }
    for message in 0..<socket.receive(into: batch) {
      for segment in 0..<batch[message].segmentCount {
        result.append((Array(batch[message].segment(at: segment)), batch[message].address))
      }
    }
  }
  return result
}

/// Bytes to send, alive for the test.
final class Payload {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  init(_ bytes: [UInt8]) {
    byteCount = bytes.count
    base = .allocate(byteCount: max(1, bytes.count), alignment: 16)
    bytes.withUnsafeBytes { if let start = $0.baseAddress { base.copyMemory(from: start, byteCount: bytes.count) } }
  }
  deinit { base.deallocate() }
  func datagram(to address: SocketAddress, segment: Int = 0) -> Outgoing { Outgoing(payload: self, segment: segment, address: address) }
}

/// A message and the memory it lies in.
struct Outgoing {
  let payload: Payload
  let segment: Int
  let address: SocketAddress
  var datagram: OutgoingDatagram {
    OutgoingDatagram(base: payload.base, byteCount: payload.byteCount, segmentByteCount: segment, to: address)
  }
}

extension UDPSocket {
  func send(_ messages: [Outgoing]) -> SendResult {
    withExtendedLifetime(messages) { messages.map(\.datagram).withUnsafeBufferPointer { send($0) } }
  }
}

@Suite("UDP socket")
struct UDPSocketTests {
  @Test("A batch of datagrams arrives in order with the sender's address", arguments: [loopback, loopback6])
  func batch(address: SocketAddress) throws {
    let (sender, receiver) = (try UDPSocket(bindingTo: address), try UDPSocket(bindingTo: address))
    #expect(sender.localAddress.port != 0)
    let payloads = (0..<150).map { Payload([UInt8](repeating: UInt8($0), count: 100 + $0)) }
    let datagrams = payloads.map { $0.datagram(to: receiver.localAddress) }
    let result = sender.send(datagrams)
    #expect(result.sentCount == 150)
    #expect(result.consumedCount == 150)
    #expect(result.systemCallCount == 3)
    #expect(result.blocked == nil)
    let received = try collect(150, from: receiver, batch: ReceiveBatch(bufferByteCount: 65_536))
    #expect(received.map(\.bytes) == (0..<150).map { [UInt8](repeating: UInt8($0), count: 100 + $0) })
    #expect(received.allSatisfy { $0.from == sender.localAddress })
  }

  @Test("A run cut by the kernel is coalesced by the kernel, its shorter last segment included")
  func segmentation() throws {
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback))
    #expect(sender.segmentation == .enabled)
    #expect(receiver.coalescesReceive)
    let bytes = (0..<5_300).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let payload = Payload(bytes)
    let result = sender.send([payload.datagram(to: receiver.localAddress, segment: 1_000)])
    #expect(result.sentCount == 1)
    let poller = try Poller()
    try poller.watch(receiver.descriptor, for: .readable, token: 1)
    #expect(poller.wait(timeout: .seconds(Int64(5))) == 1)
    let batch = ReceiveBatch(capacity: 4)
    #expect(receiver.receive(into: batch) == 1)
    #expect(batch[0].byteCount == 5_300)
    #expect(batch[0].segmentByteCount == 1_000)
    #expect(batch[0].segmentCount == 6)
    #expect((0..<6).flatMap { Array(batch[0].segment(at: $0)) } == bytes)
    #expect(batch[0].segment(at: 5).count == 300)
  }

  @Test("A receiver without coalescing sees the run's segments as datagrams")
  func segmentationToPlainReceiver() throws {
    var options = UDPSocket.Options()
    options.coalescesReceive = false
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback, options: options))
    #expect(!receiver.coalescesReceive)
    let bytes = (0..<64 * 900).map { UInt8(truncatingIfNeeded: $0 / 900) }
    let result = sender.send([Payload(bytes).datagram(to: receiver.localAddress, segment: 900)])
    #expect(result.sentCount == 1)
    let received = try collect(64, from: receiver, batch: ReceiveBatch(bufferByteCount: 2_048))
    #expect(received.map(\.bytes) == (0..<64).map { [UInt8](repeating: UInt8($0), count: 900) })
  }

  @Test("Segmentation switched off sends the same segments one by one, in order with the datagrams around them")
  func withoutSegmentation() throws {
    var options = UDPSocket.Options()
    options.segmentsSend = false
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback, options: options), try UDPSocket(bindingTo: loopback))
    #expect(sender.segmentation == .disabled)
    let (small, run) = (Payload([1]), Payload((0..<2_500).map { UInt8(truncatingIfNeeded: $0 / 1_000) }))
    let datagrams = [
      small.datagram(to: receiver.localAddress), run.datagram(to: receiver.localAddress, segment: 1_000),
      small.datagram(to: receiver.localAddress),
    ]
    let result = sender.send(datagrams)
    #expect(result.sentCount == 3)
    let received = try collect(5, from: receiver, batch: ReceiveBatch())
    #expect(received.map(\.bytes.count) == [1, 1_000, 1_000, 500, 1])
  }

  @Test("A bad destination in the middle of a batch costs only its own datagram and is counted")
  func badDestination() throws {
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback))
    let good = Payload([7])
    let tooLarge = Payload([UInt8](repeating: 0, count: 65_000 + 508))
    // Port 0, an address of the other family, a broadcast address, a datagram longer than IPv4 carries.
    let datagrams = [
      good.datagram(to: receiver.localAddress), good.datagram(to: loopback), good.datagram(to: receiver.localAddress),
      good.datagram(to: SocketAddress(ipv6High: 0, low: 1, port: 9)), good.datagram(to: SocketAddress(ipv4: 0xFFFF_FFFF, port: 9)),
      good.datagram(to: receiver.localAddress),
    ]
    let result = sender.send(datagrams)
    #expect(result.consumedCount == 6)
    #expect(result.sentCount == 3)
    #expect(result.refusedCount == 3)
    #expect(sender.refusals.invalidAddress == 2)
    #expect(sender.refusals.notPermitted == 1)
    #expect(sender.segmentation == .enabled)
    #expect(try collect(3, from: receiver, batch: ReceiveBatch()).count == 3)
    #expect(!tooLarge.datagram(to: receiver.localAddress).datagram.isWithinSegmentationLimits)
  }

  @Test("A run to a bad destination does not switch segmentation off")
  func badRun() throws {
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback))
    let run = Payload([UInt8](repeating: 1, count: 300))
    let datagrams = [run.datagram(to: loopback, segment: 100), run.datagram(to: receiver.localAddress, segment: 100)]
    let result = sender.send(datagrams)
    #expect(result.refusedCount == 1)
    #expect(result.sentCount == 1)
    #expect(sender.segmentation == .enabled)
    #expect(try collect(3, from: receiver, batch: ReceiveBatch()).count == 3)
  }

  @Test("Segments larger than the path takes still arrive, and segmentation stays on")
  func segmentLargerThanPath() throws {
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback))
    // Loopback's MTU is 65,536; a message of one full segment and a rest, cut where no path of this machine is too small.
    let run = Payload([UInt8](repeating: 3, count: 64_000))
    let result = sender.send([run.datagram(to: receiver.localAddress, segment: 40_000)])
    #expect(result.sentCount == 1)
    #expect(try collect(2, from: receiver, batch: ReceiveBatch()).map(\.bytes.count) == [40_000, 24_000])
  }

  @Test("A taken port, a foreign address: typed errors")
  func bindErrors() throws {
    let first = try UDPSocket(bindingTo: loopback)
    let taken = #expect(throws: IOError.self) { try UDPSocket(bindingTo: first.localAddress) }
    #expect(taken?.isAddressInUse == true)
    #expect(taken?.operation == .bind)
    let foreign = #expect(throws: IOError.self) { try UDPSocket(bindingTo: SocketAddress(ipv4: 0xC000_0201, port: 0)) }
    #expect(foreign?.isAddressNotAvailable == true)
  }

  @Test("Two sockets share a port when both ask for it")
  func reusePort() throws {
    var options = UDPSocket.Options()
    options.reusesPort = true
    let first = try UDPSocket(bindingTo: loopback, options: options)
    let second = try UDPSocket(bindingTo: first.localAddress, options: options)
    #expect(first.localAddress == second.localAddress)
  }

  @Test("A dual-stack socket talks to IPv4 peers under their IPv4 address")
  func dualStack() throws {
    let wide = try UDPSocket(bindingTo: SocketAddress(ipv6High: 0, low: 0, port: 0))
    let peer = try UDPSocket(bindingTo: loopback)
    var target = loopback
    target.port = wide.localAddress.port
    let payload = Payload([1, 2, 3])
    #expect(peer.send([payload.datagram(to: target)]).sentCount == 1)
    let received = try collect(1, from: wide, batch: ReceiveBatch())
    #expect(received.first?.from == peer.localAddress)
    #expect(wide.send([payload.datagram(to: peer.localAddress)]).sentCount == 1)
    let answered = try collect(1, from: peer, batch: ReceiveBatch())
    #expect(answered.first?.from == target)
  }

  @Test("A message longer than its buffer is marked and counted")
  func truncated() throws {
    let (sender, receiver) = (try UDPSocket(bindingTo: loopback), try UDPSocket(bindingTo: loopback))
    let payload = Payload([UInt8](repeating: 0, count: 3_000))
    #expect(sender.send([payload.datagram(to: receiver.localAddress)]).sentCount == 1)
    let poller = try Poller()
    try poller.watch(receiver.descriptor, for: .readable, token: 1)
    #expect(poller.wait(timeout: .seconds(Int64(5))) == 1)
    let batch = ReceiveBatch(bufferByteCount: 2_048)
    #expect(receiver.receive(into: batch) == 1)
    #expect(batch[0].isTruncated)
    #expect(receiver.truncatedCount == 1)
  }

  @Test("The socket says what buffers it was granted")
  func buffers() throws {
    let socket = try UDPSocket(bindingTo: loopback)
    #expect(socket.receiveBufferByteCount >= 65_536)
    #expect(socket.sendBufferByteCount >= 65_536)
  }

  @Test("A datagram's layout is the one C reads")
  func layout() {
    #expect(MemoryLayout<OutgoingDatagram>.size == 40)
    #expect(MemoryLayout<OutgoingDatagram>.stride == 40)
    #expect(MemoryLayout<OutgoingDatagram>.offset(of: \.base) == 0)
    #expect(MemoryLayout<OutgoingDatagram>.offset(of: \.byteCount) == 8)
    #expect(MemoryLayout<OutgoingDatagram>.offset(of: \.segmentByteCount) == 12)
    #expect(MemoryLayout<OutgoingDatagram>.offset(of: \.address) == 16)
    #expect(MemoryLayout<SocketAddress>.size == 24)
    #expect(MemoryLayout<SocketAddress>.offset(of: \.low) == 8)
    #expect(MemoryLayout<SocketAddress>.offset(of: \.port) == 16)
    #expect(MemoryLayout<SocketAddress>.offset(of: \.isIPv6) == 18)
    #expect(MemoryLayout<SocketAddress>.offset(of: \.scope) == 20)
  }
}

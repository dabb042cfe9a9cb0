// Peers that reach the engine over TCP: their datagrams are framed, cut up anywhere, and carried without loss.

import EnfiladeEngine
import EnfiladeTransport
package import EnfiladeWire

extension EngineWorld {
  /// Opens a connection; the address under which the engine knows it, or `nil` when it is refused.
  package func openStream(from source: SocketAddress) -> SocketAddress? {
    guard case .taken(let number, _) = streams.handleConnection(from: source, at: now) else { return nil }
    return streams.address(of: number)
  }

  /// Looks at the connections as the engine's driver does; the addresses of those that were ended.
  @discardableResult
  package func sweepStreams() -> Int {
    var count = 0
    while streams.handleTimeout(at: now, isKnown: { engines[0].isKnown($0) }) != nil { count += 1 }
    return count
  }

  /// Hands over the bytes of a stream in pieces of any size.
  package func injectStream(_ bytes: [UInt8], from address: SocketAddress) {
    let number = Int(address.scope & 0xFFFF)
    var offset = 0
    while offset < bytes.count, streams.contains(number), streams.address(of: number) == address, !streams.isBroken(number) {
      let count = min(bytes.count - offset, 1 + Int(random.next() % 1600))
      let place = streams.beginReceive(number)
      place.copyBytes(from: bytes[offset..<offset + count])
      streams.handleReceived(number, byteCount: count)
      while let datagram = streams.pollReceived() {
        while !engines[0].handle(datagram, at: now) {
          engines[0].finishBatch(at: now)
          drain()
        }
        if engines[0].isKnown(datagram.address) { streams.prove(number) }
      }
      engines[0].finishBatch(at: now)
      drain()
      offset += count
    }
  }

  func takeStream(_ bytes: [UInt8], from address: SocketAddress, shard: Int) {
    precondition(shard == 0, "connections are of the first shard")
    injectStream([UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes, from: address)
  }

  /// Lets everything that waits go, but to peers that do not read.
  package func carryStreams() {
    var left: [Int] = []
    while let number = streams.pollPending() {
      let address = streams.address(of: number)
      guard !blockedStreams.contains(address) else {
        left.append(number)
        continue
      }
      let bytes = streams.withPendingBytes(of: number) { span in span.withUnsafeBytes { [UInt8]($0) } }
      streams.handleSent(number, byteCount: bytes.count, at: now)
      arrive(bytes, at: address)
    }
    for number in left { streams.markPending(number) }
  }

  private func arrive(_ bytes: [UInt8], at address: SocketAddress) {
    var all = streamRests[address, default: []] + bytes
    var offset = 0
    while case .frame(let range) = StreamFraming.next(in: all.rawBytes, at: offset) {
      let datagram = Array(all[range])
      note(datagram, to: address)
      flights.insert(datagram, arriving: now + .milliseconds(10), address: address, isForEngine: false)
      offset = range.upperBound
    }
    all.removeFirst(offset)
    streamRests[address] = all
  }
}

// The invariant that the fuzz target and the tests hold streams against: how the bytes were cut up on the way makes no difference.

import EnfiladeTransport
import EnfiladeWire

/// What a stream of these bytes violates, or `nil`. The first byte seeds how it is cut up.
func violation(ofStream bytes: [UInt8]) -> String? {
  guard let seed = bytes.first else { return nil }
  let stream = bytes.dropFirst()
  var random = SeededRandom(seed: UInt64(seed))
  guard let whole = datagrams(of: stream, pieces: { $0 }) else { return "not taken" }
  guard let pieces = datagrams(of: stream, pieces: { min($0, 1 + Int(random.next() % 9)) }) else { return "not taken" }
  guard whole.isBroken == pieces.isBroken else { return "cut up it is broken, or whole" }
  guard whole.datagrams == pieces.datagrams else { return "cut up there are other datagrams in it" }
  guard whole.datagrams.allSatisfy({ 1...Limits.datagramByteCount ~= $0.count }) else { return "a datagram of no size that is taken" }
  return nil
}

private func datagrams(of stream: ArraySlice<UInt8>, pieces: (Int) -> Int) -> (datagrams: [[UInt8]], isBroken: Bool)? {
  var limits = StreamLimits()
  limits.connectionCount = 1
  limits.receiveByteCount = 2048
  var table = StreamTable(limits: limits)
  guard case .taken(let number, nil) = table.handleConnection(from: SocketAddress(ipv4: 1, port: 1), at: .zero) else { return nil }
  var datagrams: [[UInt8]] = []
  var rest = stream
  while !rest.isEmpty, !table.isBroken(number) {
    let count = pieces(min(rest.count, limits.receiveByteCount))
    let place = table.beginReceive(number)
    place.copyBytes(from: rest.prefix(count))
    rest = rest.dropFirst(count)
    table.handleReceived(number, byteCount: count)
    while let datagram = table.pollReceived() {
      datagrams.append([UInt8](UnsafeRawBufferPointer(start: datagram.base, count: datagram.byteCount)))
    }
  }
  return (datagrams, table.isBroken(number))
}

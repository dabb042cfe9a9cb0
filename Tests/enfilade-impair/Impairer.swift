// The bad link between real sockets: clients on one side, one server on the other.

package import EnfiladeIO
package import EnfiladeWire

/// A UDP relay that impairs what it relays. Every client address gets a socket of its own towards the server, so that the server
/// tells clients apart as it would without us.
package final class Impairer {
  /// Clients at once; a browser opens a few sockets each.
  package static let clientLimit = 256
  /// Datagrams in delay at once: a second of 100 Mbit/s.
  package static let delayedLimit = 16_384
  private static let listenerToken: UInt64 = .max
  private static let wakeUpToken: UInt64 = .max - 1

  /// What happened, for the report at the end.
  package struct Report: Hashable, Sendable, Codable {
    /// From clients to the server.
    package var up = ImpairmentCounters()
    /// From the server to clients.
    package var down = ImpairmentCounters()
    package var clients = 0
    package var refusedClients = 0
    package var seconds = 0.0

    package init() {}
  }

  private struct Delayed {
    var isUp: Bool
    var client: Int
    var bytes: [UInt8]
  }

  /// Where clients send to.
  package var localAddress: SocketAddress { listener.localAddress }
  private let server: SocketAddress
  private let listener: UDPSocket
  private let poller: Poller
  private let wakeUp: WakeUp
  /// Somebody has told it to stop.
  package private(set) var isStopped = false
  private var up: ImpairedLink
  private var down: ImpairedLink
  private var addresses: [SocketAddress] = []
  private var sockets: [UDPSocket] = []
  private var clients: [SocketAddress: Int] = [:]
  private var refusedClients = 0
  private var delayed = DelayQueue<Delayed>(limit: delayedLimit)
  private let batch = ReceiveBatch(bufferByteCount: 2_048)
  private let begin = MonotonicClock.now

  /// Opens the listening socket.
  package init(
    listen: SocketAddress, to server: SocketAddress, up: ImpairmentSettings, down: ImpairmentSettings, seed: UInt64, wakeUp: WakeUp
  ) throws(IOError) {
    self.server = server
    self.wakeUp = wakeUp
    self.up = ImpairedLink(up, seed: seed)
    self.down = ImpairedLink(down, seed: seed &+ 1)
    listener = try UDPSocket(bindingTo: listen, options: Self.options)
    poller = try Poller()
    try poller.watch(listener.descriptor, for: .readable, token: Self.listenerToken)
    try poller.watch(wakeUp.descriptor, for: .readable, token: Self.wakeUpToken)
  }

  /// One datagram at a time, as a link carries them.
  private static var options: UDPSocket.Options {
    var options = UDPSocket.Options()
    options.coalescesReceive = false
    options.segmentsSend = false
    return options
  }

  package var report: Report {
    var report = Report()
    report.up = up.counters
    report.down = down.counters
    report.clients = addresses.count
    report.refusedClients = refusedClients
    report.seconds = (MonotonicClock.now - begin).seconds
    return report
  }

  /// From now on the way from the server carries this much; what waits already is not moved.
  package func setDownRate(_ rate: Bitrate?) { down.settings.rate = rate }

  /// Relays until `end`, or until it is woken up.
  package func run(until end: Instant) {
    while step(until: end) {}
  }

  /// Waits for the next thing to do and does it; `false` when it is over.
  package func step(until end: Instant) -> Bool {
    let now = MonotonicClock.now
    guard now < end else { return false }
    let ready = poller.wait(timeout: min(end, delayed.nextRelease ?? end) - now)
    for position in 0..<ready {
      let token = poller.event(at: position).token
      switch token {
      case Self.wakeUpToken:
        wakeUp.drain()
        isStopped = true
        return false
      case Self.listenerToken:
        receiveFromClients()
      default:
        receiveFromServer(Int(token))
      }
    }
    release()
    return true
  }

  private func receiveFromClients() {
    for position in 0..<listener.receive(into: batch) where !batch[position].isTruncated {
      let datagram = batch[position]
      guard let client = client(at: datagram.address) else { continue }
      guard let release = up.admit(byteCount: datagram.byteCount, at: MonotonicClock.now) else { continue }
      if !delayed.push(Delayed(isUp: true, client: client, bytes: Array(datagram.segment(at: 0))), release: release) {
        up.counters.droppedByUs += 1
      }
    }
  }

  private func receiveFromServer(_ client: Int) {
    guard sockets.indices.contains(client) else { return }
    for position in 0..<sockets[client].receive(into: batch) where !batch[position].isTruncated && batch[position].address == server {
      let datagram = batch[position]
      guard let release = down.admit(byteCount: datagram.byteCount, at: MonotonicClock.now) else { continue }
      if !delayed.push(Delayed(isUp: false, client: client, bytes: Array(datagram.segment(at: 0))), release: release) {
        down.counters.droppedByUs += 1
      }
    }
  }

  /// The client's number; a new one gets a socket, `nil` when there are too many.
  private func client(at address: SocketAddress) -> Int? {
    if let known = clients[address] { return known }
    var local = listener.localAddress
    local.port = 0
    guard addresses.count < Self.clientLimit, let socket = try? UDPSocket(bindingTo: local, options: Self.options),
      (try? poller.watch(socket.descriptor, for: .readable, token: UInt64(sockets.count))) != nil
    else {
      refusedClients += 1
      return nil
    }
    clients[address] = sockets.count
    addresses.append(address)
    sockets.append(socket)
    return sockets.count - 1
  }

  private func release() {
    let now = MonotonicClock.now
    while var next = delayed.pop(at: now) {
      let (socket, address) = next.isUp ? (sockets[next.client], server) : (listener, addresses[next.client])
      let isSent = next.bytes.withUnsafeMutableBytes { bytes in
        guard let base = bytes.baseAddress else { return true }
        var datagram = OutgoingDatagram(base: base, byteCount: bytes.count, to: address)
        return withUnsafePointer(to: &datagram) { socket.send(UnsafeBufferPointer(start: $0, count: 1)).sentCount == 1 }
      }
      switch (next.isUp, isSent) {
      case (true, true): up.counters.forwarded += 1
      case (true, false): up.counters.droppedByUs += 1
      case (false, true): down.counters.forwarded += 1
      case (false, false): down.counters.droppedByUs += 1
      }
    }
  }
}

/// Whether an address is this machine's own: a relay that damages what it relays has no business elsewhere.
package func isOwnAddress(_ address: SocketAddress) -> Bool {
  if !address.isIPv6, address.low >> 24 == 127 { return true }
  if address.isIPv6, address.high == 0, address.low == 1 { return true }
  guard let own = try? localAddresses() else { return false }
  return own.contains { $0.address.high == address.high && $0.address.low == address.low && $0.address.isIPv6 == address.isIPv6 }
}

/// Reads `127.0.0.1:6000` or `[::1]:6000`.
package func parseEndpoint(_ text: String) -> SocketAddress? {
  guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
  var host = text[..<colon]
  if host.hasPrefix("["), host.hasSuffix("]") {
    host = host.dropFirst().dropLast()
  } else if host.contains(":") {
    return nil
  }
  return SocketAddress(host: host, port: port)
}

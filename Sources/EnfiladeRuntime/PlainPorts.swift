// Sockets that belong to one link each: for peers without ICE, whose packets nothing but the port tells apart.

import EnfiladeIO
import EnfiladeTransport
import EnfiladeWire

/// A socket on its way to the shard that will own it. Whoever made it uses it no more.
struct PlainSocket: @unchecked Sendable {
  let number: UInt32
  let socket: UDPSocket
}

/// The plain sockets of one shard; used on its thread alone.
final class PlainPorts {
  /// Above every number that ``StreamPort`` gives.
  static let firstToken: UInt64 = 1 << 40
  /// Receive calls for each socket before others get their turn: 256 datagrams.
  private static let receiveRounds = 4

  private let poller: Poller
  private var sockets: [UInt32: UDPSocket] = [:]
  /// No larger than what a slot takes: these sockets do not coalesce.
  private let received = ReceiveBatch(capacity: 64, bufferByteCount: Limits.slotByteCount)
  /// Sockets that could not be watched.
  private(set) var failureCount: UInt64 = 0
  private(set) var drops = EgressDrops()

  init(poller: Poller) { self.poller = poller }

  var isEmpty: Bool { sockets.isEmpty }

  func add(_ plain: PlainSocket) {
    do throws(IOError) {
      try poller.watch(plain.socket.descriptor, for: .readable, token: Self.firstToken + UInt64(plain.number))
      sockets[plain.number] = plain.socket
    } catch {
      failureCount &+= 1
    }
  }

  func remove(_ number: UInt32) {
    guard let socket = sockets.removeValue(forKey: number) else { return }
    poller.forget(socket.descriptor)
  }

  /// Takes what came to the socket of an event. `batch` is called behind each call to the kernel.
  func receive(_ token: UInt64, datagram: (ReceivedDatagram) -> Void, batch: () -> Void) {
    guard token >= Self.firstToken, let number = UInt32(exactly: token - Self.firstToken), let socket = sockets[number] else { return }
    for _ in 0..<Self.receiveRounds {
      let count = socket.receive(into: received)
      guard count > 0 else { return }
      for position in 0..<count {
        var taken = received[position]
        taken.address = taken.address.endpoint.through(socket: number)
        datagram(taken)
      }
      batch()
      if count < received.capacity { return }
    }
  }

  /// Sends what leads through one of these sockets.
  func send(_ datagram: OutgoingDatagram, patience: inout TimeDelta) {
    guard let number = datagram.address.ownSocket, let socket = sockets[number] else { return }
    var datagram = datagram
    datagram.address = datagram.address.endpoint
    withUnsafePointer(to: datagram) {
      drops += socket.sendPatiently(UnsafeBufferPointer(start: $0, count: 1), patience: &patience)
    }
  }
}

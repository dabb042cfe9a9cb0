// Messages on their way to and from the kernel, as plain values whose layout C shares.

import CEnfiladeShims
package import EnfiladeWire
import Glibc

/// What became of a batch.
package struct SendResult: Hashable, Sendable {
  /// Why the kernel takes no more for now.
  package enum Blocked: Hashable, Sendable {
    /// The socket's buffer is full; it becomes writable again.
    case socketFull
    /// The machine has no buffers; nothing tells when that ends.
    case noBuffers
  }

  /// Messages dealt with, from the front: sent or refused. The rest has not been touched.
  package var consumedCount = 0
  package var sentCount = 0
  /// Messages that the kernel refused for a reason of their own; ``UDPSocket/refusals`` says which.
  package var refusedCount = 0
  package var blocked: Blocked?
  package var systemCallCount = 0

  package init() {}
}

/// How often the kernel refused a datagram, by reason.
package struct SendRefusals: Hashable, Sendable {
  /// A firewall rule, or a broadcast address.
  package var notPermitted: UInt64 = 0
  /// No route, or the network or host is unreachable.
  package var unreachable: UInt64 = 0
  /// Larger than the path takes.
  package var tooLarge: UInt64 = 0
  /// The peer's machine answered that nobody listens.
  package var connectionRefused: UInt64 = 0
  /// An address of a family this socket does not have, or one that cannot be a destination.
  package var invalidAddress: UInt64 = 0
  /// The rest of a run when the socket filled up in its middle.
  package var cutShort: UInt64 = 0
  package var other: UInt64 = 0

  package init() {}

  mutating func count(_ code: Int32) {
    switch code {
    case EPERM, EACCES: notPermitted &+= 1
    case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, ENONET: unreachable &+= 1
    case EMSGSIZE: tooLarge &+= 1
    case ECONNREFUSED: connectionRefused &+= 1
    case EAFNOSUPPORT, EINVAL, EADDRNOTAVAIL, EDESTADDRREQ: invalidAddress &+= 1
    case EAGAIN, ENOBUFS, ENOMEM: cutShort &+= 1
    default: other &+= 1
    }
  }
}

/// Where received messages are put: a fixed number of buffers, allocated once.
package final class ReceiveBatch {
  /// The most messages one system call takes.
  package static let capacityLimit = 64
  /// A coalesced message is at most this long.
  package static let coalescedByteCount = 65_536

  package let capacity: Int
  package let bufferByteCount: Int
  /// How many messages the last call brought.
  package internal(set) var count = 0
  let messages: UnsafeMutablePointer<enfilade_datagram>
  private let storage: UnsafeMutableRawPointer

  /// `bufferByteCount` is 64 KiB where the socket coalesces, else a slot's size is enough.
  package init(capacity: Int = capacityLimit, bufferByteCount: Int = coalescedByteCount) {
    self.capacity = min(max(1, capacity), Self.capacityLimit)
    self.bufferByteCount = bufferByteCount
    storage = .allocate(byteCount: self.capacity * bufferByteCount, alignment: 64)
    messages = .allocate(capacity: self.capacity)
    for position in 0..<self.capacity {
      var message = enfilade_datagram()
      message.base = storage + position * bufferByteCount
      (messages + position).initialize(to: message)
    }
  }

  deinit {
    messages.deallocate()
    storage.deallocate()
  }

  /// The message at `position`, below ``count``. Its bytes hold until the next receive.
  package subscript(position: Int) -> ReceivedDatagram {
    precondition(position >= 0 && position < count)
    let message = messages[position]
    return ReceivedDatagram(
      base: message.base, byteCount: Int(message.byte_count), segmentByteCount: Int(message.segment_byte_count),
      isTruncated: message.flags & UInt16(ENFILADE_DATAGRAM_TRUNCATED) != 0, address: SocketAddress(message.address))
  }
}

extension ReceivedDatagram {
  /// The bytes of one of its datagrams.
  package func segment(at position: Int) -> UnsafeMutableRawBufferPointer {
    let size = segmentByteCount == 0 ? byteCount : segmentByteCount
    let start = position * size
    precondition(position >= 0 && (start < byteCount || (position == 0 && byteCount == 0)))
    return UnsafeMutableRawBufferPointer(start: base + start, count: min(size, byteCount - start))
  }
}

// MARK: - Addresses as C has them

extension enfilade_address {
  init(_ address: SocketAddress) {
    self.init(
      high: address.high, low: address.low, port: address.port, is_ipv6: address.isIPv6 ? 1 : 0, is_tcp: address.isTCP ? 1 : 0,
      scope: address.scope)
  }
}

extension SocketAddress {
  init(_ address: enfilade_address) {
    if address.is_ipv6 != 0 {
      self.init(ipv6High: address.high, low: address.low, port: address.port, scope: address.scope)
    } else {
      self.init(ipv4: UInt32(truncatingIfNeeded: address.low), port: address.port)
    }
  }
}

// A transport address as a plain value, so that it can be a key below the line where there is no C.

/// An IPv4 or IPv6 address with a port.
@usableFromInline
package struct SocketAddress: Hashable, Sendable {
  /// The address in network order: for IPv4, `high` is zero and the four bytes are the low half of `low`.
  @usableFromInline package var high: UInt64
  @usableFromInline package var low: UInt64
  @usableFromInline package var port: UInt16
  @usableFromInline package var isIPv6: Bool
  /// Whether datagrams come and go over a TCP connection (RFC 6544), framed.
  @usableFromInline package var isTCP: Bool
  /// Over UDP the IPv6 scope (interface index) of a link-local address, else zero. Over TCP the connection's number, so that a later connection
  /// from the same port is another address. Over a socket that belongs to one link, its number below the highest bit: what comes there from an
  /// address, and what comes from the same one to the shard's port, are two things.
  @usableFromInline package var scope: UInt32

  /// `address` in host order: 0x7F000001 is 127.0.0.1.
  @inlinable package init(ipv4 address: UInt32, port: UInt16) {
    high = 0
    low = UInt64(address)
    self.port = port
    isIPv6 = false
    isTCP = false
    scope = 0
  }

  /// `high` and `low` in host order: ::1 is (0, 1).
  @inlinable package init(ipv6High high: UInt64, low: UInt64, port: UInt16, scope: UInt32 = 0) {
    self.high = high
    self.low = low
    self.port = port
    isIPv6 = true
    isTCP = false
    self.scope = scope
  }

  /// The same endpoint as the far end of a TCP connection.
  package func overTCP(connection number: UInt32) -> SocketAddress {
    var address = self
    address.isTCP = true
    address.scope = number
    return address
  }

  /// The same endpoint as it is reached through a socket that belongs to one link.
  package func through(socket number: UInt32) -> SocketAddress {
    var address = self
    address.scope = number & ~Self.ownSocketBit | Self.ownSocketBit
    return address
  }

  /// The number of the socket that belongs to one link and leads here; `nil` for the shard's own port, and for TCP.
  package var ownSocket: UInt32? { isThroughOwnSocket ? scope & ~Self.ownSocketBit : nil }
  @inlinable package var isThroughOwnSocket: Bool { !isTCP && scope & Self.ownSocketBit != 0 }
  /// No interface has an index as high as this.
  @usableFromInline static var ownSocketBit: UInt32 { 1 << 31 }

  /// The endpoint alone, without the way to it.
  package var endpoint: SocketAddress {
    var address = self
    address.scope = 0
    return address
  }

  /// Four bytes, or sixteen, in network order.
  @usableFromInline package var addressBytes: [UInt8] {
    isIPv6
      ? (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) } + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
      : (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
  }
}

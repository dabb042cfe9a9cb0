// A transport address as a plain value, so that it can be a key below the line where there is no C.

/// An IPv4 or IPv6 address with a port.
@usableFromInline
package struct SocketAddress: Hashable, Sendable {
  /// The address in network order: for IPv4, `high` is zero and the four bytes are the low half of `low`.
  @usableFromInline package var high: UInt64
  @usableFromInline package var low: UInt64
  @usableFromInline package var port: UInt16
  @usableFromInline package var isIPv6: Bool
  /// The IPv6 scope (interface index) for link-local addresses, else zero.
  @usableFromInline package var scope: UInt32

  /// `address` in host order: 0x7F000001 is 127.0.0.1.
  @inlinable package init(ipv4 address: UInt32, port: UInt16) {
    high = 0
    low = UInt64(address)
    self.port = port
    isIPv6 = false
    scope = 0
  }

  /// `high` and `low` in host order: ::1 is (0, 1).
  @inlinable package init(ipv6High high: UInt64, low: UInt64, port: UInt16, scope: UInt32 = 0) {
    self.high = high
    self.low = low
    self.port = port
    isIPv6 = true
    self.scope = scope
  }

  /// Four bytes, or sixteen, in network order.
  @usableFromInline package var addressBytes: [UInt8] {
    isIPv6
      ? (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) } + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
      : (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
  }
}

// Addresses as values.

import EnfiladeWire
import Testing

@Suite("SocketAddress")
struct SocketAddressTests {
  @Test("An address gives its bytes in network order")
  func bytes() {
    #expect(SocketAddress(ipv4: 0xC000_0201, port: 1).addressBytes == [192, 0, 2, 1])
    let six = SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 0x0000_0000_0000_00FF, port: 1)
    #expect(six.addressBytes == [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF])
  }

  @Test("Family, port and scope tell addresses apart")
  func equality() {
    let base = SocketAddress(ipv4: 1, port: 7)
    #expect(base == SocketAddress(ipv4: 1, port: 7))
    #expect(base != SocketAddress(ipv4: 1, port: 8))
    #expect(base != SocketAddress(ipv6High: 0, low: 1, port: 7))
    #expect(SocketAddress(ipv6High: 0, low: 1, port: 7, scope: 2) != SocketAddress(ipv6High: 0, low: 1, port: 7))
    #expect(Set([base, base, SocketAddress(ipv4: 2, port: 7)]).count == 2)
  }
}

// The machine's own addresses.

package import EnfiladeWire
import Glibc

/// One address of one network interface that is up.
package struct InterfaceAddress: Hashable, Sendable {
  package var interfaceName: String
  /// With port zero.
  package var address: SocketAddress
  package var isLoopback: Bool
  /// Reaches only the same link (fe80::/10, 169.254/16).
  package var isLinkLocal: Bool
}

/// The addresses of every interface that is up, loopback included, in the system's order.
package func localAddresses() throws(IOError) -> [InterfaceAddress] {
  var list: UnsafeMutablePointer<ifaddrs>?
  guard getifaddrs(&list) == 0 else { throw IOError(.enumerateInterfaces, code: errno) }
  defer { freeifaddrs(list) }
  var result: [InterfaceAddress] = []
  var next = list
  while let entry = next?.pointee {
    next = entry.ifa_next
    guard entry.ifa_flags & UInt32(IFF_UP) != 0, let raw = entry.ifa_addr, let address = SocketAddress(raw) else { continue }
    result.append(
      InterfaceAddress(
        interfaceName: String(cString: entry.ifa_name), address: address,
        isLoopback: entry.ifa_flags & UInt32(IFF_LOOPBACK) != 0, isLinkLocal: address.isLinkLocal))
  }
  return result
}

extension SocketAddress {
  /// From the system's form; `nil` for a family other than IPv4 and IPv6.
  init?(_ raw: UnsafePointer<sockaddr>) {
    switch Int32(raw.pointee.sa_family) {
    case AF_INET:
      let v4 = UnsafeRawPointer(raw).loadUnaligned(as: sockaddr_in.self)
      self.init(ipv4: UInt32(bigEndian: v4.sin_addr.s_addr), port: UInt16(bigEndian: v4.sin_port))
    case AF_INET6:
      let v6 = UnsafeRawPointer(raw).loadUnaligned(as: sockaddr_in6.self)
      self.init(v6.sin6_addr, port: UInt16(bigEndian: v6.sin6_port), scope: v6.sin6_scope_id)
    default:
      return nil
    }
  }

  private init(_ address: in6_addr, port: UInt16, scope: UInt32) {
    let (high, low) = withUnsafeBytes(of: address) {
      (UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)), UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
    self.init(ipv6High: high, low: low, port: port, scope: scope)
  }

  fileprivate var isLinkLocal: Bool { isIPv6 ? high >> 54 == 0x3FA : low >> 16 == 0xA9FE }
}

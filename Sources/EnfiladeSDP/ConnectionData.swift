// Where media is sent when there is no ICE (RFC 8866 §5.7).

package import EnfiladeWire

/// The value of a `c=` line.
package struct ConnectionData: Hashable, Sendable {
  package var networkType: String
  package var addressType: String
  package var address: String

  /// The address that says "ask ICE" (RFC 9429 §5.2.1).
  package static let unspecified = ConnectionData(networkType: "IN", addressType: "IP4", address: "0.0.0.0")

  package init(networkType: String, addressType: String, address: String) {
    self.networkType = networkType
    self.addressType = addressType
    self.address = address
  }

  package init(_ address: SocketAddress) {
    self.init(networkType: "IN", addressType: address.isIPv6 ? "IP6" : "IP4", address: address.withoutScope.host)
  }

  package init?(parsing value: Substring) {
    let fields = value.pieces(at: UInt8(ascii: " "))
    guard fields.count == 3, fields[0].isToken, fields[1].isToken, !fields[2].isEmpty else { return nil }
    networkType = String(fields[0])
    addressType = String(fields[1])
    address = String(fields[2])
  }

  package var text: String { "\(networkType) \(addressType) \(address)" }
}

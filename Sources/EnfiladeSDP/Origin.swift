// Who made a description, and which version of it this is (RFC 8866 §5.2).

/// The value of an `o=` line. The numbers are text, because RFC 8866 gives them no upper bound.
package struct Origin: Hashable, Sendable {
  package var username: String
  package var sessionID: String
  package var sessionVersion: String
  package var networkType: String
  package var addressType: String
  package var address: String

  /// An origin that names no person and no host (RFC 9429 §5.2.1).
  package init(sessionID: UInt64, sessionVersion: UInt64) {
    username = "-"
    self.sessionID = String(sessionID)
    self.sessionVersion = String(sessionVersion)
    networkType = "IN"
    addressType = "IP4"
    address = "127.0.0.1"
  }

  package init?(parsing value: Substring) {
    let fields = value.pieces(at: UInt8(ascii: " "))
    guard fields.count == 6, fields.allSatisfy({ !$0.isEmpty }), fields[1].isDecimal, fields[2].isDecimal, fields[3].isToken,
      fields[4].isToken
    else { return nil }
    username = String(fields[0])
    sessionID = String(fields[1])
    sessionVersion = String(fields[2])
    networkType = String(fields[3])
    addressType = String(fields[4])
    address = String(fields[5])
  }

  package var text: String { "\(username) \(sessionID) \(sessionVersion) \(networkType) \(addressType) \(address)" }
}

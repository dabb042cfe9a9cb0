// Annotated wire fixtures, and the bytes they stand for.

import EnfiladeSTUN
import EnfiladeWire

/// Bytes from annotated hex: what follows `#` in a line is prose.
func hex(_ text: String) -> [UInt8] {
  let digits = text.split(separator: "\n").flatMap { $0.prefix { $0 != "#" } }.compactMap(\.hexDigitValue)
  precondition(digits.count.isMultiple(of: 2))
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func key(_ password: String) -> STUNKey { STUNKey(password: Array(password.utf8).rawBytes) }

/// Writes one message into its own array.
func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
  guard let bytes = [UInt8].writing(capacity: 1500, body) else { preconditionFailure("The message did not fit.") }
  return bytes
}

/// The views' looks on arrays: the expectation macros cannot hold a span.
extension STUNMessageView {
  static func parse(_ bytes: [UInt8]) -> STUNParseResult { parse(bytes.rawBytes) }
  func fingerprintFits(_ bytes: [UInt8]) -> Bool { hasValidFingerprint(in: bytes.rawBytes) }
  func integrityFits(_ bytes: [UInt8], _ key: STUNKey) -> Bool { hasValidMessageIntegrity(in: bytes.rawBytes, key: key) }
  func receiver(_ bytes: [UInt8]) -> [UInt8]? { receiverUfrag(in: bytes.rawBytes)?.copyToArray() }
  func receiverKey(_ bytes: [UInt8]) -> UfragKey? { receiverUfragKey(in: bytes.rawBytes) }
  func sender(_ bytes: [UInt8]) -> [UInt8]? { senderUfrag(in: bytes.rawBytes)?.copyToArray() }
}

extension STUNRange {
  func copy(of bytes: [UInt8]) -> [UInt8] { slice(of: bytes.rawBytes).copyToArray() }
}

/// The sample messages of RFC 5769 that use the short-term mechanism.
enum RFC5769 {
  static let password = "VOkJxbRl1RmTxUk/WvJxBt"
  static let transactionID = STUNTransactionID(high: 0xB7E7_A701, low: 0xBC34_D686_FA87_DFAE)

  /// RFC 5769 §2.1
  static let request = hex(
    """
    00 01 00 58                                      # binding request, 88 bytes follow the header
    21 12 a4 42                                      # magic cookie
    b7 e7 a7 01 bc 34 d6 86 fa 87 df ae              # transaction id
    80 22 00 10                                      # SOFTWARE
    53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74  # "STUN test client"
    00 24 00 04 6e 00 01 ff                          # PRIORITY
    80 29 00 08 93 2f f9 b1 51 26 3b 36              # ICE-CONTROLLED, tie-breaker
    00 06 00 09                                      # USERNAME
    65 76 74 6a 3a 68 36 76 59 20 20 20              # "evtj:h6vY", padded with spaces
    00 08 00 14                                      # MESSAGE-INTEGRITY
    9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2
    80 28 00 04 e5 7a 3b cf                          # FINGERPRINT
    """)

  /// RFC 5769 §2.2
  static let responseIPv4 = hex(
    """
    01 01 00 3c                                      # binding success response
    21 12 a4 42                                      # magic cookie
    b7 e7 a7 01 bc 34 d6 86 fa 87 df ae              # transaction id
    80 22 00 0b                                      # SOFTWARE
    74 65 73 74 20 76 65 63 74 6f 72 20              # "test vector", padded with a space
    00 20 00 08 00 01 a1 47 e1 12 a6 43              # XOR-MAPPED-ADDRESS 192.0.2.1 port 32853
    00 08 00 14                                      # MESSAGE-INTEGRITY
    2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7
    80 28 00 04 c0 7d 4c 96                          # FINGERPRINT
    """)

  /// RFC 5769 §2.3
  static let responseIPv6 = hex(
    """
    01 01 00 48                                      # binding success response
    21 12 a4 42                                      # magic cookie
    b7 e7 a7 01 bc 34 d6 86 fa 87 df ae              # transaction id
    80 22 00 0b                                      # SOFTWARE
    74 65 73 74 20 76 65 63 74 6f 72 20              # "test vector", padded with a space
    00 20 00 14 00 02 a1 47                          # XOR-MAPPED-ADDRESS, IPv6, port 32853
    01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9  # 2001:db8:1234:5678:11:2233:4455:6677
    00 08 00 14                                      # MESSAGE-INTEGRITY
    a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41
    80 28 00 04 c8 fb 0b 4c                          # FINGERPRINT
    """)

  static let all = [request, responseIPv4, responseIPv6]
}

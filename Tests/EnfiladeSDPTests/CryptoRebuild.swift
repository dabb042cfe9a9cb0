// What must hold of any bytes as a `crypto` attribute; the tests and the fuzz target share it.

import EnfiladeSDP

/// What is wrong with how bytes are read as a key; `nil` for nothing.
func violation(ofCrypto bytes: [UInt8]) -> String? {
  guard let read = try? CryptoAttribute(parsing: String(decoding: bytes, as: UTF8.self)) else { return nil }
  guard read.masterKey.count == read.suite.keyByteCount, read.masterSalt.count == read.suite.saltByteCount else {
    return "A key is not as long as its suite has it."
  }
  guard (try? CryptoAttribute(parsing: read.value)) == read else { return "A key is not read as it was written." }
  return nil
}

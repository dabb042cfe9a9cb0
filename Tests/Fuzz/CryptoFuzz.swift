// modules: EnfiladeWire EnfiladeSDP
// files: Tests/EnfiladeSDPTests/CryptoRebuild.swift
// Fuzz target of keys in session descriptions (RFC 4568).

import EnfiladeSDP

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofCrypto: bytes) { fatalError(violation) }
  return 0
}

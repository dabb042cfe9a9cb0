// modules: EnfiladeWire EnfiladeSTUN
// files: Tests/EnfiladeSTUNTests/STUNRebuild.swift
// Fuzz target of the STUN parser and composer.

import EnfiladeSTUN
import EnfiladeWire

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofSTUN: bytes.rawBytes) { fatalError(violation) }
  return 0
}

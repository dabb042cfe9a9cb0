// modules: EnfiladeWire EnfiladeRTP
// files: Tests/EnfiladeRTPTests/RTCPRebuild.swift
// Fuzz target of the RTCP reader. What is understood of any bytes and built again must be understood the same.

import EnfiladeRTP
import EnfiladeWire

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofRTCP: bytes.rawBytes) { fatalError(violation) }
  return 0
}

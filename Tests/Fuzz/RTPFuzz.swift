// modules: EnfiladeWire EnfiladeRTP
// files: Tests/EnfiladeRTPTests/RTPRebuild.swift
// Fuzz target of the RTP parser, the header writer, and every reader of payloads.

import EnfiladeRTP
import EnfiladeWire

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofRTP: bytes.rawBytes) { fatalError(violation) }
  return 0
}

// modules: EnfiladeWire EnfiladeSTUN EnfiladeRTP EnfiladeTransport
// files: Tests/EnfiladeTransportTests/StreamPieces.swift
// Fuzz target of the framing of datagrams on streams (RFC 4571).

import EnfiladeTransport
import EnfiladeWire

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  if let violation = violation(ofStream: [UInt8](UnsafeBufferPointer(start: data, count: count))) { fatalError(violation) }
  return 0
}

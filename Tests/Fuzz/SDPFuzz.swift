// modules: EnfiladeWire EnfiladeSDP
// files: Tests/EnfiladeSDPTests/SDPRebuild.swift Tests/EnfiladeSDPTests/AnswerPolicy.swift
// Fuzz target of descriptions, offers, answers and trickle fragments.

import EnfiladeSDP

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  if let violation = violation(ofSDP: [UInt8](UnsafeBufferPointer(start: data, count: count))) { fatalError(violation) }
  return 0
}

// modules: EnfiladeWire EnfiladeMixing
// files: Tests/EnfiladeMixingTests/SoundRebuild.swift
// Fuzz target of WAV files.

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofWAV: bytes) { fatalError(violation) }
  return 0
}

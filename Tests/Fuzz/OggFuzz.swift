// modules: EnfiladeWire EnfiladeMixing
// files: Tests/EnfiladeMixingTests/SoundRebuild.swift
// Fuzz target of Ogg Opus files. A search does not find checksums, so what it finds is read once more with those that fit.

import EnfiladeMixing

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  var bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofOgg: bytes) { fatalError(violation) }
  var start = 0
  while start + 27 <= count {
    let segmentCount = Int(bytes[start + 26])
    guard start + 27 + segmentCount <= count else { break }
    let end = start + 27 + segmentCount + bytes[start + 27..<start + 27 + segmentCount].reduce(0) { $0 + Int($1) }
    guard end <= count else { break }
    for index in 22..<26 { bytes[start + index] = 0 }
    let checksum = OggOpusWriter.checksum(Array(bytes[start..<end]))
    for index in 0..<4 { bytes[start + 22 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)) }
    start = end
  }
  if let violation = violation(ofOgg: bytes) { fatalError(violation) }
  return 0
}

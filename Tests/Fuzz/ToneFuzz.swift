// modules: EnfiladeWire EnfiladeRTP EnfiladeStreams
// files: Tests/EnfiladeRTPTests/ToneRebuild.swift
// Fuzz target of payloads of tones (RFC 4733), and of what is made of them.

import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  if let violation = violation(ofTone: bytes) { fatalError(violation) }
  var receiver = TelephoneEventReceiver()
  var isSounding = false
  for start in stride(from: 0, to: max(0, count - 8), by: 9) {
    let piece = Array(bytes[start..<start + 9])
    guard let event = TelephoneEvent(piece.rawBytes) else { fatalError("Nine bytes are no tone.") }
    let timestamp = piece[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let reports = receiver.handle(event, timestamp: RTPTimestamp(timestamp), marker: piece[8] & 1 == 1)
    for report in [reports.lateEnd, reports.begin, reports.end] {
      guard let report else { continue }
      if report.isEnd != isSounding { fatalError("A tone begins or ends twice.") }
      isSounding.toggle()
    }
  }
  return 0
}

// What must hold of any bytes as payloads of tones; the tests and the fuzz target share it.

import EnfiladeRTP
import EnfiladeWire

/// What is wrong with how bytes are read as one tone after another; `nil` for nothing.
func violation(ofTone bytes: [UInt8]) -> String? {
  for start in stride(from: 0, through: bytes.count, by: 4) {
    let piece = Array(bytes[start..<min(start + 4, bytes.count)])
    guard let event = TelephoneEvent(piece.rawBytes) else {
      if piece.count >= 4 { return "Four bytes are no tone." }
      continue
    }
    guard TelephoneEvent(event.bytes.rawBytes) == event else { return "A tone is not read as it was written." }
  }
  return nil
}

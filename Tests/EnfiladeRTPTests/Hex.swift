// Fixtures as annotated hex, and the two cruelties every wire type must bear.

import EnfiladeRTP
import EnfiladeWire

/// Bytes from hex digits; blanks and line ends separate, and everything from `;` to the end of a line is a note.
func hex(_ text: String) -> [UInt8] {
  var digits: [UInt8] = []
  for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
    for character in line.prefix(while: { $0 != ";" }) {
      if let value = character.hexDigitValue { digits.append(UInt8(value)) } else { precondition(character.isWhitespace) }
    }
  }
  precondition(digits.count % 2 == 0)
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// Every prefix of `bytes`, the empty one first, the whole not included.
func truncations(_ bytes: [UInt8]) -> [[UInt8]] { (0..<bytes.count).map { Array(bytes[..<$0]) } }

/// `bytes` with each bit flipped in turn.
func flips(_ bytes: [UInt8]) -> [[UInt8]] {
  (0..<bytes.count * 8).map { bit in
    var copy = bytes
    copy[bit / 8] ^= 0x80 >> UInt8(bit % 8)
    return copy
  }
}

/// Runs `body` on `count` bytes of scratch memory and gives what was left in the first `n` of them, where `n` is its answer.
func writing(_ count: Int, _ body: (inout MutableRawSpan) -> Int?) -> [UInt8]? {
  var storage = [UInt8](repeating: 0xA5, count: count)
  var span = storage.mutableSpan
  var bytes = unsafe span.mutableBytes
  guard let length = body(&bytes) else { return nil }
  return Array(storage[..<length])
}

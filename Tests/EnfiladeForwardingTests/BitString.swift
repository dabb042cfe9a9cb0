// Bits in the order of the wire.

struct BitString {
  private(set) var bytes: [UInt8] = []
  private var count = 0

  mutating func append(_ value: Int, _ width: Int) {
    for shift in stride(from: width - 1, through: 0, by: -1) {
      if count & 7 == 0 { bytes.append(0) }
      if value >> shift & 1 != 0 { bytes[count >> 3] |= 0x80 >> UInt8(count & 7) }
      count += 1
    }
  }

  /// `ns(n)` of the AV1 specification, §4.10.7.
  mutating func appendNonSymmetric(_ value: Int, of limit: Int) {
    var width = 0
    while limit >> width > 0 { width += 1 }
    let short = (1 << width) - limit
    if value < short { append(value, width - 1) } else { append(value + short, width) }
  }
}

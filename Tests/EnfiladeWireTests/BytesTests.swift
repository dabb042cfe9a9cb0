// The two cursors at every boundary.

import EnfiladeWire
import Testing

@Suite("ByteReader")
struct ByteReaderTests {
  private static let bytes: [UInt8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]

  /// A field's width and how it is read; the value, or `nil`, and where the cursor stands then.
  private static func read(_ width: Int, from reader: inout ByteReader) -> UInt64? {
    switch width {
    case 1: reader.readUInt8().map(UInt64.init)
    case 2: reader.readUInt16().map(UInt64.init)
    case 3: reader.readUInt24().map(UInt64.init)
    case 4: reader.readUInt32().map(UInt64.init)
    default: reader.readUInt64()
    }
  }

  @Test("Fields are big-endian; one that does not fit gives nil and moves nothing", arguments: [1, 2, 3, 4, 8], 0...8)
  func fields(width: Int, length: Int) {
    let bytes = Array(Self.bytes.prefix(length))
    for start in 0...length {
      var reader = ByteReader(bytes.rawBytes)
      #expect(reader.skip(start) == true)
      let value = Self.read(width, from: &reader)
      if start + width <= length {
        #expect(value == bytes[start..<start + width].reduce(0) { $0 << 8 | UInt64($1) })
        #expect(reader.offset == start + width)
      } else {
        #expect(value == nil)
        #expect(reader.offset == start)
      }
      #expect(reader.remaining == length - reader.offset)
      #expect(reader.isAtEnd == (reader.offset == length))
    }
  }

  @Test("Slices and skips stay inside", arguments: [Int.min, -1, 0, 1, 7, 8, 9, Int.max])
  func slices(count: Int) {
    let isInside = (0...8).contains(count)
    var reader = ByteReader(Self.bytes.rawBytes)
    let slice = reader.readBytes(count)?.copyToArray()
    #expect(slice == (isInside ? Array(Self.bytes.prefix(count)) : nil))
    #expect(reader.offset == (isInside ? count : 0))
    var skipper = ByteReader(Self.bytes.rawBytes)
    #expect(skipper.skip(count) == isInside)
    #expect(skipper.offset == (isInside ? count : 0))
  }

  @Test("The rest is everything that is left, and then nothing", arguments: 0...8)
  func rest(start: Int) {
    var reader = ByteReader(Self.bytes.rawBytes)
    _ = reader.skip(start)
    let rest = reader.readRest().copyToArray()
    #expect(rest == Array(Self.bytes.dropFirst(start)))
    #expect(reader.isAtEnd == true)
    let nothing = reader.readRest().byteCount
    #expect(nothing == 0)
  }

  @Test("Bytes compare by content and length")
  func comparison() {
    let same = Self.bytes
    var other = Self.bytes
    other[7] ^= 1
    let shorter = Array(Self.bytes.dropLast())
    #expect(Self.bytes.rawBytes.hasSameBytes(as: same.rawBytes) == true)
    #expect(Self.bytes.rawBytes.hasSameBytes(as: other.rawBytes) == false)
    #expect(Self.bytes.rawBytes.hasSameBytes(as: shorter.rawBytes) == false)
  }
}

@Suite("ByteWriter")
struct ByteWriterTests {
  private static func write(_ width: Int, to writer: inout ByteWriter) {
    switch width {
    case 1: writer.writeUInt8(0x01)
    case 2: writer.writeUInt16(0x0102)
    case 3: writer.writeUInt24(0xFF01_0203)
    case 4: writer.writeUInt32(0x0102_0304)
    default: writer.writeUInt64(0x0102_0304_0506_0708)
    }
  }

  @Test("A field that does not fit writes nothing and says so", arguments: [1, 2, 3, 4, 8], 0...9)
  func fields(width: Int, capacity: Int) {
    let written = [UInt8].writing(capacity: capacity) { Self.write(width, to: &$0) }
    #expect(written == (width <= capacity ? (1...width).map(UInt8.init) : nil))
  }

  @Test("After an overflow earlier bytes stand, and the flag stays")
  func overflow() {
    var storage = [UInt8](repeating: 0xEE, count: 3)
    var span = storage.mutableSpan
    let (count, overflowed): (Int, Bool)
    do {
      var writer = unsafe ByteWriter(span.mutableBytes)
      writer.writeUInt16(0x0102)
      writer.writeUInt16(0x0304)
      writer.writeUInt8(0x05)
      (count, overflowed) = (writer.count, writer.overflowed)
    }
    #expect(count == 3)
    #expect(overflowed)
    #expect(storage == [0x01, 0x02, 0x05])
  }

  @Test("Bytes and zeros fit or leave no trace", arguments: 0...6)
  func runs(count: Int) {
    let source = [UInt8](repeating: 0xAA, count: count)
    let bytes = [UInt8].writing(capacity: 4) { $0.writeBytes(source.rawBytes) }
    #expect(bytes == (count <= 4 ? source : nil))
    let zeros = [UInt8].writing(capacity: 4) { $0.writeZeros(count) }
    #expect(zeros == (count <= 4 ? [UInt8](repeating: 0, count: count) : nil))
  }

  @Test("A negative run of zeros is an overflow, not a trap")
  func negativeZeros() {
    #expect([UInt8].writing(capacity: 4) { $0.writeZeros(-1) } == nil)
  }

  @Test(
    "A length is patched only inside what was written", arguments: [(-1, false), (0, true), (2, true), (3, false), (Int.max - 2, false)])
  func patch(offset: Int, isInside: Bool) {
    let bytes = [UInt8].writing(capacity: 8) {
      $0.writeUInt32(0)
      $0.patchUInt16(0xBEEF, at: offset)
    }
    #expect((bytes != nil) == isInside)
    if isInside { #expect(Array(bytes![offset..<offset + 2]) == [0xBE, 0xEF]) }
  }

  @Test("What is written reads back", arguments: 0..<8)
  func roundTrip(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let widths = (0..<40).map { _ in [1, 2, 3, 4, 8].randomElement(using: &random)! }
    let values = widths.map { width in random.next() >> (64 - UInt64(width) * 8) }
    let bytes = [UInt8].writing(capacity: 400) { writer in
      for (width, value) in zip(widths, values) {
        switch width {
        case 1: writer.writeUInt8(UInt8(value))
        case 2: writer.writeUInt16(UInt16(value))
        case 3: writer.writeUInt24(UInt32(value))
        case 4: writer.writeUInt32(UInt32(value))
        default: writer.writeUInt64(value)
        }
      }
      #expect(writer.written.byteCount == writer.count)
    }
    #expect(bytes?.count == widths.reduce(0, +))
    guard let bytes else { return }
    var reader = ByteReader(bytes.rawBytes)
    for (width, value) in zip(widths, values) {
      let read: UInt64? =
        switch width {
        case 1: reader.readUInt8().map(UInt64.init)
        case 2: reader.readUInt16().map(UInt64.init)
        case 3: reader.readUInt24().map(UInt64.init)
        case 4: reader.readUInt32().map(UInt64.init)
        default: reader.readUInt64()
        }
      #expect(read == value)
    }
    #expect(reader.isAtEnd == true)
  }
}

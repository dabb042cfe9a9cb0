// RTP as bytes, written and read without the library's own header code, so that the two check one another (RFC 3550 §5.1, RFC 8285 §4.2).

/// One RTP packet in clear.
package struct RTPBytes: Hashable, Sendable {
  package var payloadType: UInt8
  package var marker: Bool
  package var sequence: UInt16
  package var timestamp: UInt32
  package var ssrc: UInt32
  /// Contributing sources, as read; none are written.
  package private(set) var contributors: [UInt32] = []
  /// By identifier, in the order of writing.
  package var extensions: [Extension]
  package var payload: [UInt8]
  /// Padding behind the payload, its count byte included.
  package var paddingByteCount: Int

  package struct Extension: Hashable, Sendable {
    package var identifier: UInt8
    package var data: [UInt8]

    package init(_ identifier: UInt8, _ data: [UInt8]) {
      self.identifier = identifier
      self.data = data
    }
  }

  package init(
    payloadType: UInt8, marker: Bool = false, sequence: UInt16, timestamp: UInt32, ssrc: UInt32, extensions: [Extension] = [],
    payload: [UInt8], paddingByteCount: Int = 0
  ) {
    self.payloadType = payloadType
    self.marker = marker
    self.sequence = sequence
    self.timestamp = timestamp
    self.ssrc = ssrc
    self.extensions = extensions
    self.payload = payload
    self.paddingByteCount = paddingByteCount
  }

  /// Whether the elements have headers of two bytes (RFC 8285 §4.3); what does not fit the one-byte form has them anyhow.
  package var usesTwoByteForm: Bool {
    get { wantsTwoByteForm || extensions.contains { $0.identifier > 14 || $0.data.isEmpty || $0.data.count > 16 } }
    set { wantsTwoByteForm = newValue }
  }
  private var wantsTwoByteForm = false

  package var headerByteCount: Int { 12 + (extensions.isEmpty ? 0 : 4 + extensionBytes.count) }

  private var extensionBytes: [UInt8] {
    var bytes: [UInt8] = []
    for element in extensions {
      bytes +=
        (usesTwoByteForm ? [element.identifier, UInt8(element.data.count)] : [element.identifier << 4 | UInt8(element.data.count - 1)])
        + element.data
    }
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }

  /// The packet as on the wire.
  package var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(64 + payload.count + paddingByteCount)
    result.append(0x80 | (paddingByteCount > 0 ? 0x20 : 0) | (extensions.isEmpty ? 0 : 0x10))
    result.append((marker ? 0x80 : 0) | payloadType)
    result += big(UInt64(sequence), 2) + big(UInt64(timestamp), 4) + big(UInt64(ssrc), 4)
    if !extensions.isEmpty {
      let elements = extensionBytes
      result += (usesTwoByteForm ? [0x10, 0x00] : [0xBE, 0xDE]) + big(UInt64(elements.count / 4), 2) + elements
    }
    result += payload
    if paddingByteCount > 0 { result += [UInt8](repeating: 0, count: paddingByteCount - 1) + [UInt8(paddingByteCount)] }
    return result
  }

  /// Reads a packet; `nil` when it is not one, or has an extension that is no list of elements.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count >= 12, bytes[0] >> 6 == 2 else { return nil }
    payloadType = bytes[1] & 0x7F
    marker = bytes[1] & 0x80 != 0
    sequence = UInt16(number(bytes[2..<4]))
    timestamp = UInt32(number(bytes[4..<8]))
    ssrc = UInt32(number(bytes[8..<12]))
    extensions = []
    var offset = 12 + 4 * Int(bytes[0] & 0x0F)
    guard offset <= bytes.count else { return nil }
    contributors = stride(from: 12, to: offset, by: 4).map { UInt32(number(bytes[$0..<$0 + 4])) }
    if bytes[0] & 0x10 != 0 {
      guard offset + 4 <= bytes.count, [[0xBE, 0xDE], [0x10, 0x00]].contains(bytes[offset..<offset + 2]) else { return nil }
      wantsTwoByteForm = bytes[offset] == 0x10
      let end = offset + 4 + 4 * Int(number(bytes[offset + 2..<offset + 4]))
      guard end <= bytes.count else { return nil }
      var position = offset + 4
      while position < end {
        if bytes[position] == 0 {
          position += 1
          continue
        }
        let isTwoByte = wantsTwoByteForm
        guard position + 1 < end else { return nil }
        let count = isTwoByte ? Int(bytes[position + 1]) : Int(bytes[position] & 0x0F) + 1
        let start = position + (isTwoByte ? 2 : 1)
        guard start + count <= end else { return nil }
        extensions.append(Extension(isTwoByte ? bytes[position] : bytes[position] >> 4, Array(bytes[start..<start + count])))
        position = start + count
      }
      offset = end
    }
    guard offset <= bytes.count else { return nil }
    paddingByteCount = 0
    if bytes[0] & 0x20 != 0 {
      paddingByteCount = Int(bytes[bytes.count - 1])
      guard paddingByteCount > 0, offset + paddingByteCount <= bytes.count else { return nil }
    }
    payload = Array(bytes[offset..<bytes.count - paddingByteCount])
  }

  /// The data of an element, or `nil`.
  package subscript(identifier: UInt8?) -> [UInt8]? {
    guard let identifier else { return nil }
    return extensions.first { $0.identifier == identifier }?.data
  }
}

/// The low `count` bytes of `value` in network order.
package func big(_ value: UInt64, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
}

/// Bytes in network order as a number.
package func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

// MARK: - Payloads that say what they are

/// A payload that a forwarder takes for Opus or VP8, and that names the packet it was made for.
package enum TaggedPayload {
  /// Behind the two bytes that every payload begins with, or behind a descriptor with layers.
  private static func tagOffset(in payload: [UInt8]) -> Int { payload.first.map { $0 & 0x80 != 0 ? 7 : 2 } ?? 0 }

  /// Opus: a table-of-contents byte, anything, the tag.
  package static func opus(tag: UInt64, byteCount: Int) -> [UInt8] { make([0x78, 0], tag, byteCount) }

  /// VP8 (RFC 7741 §4.2, §4.3): S and PID in the first byte; in the second, where a frame begins, P says that it is no key frame.
  package static func vp8(tag: UInt64, isFirst: Bool, isKeyframe: Bool, byteCount: Int) -> [UInt8] {
    make([isFirst ? 0x10 : 0x00, isKeyframe ? 0x00 : 0x01], tag, byteCount)
  }

  /// The same with a picture id of 15 bits, TL0PICIDX, TID and Y.
  package static func vp8(
    tag: UInt64, isFirst: Bool, isKeyframe: Bool, picture: UInt16, tl0: UInt8, temporalID: UInt8, isSync: Bool, byteCount: Int
  ) -> [UInt8] {
    make(
      [isFirst ? 0x90 : 0x80, 0xE0] + big(UInt64(picture & 0x7FFF | 0x8000), 2)
        + [tl0, temporalID << 6 | (isSync ? 0x20 : 0), isKeyframe ? 0x00 : 0x01],
      tag, byteCount)
  }

  private static func make(_ head: [UInt8], _ tag: UInt64, _ byteCount: Int) -> [UInt8] {
    var bytes = head + big(tag, 8)
    bytes.reserveCapacity(byteCount)
    var filler = UInt8(truncatingIfNeeded: tag &* 37)
    while bytes.count < byteCount {
      bytes.append(filler)
      filler = filler &+ 29
    }
    return bytes
  }

  /// What a payload names, or `nil`.
  package static func tag(of payload: [UInt8]) -> UInt64? {
    let offset = tagOffset(in: payload)
    guard payload.count >= offset + 8 else { return nil }
    return number(payload[offset..<offset + 8])
  }
}

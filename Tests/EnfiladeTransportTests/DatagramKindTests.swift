// What a datagram is, by its first bytes.

import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite struct DatagramKindTests {
  private func kind(_ bytes: [UInt8]) -> DatagramKind { DatagramKind(bytes.rawBytes) }

  @Test(
    "The first byte decides, in the ranges of RFC 7983 §7 and RFC 9443",
    arguments: [
      (0...3, DatagramKind.stun), (4...15, .unknown), (16...19, .zrtp), (20...63, .dtls), (64...79, .turnChannel), (80...127, .quic),
      (128...191, .rtp), (192...255, .quic),
    ] as [(ClosedRange<UInt8>, DatagramKind)])
  func firstByte(range: ClosedRange<UInt8>, expected: DatagramKind) {
    for byte in range { #expect(kind([byte, 0x60, 0, 0]) == expected, "\(byte)") }
  }

  @Test("Of RTP's range, the packet types 192 to 223 are RTCP, whatever the marker bit means elsewhere (RFC 5761 §4)")
  func rtcp() {
    for first in [0x80, 0x81, 0x90, 0xBF] as [UInt8] {
      for second in 0...255 as ClosedRange<UInt8> {
        #expect(kind([first, second]) == (192...223 ~= second ? .rtcp : .rtp))
      }
    }
  }

  @Test("A datagram too short to tell is unknown")
  func short() {
    #expect(kind([]) == .unknown)
    #expect(kind([0x80]) == .unknown)
    #expect(kind([0x00]) == .stun)
  }
}

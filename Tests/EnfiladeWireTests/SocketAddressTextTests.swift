// Addresses as text.

import EnfiladeWire
import Testing

@Suite struct SocketAddressTextTests {
  @Test(
    "IPv6 is written the one way of RFC 5952 §4 and §5",
    arguments: [
      ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),  // §4.2.3: of equal runs, the first
      ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),  // §4.2.2: one group is not shortened
      ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),  // §4.2.3: the longest run
      ("2001:DB8::AAAA", "2001:db8::aaaa"),  // §4.3: lower case
      ("0:0:0:0:0:0:0:0", "::"),
      ("0:0:0:0:0:0:0:1", "::1"),
      ("1:0:0:0:0:0:0:0", "1::"),
      ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),  // §5
      ("::FFFF:c000:0201", "::ffff:192.0.2.1"),
      ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
      ("fe80::1%7", "fe80::1%7"),
      ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
      ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
      ("1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"),
    ])
  func canonical(text: String, expected: String) throws {
    let address = try #require(SocketAddress(host: text, port: 5000))
    #expect(address.isIPv6 && address.host == expected)
    #expect(address.description == "[\(expected)]:5000")
  }

  @Test(
    "What is not an address literal is refused",
    arguments: [
      "", ".", ":", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.", ".1.2.3", "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4",
      "1.2.3.-4",
      "1.2.3.4%1", ":::", "::1::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7:8::",
      "::1:2:3:4:5:6:7:8", "12345::", "g::", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "fe80::1%", "fe80::1%eth0", "fe80::1%4294967296",
      "[::1]", "localhost",
      "1:2:3:4:5:6:7:1.2.3.4",
    ])
  func refused(text: String) {
    #expect(SocketAddress(host: text, port: 1) == nil)
  }

  @Test("An address with its port needs brackets for IPv6 and none for IPv4 (RFC 5952 §6)")
  func withPort() {
    #expect(SocketAddress("192.0.2.1:80") == SocketAddress(ipv4: 0xC000_0201, port: 80))
    #expect(SocketAddress("[::1]:65535") == SocketAddress(ipv6High: 0, low: 1, port: 65_535))
    for text in [
      "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:080", "[192.0.2.1]:80", "::1:80", "[::1]80", "[]:1", "[:1", "]:1", ":1",
    ] {
      #expect(SocketAddress(text) == nil, "\(text)")
    }
  }

  @Test("Any address reads back from its own text", arguments: 1...8 as ClosedRange<UInt64>)
  func property(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    /// Half of the groups zero, so that runs of all lengths come up.
    func word() -> UInt64 {
      (0..<4).reduce(0) { value, _ in value << 16 | (random.next() % 2 == 0 ? 0 : random.next() % 0x1_0000) }
    }
    for _ in 0..<500 {
      let port = UInt16(truncatingIfNeeded: random.next())
      let four = SocketAddress(ipv4: UInt32(truncatingIfNeeded: random.next()), port: port)
      let scope = random.next() % 4 == 0 ? UInt32(truncatingIfNeeded: random.next()) : 0
      let six = SocketAddress(ipv6High: word(), low: word(), port: port, scope: scope)
      for address in [four, six] {
        #expect(SocketAddress(address.description) == address)
        #expect(SocketAddress(host: address.host, port: port) == address)
        #expect(SocketAddress(host: address.host.uppercased(), port: port) == address)
      }
    }
  }

  @Test(
    "Text by chance traps nowhere, and what reads is written shorter or equal and reads the same", arguments: 1...4 as ClosedRange<UInt64>)
  func noise(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let alphabet = Array("0123456789abcdefABCDEF:::::....%[]".utf8)
    for _ in 0..<5_000 {
      let text = String(
        decoding: (0..<random.next() % 20).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }, as: UTF8.self)
      guard let address = SocketAddress(host: text, port: 9) else { continue }
      #expect(SocketAddress(host: address.host, port: 9) == address)
    }
  }
}

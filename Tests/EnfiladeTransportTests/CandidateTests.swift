// Candidates as text and their priorities.

import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite struct CandidateTests {
  @Test(
    "A candidate of a real client reads and writes back the same",
    arguments: [
      // RFC 8839 §5.1, examples.
      "candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host",
      "candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
      // Chromium, with and without mDNS.
      "candidate:3988957783 1 udp 2113937151 7a5b9e5e-3a0d-4d3f-a0f0-2c8c0f6c3e1d.local 51472 typ host generation 0 ufrag Wx3Q network-cost 999",
      "candidate:1876313031 1 tcp 1518157055 ::1 9 typ host tcptype active generation 0 ufrag 9uVz network-id 2",
      "candidate:842163049 1 udp 1677729535 198.51.100.7 51472 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag Wx3Q network-cost 999",
      // Firefox.
      "candidate:0 1 UDP 2122187007 2001:db8::1 40123 typ host",
      "candidate:1 1 TCP 2105458943 192.0.2.10 9 typ host tcptype active",
      // aiortc and a relay.
      "candidate:6815297761 1 udp 2130706431 172.17.0.2 37377 typ host",
      "candidate:4 1 udp 16777215 198.51.100.9 3478 typ relay raddr 192.0.2.3 rport 45664",
      // What a lite server hears of: peer-reflexive, component 2.
      "candidate:x+/9 2 udp 1862270975 192.0.2.3 1 typ prflx raddr 192.0.2.4 rport 2",
    ])
  func roundTrip(text: String) throws {
    let candidate = try #require(Candidate(text))
    let written = candidate.description
    #expect(written == text.replacing("UDP", with: "udp").replacing("TCP", with: "tcp"))
    #expect(Candidate(written) == candidate)
    #expect(Candidate(String(written.dropFirst("candidate:".count))) == candidate)
  }

  @Test("The fields of a candidate are where RFC 8839 §5.1 says")
  func fields() throws {
    let candidate = try #require(
      Candidate("candidate:f00 1 tcp 2105458943 2001:DB8:0::5 9 typ srflx raddr host.local rport 7 tcptype so generation 0"))
    #expect(candidate.foundation == "f00" && candidate.component == 1 && candidate.transport == .tcp)
    #expect(candidate.priority == 2_105_458_943 && candidate.kind == .serverReflexive && candidate.tcpType == .simultaneousOpen)
    #expect(candidate.address == SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 5, port: 9))
    #expect(candidate.related == .name("host.local", port: 7))
    #expect(candidate.extensions == [Candidate.Extension(name: "generation", value: "0")])
  }

  @Test(
    "What is not a candidate is refused",
    arguments: [
      "", "candidate:", "candidate:1 1 udp 1 192.0.2.1 1 typ", "candidate:1 1 udp 1 192.0.2.1 1 type host",
      "candidate: 1 udp 1 192.0.2.1 1 typ host", "candidate:a-b 1 udp 1 192.0.2.1 1 typ host",
      "candidate:123456789012345678901234567890123 1 udp 1 192.0.2.1 1 typ host", "candidate:1 0 udp 1 192.0.2.1 1 typ host",
      "candidate:1 257 udp 1 192.0.2.1 1 typ host", "candidate:1 1 sctp 1 192.0.2.1 1 typ host",
      "candidate:1 1 udp 4294967296 192.0.2.1 1 typ host", "candidate:1 1 udp -1 192.0.2.1 1 typ host",
      "candidate:1 1 udp 1 192.0.2.1 65536 typ host", "candidate:1 1 udp 1 192.0.2.256 1 typ host",
      "candidate:1 1 udp 1 192.0.2.1 1 typ guest", "candidate:1 1 udp 1 192.0.2.1 1 typ host raddr 1.2.3.4",
      "candidate:1 1 udp 1 192.0.2.1 1 typ host raddr 1.2.3.4 rprt 4", "candidate:1 1 udp 1 192.0.2.1 1 typ host generation",
      "candidate:1 1 tcp 1 192.0.2.1 1 typ host tcptype sideways", "candidate:1  1 udp 1 192.0.2.1 1 typ host",
      "candidate:1 1 udp 1 na_me.local 1 typ host", "candidate:1 1 udp 1 192.0.2.1 1 typ host x " + String(repeating: "y", count: 1024),
    ])
  func refused(text: String) {
    #expect(Candidate(text) == nil)
  }

  @Test("Priorities follow RFC 8445 §5.1.2.1")
  func priorities() {
    #expect(Candidate.priority(kind: .host, localPreference: 65_535, component: 1) == 2_130_706_431)
    #expect(Candidate.priority(kind: .host, localPreference: 65_535, component: 256) == 2_130_706_176)
    #expect(Candidate.priority(kind: .serverReflexive, localPreference: 65_535, component: 1) == 1_694_498_815)
    #expect(Candidate.priority(kind: .peerReflexive, localPreference: 65_535, component: 1) == 1_862_270_975)
    #expect(Candidate.priority(kind: .relay, localPreference: 0, component: 1) == 255)
  }

  @Test("Our own host candidates read as such")
  func hostCandidate() {
    let candidate = Candidate(hostAddress: SocketAddress(ipv4: 0xCB00_7107, port: 5000), foundation: "1")
    #expect(candidate.description == "candidate:1 1 udp 2130706431 203.0.113.7 5000 typ host")
    #expect(candidate.port == 5000)
  }

  @Test("Text by chance traps nowhere, and what reads writes back to what reads the same", arguments: 1...4 as ClosedRange<UInt64>)
  func noise(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let whole = Array(
      "candidate:842163049 1 udp 1677729535 2001:db8::1%3 51472 typ srflx raddr 0.0.0.0 rport 0 tcptype so generation 0".utf8)
    for _ in 0..<2_000 {
      var bytes = whole
      for _ in 0...random.next() % 3 {
        let at = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 3 {
        case 0: bytes[at] = UInt8(random.next() % 128)
        case 1: bytes.remove(at: at)
        default: bytes.insert(Array(" :.%0f".utf8)[Int(random.next() % 6)], at: at)
        }
      }
      guard let candidate = Candidate(String(decoding: bytes, as: UTF8.self)) else { continue }
      #expect(Candidate(candidate.description) == candidate)
    }
  }
}

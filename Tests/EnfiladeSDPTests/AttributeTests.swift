import EnfiladeSDP
import EnfiladeWire
import Testing

@Suite("Typed attributes")
struct AttributeTests {
  /// A value that must be written as it was read.
  struct Good: CustomTestStringConvertible, Sendable {
    var name: String
    var text: String
    var written: String
    var rewrite: @Sendable (Substring) -> String?
    var testDescription: String { "\(name):\(text)" }

    init<Value: SDPAttributeValue>(_: Value.Type, _ text: String, as written: String? = nil) {
      name = Value.name
      self.text = text
      self.written = written ?? text
      rewrite = { Value(parsing: $0)?.text }
    }

    static let all: [Good] = [
      // RFC 8866 §6.6
      Good(SDPAttribute.RTPMap.self, "111 opus/48000/2"),
      Good(SDPAttribute.RTPMap.self, "0 PCMU/8000"),
      Good(SDPAttribute.RTPMap.self, "127 G722/8000/1"),
      // RFC 8866 §6.15
      Good(SDPAttribute.FMTP.self, "111 minptime=10;useinbandfec=1"),
      Good(SDPAttribute.FMTP.self, "111 minptime=10; useinbandfec=1 ;", as: "111 minptime=10;useinbandfec=1"),
      Good(SDPAttribute.FMTP.self, "63 111/111"),
      Good(SDPAttribute.FMTP.self, "101 0-15"),
      Good(SDPAttribute.FMTP.self, "96 sprop-parameter-sets=Z0LAH9oBQBbpUgAAAwACAAADAHkR,aM4G4g==;packetization-mode=1"),
      // RFC 4585 §4.2
      Good(SDPAttribute.RTCPFeedback.self, "96 nack"),
      Good(SDPAttribute.RTCPFeedback.self, "96 nack pli"),
      Good(SDPAttribute.RTCPFeedback.self, "* ccm fir"),
      Good(SDPAttribute.RTCPFeedback.self, "96 trr-int 100"),
      // RFC 5888 §4 and §5
      Good(SDPAttribute.MID.self, "0"),
      Good(SDPAttribute.Group.self, "BUNDLE 0 1 audio"),
      Good(SDPAttribute.Group.self, "LS"),
      // RFC 8851 §10
      Good(SDPAttribute.RID.self, "h send"),
      Good(SDPAttribute.RID.self, "1 recv pt=96,97;max-width=1280;max-height=720"),
      Good(SDPAttribute.RID.self, "low_1-a send max-br=64000"),
      // RFC 8853 §5.1
      Good(SDPAttribute.Simulcast.self, "send q;h;f"),
      Good(SDPAttribute.Simulcast.self, "send 1,~4;2;3 recv c"),
      Good(SDPAttribute.Simulcast.self, "recv ~a", as: "recv ~a"),
      Good(SDPAttribute.Simulcast.self, "recv a send b", as: "send b recv a"),
      // RFC 8285 §8
      Good(SDPAttribute.ExtMap.self, "1 urn:ietf:params:rtp-hdrext:toffset"),
      Good(SDPAttribute.ExtMap.self, "2/sendonly http://example.com/082005/ext.htm#xmeta short"),
      Good(SDPAttribute.ExtMap.self, "4097/inactive URI-b"),
      // RFC 5576 §4.1 and §4.2
      Good(SDPAttribute.Source.self, "4294967295 cname:{7cea3340-9907-4841-a823-715f41b51eeb}"),
      Good(SDPAttribute.Source.self, "0 cname:user:with colon and space"),
      Good(SDPAttribute.Source.self, "1 foo"),
      Good(SDPAttribute.SourceGroup.self, "FID 1 2"),
      Good(SDPAttribute.SourceGroup.self, "SIM 1 2 3"),
      Good(SDPAttribute.SourceGroup.self, "FEC-FR 1 2"),
      // RFC 8830 §2
      Good(SDPAttribute.MSID.self, "stream track"),
      Good(SDPAttribute.MSID.self, "- track"),
      Good(SDPAttribute.MSID.self, "{91467005-77b9-49b5-b184-47172f239fb4}"),
      Good(SDPAttribute.MSIDSemantic.self, " WMS *", as: "WMS *"),
      Good(SDPAttribute.MSIDSemantic.self, " WMS", as: "WMS"),
      // RFC 4145 §4
      Good(SDPAttribute.Setup.self, "actpass"),
      Good(SDPAttribute.Setup.self, "holdconn"),
      // RFC 8122 §5
      Good(
        SDPAttribute.Fingerprint.self, "SHA-1 4a:ad:b9:b1:3f:82:18:3b:54:02:12:df:3e:5d:49:6b:19:e5:7c:ab",
        as: "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"),
      Good(SDPAttribute.Fingerprint.self, "sha3-256 00:FF"),
      // RFC 8839 §5.4 and §5.6
      Good(SDPAttribute.ICEUfrag.self, "8hh+"),
      Good(SDPAttribute.ICEPassword.self, "asd88fgpdd777uzjYhagZg"),
      Good(SDPAttribute.ICEOptions.self, "trickle ice2"),
      Good(SDPAttribute.ICEOptions.self, "ice2,trickle"),
      // RFC 3605 §2.1
      Good(SDPAttribute.RTCP.self, "53020"),
      Good(SDPAttribute.RTCP.self, "9 IN IP4 0.0.0.0"),
      // RFC 8841 §5.1 and §6.1
      Good(SDPAttribute.SCTPPort.self, "5000"),
      Good(SDPAttribute.MaxMessageSize.self, "262144"),
      Good(SDPAttribute.MaxMessageSize.self, "0"),
      // RFC 8866 §6.4 and §6.5
      Good(SDPAttribute.PacketTime.self, "20"),
      Good(SDPAttribute.MaxPacketTime.self, "120"),
      // RFC 8839 §5.1
      Good(SDPAttribute.Candidate.self, "1 1 UDP 2130706431 203.0.113.141 8998 typ host"),
      Good(SDPAttribute.Candidate.self, "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998"),
      Good(SDPAttribute.Candidate.self, "2 1 tcp 1518149375 2001:db8::1 9 typ host tcptype active generation 0 ufrag EsAw network-id 1"),
      Good(SDPAttribute.Candidate.self, "0 2 UDP 2122187006 01fce11d-efa3-4b0d-a9f2-031aa5d5226d.local 40973 typ host"),
    ]
  }

  @Test("A well-formed value is read and written", arguments: Good.all)
  func good(_ good: Good) {
    #expect(good.rewrite(good.text[...]) == good.written)
    // And what is written is read the same.
    #expect(good.rewrite(good.written[...]) == good.written)
  }

  struct Bad: CustomTestStringConvertible, Sendable {
    var name: String
    var text: String
    var parses: @Sendable (Substring) -> Bool
    var testDescription: String { "\(name):\(text)" }

    init<Value: SDPAttributeValue>(_: Value.Type, _ text: String) {
      name = Value.name
      self.text = text
      parses = { Value(parsing: $0) != nil }
    }

    static let all: [Bad] = [
      Bad(SDPAttribute.RTPMap.self, "128 opus/48000/2"),
      Bad(SDPAttribute.RTPMap.self, "111 opus"),
      Bad(SDPAttribute.RTPMap.self, "111 opus/0"),
      Bad(SDPAttribute.RTPMap.self, "111 opus/48000/0"),
      Bad(SDPAttribute.RTPMap.self, "111 opus/48000/2/1"),
      Bad(SDPAttribute.RTPMap.self, "111 opus/4294967296"),
      Bad(SDPAttribute.RTPMap.self, "-1 opus/48000"),
      Bad(SDPAttribute.FMTP.self, "111"),
      Bad(SDPAttribute.FMTP.self, "111 ; ;"),
      Bad(SDPAttribute.RTCPFeedback.self, "96"),
      Bad(SDPAttribute.RTCPFeedback.self, "x nack"),
      Bad(SDPAttribute.MID.self, "a b"),
      Bad(SDPAttribute.MID.self, ""),
      Bad(SDPAttribute.MID.self, String(repeating: "a", count: 256)),
      Bad(SDPAttribute.Group.self, ""),
      Bad(SDPAttribute.RID.self, "h"),
      Bad(SDPAttribute.RID.self, "h sendrecv"),
      Bad(SDPAttribute.RID.self, "h! send"),
      Bad(SDPAttribute.RID.self, "h send pt=200"),
      Bad(SDPAttribute.RID.self, "h send max-width=1;pt=96"),
      Bad(SDPAttribute.Simulcast.self, "send"),
      Bad(SDPAttribute.Simulcast.self, "send a;;b"),
      Bad(SDPAttribute.Simulcast.self, "send a,"),
      Bad(SDPAttribute.Simulcast.self, "send a send b"),
      Bad(SDPAttribute.Simulcast.self, "both a"),
      Bad(SDPAttribute.Simulcast.self, "send ~~a"),
      Bad(SDPAttribute.ExtMap.self, "0 urn:x"),
      Bad(SDPAttribute.ExtMap.self, "256 urn:x"),
      Bad(SDPAttribute.ExtMap.self, "4352 urn:x"),
      Bad(SDPAttribute.ExtMap.self, "1"),
      Bad(SDPAttribute.ExtMap.self, "1/both urn:x"),
      Bad(SDPAttribute.Source.self, "4294967296 cname:x"),
      Bad(SDPAttribute.Source.self, "1"),
      Bad(SDPAttribute.Source.self, "1 cname:"),
      Bad(SDPAttribute.SourceGroup.self, "FID x"),
      Bad(SDPAttribute.MSID.self, "a b c"),
      Bad(SDPAttribute.MSID.self, "a:b"),
      Bad(SDPAttribute.Setup.self, "Active"),
      Bad(SDPAttribute.Fingerprint.self, "sha-256 AB:CD"),
      Bad(SDPAttribute.Fingerprint.self, "sha-512/256"),
      Bad(SDPAttribute.Fingerprint.self, "x AB:C"),
      Bad(SDPAttribute.Fingerprint.self, "x AB:CG"),
      Bad(SDPAttribute.ICEUfrag.self, "abc"),
      Bad(SDPAttribute.ICEUfrag.self, "abc-d"),
      Bad(SDPAttribute.ICEUfrag.self, String(repeating: "a", count: 257)),
      Bad(SDPAttribute.ICEPassword.self, "0123456789abcdefghijk"),
      Bad(SDPAttribute.RTCP.self, "65536"),
      Bad(SDPAttribute.RTCP.self, "9 IN"),
      Bad(SDPAttribute.PacketTime.self, "0"),
      Bad(SDPAttribute.Candidate.self, "1 1 UDP 2130706431 203.0.113.141 8998"),
      Bad(SDPAttribute.Candidate.self, "1 0 UDP 2130706431 203.0.113.141 8998 typ host"),
      Bad(SDPAttribute.Candidate.self, "1 1 UDP 4294967296 203.0.113.141 8998 typ host"),
      Bad(SDPAttribute.Candidate.self, "1 1 UDP 1 203.0.113.141 65536 typ host"),
      Bad(SDPAttribute.Candidate.self, "1 1 UDP 1 203.0.113.141 1 typ host raddr"),
      Bad(SDPAttribute.Candidate.self, "1 1 UDP 1 203.0.113.141 1 typ host rport x"),
      Bad(SDPAttribute.Candidate.self, "1! 1 UDP 1 203.0.113.141 1 typ host"),
    ]
  }

  @Test("A value that its grammar does not allow is refused", arguments: Bad.all)
  func bad(_ bad: Bad) { #expect(!bad.parses(bad.text[...])) }

  @Test("A candidate gives its address, and none when it is a name or has a scope (RFC 8839 §5.1)")
  func candidateAddress() throws {
    func candidate(_ address: String) throws -> SDPAttribute.Candidate {
      try #require(SDPAttribute.Candidate(parsing: "1 1 udp 1 \(address) 5000 typ host ufrag abcd"))
    }
    #expect(try candidate("192.0.2.1").socketAddress == SocketAddress(ipv4: 0xC000_0201, port: 5000))
    #expect(try candidate("2001:db8::1").socketAddress == SocketAddress(ipv6High: 0x2001_0DB8 << 32, low: 1, port: 5000))
    #expect(try candidate("x.local").socketAddress == nil)
    #expect(try candidate("fe80::1%3").socketAddress == nil)
    #expect(try candidate("192.0.2.1").ufrag == "abcd")
    #expect(try candidate("192.0.2.1").isUDP)
  }

  @Test("Format parameters are found without regard to case (RFC 6838 §4.3)")
  func parameterNames() throws {
    let fmtp = try #require(SDPAttribute.FMTP(parsing: "96 Profile-Level-ID=42e01f;a;b=;c=d=e"))
    #expect(fmtp.parameters["profile-level-id"] == "42e01f")
    #expect(fmtp.parameters["a"] == nil)
    #expect(fmtp.parameters["b"] == "")
    #expect(fmtp.parameters["c"] == "d=e")
  }

  @Test("A direction turned round twice is itself, and meets its opposite in what both allow (RFC 3264 §6.1)")
  func directions() {
    for direction in MediaDirection.allCases {
      #expect(direction.reversed.reversed == direction)
      #expect(direction.intersection(.sendrecv) == direction)
      #expect(direction.intersection(.inactive) == .inactive)
    }
    #expect(MediaDirection.sendonly.reversed == .recvonly)
    #expect(MediaDirection.sendonly.intersection(.recvonly) == .inactive)
  }

  @Test("A property attribute is written as its name")
  func properties() {
    #expect(PropertyAttribute.allCases.map { String($0.line.value) } == PropertyAttribute.allCases.map(\.rawValue))
  }
}

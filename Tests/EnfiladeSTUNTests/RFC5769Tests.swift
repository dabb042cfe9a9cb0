// The sample messages of RFC 5769: read, verified and built again.

import EnfiladeSTUN
import EnfiladeWire
import Testing

@Suite struct RFC5769Tests {
  @Test("The sample request reads as RFC 5769 §2.1 says, and its integrity and fingerprint fit")
  func request() throws {
    let bytes = RFC5769.request
    let view = try #require(STUNMessageView.parse(bytes).message)
    #expect(view.messageClass == .request)
    #expect(view.method == .binding)
    #expect(view.transactionID == RFC5769.transactionID)
    #expect(view.priority == 0x6E00_01FF)
    #expect(view.role == .controlled(tieBreaker: 0x932F_F9B1_5126_3B36))
    #expect(!view.useCandidate)
    #expect(view.receiver(bytes) == Array("evtj".utf8))
    #expect(view.sender(bytes) == Array("h6vY".utf8))
    #expect(view.software?.copy(of: bytes) == Array("STUN test client".utf8))
    #expect(view.unknownRequiredCount == 0)
    #expect(view.integrityFits(bytes, key(RFC5769.password)))
    #expect(view.fingerprintFits(bytes))
    #expect(!view.integrityFits(bytes, key("VOkJxbRl1RmTxUk/WvJxBT")))
  }

  @Test(
    "The sample responses map the address that RFC 5769 §2.2 and §2.3 name",
    arguments: [
      (RFC5769.responseIPv4, SocketAddress(ipv4: 0xC000_0201, port: 32853)),
      (RFC5769.responseIPv6, SocketAddress(ipv6High: 0x2001_0DB8_1234_5678, low: 0x0011_2233_4455_6677, port: 32853)),
    ])
  func response(bytes: [UInt8], address: SocketAddress) throws {
    let view = try #require(STUNMessageView.parse(bytes).message)
    #expect(view.messageClass == .successResponse)
    #expect(view.xorMappedAddress == address)
    #expect(view.mappedAddress == nil)
    #expect(view.integrityFits(bytes, key(RFC5769.password)))
    #expect(view.fingerprintFits(bytes))
  }

  @Test("Building the sample messages gives their bytes back")
  func build() {
    let software = STUNAttributeType.software
    let request = written { writer in
      let message = STUNComposer(.request, transactionID: RFC5769.transactionID, into: &writer)
      message.attribute(software, Array("STUN test client".utf8).rawBytes, into: &writer)
      message.priority(0x6E00_01FF, into: &writer)
      message.role(.controlled(tieBreaker: 0x932F_F9B1_5126_3B36), into: &writer)
      message.attribute(.username, Array("evtj:h6vY".utf8).rawBytes, padding: 0x20, into: &writer)
      message.finish(key: key(RFC5769.password), into: &writer)
    }
    #expect(request == RFC5769.request)

    let responses: [([UInt8], SocketAddress)] = [
      (RFC5769.responseIPv4, SocketAddress(ipv4: 0xC000_0201, port: 32853)),
      (RFC5769.responseIPv6, SocketAddress(ipv6High: 0x2001_0DB8_1234_5678, low: 0x0011_2233_4455_6677, port: 32853)),
    ]
    for (sample, address) in responses {
      let response = written { writer in
        let message = STUNComposer(.successResponse, transactionID: RFC5769.transactionID, into: &writer)
        message.attribute(software, Array("test vector".utf8).rawBytes, padding: 0x20, into: &writer)
        message.xorMappedAddress(address, into: &writer)
        message.finish(key: key(RFC5769.password), into: &writer)
      }
      #expect(response == sample)
    }
  }

  @Test("A sample cut at any length is not a message", arguments: RFC5769.all)
  func truncated(bytes: [UInt8]) {
    for length in 0..<bytes.count {
      let cut = Array(bytes.prefix(length))
      let expected: STUNMalformation = length < 20 ? .truncated : .length
      #expect(STUNMessageView.parse(cut) == .malformed(expected))
    }
  }

  @Test("A sample cut anywhere, with its length field put right, has lost its fingerprint", arguments: RFC5769.all)
  func truncatedWithHonestLength(bytes: [UInt8]) {
    for length in stride(from: 20, to: bytes.count, by: 4) {
      var cut = Array(bytes.prefix(length))
      cut[2] = UInt8((length - 20) >> 8)
      cut[3] = UInt8((length - 20) & 0xFF)
      if let view = STUNMessageView.parse(cut).message {
        #expect(!view.fingerprintFits(cut))
        // The integrity may still stand, if nothing but FINGERPRINT was cut away.
        #expect(!view.integrityFits(cut, key(RFC5769.password)) || length == bytes.count - 8)
      }
    }
  }

  @Test("A flipped bit always breaks the fingerprint, and before the integrity's end the integrity too", arguments: RFC5769.all)
  func flipped(bytes: [UInt8]) {
    let integrityEnd = bytes.count - 8
    for bit in 0..<bytes.count * 8 {
      var damaged = bytes
      damaged[bit / 8] ^= 0x80 >> UInt8(bit % 8)
      guard let view = STUNMessageView.parse(damaged).message else { continue }
      #expect(!view.fingerprintFits(damaged), "bit \(bit)")
      if bit / 8 < integrityEnd {
        #expect(!view.integrityFits(damaged, key(RFC5769.password)), "bit \(bit)")
      }
    }
  }
}

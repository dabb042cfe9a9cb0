// Parsing and building of STUN messages beyond the sample messages of RFC 5769.

import EnfiladeSTUN
import EnfiladeWire
import Testing

@Suite struct STUNMessageTests {
  private let id = STUNTransactionID(high: 0x0102_0304, low: 0x0506_0708_090A_0B0C)
  private let pair = (ours: Array("oursours".utf8), theirs: Array("peer".utf8))

  private func request(useCandidate: Bool = true, role: STUNRole = .controlling(tieBreaker: 0x1122_3344_5566_7788)) -> [UInt8] {
    written { writer in
      STUNComposer.bindingRequest(
        id, receiverUfrag: pair.ours.rawBytes, senderUfrag: pair.theirs.rawBytes, priority: 0x6EFF_FFFF, role: role,
        useCandidate: useCandidate, key: key("password"), into: &writer)
    }
  }

  /// A header and raw attributes, with the length put right.
  private func message(_ type: UInt16 = 0x0001, _ attributes: String) -> [UInt8] {
    let body = hex(attributes)
    return hex("0000 0000 2112a442 01020304 05060708 090a0b0c").enumerated().map { index, byte in
      switch index {
      case 0: UInt8(type >> 8)
      case 1: UInt8(type & 0xFF)
      case 2: UInt8(body.count >> 8)
      case 3: UInt8(body.count & 0xFF)
      default: byte
      }
    } + body
  }

  @Test("A check carries USERNAME, PRIORITY, role, USE-CANDIDATE, integrity and fingerprint, in this order")
  func requestBytes() throws {
    let bytes = request()
    let expected = hex(
      """
      00 01 00 4c 21 12 a4 42                    # RFC 8489 §5: binding request, 76 bytes, magic cookie
      01 02 03 04 05 06 07 08 09 0a 0b 0c        # transaction id
      00 06 00 0d                                # RFC 8489 §14.3: USERNAME
      6f 75 72 73 6f 75 72 73 3a 70 65 65 72     # "oursours:peer"
      00 00 00                                   # padding
      00 24 00 04 6e ff ff ff                    # RFC 8445 §16.1: PRIORITY
      80 2a 00 08 11 22 33 44 55 66 77 88        # RFC 8445 §16.1: ICE-CONTROLLING
      00 25 00 00                                # RFC 8445 §16.1: USE-CANDIDATE
      """)
    #expect(Array(bytes.prefix(expected.count)) == expected)
    #expect(bytes.count == expected.count + 24 + 8)
    let view = try #require(STUNMessageView.parse(bytes).message)
    #expect(view.useCandidate)
    #expect(view.role == .controlling(tieBreaker: 0x1122_3344_5566_7788))
    #expect(view.integrityFits(bytes, key("password")))
    #expect(view.fingerprintFits(bytes))
    #expect(view.receiverKey(bytes)?.rawValue == 0x6F75_7273_6F75_7273)
  }

  @Test("Every message type of RFC 8489 §5 splits into class and method and joins again")
  func messageTypes() throws {
    for messageClass in STUNClass.allCases {
      for method in stride(from: UInt16(0), to: 0x1000, by: 7) {
        let bytes = written { writer in
          STUNComposer(messageClass, STUNMethod(method), transactionID: id, into: &writer).finish(key: nil, into: &writer)
        }
        let view = try #require(STUNMessageView.parse(bytes).message)
        #expect(view.messageClass == messageClass && view.method == STUNMethod(method))
      }
    }
    // RFC 8489 §5: a binding request is 0x0001, its success response 0x0101, its error response 0x0111, an indication 0x0011.
    let expected: [(STUNClass, UInt16)] = [
      (.request, 0x0001), (.indication, 0x0011), (.successResponse, 0x0101), (.errorResponse, 0x0111),
    ]
    for (messageClass, type) in expected {
      #expect(STUNMessageView.parse(message(type, "")).message?.messageClass == messageClass)
      #expect(STUNMessageView.parse(message(type, "")).message?.method == .binding)
    }
  }

  @Test(
    "A message that cannot be one is refused by name",
    arguments: [
      ("4001 0000 2112a442 010203040506070809 0a0b0c", STUNMalformation.leadingBits),
      ("0001 0000 2112a443 010203040506070809 0a0b0c", .magicCookie),
      ("0001 0002 2112a442 010203040506070809 0a0b0c 0000", .length),
      ("0001 0004 2112a442 010203040506070809 0a0b0c", .length),
      ("0001 0000 2112a442 010203040506070809 0a0b0c 00250000", .length),
      ("0001 0004 2112a442 010203040506070809 0a0b0c 00060001", .attributeOverrun),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 00060005 61626364", .attributeOverrun),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 0006ffff 61626364", .attributeOverrun),
      ("0001 0004 2112a442 010203040506070809 0a0b0c 00240000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 00250004 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 80290004 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 802a0004 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 00080004 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 001c0004 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 80280003 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 000a0003 00000000", .attributeValue),
      ("0001 0008 2112a442 010203040506070809 0a0b0c 00200004 00010000", .attributeValue),
      ("0001 000c 2112a442 010203040506070809 0a0b0c 00200008 00020000 00000000", .attributeValue),
      ("0001 000c 2112a442 010203040506070809 0a0b0c 00200008 00030000 00000000", .attributeValue),
      ("0111 0008 2112a442 010203040506070809 0a0b0c 00090004 00000764", .attributeValue),
      ("0111 0008 2112a442 010203040506070809 0a0b0c 00090004 00000200", .attributeValue),
      ("0001 000c 2112a442 010203040506070809 0a0b0c 80280004 00000000 00250000", .afterFingerprint),
    ])
  func malformed(text: String, reason: STUNMalformation) {
    #expect(STUNMessageView.parse(hex(text)) == .malformed(reason))
  }

  @Test("A datagram longer than any we take is refused before it is read")
  func tooLong() {
    let bytes = message(0x0001, "8022 05dc" + String(repeating: "00", count: 1500))
    #expect(STUNMessageView.parse(bytes) == .malformed(.tooLong))
  }

  @Test("What follows MESSAGE-INTEGRITY does not count, but for FINGERPRINT and the SHA-256 integrity (RFC 8489 §14.5)")
  func afterIntegrity() throws {
    let integrity = "0008 0014 0000000000000000000000000000000000000000"
    let late = "0025 0000  0024 0004 00000001  0006 0004 61626364  7fff 0000"
    let view = try #require(STUNMessageView.parse(message(0x0001, integrity + late + "8028 0004 00000000")).message)
    #expect(!view.useCandidate && view.priority == nil && view.username == nil && view.unknownRequiredCount == 0)
    #expect(view.hasMessageIntegrity && view.hasFingerprint)

    let both = integrity + "001c 0010 00000000000000000000000000000000"
    #expect(try #require(STUNMessageView.parse(message(0x0001, both)).message).hasMessageIntegritySHA256)
    // A value that could not be in front of the integrity does no harm behind it.
    #expect(STUNMessageView.parse(message(0x0001, integrity + "0024 0000")).message != nil)
  }

  @Test("After the SHA-256 integrity, only MESSAGE-INTEGRITY and FINGERPRINT count (RFC 8489 §14.6)")
  func afterSHA256Integrity() throws {
    let text = "001c 0010 00000000000000000000000000000000  0025 0000  0008 0014 0000000000000000000000000000000000000000"
    let view = try #require(STUNMessageView.parse(message(0x0001, text)).message)
    #expect(view.hasMessageIntegrity && view.hasMessageIntegritySHA256 && !view.useCandidate)
  }

  @Test("Of several attributes of one type the first counts (RFC 8489 §14)")
  func duplicates() throws {
    let text =
      "0024 0004 00000001  0024 0004 00000002  0006 0001 61000000  0006 0001 62000000  802a 0008 0000000000000001  8029 0008 0000000000000002"
    let bytes = message(0x0001, text)
    let view = try #require(STUNMessageView.parse(bytes).message)
    #expect(view.priority == 1)
    #expect(view.username?.copy(of: bytes) == Array("a".utf8))
    #expect(view.role == .controlling(tieBreaker: 1))
  }

  @Test("Unknown attributes below 0x8000 are counted, above they are passed over (RFC 8489 §14)")
  func unknownAttributes() throws {
    let text = "7fff 0000  0003 0004 00000000  c057 0004 0000000a  8fff 0001 00000000  0014 0000  0015 0000"
    let view = try #require(STUNMessageView.parse(message(0x0001, text)).message)
    #expect(view.unknownRequiredCount == 2)
  }

  @Test("A 420 names what was not known, and no more than eight (RFC 8489 §14.9)")
  func unknownAttributesResponse() throws {
    let three = message(0x0001, "0003 0000  7ffe 0000  0026 0000")
    let error = written { writer in
      let view = STUNMessageView.parse(three).message
      if let view { STUNComposer.bindingError(.unknownAttribute, to: view, in: three.rawBytes, key: key("password"), into: &writer) }
    }
    let expected = hex(
      """
      01 11 00 48 21 12 a4 42 01 02 03 04 05 06 07 08 09 0a 0b 0c   # binding error response
      00 09 00 15 00 00 04 14                                       # RFC 8489 §14.8: ERROR-CODE 420
      55 6e 6b 6e 6f 77 6e 20 41 74 74 72 69 62 75 74 65 00 00 00   # "Unknown Attribute", padding
      00 0a 00 06 00 03 7f fe 00 26 00 00                           # RFC 8489 §14.9: UNKNOWN-ATTRIBUTES, padding
      """)
    #expect(Array(error.prefix(expected.count)) == expected)
    let view = try #require(STUNMessageView.parse(error).message)
    #expect(view.errorCode == .unknownAttribute)
    #expect(view.reasonPhrase?.copy(of: error) == Array("Unknown Attribute".utf8))
    #expect(view.unknownAttributes?.copy(of: error) == [0x00, 0x03, 0x7F, 0xFE, 0x00, 0x26])
    #expect(view.integrityFits(error, key("password")) && view.fingerprintFits(error))

    let many = message(0x0001, (0..<200).map { _ in "7f00 0000" }.joined())
    let small = written { writer in
      let view = STUNMessageView.parse(many).message
      if let view { STUNComposer.bindingError(.unknownAttribute, to: view, in: many.rawBytes, key: key("password"), into: &writer) }
    }
    #expect(STUNMessageView.parse(small).message?.unknownAttributes?.byteCount == 16)
    #expect(small.count <= 128)
  }

  @Test(
    "Each error response reads back with its code and fits its key",
    arguments: [STUNErrorCode.badRequest, .unauthenticated, .unknownAttribute, .roleConflict])
  func errors(code: STUNErrorCode) throws {
    let bytes = request()
    for password in [nil, "password"] {
      let error = written { writer in
        let view = STUNMessageView.parse(bytes).message
        if let view { STUNComposer.bindingError(code, to: view, in: bytes.rawBytes, key: password.map(key), into: &writer) }
      }
      let view = try #require(STUNMessageView.parse(error).message)
      #expect(view.messageClass == .errorResponse && view.errorCode == code && view.transactionID == id)
      #expect(view.fingerprintFits(error))
      #expect(view.integrityFits(error, key("password")) == (password != nil))
    }
  }

  @Test("MAPPED-ADDRESS and XOR-MAPPED-ADDRESS read back as the address that was written")
  func addresses() throws {
    let samples = [
      SocketAddress(ipv4: 0x7F00_0001, port: 1), SocketAddress(ipv4: 0xFFFF_FFFF, port: 65_535),
      SocketAddress(ipv6High: 0xFE80_0000_0000_0000, low: 1, port: 5000), SocketAddress(ipv6High: .max, low: .max, port: 0),
    ]
    for address in samples {
      let bytes = written { writer in
        let message = STUNComposer(.successResponse, transactionID: id, into: &writer)
        message.mappedAddress(address, into: &writer)
        message.xorMappedAddress(address, into: &writer)
        message.finish(key: nil, into: &writer)
      }
      let view = try #require(STUNMessageView.parse(bytes).message)
      #expect(view.mappedAddress == address && view.xorMappedAddress == address)
    }
  }

  @Test("A binding indication has a fingerprint and no integrity (RFC 8445 §11)")
  func indication() throws {
    let bytes = written { STUNComposer.bindingIndication(id, into: &$0) }
    #expect(Array(bytes.prefix(8)) == hex("0011 0008 2112a442"))
    let view = try #require(STUNMessageView.parse(bytes).message)
    #expect(view.messageClass == .indication && view.fingerprintFits(bytes) && !view.hasMessageIntegrity)
  }

  @Test("A message may begin anywhere in the writer")
  func offsetInWriter() throws {
    let alone = request()
    let behind = written { writer in
      writer.writeUInt32(0xDEAD_BEEF)
      STUNComposer.bindingRequest(
        id, receiverUfrag: pair.ours.rawBytes, senderUfrag: pair.theirs.rawBytes, priority: 0x6EFF_FFFF,
        role: .controlling(tieBreaker: 0x1122_3344_5566_7788), useCandidate: true, key: key("password"), into: &writer)
    }
    #expect(Array(behind.dropFirst(4)) == alone)
  }

  @Test("A message that does not fit says so and traps nowhere")
  func overflow() {
    let whole = request().count
    for capacity in 0..<whole {
      let result = [UInt8].writing(capacity: capacity) { writer in
        STUNComposer.bindingRequest(
          id, receiverUfrag: pair.ours.rawBytes, senderUfrag: pair.theirs.rawBytes, priority: 0x6EFF_FFFF,
          role: .controlling(tieBreaker: 0x1122_3344_5566_7788), useCandidate: true, key: key("password"), into: &writer)
      }
      #expect(result == nil)
    }
  }

  @Test("Our own check, flipped at any bit, is not authentic")
  func flipped() {
    let bytes = request()
    for bit in 0..<bytes.count * 8 {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      guard let view = STUNMessageView.parse(damaged).message else { continue }
      #expect(!view.fingerprintFits(damaged) || !view.integrityFits(damaged, key("password")), "bit \(bit)")
    }
  }

  @Test("Bytes by chance never trap, and what parses builds to what parses the same", arguments: [1, 2, 3] as [UInt64])
  func noise(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let seedMessage = request()
    for _ in 0..<2_000 {
      var bytes = seedMessage
      for _ in 0...random.next() % 4 {
        let at = Int(random.next() % UInt64(bytes.count))
        bytes[at] = UInt8(truncatingIfNeeded: random.next())
      }
      let violation = violation(ofSTUN: bytes.rawBytes)
      #expect(violation == nil)
    }
  }
}

// A publisher or a subscriber as both ends know it: credentials, keys, sections, and the commands that bring it in.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire

/// One endpoint of a measured room. It negotiates what a browser does: MID, transport-wide numbers, NACK with RTX.
struct RoomMember: Sendable {
  static let payloadType = PayloadType(96)
  static let retransmissionPayloadType = PayloadType(97)
  static let transportNumberIdentifier: UInt8 = 3

  let number: UInt64
  let address: SocketAddress
  let profile: SRTPProfile
  /// The video it publishes, or `nil`.
  let publication: PublicationKey?
  /// What it receives: its slots, in the order of the publishers.
  let slots: [SlotKey]
  private let encodingCount: Int
  private let own: ICECredentials
  private let engine: ICECredentials

  init(
    number: UInt64, address: SocketAddress, profile: SRTPProfile, publishes: Bool, encodings encodingCount: Int = 1,
    receives slotCount: Int,
    using random: inout SeededRandom
  ) {
    self.number = number
    self.address = address
    self.profile = profile
    publication = publishes ? PublicationKey(number) : nil
    slots = (0..<slotCount).map { SlotKey(number << 16 | UInt64($0)) }
    self.encodingCount = encodingCount
    own = ICECredentials.make(using: &random)
    engine = ICECredentials.make(using: &random)
  }

  var link: LinkID { LinkID(number) }
  var keys: SRTPKeyingMaterial { ReadyKeys.mirrored(ReadyKeys.make(for: number, profile: profile)) }
  /// The source it sends with.
  var source: SSRC { SSRC(UInt32(truncatingIfNeeded: number) << 8 | 1) }
  /// The source of one of the encodings that it sends, the smallest first.
  func source(ofEncoding encoding: Int) -> SSRC { SSRC(source.rawValue + UInt32(encoding)) }
  /// The source of one of its slots.
  func source(of slot: Int) -> SSRC { SSRC(UInt32(truncatingIfNeeded: number) << 8 | UInt32(2 + 2 * slot)) }

  private static var format: NegotiatedFormat {
    NegotiatedFormat(
      format: .vp8, payloadType: payloadType, retransmissionPayloadType: retransmissionPayloadType,
      feedback: [.nack, .pictureLossIndication, .transportWide])
  }

  private static var extensions: ExtensionMap { ExtensionMap([.mid: 4, .transportSequenceNumber: transportNumberIdentifier]) }

  /// Brings the link in, with its sections.
  var joining: [Command] {
    let receive = publication.map {
      ReceiveSection(
        publication: $0, mid: Array("p".utf8), kind: .video, formats: [Self.format], extensions: Self.extensions,
        encodingCount: encodingCount, sources: encodingCount > 1 ? (0..<encodingCount).map { source(ofEncoding: $0) } : [])
    }
    let send = slots.indices.map { index in
      SendSection(
        slot: slots[index], mid: Array("s\(index)".utf8), kind: .video, formats: [Self.format], extensions: Self.extensions,
        allowsMixedExtensions: true, source: source(of: index), retransmissionSource: SSRC(source(of: index).rawValue + 1))
    }
    return [
      .addLink(
        link,
        LinkConfiguration(
          localCredentials: engine, remoteCredentials: own, role: .passive, fingerprints: [ReadyKeys.fingerprint(of: number)])),
      .configure(link, MediaConfiguration(receive: receive.map { [$0] } ?? [], send: send, reducedSizeRTCP: true)),
    ]
  }

  /// Lets the slots follow the publishers.
  func subscribing(to publishers: [RoomMember]) -> [Command] {
    zip(slots, publishers).map { .bind($0, $1.publication) }
  }

  /// A check that nominates the path it takes (RFC 8445 §7.2.2).
  func check(using random: inout SeededRandom) -> [UInt8] {
    let transaction = STUNTransactionID(using: &random)
    return [UInt8].writing(capacity: 256) { writer in
      STUNComposer.bindingRequest(
        transaction, receiverUfrag: engine.ufrag.rawBytes, senderUfrag: own.ufrag.rawBytes, priority: 1_862_270_975,
        role: .controlling(tieBreaker: 7), useCandidate: true, key: engine.key, into: &writer)
    }!
  }
}

/// Everybody in one measured room.
struct Room: Sendable {
  let shape: RoomShape
  let publishers: [RoomMember]
  let subscribers: [RoomMember]

  /// - Parameter address: where the member with this position, publishers first, is reached.
  init(
    _ shape: RoomShape, profile: SRTPProfile, first number: UInt64 = 1, using random: inout SeededRandom, address: (Int) -> SocketAddress
  ) {
    self.shape = shape
    var members: [RoomMember] = []
    for position in 0..<shape.publishers + shape.subscribers {
      let publishes = position < shape.publishers
      members.append(
        RoomMember(
          number: number + UInt64(position), address: address(position), profile: profile, publishes: publishes,
          encodings: shape.encodings, receives: publishes ? 0 : shape.publishers, using: &random))
    }
    publishers = Array(members[..<shape.publishers])
    subscribers = Array(members[shape.publishers...])
  }
}

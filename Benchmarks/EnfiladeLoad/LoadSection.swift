// The media sections a client offers.

import EnfiladeRTP
import EnfiladeSDP
import EnfiladeWire

/// One media section of a client.
struct LoadSection {
  var mid: String
  var kind: MediaKind
  var direction: MediaDirection
  /// The encodings offered, the smallest first; empty for one.
  var encodings: [String] = []
  var source = SSRC(0)
  var retransmissionSource = SSRC(0)

  static let opusType: UInt8 = 111
  static let videoType: UInt8 = 96
  static let retransmissionType: UInt8 = 97
  /// The encodings' names as browsers' applications call them: quarter, half, full.
  static let encodingNames = ["q", "h", "f"]

  static let midIdentifier: UInt16 = 4
  static let transportNumberIdentifier: UInt16 = 3
  static let ridIdentifier: UInt16 = 10
  static let repairedRIDIdentifier: UInt16 = 11

  /// What a client of that role offers: a publisher its own media, a subscriber room for every publisher's.
  static func sections(for role: LoadClient.Role, _ context: LoadContext) -> [LoadSection] {
    let options = context.options
    var kinds: [MediaKind] = []
    for _ in 0..<(role == .publisher ? 1 : options.publisherCount) {
      if options.sendsAudio { kinds.append(.audio) }
      if options.video != nil || options.replay != nil { kinds.append(.video) }
    }
    return kinds.enumerated().map { position, kind in
      var section = LoadSection(mid: String(position), kind: kind, direction: role == .publisher ? .sendonly : .recvonly)
      if role == .publisher {
        section.source = context.makeSSRC()
        section.retransmissionSource = context.makeSSRC()
        if kind == .video, options.offersSimulcast { section.encodings = encodingNames }
      }
      return section
    }
  }

  static func codecs(_ kind: MediaKind) -> [AcceptedCodec] {
    kind == .audio
      ? [.opus(payloadType: opusType)] : [.video(.vp8, payloadType: videoType, retransmission: retransmissionType)]
  }

  /// What we take of a section that a server offers.
  static let preferences = CodecPreferences(capabilities: [CodecCapability(.opus), CodecCapability(.vp8)])

  func extensions(feedback: Bool) -> [SDPAttribute.ExtMap] {
    var extensions = [SDPAttribute.ExtMap(id: Self.midIdentifier, uri: ExtensionKind.mid.uri)]
    if feedback || direction == .sendonly {
      extensions.append(SDPAttribute.ExtMap(id: Self.transportNumberIdentifier, uri: ExtensionKind.transportSequenceNumber.uri))
    }
    if !encodings.isEmpty {
      extensions.append(SDPAttribute.ExtMap(id: Self.ridIdentifier, uri: ExtensionKind.rid.uri))
      extensions.append(SDPAttribute.ExtMap(id: Self.repairedRIDIdentifier, uri: ExtensionKind.repairedRid.uri))
    }
    return extensions
  }
}

extension ExtensionMap {
  /// The identifiers that a section says.
  init(_ extensions: [SDPAttribute.ExtMap]) {
    self.init()
    for element in extensions {
      if let kind = ExtensionKind(uri: element.uri), let identifier = UInt8(exactly: element.id) { self[kind] = identifier }
    }
  }
}

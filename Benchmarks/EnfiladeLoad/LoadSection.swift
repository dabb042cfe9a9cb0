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
  /// Whether its packets say how loud they are (RFC 6464).
  var tellsLevel = false

  static let opusType: UInt8 = 111
  static let videoType: UInt8 = 96
  static let retransmissionType: UInt8 = 97
  /// The encodings' names as browsers' applications call them: quarter, half, full.
  static let encodingNames = ["q", "h", "f"]

  static let midIdentifier: UInt16 = 4
  static let transportNumberIdentifier: UInt16 = 3
  static let audioLevelIdentifier: UInt16 = 1
  static let ridIdentifier: UInt16 = 10
  static let repairedRIDIdentifier: UInt16 = 11

  /// What a client of that role offers: a publisher its own media, a subscriber room for every publisher's.
  static func sections(for role: LoadClient.Role, _ context: LoadContext) -> [LoadSection] {
    let options = context.options
    var own: [MediaKind] = []
    if options.sendsAudio { own.append(.audio) }
    if options.sendsVideo { own.append(.video) }
    let wanted: [(MediaKind, MediaDirection)] =
      switch role {
      case .publisher: own.map { ($0, .sendonly) }
      case .subscriber: (0..<options.publisherCount).flatMap { _ in own.map { ($0, .recvonly) } }
      case .member:
        own.map { ($0, .sendonly) } + Array(repeating: (.audio, .recvonly), count: options.sendsAudio ? options.stage.voices : 0)
          + Array(repeating: (.video, .recvonly), count: options.sendsVideo ? options.stage.pictureCount : 0)
      }
    return wanted.enumerated().map { position, section in
      let (kind, direction) = section
      var section = LoadSection(mid: String(position), kind: kind, direction: direction)
      section.tellsLevel = role == .member && kind == .audio && direction == .sendonly
      if direction == .sendonly {
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
    if tellsLevel { extensions.append(SDPAttribute.ExtMap(id: Self.audioLevelIdentifier, uri: ExtensionKind.audioLevel.uri)) }
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

// A media section of the other side, typed.

package import EnfiladeWire

/// What a section carries.
package enum SectionKind: Hashable, Sendable {
  case media(MediaKind)
  /// A data channel, or anything else under that name.
  case application
  case other(String)

  package init(_ media: String) {
    switch media {
    case "audio": self = .media(.audio)
    case "video": self = .media(.video)
    case "application": self = .application
    default: self = .other(media)
    }
  }
}

/// Why a section cannot be accepted, whatever we can do.
package enum SectionRefusal: Hashable, Sendable {
  /// Its port is zero (RFC 3264 §6), and it is not just bundled only.
  case offeredRejected
  case unsupportedKind
  case unsupportedProtocol
  /// It would need a transport of its own.
  case notBundled
}

/// How the other side reaches us and proves who it is.
package struct TransportParameters: Hashable, Sendable {
  package var credentials: ICECredentials?
  package var iceOptions: [String] = []
  package var fingerprints: [SDPAttribute.Fingerprint] = []
  package var setup: SDPAttribute.Setup?
  package var candidates: [SDPAttribute.Candidate] = []
  /// Whether no more candidates will come (RFC 8840 §8.2).
  package var hasAllCandidates = false

  package init() {}
}

/// One source of a section (RFC 5576).
package struct SourceDescription: Hashable, Sendable {
  package var ssrc: SSRC
  package var cname: String?
  package var msid: SDPAttribute.MSID?
}

/// A section that has been read. Directions are the other side's.
package struct MediaSection: Hashable, Sendable {
  /// Its place among the sections, which never changes (RFC 3264 §8).
  package var index: Int
  package var kind: SectionKind
  package var mid: String?
  package var port: UInt16
  package var proto: String
  package var formats: [String]
  package var direction: MediaDirection
  package var isBundleOnly = false
  /// Whether it shares the one transport: it is in the BUNDLE group, or it is alone.
  package var isBundled = false
  package var hasRTCPMux = false
  package var hasReducedSizeRTCP = false
  package var transport = TransportParameters()
  /// The RTP formats, in the order of preference. Formats without a meaning are not among them.
  package var codecs: [OfferedCodec] = []
  package var extensions: [SDPAttribute.ExtMap] = []
  /// Whether `extmap-allow-mixed` stands in this section; the session may say it for all (RFC 8285 §6).
  package var allowsMixedExtensions = false
  package var rids: [SDPAttribute.RID] = []
  package var simulcast: SDPAttribute.Simulcast?
  package var sources: [SourceDescription] = []
  package var sourceGroups: [SDPAttribute.SourceGroup] = []
  package var msids: [SDPAttribute.MSID] = []
  package var bandwidths: [Bandwidth] = []
  package var packetTimeMilliseconds: UInt16?
  package var maxPacketTimeMilliseconds: UInt16?
  package var sctpPort: UInt16?
  package var maxMessageByteCount: UInt64?

  init(index: Int, kind: SectionKind, port: UInt16, proto: String, formats: [String], direction: MediaDirection) {
    self.index = index
    self.kind = kind
    self.port = port
    self.proto = proto
    self.formats = formats
    self.direction = direction
  }

  /// Whether the writer has rejected or stopped the section.
  package var isRejected: Bool { port == 0 && !isBundleOnly }

  package var mediaKind: MediaKind? { if case .media(let kind) = kind { kind } else { nil } }

  /// Whether the protocol is RTP over DTLS-SRTP. RFC 9429 §5.1.2 wants the older spellings taken as well; the fingerprint decides.
  package var isSecureRTP: Bool {
    switch proto {
    case "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP", "RTP/AVPF", "RTP/AVP":
      true
    default: false
    }
  }

  /// Why the section cannot be accepted; `nil` when it can.
  package var refusal: SectionRefusal? {
    if isRejected { return .offeredRejected }
    guard mediaKind != nil else { return .unsupportedKind }
    guard isSecureRTP else { return .unsupportedProtocol }
    return isBundled ? nil : .notBundled
  }

  package func codec(_ payloadType: PayloadType) -> OfferedCodec? { codecs.first { $0.payloadType == payloadType } }

  /// The retransmission format of a payload type (RFC 4588 §8.6), with the same clock.
  package func retransmission(of codec: OfferedCodec) -> OfferedCodec? {
    codecs.first { $0.associatedPayloadType == codec.payloadType && $0.clockRate == codec.clockRate }
  }

  /// The source that retransmits `ssrc` (RFC 4588 §8.5 with RFC 5576 §4.2).
  package func retransmission(of ssrc: SSRC) -> SSRC? {
    sourceGroups.first { $0.semantics == "FID" && $0.ssrcs.count == 2 && $0.ssrcs[0] == ssrc }?.ssrcs[1]
  }

  /// The sources that carry media itself: those that repair no other.
  package var primarySources: [SourceDescription] {
    let repairs = Set(sourceGroups.filter { $0.semantics == "FID" || $0.semantics == "FEC-FR" }.flatMap { $0.ssrcs.dropFirst() })
    return sources.filter { !repairs.contains($0.ssrc) }
  }

  /// The simulcast encodings that the other side sends, the first alternative of each. One without an `a=rid` line is void (RFC 8853
  /// §5.2), and none counts twice.
  package var sendEncodings: [SDPAttribute.Simulcast.Alternative] {
    var free = Set(rids.filter { $0.direction == .send }.map(\.id))
    return simulcast?.send.compactMap { stream in stream.first { free.remove($0.rid) != nil } } ?? []
  }

  /// The stream and the track: from `a=msid`, or from the sources where only older clients write it.
  package var msid: SDPAttribute.MSID? { msids.first ?? sources.lazy.compactMap(\.msid).first }

  /// The header extensions that both sides know, as an answer writes them: the same numbers, the direction turned round (RFC 8285 §6).
  package func extensions(supporting uris: [String]) -> [SDPAttribute.ExtMap] {
    var answered: [SDPAttribute.ExtMap] = []
    for offered in extensions where offered.isUsable && uris.contains(offered.uri) {
      guard !answered.contains(where: { $0.uri == offered.uri || $0.id == offered.id }) else { continue }
      var answer = offered
      answer.direction = offered.direction?.reversed
      answered.append(answer)
    }
    return answered
  }
}

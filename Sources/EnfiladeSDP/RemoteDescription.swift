// The other side's description as a whole: sections, group, and the checks that make it answerable or usable.

import EnfiladeWire

/// What an offer and an answer have in common once they are read.
package struct RemoteDescription: Hashable, Sendable {
  package let origin: Origin
  /// Every section, the rejected ones too.
  package private(set) var sections: [MediaSection]
  /// The mids that share one transport, the tagged one first (RFC 9143 §7.2.1); `nil` when there is no such group.
  package let bundle: [String]?
  /// Whether the other side is a lite agent (RFC 8445 §2.5).
  package let isICELite: Bool
  /// Whether `extmap-allow-mixed` stands at session level.
  package let allowsMixedExtensions: Bool
  /// The section whose transport is used by all; `nil` when every section is rejected.
  package private(set) var taggedSection: Int?

  init(_ description: SessionDescription) throws(OfferError) {
    guard let origin = description.origin else { throw .syntax(SDPError(line: 2, reason: .malformedOrigin)) }
    guard !description.sections.isEmpty else { throw .noMediaSection }
    self.origin = origin
    isICELite = description.has(.iceLite)
    allowsMixedExtensions = description.has(.extmapAllowMixed)
    bundle = description.all(SDPAttribute.Group.self).first { $0.semantics == "BUNDLE" }?.mids
    let session = try SessionDefaults(description)
    var line = description.lines.count + 1
    sections = []
    for (index, section) in description.sections.enumerated() {
      sections.append(try MediaSection(section, index: index, session: session, firstLine: line))
      line += section.lines.count + 1
    }
    try bundleSections()
    try checkTransport()
    try checkCollisions()
  }

  package func section(mid: String) -> MediaSection? { sections.first { $0.mid == mid } }

  /// The transport that all bundled sections use (RFC 9143 §7.2.1).
  package var transport: TransportParameters { taggedSection.map { sections[$0].transport } ?? TransportParameters() }

  /// Finds which sections share the transport, and which one describes it.
  private mutating func bundleSections() throws(OfferError) {
    var indexOfMID: [String: Int] = [:]
    for section in sections {
      guard let mid = section.mid else { continue }
      guard indexOfMID.updateValue(section.index, forKey: mid) == nil else { throw .duplicateMID(mid) }
    }
    let alive = sections.filter { !$0.isRejected }
    guard let bundle, !bundle.isEmpty else {
      guard alive.count <= 1 else { throw .noBundle }
      if let only = alive.first {
        sections[only.index].isBundled = true
        taggedSection = only.index
      }
      return
    }
    for mid in bundle {
      guard let index = indexOfMID[mid] else { throw .unknownMIDInBundle(mid) }
      guard !sections[index].isRejected else { continue }
      sections[index].isBundled = true
      // The first that is alive: a stopped section may still lead the group of a client that does not rewrite it.
      if taggedSection == nil { taggedSection = index }
    }
    if alive.count > 1 {
      for section in alive where section.mid == nil { throw .missingMID(section: section.index) }
    }
    // A group of which nothing lives, beside a single section that does.
    if taggedSection == nil, alive.count == 1 {
      sections[alive[0].index].isBundled = true
      taggedSection = alive[0].index
    }
  }

  private func checkTransport() throws(OfferError) {
    for section in sections where section.isBundled && section.mediaKind != nil && section.isSecureRTP {
      guard section.hasRTCPMux else { throw .noRTCPMux(section: section.index) }
    }
    guard let taggedSection else { return }
    guard transport.credentials != nil else { throw .missingICECredentials(section: taggedSection) }
    guard !transport.fingerprints.isEmpty else { throw .missingFingerprint(section: taggedSection) }
    guard transport.fingerprints.contains(where: \.isTrustworthy) else { throw .weakFingerprint(section: taggedSection) }
  }

  /// One bundle is one RTP session: a number has one meaning in it (RFC 9143 §9).
  private func checkCollisions() throws(OfferError) {
    var codecs: [PayloadType: OfferedCodec] = [:]
    var extensions: [UInt16: String] = [:]
    for section in sections where section.isBundled {
      for codec in section.codecs {
        guard codecs[codec.payloadType, default: codec].isSameFormat(as: codec) else {
          throw .payloadTypeCollision(codec.payloadType.rawValue)
        }
        codecs[codec.payloadType] = codec
      }
      for offered in section.extensions where offered.isUsable {
        guard extensions[offered.id, default: offered.uri] == offered.uri else { throw .extensionCollision(offered.id) }
        extensions[offered.id] = offered.uri
      }
    }
  }
}

/// An offer or an answer.
package protocol RemoteDescribing {
  var remote: RemoteDescription { get }
}

extension RemoteDescribing {
  package var origin: Origin { remote.origin }
  package var sections: [MediaSection] { remote.sections }
  package var bundle: [String]? { remote.bundle }
  package var isICELite: Bool { remote.isICELite }
  package var transport: TransportParameters { remote.transport }
  package var taggedSection: Int? { remote.taggedSection }
  package func section(mid: String) -> MediaSection? { remote.section(mid: mid) }
}

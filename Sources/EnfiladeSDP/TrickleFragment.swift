// Candidates that come after the description, and ICE restarts: `application/trickle-ice-sdpfrag` (RFC 8840 §9, RFC 9725 §4.3).

/// A fragment of a description: ICE lines at session level, then pseudo media sections that say by their mid where candidates belong.
package struct TrickleFragment: Hashable, Sendable {
  /// One pseudo section (RFC 8840 §9.2). The `m=` line is there for old readers; only the mid counts.
  package struct Section: Hashable, Sendable {
    package var media: String
    package var proto: String
    package var formats: [String]
    package var mid: String
    package var credentials: ICECredentials?
    package var candidates: [SDPAttribute.Candidate]
    package var hasAllCandidates: Bool

    package init(
      media: String = "audio", proto: String = "UDP/TLS/RTP/SAVPF", formats: [String] = ["0"], mid: String,
      credentials: ICECredentials? = nil,
      candidates: [SDPAttribute.Candidate] = [], hasAllCandidates: Bool = false
    ) {
      self.media = media
      self.proto = proto
      self.formats = formats
      self.mid = mid
      self.credentials = credentials
      self.candidates = candidates
      self.hasAllCandidates = hasAllCandidates
    }
  }

  package var credentials: ICECredentials?
  package var iceOptions: [String]
  package var isICELite: Bool
  /// The mids of `a=group:BUNDLE`, when written (RFC 9725 §4.3.2).
  package var bundle: [String]?
  /// Whether no candidates follow for any section.
  package var hasAllCandidates: Bool
  package var sections: [Section]

  package init(
    credentials: ICECredentials? = nil, iceOptions: [String] = [], isICELite: Bool = false, bundle: [String]? = nil,
    hasAllCandidates: Bool = false, sections: [Section] = []
  ) {
    self.credentials = credentials
    self.iceOptions = iceOptions
    self.isICELite = isICELite
    self.bundle = bundle
    self.hasAllCandidates = hasAllCandidates
    self.sections = sections
  }

  /// The generation that the fragment is about: the session's credentials, or the first section's (RFC 8840 §9.2).
  package var effectiveCredentials: ICECredentials? { credentials ?? sections.lazy.compactMap(\.credentials).first }

  /// Whether the writer will send no more candidates for the transport that all sections share.
  package var endsCandidates: Bool { hasAllCandidates || sections.contains(where: \.hasAllCandidates) }

  /// Every candidate, in the order written.
  package var candidates: [SDPAttribute.Candidate] { sections.flatMap(\.candidates) }

  /// The text, each line ended by CR LF.
  package var text: String {
    var lines: [String] = []
    func append(_ line: SDPLine) { lines.append("a=\(line.value)") }
    credentials?.lines.forEach(append)
    if !iceOptions.isEmpty { append(SDPAttribute.ICEOptions(iceOptions).line) }
    if isICELite { append(PropertyAttribute.iceLite.line) }
    if let bundle { append(SDPAttribute.Group(semantics: "BUNDLE", mids: bundle).line) }
    if hasAllCandidates { append(PropertyAttribute.endOfCandidates.line) }
    for section in sections {
      lines.append("m=\(section.media) 9 \(section.proto) \(section.formats.joined(separator: " "))")
      append(SDPAttribute.MID(section.mid).line)
      section.credentials?.lines.forEach(append)
      section.candidates.map(\.line).forEach(append)
      if section.hasAllCandidates { append(PropertyAttribute.endOfCandidates.line) }
    }
    return lines.map { $0 + "\r\n" }.joined()
  }
}

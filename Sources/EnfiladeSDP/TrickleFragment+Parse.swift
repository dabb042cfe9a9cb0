// A fragment's text to its value (RFC 8840 §9.2).

extension TrickleFragment {
  /// Parses a fragment in UTF-8.
  package init(parsing bytes: [UInt8], limits: SDPLimits = .fragment) throws(SDPError) {
    guard bytes.count <= limits.byteCount else { throw SDPError(line: 0, reason: .tooManyBytes) }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw SDPError(line: 0, reason: .notUTF8) }
    try self.init(parsing: text, limits: limits)
  }

  /// Parses a fragment. Candidates that are not understood, and lines that do not belong here, are skipped; a section must have its mid,
  /// and a user name fragment its password.
  package init(parsing text: String, limits: SDPLimits = .fragment) throws(SDPError) {
    self.init()
    let lines = try SDPLine.lines(of: text, limits: limits)
    var part = Part(startLine: 1)
    for (index, line) in lines.enumerated() {
      if line.type == .media {
        try close(&part, limits: limits)
        guard let media = MediaDescription(parsingMediaValue: line.value) else { throw SDPError(line: index + 1, reason: .malformedMedia) }
        part = Part(startLine: index + 1, media: media)
      } else if let attribute = line.attribute {
        do throws(MalformedAttribute) {
          try read(attribute, &part)
        } catch {
          throw SDPError(line: index + 1, reason: .malformedAttribute(String(attribute.name)))
        }
      }
    }
    try close(&part, limits: limits)
  }

  /// The session level (no `media`), or one section, while its lines are read.
  private struct Part {
    var startLine: Int
    var media: MediaDescription?
    var mid: String?
    var ufrag: String?
    var password: String?
    var candidates: [SDPAttribute.Candidate] = []
    var hasAllCandidates = false
  }

  private mutating func read(_ attribute: RawAttribute, _ part: inout Part) throws(MalformedAttribute) {
    let isSession = part.media == nil
    switch attribute.name {
    case "ice-ufrag": part.ufrag = try attribute.parse(SDPAttribute.ICEUfrag.self).ufrag
    case "ice-pwd": part.password = try attribute.parse(SDPAttribute.ICEPassword.self).password
    case "end-of-candidates": part.hasAllCandidates = true
    case "ice-options" where isSession: iceOptions = try attribute.parse(SDPAttribute.ICEOptions.self).options
    case "ice-lite" where isSession: isICELite = true
    case "group" where isSession:
      let group = try attribute.parse(SDPAttribute.Group.self)
      if group.semantics == "BUNDLE", bundle == nil { bundle = group.mids }
    case "mid" where !isSession: part.mid = try attribute.parse(SDPAttribute.MID.self).mid
    case "candidate" where !isSession:
      if let candidate = try? attribute.parse(SDPAttribute.Candidate.self) { part.candidates.append(candidate) }
    default: break
    }
  }

  private mutating func close(_ part: inout Part, limits: SDPLimits) throws(SDPError) {
    var credentials: ICECredentials?
    switch (part.ufrag, part.password) {
    case (let ufrag?, let password?): credentials = ICECredentials(ufrag: ufrag, password: password)
    case (nil, nil): break
    case (_?, nil): throw SDPError(line: part.startLine, reason: .malformedAttribute("ice-pwd"))
    case (nil, _?): throw SDPError(line: part.startLine, reason: .malformedAttribute("ice-ufrag"))
    }
    guard let media = part.media else {
      self.credentials = credentials
      hasAllCandidates = part.hasAllCandidates
      return
    }
    guard let mid = part.mid else { throw SDPError(line: part.startLine, reason: .malformedAttribute("mid")) }
    guard sections.count < limits.sectionCount else { throw SDPError(line: part.startLine, reason: .tooManySections) }
    sections.append(
      Section(
        media: media.media, proto: media.proto, formats: media.formats, mid: mid, credentials: credentials, candidates: part.candidates,
        hasAllCandidates: part.hasAllCandidates))
  }
}

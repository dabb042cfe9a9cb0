// How much text a description may be: every loop over it is bounded by one of these numbers.

/// The bounds of one description. Text that exceeds one is refused with the bound's name, never cut.
package struct SDPLimits: Hashable, Sendable {
  /// The whole text. Chromium 156 writes 5.9 KB for a member's audio and video section with every codec, so this is 88 members; a page that
  /// keeps Opus and VP8 alone makes it write 2.0 KB, and then the bound on sections is met first.
  package var byteCount = 512 * 1024
  /// Lines: Chromium 156 writes 194 for the same two sections, so this is reached together with the bytes.
  package var lineCount = 20_000
  /// One line: a `group` that names as many sections as may be, with mids of thirty bytes.
  package var lineByteCount = 8 * 1024
  /// Media sections: two for each of 128 members.
  package var sectionCount = 256
  /// Attributes in one section (or at session level): a browser writes 120 for video with every codec, and sources add four each.
  package var attributeCount = 1024

  package init() {}

  package static let standard = SDPLimits()

  /// For text of our own making.
  static let unbounded: SDPLimits = {
    var limits = SDPLimits()
    limits.byteCount = .max
    limits.lineCount = .max
    limits.lineByteCount = .max
    limits.sectionCount = .max
    limits.attributeCount = .max
    return limits
  }()

  /// For a fragment of candidates (RFC 8840): some hundred candidates of one ICE generation.
  package static let fragment: SDPLimits = {
    var limits = SDPLimits()
    limits.byteCount = 64 * 1024
    limits.lineCount = 2_000
    return limits
  }()
}

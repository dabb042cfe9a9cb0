// What another server answers to an offer of ours (RFC 9429 §5.10): for our WHIP and WHEP clients.

/// An answer that makes sense as a whole.
package struct Answer: RemoteDescribing, Hashable, Sendable {
  package let remote: RemoteDescription
  /// Whether we open the handshake, because the answer is passive (RFC 8842 §5.4).
  package let weAreActive: Bool

  /// Parses and checks; with `offerSectionCount` also that no section was added or left out (RFC 3264 §6).
  package init(parsing text: String, offerSectionCount: Int? = nil, limits: SDPLimits = .standard) throws(OfferError) {
    try self.init(try SessionDescription.parse(text, limits), offerSectionCount: offerSectionCount)
  }

  package init(_ description: SessionDescription, offerSectionCount: Int? = nil) throws(OfferError) {
    remote = try RemoteDescription(description)
    if let offerSectionCount, offerSectionCount != remote.sections.count { throw .sectionCountMismatch }
    switch remote.transport.setup {
    // An answer without the attribute means `passive` (RFC 4145 §4).
    case .passive, nil: weAreActive = true
    case .active: weAreActive = false
    case .actpass, .holdconn: throw .unusableSetup(section: remote.taggedSection ?? 0)
    }
  }
}

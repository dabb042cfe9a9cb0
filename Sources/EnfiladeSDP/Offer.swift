// What a client offers (RFC 9429 §5.8): a description that has been read, checked, and can be answered.

/// An offer that makes sense as a whole.
package struct Offer: RemoteDescribing, Hashable, Sendable {
  package let remote: RemoteDescription
  /// What our answer says (RFC 8842 §5.3): we let the client open the handshake unless it insists that we do.
  package let answerSetup: SDPAttribute.Setup

  /// Parses and checks.
  package init(parsing text: String, limits: SDPLimits = .standard) throws(OfferError) {
    try self.init(try SessionDescription.parse(text, limits))
  }

  package init(_ description: SessionDescription) throws(OfferError) {
    remote = try RemoteDescription(description)
    switch remote.transport.setup {
    // An offer without the attribute means `active` (RFC 4145 §4).
    case .actpass, .active, nil: answerSetup = .passive
    case .passive: answerSetup = .active
    case .holdconn: throw .unusableSetup(section: remote.taggedSection ?? 0)
    }
  }
}

extension SessionDescription {
  static func parse(_ text: String, _ limits: SDPLimits) throws(OfferError) -> SessionDescription {
    do throws(SDPError) {
      return try SessionDescription(parsing: text, limits: limits)
    } catch {
      throw .syntax(error)
    }
  }
}

// The bounds of ICE and of the tables that find a link.

package import EnfiladeWire

extension Limits {
  /// Addresses one peer may have proved to us at a time. A browser checks from a few interfaces times two families; more is churn.
  package static let iceAddressCount = 8
  /// Without a check for this long a path counts as disturbed: three consent intervals of RFC 7675 §5.1, and half of what ends consent.
  package static let iceSilenceTimeout = TimeDelta.seconds(Int64(15))
  /// No answer of the lite agent is longer: a header, ERROR-CODE with its phrase, eight unknown types, integrity, fingerprint.
  package static let iceResponseByteCount = 128

  /// Candidates of one server that the controlling agent tries: two families on a few announced addresses.
  package static let iceRemoteCandidateCount = 8
  /// The pace at which checks start (RFC 8445 §14.2: Ta).
  package static let icePace = TimeDelta.milliseconds(50)
  /// The first retransmission timeout (RFC 8489 §6.2.1).
  package static let stunInitialRTO = TimeDelta.milliseconds(500)
  /// Requests sent for one transaction (RFC 8489 §6.2.1: Rc).
  package static let stunRequestCount = 7
  /// How many initial timeouts to wait after the last request (RFC 8489 §6.2.1: Rm).
  package static let stunLastWait: Int64 = 16
  /// The mean time between two consent checks; each is moved by up to a fifth (RFC 7675 §5.1).
  package static let consentInterval = TimeDelta.seconds(Int64(5))
  /// Consent checks whose answer may still count: ``consentTimeout`` over the shortest interval of four seconds, rounded up.
  package static let consentChecksInFlight = 8
}

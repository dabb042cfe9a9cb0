// Every queue, table, loop and retry has a number that stops it, and the number stands here with its reason.

/// The bounds of the engine. Values a deployment may want to move are variables; the others follow from a standard.
@usableFromInline package struct Limits: Sendable {
  @usableFromInline package init() {}

  /// A slab slot: an Ethernet MTU of 1500 with room for headroom and tags, and a power of two so that an address is a shift.
  @usableFromInline package static let slotByteCount = 2048
  /// The largest datagram we take as media or signaling: what fits in a slot.
  @usableFromInline package static let datagramByteCount = 1500
  /// DTLS flights are cut to this many bytes, so that they pass any IPv6 path (RFC 8200 §5: 1280, less IPv6 and UDP headers, less slack for tunnels).
  @usableFromInline package static let handshakeMTU = 1200
  /// Handshakes that fail to finish are given up: the longest a person waits for a meeting to open.
  @usableFromInline package static let handshakeTimeout = TimeDelta.seconds(Int64(30))
  /// Consent expires after this long without an answer (RFC 7675 §5.1).
  @usableFromInline package static let consentTimeout = TimeDelta.seconds(Int64(30))
  /// An address stays with the link that proved it while that link was heard of this lately: twice the interval of consent checks
  /// (RFC 7675 §5.1), so that a living link is never robbed and a dead one does not block its port for long.
  @usableFromInline package static let addressHold = TimeDelta.seconds(Int64(10))
  /// A link that never completes its first check is given up.
  @usableFromInline package static let connectTimeout = TimeDelta.seconds(Int64(60))
}

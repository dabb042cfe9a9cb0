// What the application asks of a shard, and what the shard tells it.

package import EnfiladeForwarding
package import EnfiladeSTUN
package import EnfiladeTransport
import EnfiladeWire

/// A verb for one shard. Commands are values in a bounded mailbox; each is carried out whole, between two packets.
package enum Command: Sendable {
  case addLink(LinkID, LinkConfiguration)
  case configure(LinkID, MediaConfiguration)
  /// New credentials (RFC 8445 §9); the selected path stays until the peer nominates with them.
  case restartICE(LinkID, local: ICECredentials, remote: ICECredentials)
  /// From the next packet on nothing of this link passes, in either direction.
  case removeLink(LinkID)
  /// What comes out of a slot from now on; `nil` for nothing.
  case bind(SlotKey, PublicationKey?)
  /// What a slot's subscriber wants, and may have.
  case setTarget(SlotKey, LayerTarget)
  /// A publication's packets stop, or go on. For every shard: its home, and those that mirror it.
  case setMuted(PublicationKey, Bool)
}

/// What a shard has to say. Events are bounded; what did not fit is counted and told.
package enum EngineEvent: Sendable {
  case linkChanged(LinkID, LinkState)
  /// The first packet of a publication has come, in this format.
  case mediaStarted(PublicationKey, MediaFormat)
  /// Of a publication's encodings these are watched, one bit each; the others need not be sent.
  case encodingsWanted(PublicationKey, UInt8)
  /// How much a publication of sound speaks now: from its packets' levels (RFC 6464), at most some ten times a second.
  case speech(PublicationKey, SpeechScore)
  /// The publisher said goodbye to its source (RFC 3550 §6.6).
  case mediaEnded(PublicationKey)
  /// A command named a link or slot that is not there, or could not be carried out.
  case refused(RefusedCommand)
  /// This many events were lost because nobody fetched them.
  case dropped(count: Int)
}

/// A command that had no effect, and why.
package enum RefusedCommand: Sendable, Hashable {
  case unknownLink(LinkID)
  case unknownSlot(SlotKey)
  case unknownPublication(PublicationKey)
  case linkCapacityReached(LinkID)
  case publicationCapacityReached(PublicationKey)
  case slotCapacityReached(SlotKey)
  case duplicateLink(LinkID)
  case protectorRefused(LinkID, ProtectorError)
}

/// Where a link stands, as an application would say it (W3C webrtc-pc §5.6.1).
package enum LinkState: Sendable, Hashable {
  case connecting
  case connected
  case disconnected
  case failed(LinkFailure)
  case closed
}

/// Why a link failed.
package enum LinkFailure: Sendable, Hashable {
  case neverConnected
  case consentExpired
  case handshake(HandshakeFailure)
}

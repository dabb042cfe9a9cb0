// What the application asks of a shard, and what the shard tells it.

package import EnfiladeForwarding
package import EnfiladeSTUN
package import EnfiladeTransport
package import EnfiladeWire

/// A verb for one shard. Commands are values in a bounded mailbox; each is carried out whole, between two packets.
package enum Command: Sendable {
  case addLink(LinkID, LinkConfiguration)
  /// A link without ICE and without a handshake.
  case addPlainLink(LinkID, PlainLinkConfiguration)
  case configure(LinkID, MediaConfiguration)
  /// New credentials (RFC 8445 §9); the selected path stays until the peer nominates with them.
  case restartICE(LinkID, local: ICECredentials, remote: ICECredentials)
  /// From the next packet on nothing of this link passes, in either direction.
  case removeLink(LinkID)
  /// What comes out of a slot from now on; `nil` for nothing.
  case bind(SlotKey, PublicationKey?)
  /// A media worker says from now on what comes out of a slot: the mixture for whoever it belongs to.
  case listen(SlotKey, worker: UInt8)
  /// What a slot's subscriber wants, and may have.
  case setTarget(SlotKey, LayerTarget)
  /// A publication's packets stop, or go on. For every shard: its home, and those that mirror it.
  case setMuted(PublicationKey, Bool)
  /// How a link's downlink is shared out among its pictures.
  case setPolicy(LinkID, AllocationPolicy)
}

/// What a shard has to say. Events are bounded; what did not fit is counted and told.
package enum EngineEvent: Sendable {
  case linkChanged(LinkID, LinkState)
  /// The first packet of a publication has come, in this format.
  case mediaStarted(PublicationKey, MediaFormat)
  /// Of a publication's encodings these are watched, one bit each; the others need not be sent.
  case encodingsWanted(PublicationKey, UInt8)
  /// A slot is given something else of its link's downlink, or for another reason; at most once a second for each slot.
  case allocationChanged(SlotKey, SlotAllocation)
  /// What the forwarder of a slot's picture has decided since it was last told, the oldest first, and when this is told; `missed` decisions
  /// before them are forgotten already. At most five times a second for each slot.
  case layersDecided(SlotKey, [DecisionLog.Entry], missed: Int, at: Instant)
  /// How much a publication of sound speaks now: from its packets' levels (RFC 6464), at most some ten times a second.
  case speech(PublicationKey, SpeechScore)
  /// A publication of sound has a tone for us (RFC 4733): it begins, or it is over and lasted so long.
  case telephoneEvent(PublicationKey, code: UInt8, volume: UInt8, isEnd: Bool, duration: TimeDelta)
  /// A link brings in more than it may, and the excess is dropped; told every few seconds while it lasts.
  case bitrateLimitExceeded(LinkID)
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

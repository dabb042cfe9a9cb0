// Names the control plane gives to what lives inside a shard. It counts them up itself, so a command needs no answer to be followed by
// the next one; inside the shard they become table indices once, when a command arrives.

/// A link to one endpoint.
package struct LinkID: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What one media section of a link brings in.
package struct PublicationKey: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A media section through which a link is sent one continuous stream, whatever is bound to it.
package struct SlotKey: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

// What a sender knows of one packet after the receiver has spoken of it, whichever way it spoke.

package import EnfiladeWire

/// Why a packet is sent. The raw values are the order in which a pacer lets them go.
package enum PacketPurpose: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  case audio
  case retransmission
  case video
  case padding
}

/// A probe is a short stretch of sending at a rate of its own; packets that belong to none carry zero.
package struct ProbeID: Hashable, Sendable, BitwiseCopyable {
  package var rawValue: UInt16

  package init(_ rawValue: UInt16) { self.rawValue = rawValue }
  package static var none: ProbeID { ProbeID(0) }
}

/// What is noted of packets that leave one after the other and are alike.
package struct SentRun: Hashable, Sendable, BitwiseCopyable {
  package var packetCount: Int
  /// Of each, on the wire, without IP and UDP.
  package var byteCount: Int
  package var purpose: PacketPurpose

  package init(packetCount: Int, byteCount: Int, purpose: PacketPurpose) {
    self.packetCount = packetCount
    self.byteCount = byteCount
    self.purpose = purpose
  }
}

/// One packet of which a receiver has reported.
package struct PacketResult: Hashable, Sendable, BitwiseCopyable {
  /// Counts packets in the order of sending.
  package var number: Int64
  /// On our clock.
  package var sent: Instant
  /// On the receiver's clock, whose origin is unknown; ``lost`` when it has not arrived.
  package var arrivalNanoseconds: Int64
  /// On the wire, without IP and UDP.
  package var byteCount: Int32
  package var purpose: PacketPurpose
  package var probe: ProbeID
  /// An earlier report called it lost.
  package var wasLost: Bool

  package static let lost = Int64.min

  package init(
    number: Int64, sent: Instant, arrivalNanoseconds: Int64, byteCount: Int, purpose: PacketPurpose = .video, probe: ProbeID = .none,
    wasLost: Bool = false
  ) {
    self.number = number
    self.sent = sent
    self.arrivalNanoseconds = arrivalNanoseconds
    self.byteCount = Int32(truncatingIfNeeded: byteCount)
    self.purpose = purpose
    self.probe = probe
    self.wasLost = wasLost
  }

  package var isReceived: Bool { arrivalNanoseconds != Self.lost }
}

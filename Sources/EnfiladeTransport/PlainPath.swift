// A link without ICE and without a handshake: a socket of its own, keys by signaling or none, and a source address that is known or learned.

package import EnfiladeWire

/// When the address that packets come from becomes the address that packets go to (symmetric RTP, RFC 4961).
package enum SourceLatching: UInt8, Hashable, Sendable, CaseIterable {
  /// Never: the address was told, and what comes from elsewhere is dropped.
  case never
  /// With the first packet that is the peer's: with SRTP one whose tag fits, in clear RTP of a format that was agreed on. Then never again.
  case first
  /// With every packet that is newer than all before it and whose tag fits: a peer behind a NAT that changes its mind is followed. Only with SRTP.
  case authenticated
}

/// How a link is reached and trusted that has neither ICE nor DTLS; fixed for its life.
package struct PlainLinkConfiguration: Sendable {
  /// The number of the socket that is the link's own.
  package var socket: UInt32
  /// Of the one for RTCP; `nil` where both share one (RFC 5761).
  package var reportSocket: UInt32?
  /// Where to send; `nil` where that is to be learned.
  package var remote: SocketAddress?
  /// Where to send RTCP when it has a port of its own; `nil` for the port after the one of RTP (RFC 3550 §11).
  package var remoteReports: SocketAddress?
  package var latching: SourceLatching
  /// The profile ``SRTPProfile/clear`` and no keys, where nothing is protected.
  package var keys: SRTPKeyingMaterial
  /// After so long without a packet of the peer the link has failed; `nil` for never, as for a peer that only listens.
  package var silenceLimit: TimeDelta?

  package init(
    socket: UInt32, reportSocket: UInt32? = nil, remote: SocketAddress?, remoteReports: SocketAddress? = nil,
    latching: SourceLatching, keys: SRTPKeyingMaterial, silenceLimit: TimeDelta? = nil
  ) {
    self.socket = socket
    self.reportSocket = reportSocket
    self.remote = remote
    self.remoteReports = remoteReports
    self.latching = latching
    self.keys = keys
    self.silenceLimit = silenceLimit
  }
}

extension SRTPKeyingMaterial {
  /// Nothing is protected.
  package static var clear: SRTPKeyingMaterial {
    SRTPKeyingMaterial(profile: .clear, sendMasterKey: [], sendMasterSalt: [], receiveMasterKey: [], receiveMasterSalt: [])
  }
}

/// Where a plain link's peer is, as far as that is known.
package struct PlainPath: Sendable {
  /// One direction's address: of RTP, or of RTCP that has a port of its own.
  private struct Leg: Sendable {
    var socket: UInt32
    var remote: SocketAddress?
    /// A packet of the peer has come here.
    var hasHeard = false
  }

  private var media: Leg
  private var reports: Leg?
  private let latching: SourceLatching
  package let isProtected: Bool
  package let silenceLimit: TimeDelta?
  /// When the peer was heard of last.
  package private(set) var lastHeard: Instant
  package private(set) var hasFailed = false

  package init(_ configuration: PlainLinkConfiguration, at now: Instant) {
    isProtected = configuration.keys.profile != .clear
    // What is not authenticated is believed once.
    latching = configuration.latching == .authenticated && !isProtected ? .first : configuration.latching
    silenceLimit = configuration.silenceLimit
    lastHeard = now
    media = Leg(socket: configuration.socket, remote: configuration.remote?.endpoint.through(socket: configuration.socket))
    if let socket = configuration.reportSocket {
      reports = Leg(socket: socket, remote: configuration.remoteReports?.endpoint.through(socket: socket))
      guessReports()
    }
  }

  // MARK: Look

  /// Where RTP goes, and RTCP that has no port of its own.
  package var remote: SocketAddress? { media.remote }
  /// RTCP has a port of its own.
  package var hasReportSocket: Bool { reports != nil }
  /// Where RTCP goes.
  package var remoteReports: SocketAddress? { reports == nil ? media.remote : reports?.remote }
  /// When ``handleTimeout(at:)`` wants to be called.
  package var nextDeadline: Instant {
    guard let silenceLimit, !hasFailed else { return .distantFuture }
    return lastHeard + silenceLimit
  }

  /// Whether a packet from an address that is not the peer's, as far as is known, is worth opening. Nothing has changed then.
  package func mayLatch(_ source: SocketAddress, isRTCP: Bool) -> Bool {
    guard latching != .never, let socket = source.ownSocket else { return false }
    if let reports, socket == reports.socket {
      guard isRTCP, latching == .authenticated || !reports.hasHeard else { return false }
      // In clear only the machine that RTP comes from is believed.
      guard !isProtected else { return true }
      return media.remote.map { $0.high == source.high && $0.low == source.low && $0.isIPv6 == source.isIPv6 } ?? false
    }
    // Where RTCP shares the port, it is no proof of where media comes from; where it does not, it has no business here.
    guard socket == media.socket, !isRTCP else { return false }
    return latching == .authenticated || !media.hasHeard
  }

  // MARK: Handle

  /// A packet of the peer came: opened, and so its own.
  package mutating func handlePacket(isRTCP: Bool, at now: Instant) {
    lastHeard = now
    if !isRTCP { media.hasHeard = true } else if reports != nil { reports?.hasHeard = true }
  }

  /// The peer is where this packet came from. Gives the address that is its own no longer.
  package mutating func latch(_ source: SocketAddress) -> SocketAddress? {
    if let socket = source.ownSocket, socket == reports?.socket {
      defer { reports?.remote = source }
      return reports?.remote
    }
    let before = media.remote
    media.remote = source
    guessReports()
    return before
  }

  package mutating func handleTimeout(at now: Instant) {
    if nextDeadline <= now { hasFailed = true }
  }

  /// RFC 3550 §11: until RTCP has come, it is taken to be one port above.
  private mutating func guessReports() {
    guard let legs = reports, !legs.hasHeard, legs.remote == nil || latching != .never, var guess = media.remote, guess.port < .max else {
      return
    }
    guess.port += 1
    reports?.remote = guess.endpoint.through(socket: legs.socket)
  }
}

/// Stands in a link that needs no handshake.
package final class NoHandshake: Handshake {
  package init() {}
  package var state: HandshakeState { .connected }
  package var keyingMaterial: SRTPKeyingMaterial? { nil }
  package var nextDeadline: Instant? { nil }
  package func start(at now: Instant) {}
  package func handleDatagram(_ datagram: RawSpan, at now: Instant) {}
  package func handleTimeout(at now: Instant) {}
  package func close(at now: Instant) {}
  package func pollTransmit(into buffer: inout MutableRawSpan) -> Int { 0 }
}

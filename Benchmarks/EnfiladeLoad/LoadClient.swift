// One WebRTC client: a socket, ICE in the controlling role, DTLS, SRTP. It has no thread: the run calls it when its socket has something
// or its deadline has come.

import EnfiladeDTLS
import EnfiladeIO
import EnfiladeRTP
import EnfiladeSDP
import EnfiladeSTUN
import EnfiladeTransport
package import EnfiladeWire

/// One client, one peer connection.
package final class LoadClient {
  package enum Role: String, Sendable {
    case publisher
    case subscriber
    /// Both, on one connection.
    case member
  }

  package let role: Role
  package let index: Int
  /// Whether its packets are all opened, and their latency measured.
  package let isProbe: Bool
  package var name: String { "\(role.rawValue) \(index)" }

  let context: LoadContext
  let socket: UDPSocket
  var sections: [LoadSection] = []

  // The transport.
  var credentials: EnfiladeSTUN.ICECredentials
  var agent: ICEControllingAgent?
  var handshake: (any Handshake)?
  var session: ProtectorSession?
  var destination: SocketAddress?
  var profile: SRTPProfile?
  /// When ``handleTimeout(at:)`` has something to do.
  package var deadline = Instant.distantFuture
  var nextReportAt = Instant.distantFuture
  let senderSSRC: SSRC

  // What it sends.
  var outgoing: [OutgoingStream] = []
  var nextTransportNumber: UInt16 = 0
  var isSending = false

  // What it gets.
  var payloadRoles = [PayloadRole](repeating: .unknown, count: 128)
  var incoming: [IncomingStream] = []
  /// Sources one client listens to: every publisher's audio and video, with retransmissions, and some to spare.
  let incomingLimit: Int
  var transportNumberIdentifier: UInt8?
  var recorder: TransportRecorder?
  var sinceVerified = 0
  var receivedDatagramCount: UInt64 = 0
  /// RTP of a payload type that nobody negotiated, or of more sources than anybody announced.
  var strayCount: UInt64 = 0

  /// Opens the socket, on a free loopback port.
  init(_ role: Role, index: Int, isProbe: Bool = false, context: LoadContext) throws(LoadError) {
    self.role = role
    self.index = index
    self.isProbe = isProbe
    self.context = context
    incomingLimit = 8 + 4 * max(context.options.publisherCount, context.options.stage.pictureCount + context.options.stage.voices)
    do {
      var options = UDPSocket.Options()
      options.coalescesReceive = context.options.coalescesReceive
      socket = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0), options: options)
    } catch {
      throw .system("\(error)")
    }
    credentials = .make(using: &context.random)
    senderSSRC = context.makeSSRC()
    sections = LoadSection.sections(for: role, context)
  }

  /// Media may pass.
  package var isConnected: Bool { session != nil && destination != nil }

  // MARK: Connecting

  /// Starts towards the server that a description has told of.
  func connect(ufrag: String, password: String, addresses: [SocketAddress], role: HandshakeRole, fingerprints: [CertificateFingerprint])
    throws(LoadError)
  {
    guard let remote = EnfiladeSTUN.ICECredentials(ufrag: ufrag, password: password) else { throw .description("bad ICE credentials") }
    let reachable = addresses.filter { !$0.isIPv6 && $0.low >> 24 == 0x7F }
    guard !reachable.isEmpty else { throw .description("no candidate on a loopback address") }
    let now = MonotonicClock.now
    var agent = ICEControllingAgent(local: credentials, remote: remote, random: SeededRandom(seed: context.random.next()), at: now)
    for (position, address) in reachable.enumerated() { agent.addRemoteCandidate(address, priority: 1000 - UInt32(clamping: position)) }
    self.agent = agent
    handshake = context.factory.makeHandshake(role: role, remoteFingerprints: fingerprints)
    advance(at: now)
  }

  /// Does what time asks for.
  package func handleTimeout(at now: Instant) { advance(at: now) }

  /// Moves ICE, DTLS and reports on, and sets the next deadline.
  func advance(at now: Instant) {
    runAgent(at: now)
    if let handshake, destination != nil {
      handshake.start(at: now)
      if let due = handshake.nextDeadline, due <= now { handshake.handleTimeout(at: now) }
      drainHandshake()
      if session == nil, let keys = handshake.keyingMaterial, let opened = try? context.protector.openSession(keys) {
        session = opened
        profile = keys.profile
        // Spread over the interval, so that a hundred clients do not speak at once.
        nextReportAt = now + .milliseconds(Int64(context.random.next() % 1000))
      }
    }
    if isConnected {
      if nextReportAt <= now {
        nextReportAt = now + Self.reportInterval
        sendReports(at: now)
      }
      sendTransportFeedback(at: now)
    }
    deadline = min(
      agent?.nextDeadline ?? .distantFuture, handshake?.nextDeadline ?? .distantFuture, isConnected ? nextReportAt : .distantFuture,
      recorder?.nextDeadline ?? .distantFuture)
  }

  private func runAgent(at now: Instant) {
    guard agent != nil else { return }
    if agent!.nextDeadline <= now { _ = agent!.handleTimeout(at: now) }
    while true {
      var target: SocketAddress?
      let request = [UInt8].writing(capacity: 600) { writer in target = agent!.pollTransmit(at: now, into: &writer) }
      guard let target, let request else { break }
      send(request, to: target)
    }
    destination = agent!.selectedAddress
  }

  func drainHandshake() {
    guard let handshake, let destination else { return }
    while true {
      var buffer = [UInt8](repeating: 0, count: Limits.handshakeMTU)
      var span = buffer.mutableSpan
      var bytes = span.mutableBytes
      let count = handshake.pollTransmit(into: &bytes)
      if count == 0 { return }
      send(Array(buffer.prefix(count)), to: destination)
    }
  }

  /// Ends the association; the resource is the signaling's to delete.
  func close(at now: Instant) {
    isSending = false
    handshake?.close(at: now)
    drainHandshake()
    if let session { context.protector.closeSession(session) }
    session = nil
    if agent != nil { _ = agent!.close(at: now) }
    deadline = .distantFuture
  }

  // MARK: Sending

  func send(_ bytes: [UInt8], to target: SocketAddress) {
    var copy = bytes
    copy.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { return }
      send(base, byteCount: buffer.count, to: target)
    }
  }

  func send(_ base: UnsafeMutableRawPointer, byteCount: Int, to target: SocketAddress) {
    var datagram = OutgoingDatagram(base: base, byteCount: byteCount, to: target)
    // A full socket or a refused datagram is loss, and the report's counts show it.
    withUnsafePointer(to: &datagram) { _ = socket.send(UnsafeBufferPointer(start: $0, count: 1)) }
  }

  /// The states, for an error's text.
  var states: (ice: String, handshake: String) {
    (agent.map { "\($0.state)" } ?? "not started", handshake.map { "\($0.state)" } ?? "not started")
  }
}

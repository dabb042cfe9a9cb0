// The lite side of ICE for one link (RFC 8445 §2.5, §7.3, RFC 7675): it answers checks, learns the peer's addresses, and follows
// the peer's nominations. It never sends a check of its own.
//
// Decisions where the standards leave room, or where we leave them:
// - USERNAME: the first half must be our ufrag (RFC 8445 §7.3). The second half must be the peer's once we know it, and may be
//   anything before: a check can overtake the signaling. RFC 8445 does not ask for the second comparison; it binds the check to the
//   description we answered, and every client we know writes it.
// - FINGERPRINT is demanded, as RFC 8445 §7.1.2 makes it part of every check; without it the datagram is dropped unanswered.
// - A refusal that is not authenticated is never longer than what it refuses, so nobody can use us to amplify: a request too short for
//   its 400 gets nothing.
// - ICE-CONTROLLED from the peer is a role conflict that a lite agent cannot resolve by switching: it stays controlled and says 487.
// - Nomination: each nominating check on another pair moves the selection, the newest wins. That serves regular nomination
//   (RFC 8445 §8.1.1), browsers that nominate again when their network changes, and old aggressive ones.
// - Consent: a lite agent sends no checks and so gets no answers (RFC 7675 §5.1 asks only for replies). What we hold instead is that the
//   peer's own checks on the selected pair, which RFC 7675 makes it send every five seconds, show both its presence and its will to
//   receive; after ``Limits/consentTimeout`` without one we stop sending, and only new credentials start again.
// - A check's source address is not protected by its integrity. A request seen before, from another address, is taken for a replay and
//   dropped as long as the pair remembers its transaction.

package import EnfiladeSTUN
package import EnfiladeWire

/// Why a STUN message changed nothing and got no answer.
package enum ICEDropReason: UInt8, Hashable, Sendable, CaseIterable {
  /// A response or an indication: a lite agent asks nothing, and an indication wants no answer.
  case notARequest
  case unknownMethod
  /// FINGERPRINT is missing or does not fit.
  case fingerprint
  /// Not authenticated, and the refusal would be longer than the request.
  case wouldAmplify
  /// An authenticated request that was already taken from another address.
  case replayed
  /// Consent is lost: these credentials are over (RFC 7675 §5.1).
  case consentLost
  case closed
  /// The response buffer has less room than ``Limits/iceResponseByteCount``.
  case noRoom
}

/// What the caller is to do.
package struct ICEActions: Hashable, Sendable {
  package init() {}

  package var stateChanged = false
  package var selectedChanged = false
  /// From now on packets from here belong to the link.
  package var addressAdded: SocketAddress?
  /// From now on packets from here are a stranger's.
  package var addressRemoved: SocketAddress?
  /// Checks for this ufrag of ours are no longer this agent's.
  package var ufragRetired: UfragKey?
}

/// What became of a request.
package enum ICEVerdict: Hashable, Sendable {
  case drop(ICEDropReason)
  /// An error response was written; nothing changed.
  case refuse(STUNErrorCode)
  /// A success response was written.
  case respond(ICEActions)
}

/// Which deadline comes next.
package enum ICETimer: UInt8, Hashable, Sendable, CaseIterable {
  /// No pair was nominated in time.
  case connect
  /// The selected pair has been silent.
  case silence
  /// The selected pair's consent ends.
  case consent
  /// An address that is not selected was not heard of again.
  case forgetAddress
}

/// One link's ICE, lite and controlled. It is not copied: a timer that looks at it must not count references to its credentials.
package struct ICELiteAgent: ~Copyable, Sendable {
  /// One set of credentials.
  private struct Generation {
    var local: ICECredentials
    var key: STUNKey
    /// Empty while it is not known.
    var remoteUfrag: [UInt8]
    var hasNominated = false

    init(local: ICECredentials, remote: ICECredentials?) {
      self.local = local
      key = local.key
      remoteUfrag = remote?.ufrag ?? []
    }

    /// Whether the USERNAME of a request to us names this generation.
    func isNamed(by message: STUNMessageView, in bytes: RawSpan) -> Bool {
      guard let receiver = message.receiverUfrag(in: bytes), let sender = message.senderUfrag(in: bytes) else { return false }
      guard receiver.hasSameBytes(as: local.ufrag.rawBytes) else { return false }
      return remoteUfrag.isEmpty || sender.hasSameBytes(as: remoteUfrag.rawBytes)
    }
  }

  /// An address that the peer has proved to receive at, or at least to send from, with our password.
  private struct Pair {
    var address: SocketAddress
    var lastCheck: Instant
    var lastTransaction: STUNTransactionID
  }

  package private(set) var state: ICEState = .new
  /// Where to send; `nil` before the first nomination and after consent is lost.
  package private(set) var selectedAddress: SocketAddress?

  private var current: Generation
  /// The credentials before the last restart, valid until the peer nominates with the new ones (RFC 8445 §9).
  private var previous: Generation?
  private var pairs: InlineArray<8, Pair>
  private var pairCount = 0
  /// When the selected pair was last heard of.
  private var selectedHeard: Instant
  /// Until when a pair must be nominated with the current credentials.
  private var connectDeadline: Instant
  private var latest: Instant

  /// An agent that waits for checks. `remote` may come later, with ``setRemote(_:)``.
  package init(local: ICECredentials, remote: ICECredentials?, at now: Instant) {
    current = Generation(local: local, remote: remote)
    let nobody = Pair(
      address: SocketAddress(ipv4: 0, port: 0), lastCheck: .zero, lastTransaction: STUNTransactionID(high: 0, low: 0))
    pairs = InlineArray(repeating: nobody)
    selectedHeard = now
    connectDeadline = now + Limits.connectTimeout
    latest = now
    assert(pairs.count == Limits.iceAddressCount)
  }

  // MARK: Look

  package var localCredentials: ICECredentials { current.local }
  /// The ufrags whose checks are this agent's: one, or two while a restart is under way.
  package var currentUfragKey: UfragKey? { current.local.ufragKey }
  package var previousUfragKey: UfragKey? { previous?.local.ufragKey }

  package var addressCount: Int { pairCount }
  /// One of the ``addressCount`` validated addresses, in no order.
  package func address(at index: Int) -> SocketAddress {
    precondition(index < pairCount)
    return pairs[index].address
  }

  /// Whether the peer has sent an authenticated check from `address` lately.
  package func isValidated(_ address: SocketAddress) -> Bool { pairIndex(of: address) != nil }

  /// The next deadline, never in the agent's past, and its reason; `nil` when time changes nothing.
  package var nextTimer: (deadline: Instant, reason: ICETimer)? {
    var next: (deadline: Instant, reason: ICETimer)?
    switch state {
    case .new, .checking: next = (connectDeadline, .connect)
    case .connected: next = (selectedHeard + Limits.iceSilenceTimeout, .silence)
    case .disconnected: next = (selectedHeard + Limits.consentTimeout, .consent)
    case .failed, .closed:
      return pairCount > 0 ? (latest, .forgetAddress) : nil
    }
    // A span: indexing an inline array that is a part of `self` copies all of it each time.
    let pairs = pairs.span
    for index in 0..<pairCount where pairs[index].address != selectedAddress {
      let deadline = pairs[index].lastCheck + Limits.consentTimeout
      if deadline < next?.deadline ?? .distantFuture { next = (deadline, .forgetAddress) }
    }
    return next.map { (max($0.deadline, latest), $0.reason) }
  }

  /// When to call ``handleTimeout(at:)``; ``Instant/distantFuture`` when time changes nothing.
  package var nextDeadline: Instant { nextTimer?.deadline ?? .distantFuture }

  // MARK: Handle

  /// Takes a binding request and writes the answer. Nothing changes before the request is authenticated.
  package mutating func handleRequest(
    _ message: STUNMessageView, in bytes: RawSpan, from source: SocketAddress, at now: Instant, response: inout ByteWriter
  ) -> ICEVerdict {
    advance(to: now)
    guard state != .closed else { return .drop(.closed) }
    guard message.messageClass == .request else { return .drop(.notARequest) }
    guard message.method == .binding else { return .drop(.unknownMethod) }
    guard message.hasValidFingerprint(in: bytes) else { return .drop(.fingerprint) }
    guard state != .failed else { return .drop(.consentLost) }
    guard response.capacity - response.count >= Limits.iceResponseByteCount else { return .drop(.noRoom) }

    // RFC 8489 §9.1.3, in its order.
    guard message.username != nil, message.hasMessageIntegrity else {
      return refuseStranger(.badRequest, message, in: bytes, response: &response)
    }
    let isCurrent = current.isNamed(by: message, in: bytes)
    let isPrevious = !isCurrent && previous?.isNamed(by: message, in: bytes) == true
    guard let key = isCurrent ? current.key : isPrevious ? previous?.key : nil,
      message.hasValidMessageIntegrity(in: bytes, key: key)
    else { return refuseStranger(.unauthenticated, message, in: bytes, response: &response) }

    // From here on it is the peer who speaks.
    guard message.unknownRequiredCount == 0 else {
      STUNComposer.bindingError(.unknownAttribute, to: message, in: bytes, key: key, into: &response)
      return .refuse(.unknownAttribute)
    }
    if case .controlled = message.role {
      STUNComposer.bindingError(.roleConflict, to: message, in: bytes, key: key, into: &response)
      return .refuse(.roleConflict)
    }
    if isReplay(message.transactionID, from: source) { return .drop(.replayed) }
    STUNComposer.bindingSuccess(message.transactionID, mappedAddress: source, key: key, into: &response)
    return .respond(accept(message, from: source, isCurrent: isCurrent, at: now))
  }

  /// Does what is due, one address at a time: call again while ``nextDeadline`` is not later than `now`.
  package mutating func handleTimeout(at now: Instant) -> ICEActions {
    advance(to: now)
    var actions = ICEActions()
    guard let (deadline, reason) = nextTimer, deadline <= now else { return actions }
    switch reason {
    case .connect:
      move(.expiry, &actions)
      retirePrevious(&actions)
    case .silence:
      move(.silence, &actions)
    case .consent:
      selectedAddress = nil
      actions.selectedChanged = true
      // New credentials that the peer has not used yet are not touched by the end of the old path; the connect timer bounds them.
      move(current.hasNominated ? .expiry : .loss, &actions)
      retirePrevious(&actions)
    case .forgetAddress:
      actions.addressRemoved = forgetOldest()
    }
    return actions
  }

  // MARK: Verbs

  /// The peer's credentials, when its description comes after ours.
  package mutating func setRemote(_ remote: ICECredentials) {
    current.remoteUfrag = remote.ufrag
  }

  /// Installs new credentials (RFC 8445 §9). The old ones, and the selected pair, stay until the peer nominates with the new ones; after
  /// consent was lost they are over at once.
  package mutating func restart(local: ICECredentials, remote: ICECredentials?, at now: Instant) -> ICEActions {
    advance(to: now)
    var actions = ICEActions()
    guard state != .closed else { return actions }
    let replaced = current
    current = Generation(local: local, remote: remote)
    connectDeadline = now + Limits.connectTimeout
    if state == .failed {
      actions.ufragRetired = replaced.local.ufragKey
    } else if replaced.hasNominated || previous == nil {
      retirePrevious(&actions)
      previous = replaced
    } else {
      // Nobody nominated with what is replaced; the path in use belongs to the credentials before it.
      actions.ufragRetired = replaced.local.ufragKey
    }
    move(.restart, &actions)
    return actions
  }

  /// Ends the agent. Its addresses come back from ``handleTimeout(at:)``, or are read with ``address(at:)``.
  package mutating func close(at now: Instant) -> ICEActions {
    advance(to: now)
    var actions = ICEActions()
    actions.selectedChanged = selectedAddress != nil
    selectedAddress = nil
    move(.close, &actions)
    return actions
  }

  // MARK: Private

  private mutating func advance(to now: Instant) {
    assert(now >= latest, "Time went back.")
    latest = max(latest, now)
  }

  private mutating func move(_ event: ICEEvent, _ actions: inout ICEActions) {
    let next = state.after(event)
    if next != state { actions.stateChanged = true }
    state = next
  }

  private mutating func retirePrevious(_ actions: inout ICEActions) {
    if let previous { actions.ufragRetired = previous.local.ufragKey }
    previous = nil
  }

  private func refuseStranger(
    _ code: STUNErrorCode, _ message: STUNMessageView, in bytes: RawSpan, response: inout ByteWriter
  ) -> ICEVerdict {
    guard bytes.byteCount >= Self.strangerRefusalByteCount else { return .drop(.wouldAmplify) }
    STUNComposer.bindingError(code, to: message, in: bytes, key: nil, into: &response)
    return .refuse(code)
  }

  /// The longest refusal without integrity: header, ERROR-CODE with "Unauthenticated", FINGERPRINT.
  private static let strangerRefusalByteCount = 20 + 24 + 8

  private func pairIndex(of address: SocketAddress) -> Int? {
    for index in 0..<pairCount where pairs[index].address == address { return index }
    return nil
  }

  private func isReplay(_ transaction: STUNTransactionID, from source: SocketAddress) -> Bool {
    for index in 0..<pairCount where pairs[index].lastTransaction == transaction && pairs[index].address != source { return true }
    return false
  }

  private mutating func accept(_ message: STUNMessageView, from source: SocketAddress, isCurrent: Bool, at now: Instant) -> ICEActions {
    var actions = ICEActions()
    var isRetransmission = false
    if let index = pairIndex(of: source) {
      isRetransmission = pairs[index].lastTransaction == message.transactionID
      pairs[index].lastCheck = now
      pairs[index].lastTransaction = message.transactionID
    } else {
      if pairCount == pairs.count { actions.addressRemoved = forgetOldest() }
      pairs[pairCount] = Pair(address: source, lastCheck: now, lastTransaction: message.transactionID)
      pairCount += 1
      actions.addressAdded = source
    }
    // A copy that comes late must not undo a nomination made since.
    if message.useCandidate && !isRetransmission {
      if selectedAddress != source {
        selectedAddress = source
        actions.selectedChanged = true
      }
      selectedHeard = now
      if isCurrent {
        current.hasNominated = true
        retirePrevious(&actions)
      }
      move(.nomination, &actions)
    } else if selectedAddress == source {
      selectedHeard = now
      move(.consent, &actions)
    } else {
      move(.check, &actions)
    }
    return actions
  }

  /// Forgets the address that was silent longest, but for the selected one.
  private mutating func forgetOldest() -> SocketAddress? {
    var oldest: Int?
    for index in 0..<pairCount where pairs[index].address != selectedAddress {
      if let best = oldest, pairs[best].lastCheck <= pairs[index].lastCheck { continue }
      oldest = index
    }
    return oldest.map { removePair(at: $0) }
  }

  private mutating func removePair(at index: Int) -> SocketAddress {
    let address = pairs[index].address
    pairCount -= 1
    pairs[index] = pairs[pairCount]
    return address
  }
}

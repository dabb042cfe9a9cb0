// The client side of ICE towards a lite server (RFC 8445 §7.2, §8.1.1, RFC 7675): for our own load client and for tests. It checks the
// server's candidates, nominates the first that answers, and keeps consent. It answers no checks, since a lite agent sends none.

package import EnfiladeSTUN
package import EnfiladeWire

/// What became of a message handed to the controlling agent.
package enum ICEClientVerdict: Hashable, Sendable {
  /// Not an answer to anything we asked, or not authentic.
  case ignored
  case handled(ICEActions)
}

/// One client's ICE: full enough to be controlling.
///
/// Nomination is regular (RFC 8445 §8.1.1): plain checks first, then one check with USE-CANDIDATE on the first pair that answered; so both
/// sides always agree on the pair, however answers cross.
package struct ICEControllingAgent: Sendable {
  private enum CheckState: UInt8 {
    case waiting
    case inProgress
    case succeeded
    case failed
  }

  /// One remote candidate, and the transaction that runs towards it.
  private struct Check {
    var address: SocketAddress
    var priority: UInt32
    var state: CheckState = .waiting
    var isNominating = false
    var transaction = STUNTransactionID(high: 0, low: 0)
    var sentCount = 0
    /// When to send again, or to give up.
    var next: Instant = .distantFuture
  }

  package private(set) var state: ICEState = .new
  /// Where to send; `nil` before the nomination is confirmed and after consent is lost.
  package private(set) var selectedAddress: SocketAddress?
  /// The address that the server saw us at, from its last answer.
  package private(set) var mappedAddress: SocketAddress?

  private var local: ICECredentials
  private var remote: ICECredentials
  /// Checks and their answers are both made with the answerer's password.
  private var remoteKey: STUNKey
  private var isControlling: Bool
  private var tieBreaker: UInt64
  private var random: SeededRandom
  private var checks: InlineArray<8, Check>
  private var checkCount = 0
  private var nextStart: Instant
  private var nextConsent: Instant = .distantFuture
  /// Consent checks whose answers still count, the oldest first.
  private var consents: InlineArray<8, STUNTransactionID>
  private var consentCount = 0
  private var lastConsent: Instant
  private var latest: Instant

  /// `random` gives transaction ids and the consent jitter. `isControlling` is `false` only to try out a server's 487.
  package init(local: ICECredentials, remote: ICECredentials, random: SeededRandom, isControlling: Bool = true, at now: Instant) {
    self.local = local
    self.remote = remote
    remoteKey = remote.key
    self.isControlling = isControlling
    self.random = random
    tieBreaker = self.random.next()
    checks = InlineArray(repeating: Check(address: SocketAddress(ipv4: 0, port: 0), priority: 0))
    consents = InlineArray(repeating: STUNTransactionID(high: 0, low: 0))
    nextStart = now
    lastConsent = now
    latest = now
    assert(checks.count == Limits.iceRemoteCandidateCount && consents.count == Limits.consentChecksInFlight)
  }

  // MARK: Look

  /// When to call ``handleTimeout(at:)`` or ``pollTransmit(at:into:)``; ``Instant/distantFuture`` when time changes nothing.
  package var nextDeadline: Instant {
    guard state != .failed, state != .closed else { return .distantFuture }
    var deadline = Instant.distantFuture
    for index in 0..<checkCount {
      switch checks[index].state {
      case .waiting: deadline = min(deadline, nextStart)
      case .inProgress: deadline = min(deadline, checks[index].next)
      case .succeeded, .failed: break
      }
    }
    if selectedAddress != nil {
      let liveness = lastConsent + (state == .connected ? Limits.iceSilenceTimeout : Limits.consentTimeout)
      deadline = min(deadline, nextConsent, liveness)
    }
    // A candidate that comes late is due now, not in the past.
    return max(deadline, latest)
  }

  // MARK: Verbs

  /// Adds one of the server's candidates; `false` when ``Limits/iceRemoteCandidateCount`` are in, or this one is.
  @discardableResult
  package mutating func addRemoteCandidate(_ address: SocketAddress, priority: UInt32) -> Bool {
    guard checkCount < checks.count else { return false }
    for index in 0..<checkCount where checks[index].address == address { return false }
    checks[checkCount] = Check(address: address, priority: priority)
    checkCount += 1
    return true
  }

  /// Starts over with new credentials (RFC 8445 §9). The selected address stays until a new one is confirmed.
  package mutating func restart(local: ICECredentials, remote: ICECredentials, at now: Instant) -> ICEActions {
    advance(to: now)
    var actions = ICEActions()
    guard state != .closed else { return actions }
    self.local = local
    self.remote = remote
    remoteKey = remote.key
    for index in 0..<checkCount { checks[index] = Check(address: checks[index].address, priority: checks[index].priority) }
    // The old credentials' consent checks end here; what is left of the thirty seconds is for the new ones to be nominated in.
    nextConsent = .distantFuture
    consentCount = 0
    nextStart = now
    move(.restart, &actions)
    return actions
  }

  package mutating func close(at now: Instant) -> ICEActions {
    advance(to: now)
    var actions = ICEActions()
    actions.selectedChanged = selectedAddress != nil
    selectedAddress = nil
    move(.close, &actions)
    return actions
  }

  // MARK: Handle

  /// Takes a STUN message; only authentic answers to our own requests, from where the request went (RFC 8445 §7.2.5.2.1), count.
  package mutating func handleMessage(
    _ message: STUNMessageView, in bytes: RawSpan, from source: SocketAddress, at now: Instant
  ) -> ICEClientVerdict {
    advance(to: now)
    guard message.method == .binding, message.messageClass == .successResponse || message.messageClass == .errorResponse else {
      return .ignored
    }
    guard state != .failed, state != .closed, message.hasValidFingerprint(in: bytes) else { return .ignored }
    let checkIndex = (0..<checkCount).first {
      checks[$0].state == .inProgress && checks[$0].transaction == message.transactionID && checks[$0].address == source
    }
    let consentIndex = source == selectedAddress ? consentInFlight(message.transactionID) : nil
    guard checkIndex != nil || consentIndex != nil, message.hasValidMessageIntegrity(in: bytes, key: remoteKey) else { return .ignored }
    if message.xorMappedAddress != nil { mappedAddress = message.xorMappedAddress }

    var actions = ICEActions()
    switch (message.messageClass, checkIndex) {
    case (.successResponse, let index?):
      succeed(at: index, now, &actions)
    case (.successResponse, nil):
      lastConsent = now
      // Neither a copy of this answer nor one to an older check proves anything more.
      forgetConsents(upTo: (consentIndex ?? 0) + 1)
      move(.consent, &actions)
    case (_, let index?) where message.errorCode == .roleConflict && !isControlling:
      // RFC 8445 §7.2.5.1: switch, with a new tie-breaker, and check again.
      isControlling = true
      tieBreaker = random.next()
      checks[index].state = .waiting
      nextStart = now
    case (_, let index?):
      fail(at: index, &actions)
    case (_, nil):
      // A refused consent check is no consent; the timeout decides.
      break
    }
    return .handled(actions)
  }

  /// Gives up what has waited long enough. Sending is ``pollTransmit(at:into:)``'s.
  package mutating func handleTimeout(at now: Instant) -> ICEActions {
    advance(to: now)
    var actions = ICEActions()
    guard state != .failed, state != .closed else { return actions }
    for index in 0..<checkCount where checks[index].state == .inProgress && checks[index].next <= now {
      if checks[index].sentCount >= Limits.stunRequestCount { fail(at: index, &actions) }
    }
    guard selectedAddress != nil else { return actions }
    if state == .connected, lastConsent + Limits.iceSilenceTimeout <= now { move(.silence, &actions) }
    if lastConsent + Limits.consentTimeout <= now {
      selectedAddress = nil
      actions.selectedChanged = true
      move(isChecking ? .loss : .expiry, &actions)
    }
    return actions
  }

  // MARK: Poll

  /// Writes the next request that is due and gives its destination; `nil` when nothing is. Call until it gives `nil`.
  package mutating func pollTransmit(at now: Instant, into writer: inout ByteWriter) -> SocketAddress? {
    advance(to: now)
    guard state != .failed, state != .closed else { return nil }
    for index in 0..<checkCount where checks[index].state == .inProgress && checks[index].next <= now {
      guard checks[index].sentCount < Limits.stunRequestCount else { continue }
      return send(checkAt: index, at: now, into: &writer)
    }
    if nextStart <= now, let index = nextWaiting() {
      nextStart = now + Limits.icePace
      checks[index].state = .inProgress
      checks[index].sentCount = 0
      checks[index].transaction = STUNTransactionID(using: &random)
      return send(checkAt: index, at: now, into: &writer)
    }
    if let selectedAddress, nextConsent <= now {
      let transaction = STUNTransactionID(using: &random)
      if consentCount == consents.count { forgetConsents(upTo: 1) }
      consents[consentCount] = transaction
      consentCount += 1
      scheduleConsent(at: now)
      // With USE-CANDIDATE: it names the pair that was nominated already, and tells a server that lost sight of us where we are now.
      writeRequest(transaction, useCandidate: true, into: &writer)
      return selectedAddress
    }
    return nil
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

  private var isChecking: Bool {
    for index in 0..<checkCount where checks[index].state == .waiting || checks[index].state == .inProgress { return true }
    return false
  }

  /// The waiting check of the highest priority.
  private func nextWaiting() -> Int? {
    var best: Int?
    for index in 0..<checkCount where checks[index].state == .waiting {
      if let found = best, checks[found].priority >= checks[index].priority { continue }
      best = index
    }
    return best
  }

  private func consentInFlight(_ transaction: STUNTransactionID) -> Int? {
    for index in 0..<consentCount where consents[index] == transaction { return index }
    return nil
  }

  /// Drops the oldest `count` consent checks.
  private mutating func forgetConsents(upTo count: Int) {
    for index in count..<max(count, consentCount) { consents[index - count] = consents[index] }
    consentCount = max(0, consentCount - count)
  }

  private mutating func scheduleConsent(at now: Instant) {
    // RFC 7675 §5.1: between 0.8 and 1.2 of the interval.
    let jitter = TimeDelta(nanoseconds: Int64(random.next() % UInt64(Limits.consentInterval.nanoseconds * 2 / 5)))
    nextConsent = now + (Limits.consentInterval * 4 / 5) + jitter
  }

  private mutating func send(checkAt index: Int, at now: Instant, into writer: inout ByteWriter) -> SocketAddress {
    let sent = checks[index].sentCount
    checks[index].sentCount = sent + 1
    // RFC 8489 §6.2.1: each wait is twice the one before, and the last is Rm initial timeouts.
    let isLast = sent + 1 == Limits.stunRequestCount
    checks[index].next = now + Limits.stunInitialRTO * (isLast ? Limits.stunLastWait : 1 << Int64(sent))
    writeRequest(checks[index].transaction, useCandidate: checks[index].isNominating, into: &writer)
    return checks[index].address
  }

  private func writeRequest(_ transaction: STUNTransactionID, useCandidate: Bool, into writer: inout ByteWriter) {
    // RFC 8445 §7.1.1: what our address would have as a peer-reflexive candidate.
    let priority = CandidateKind.peerReflexive.priority(localPreference: 65_535)
    STUNComposer.bindingRequest(
      transaction, receiverUfrag: remote.ufrag.rawBytes, senderUfrag: local.ufrag.rawBytes, priority: priority,
      role: isControlling ? .controlling(tieBreaker: tieBreaker) : .controlled(tieBreaker: tieBreaker),
      useCandidate: useCandidate && isControlling, key: remoteKey, into: &writer)
  }

  private mutating func succeed(at index: Int, _ now: Instant, _ actions: inout ICEActions) {
    checks[index].state = .succeeded
    guard checks[index].isNominating else {
      move(.check, &actions)
      // The first answer decides; the others end here (RFC 8445 §8.1.1).
      for other in 0..<checkCount where other != index { checks[other].state = .failed }
      checks[index].isNominating = true
      checks[index].state = .waiting
      nextStart = now
      return
    }
    if selectedAddress != checks[index].address {
      selectedAddress = checks[index].address
      actions.selectedChanged = true
    }
    lastConsent = now
    consentCount = 0
    scheduleConsent(at: now)
    move(.nomination, &actions)
  }

  private mutating func fail(at index: Int, _ actions: inout ICEActions) {
    checks[index].state = .failed
    if selectedAddress == nil, !isChecking { move(.expiry, &actions) }
  }
}

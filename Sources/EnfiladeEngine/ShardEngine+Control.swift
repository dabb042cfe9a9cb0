// STUN and DTLS: how a link is found, trusted and kept. Nothing here changes anything before the sender has proved who it is.

import EnfiladeSTUN
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  // MARK: STUN

  mutating func handleSTUN(_ bytes: RawSpan, from source: SocketAddress, at now: Instant) {
    guard let message = STUNMessageView.parse(bytes).message else { return drops.count(.stunMalformed) }
    guard let key = message.receiverUfragKey(in: bytes), let found = fragments.find(key) else {
      return drops.count(.stunUnknownCredentials)
    }
    guard !control.isFull else { return drops.count(.controlQueueFull) }
    let link = Int(found)
    var actions: ICEActions?
    var reason: DropReason?
    control.append(to: source) { writer in
      switch links[link].ice.handleRequest(message, in: bytes, from: source, at: now, response: &writer) {
      case .respond(let done): actions = done
      case .refuse(let code): reason = code == .unauthenticated || code == .badRequest ? .stunUnauthenticated : .stunUnexpected
      case .drop(.wouldAmplify), .drop(.fingerprint): reason = .stunUnauthenticated
      case .drop: reason = .stunUnexpected
      }
    }
    if let reason { drops.count(reason) }
    guard let actions else { return }
    links[link].lastHeard = now
    carryOut(actions, link: link, at: now)
    // An address that was somebody else's when it was first proved may have become free since.
    if actions.addressAdded == nil, addresses.find(source) != found { claim(source, for: link, at: now) }
    reschedule(link, at: now)
  }

  /// Does what an ICE agent decided.
  mutating func carryOut(_ actions: ICEActions, link: Int, at now: Instant) {
    if let removed = actions.addressRemoved { addresses.remove(LinkKey(removed), onlyIf: Int32(link)) }
    if let added = actions.addressAdded { claim(added, for: link, at: now) }
    if let retired = actions.ufragRetired { fragments.remove(LinkKey(retired), onlyIf: Int32(link)) }
    if actions.selectedChanged, links[link].ice.selectedAddress != nil {
      handlePathChange(link, at: now)
      links[link].handshake.start(at: now)
      drainHandshake(link, at: now)
    }
    if actions.stateChanged { updateState(link) }
  }

  /// An address belongs to the link that proved it first, as long as that link lives: nobody can take a neighbour's path by sending checks
  /// in its name.
  private mutating func claim(_ address: SocketAddress, for link: Int, at now: Instant) {
    if let owner = addresses.find(address), Int(owner) != link, links.contains(Int(owner)), links[Int(owner)].ice.state == .connected,
      now - links[Int(owner)].lastHeard < Limits.addressHold
    {
      return drops.count(.addressInUse)
    }
    if addresses.insert(LinkKey(address), Int32(link)) == .full { drops.count(.addressTableFull) }
  }

  // MARK: DTLS

  mutating func handleHandshake(_ bytes: RawSpan, from source: SocketAddress, at now: Instant) {
    guard let found = addresses.find(source) else { return drops.count(.dtlsFromUnknownAddress) }
    let link = Int(found)
    links[link].handshake.handleDatagram(bytes, at: now)
    drainHandshake(link, at: now)
    reschedule(link, at: now)
  }

  /// Sends what the handshake wants sent, and takes its keys when it is done.
  mutating func drainHandshake(_ link: Int, at now: Instant) {
    if let destination = links[link].ice.selectedAddress ?? firstAddress(of: link) {
      let handshake = links[link].handshake
      while !control.isFull, control.appendBytes(to: destination, { place in handshake.pollTransmit(into: &place) }) {}
    }
    if links[link].session == nil, links[link].handshake.state == .connected, let keys = links[link].handshake.keyingMaterial {
      do throws(ProtectorError) {
        links[link].session = try protector.openSession(keys)
        links[link].profile = keys.profile
        links[link].nextReport = now + .milliseconds(100)
      } catch {
        events.append(.refused(.protectorRefused(links[link].id, error)))
      }
    }
    links[link].handshakeDeadline = links[link].handshake.nextDeadline ?? .distantFuture
    updateState(link)
  }

  private func firstAddress(of link: Int) -> SocketAddress? {
    links[link].ice.addressCount > 0 ? links[link].ice.address(at: 0) : nil
  }

  // MARK: State

  /// Tells the application when the link's state, seen as a whole, has changed.
  mutating func updateState(_ link: Int) {
    let state = linkState(link)
    guard state != links[link].state else { return }
    links[link].state = state
    events.append(.linkChanged(links[link].id, state))
    if state == .connected { resumeMedia(link) }
  }

  private func linkState(_ link: Int) -> LinkState {
    if let plain = links[link].plain { return plainState(of: link, plain) }
    switch links[link].handshake.state {
    case .failed(let failure): return .failed(.handshake(failure))
    case .closed: return .closed
    case .idle, .handshaking, .connected: break
    }
    switch links[link].ice.state {
    case .new, .checking: return links[link].session == nil ? .connecting : .disconnected
    case .connected: return links[link].session == nil ? .connecting : .connected
    case .disconnected: return .disconnected
    case .failed: return .failed(links[link].session == nil ? .neverConnected : .consentExpired)
    case .closed: return .closed
    }
  }

  /// A link that has just connected gets a picture of what is bound to it already.
  private mutating func resumeMedia(_ link: Int) {
    for position in 0..<links[link].outbound.count {
      chooseLayer(for: Int(links[link].outbound[position]), at: clock)
    }
  }
}

// Offers and their answers: what changes of the link, its sources and its slots, and what the engine is told of it.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire

extension RoomState {
  func answer(
    _ text: String, describing descriptions: [String: PublicationDescription], of id: ParticipantID
  ) throws(NegotiationError) -> String {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw NegotiationError(code: .left, reason: "the participant has left the room")
    }
    guard members[index].plainSockets == nil else {
      throw NegotiationError(code: .conflicting, reason: "who came by plain RTP has nothing to negotiate")
    }
    guard members[index].playback == nil else {
      throw NegotiationError(code: .conflicting, reason: "what is played into the room has nothing to negotiate")
    }
    let offer: Offer
    do { offer = try Offer(parsing: text) } catch {
      if case .syntax = error { throw NegotiationError(code: .malformed, reason: error.description) }
      throw NegotiationError(code: .unsupported, reason: error.description)
    }
    // Everything that can fail is done on a copy; nothing half-negotiated stays.
    var member = members[index]
    let link = try negotiateTransport(offer, &member)
    var plan = SectionPlan(offer, member: member, core: core)
    guard plan.sources.count <= configuration.publicationLimit else {
      throw NegotiationError(
        code: .tooManyPublications,
        reason: "the offer has \(plan.sources.count) media sections that send, and the room allows \(configuration.publicationLimit)")
    }
    plan.describe(descriptions, permissions: member.role.permissions)
    let before = member
    member.sources = plan.sources
    member.slots = plan.slots
    let ended = before.sources.filter { old in !member.sources.contains { $0.key == old.key } }
    let bound = assign(&member)
    plan.slots = member.slots
    member.sessionVersion += 1
    let answer = try build(offer, plan, member)
    members[index] = member
    carryOut(link, plan, member: member, ended: ended, before: before, bound: bound)
    return answer
  }

  func restartICE(_ text: String, of id: ParticipantID) throws(NegotiationError) -> String {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw NegotiationError(code: .left, reason: "the participant has left the room")
    }
    guard members[index].localCredentials != nil else {
      throw NegotiationError(code: .conflicting, reason: "nothing has been negotiated that could be restarted")
    }
    let fragment: TrickleFragment
    do { fragment = try TrickleFragment(parsing: text) } catch {
      throw NegotiationError(code: .malformed, reason: error.description)
    }
    guard let offered = fragment.effectiveCredentials,
      let remote = EnfiladeSTUN.ICECredentials(ufrag: offered.ufrag, password: offered.password)
    else { throw NegotiationError(code: .malformed, reason: "the fragment has no ICE credentials") }
    let local = restart(&members[index], remote: remote)
    members[index].shard.post(.restartICE(members[index].link, local: local, remote: remote))
    return core.fragment(answering: fragment, credentials: local, shard: members[index].shard).text
  }

  /// What has to happen to the link.
  private enum LinkStep {
    case none
    case add(LinkConfiguration)
    case restart(local: EnfiladeSTUN.ICECredentials, remote: EnfiladeSTUN.ICECredentials)
  }

  private func negotiateTransport(_ offer: Offer, _ member: inout Member) throws(NegotiationError) -> LinkStep {
    guard let offered = offer.transport.credentials,
      let remote = EnfiladeSTUN.ICECredentials(ufrag: offered.ufrag, password: offered.password)
    else { throw NegotiationError(code: .unsupported, reason: "the offer's ICE credentials are not what RFC 8839 allows") }
    guard member.localCredentials != nil else {
      var random = SystemRandomNumberGenerator()
      let local = EnfiladeSTUN.ICECredentials.make(using: &random)
      member.localCredentials = local
      member.remoteCredentials = remote
      member.fingerprints = offer.transport.fingerprints
      return .add(
        LinkConfiguration(
          localCredentials: local, remoteCredentials: remote, role: offer.answerSetup == .active ? .active : .passive,
          fingerprints: offer.transport.fingerprints.map { CertificateFingerprint(algorithm: $0.algorithm, digest: $0.digest) }))
    }
    guard offer.transport.fingerprints == member.fingerprints else {
      throw NegotiationError(code: .conflicting, reason: "the offer's certificate is not the one this participant connected with")
    }
    guard remote != member.remoteCredentials else { return .none }
    return .restart(local: restart(&member, remote: remote), remote: remote)
  }

  private func restart(_ member: inout Member, remote: EnfiladeSTUN.ICECredentials) -> EnfiladeSTUN.ICECredentials {
    var random = SystemRandomNumberGenerator()
    let local = EnfiladeSTUN.ICECredentials.make(using: &random)
    member.localCredentials = local
    member.remoteCredentials = remote
    return local
  }

  private func build(_ offer: Offer, _ plan: SectionPlan, _ member: Member) throws(NegotiationError) -> String {
    let local = member.localCredentials!
    let certificate = member.shard.fingerprint
    let fingerprint = SDPAttribute.Fingerprint(algorithm: certificate.algorithm, digest: certificate.digest)
    let transport = LocalTransport(
      credentials: EnfiladeSDP.ICECredentials(ufrag: local.ufragText, password: local.passwordText), isLite: true, fingerprint: fingerprint,
      candidates: core.candidates(of: member.shard))
    let builder = AnswerBuilder(sessionID: member.sessionID, sessionVersion: member.sessionVersion, transport: transport)
    let decisions = plan.decisions { key in
      locate(key).map { members[$0.member].id.rawValue }
    }
    do { return try builder.answer(to: offer, decisions).text } catch {
      throw NegotiationError(code: .unsupported, reason: "no answer can be written: \(error)")
    }
  }

  private func carryOut(
    _ link: LinkStep, _ plan: SectionPlan, member: Member, ended: [Member.Source], before: Member, bound: [Member.Slot]
  ) {
    core.register(member.link, publications: plan.sources.map(\.key), slots: plan.slots.map(\.key), room: self)
    switch link {
    case .none: break
    case .add(let configuration): member.shard.post(.addLink(member.link, configuration))
    case .restart(let local, let remote): member.shard.post(.restartICE(member.link, local: local, remote: remote))
    }
    member.shard.post(.configure(member.link, plan.media))
    if let policy = member.bandwidthPolicy { member.shard.post(.setPolicy(member.link, AllocationPolicy(policy))) }
    for source in ended { end(source, of: before) }
    for (position, source) in member.sources.enumerated() {
      refreshGate(member.id, position)
      noteChange(of: source, from: before.sources.first { $0.key == source.key }, member)
    }
    for slot in before.slots where slot.publication != nil && !member.slots.contains(where: { $0.key == slot.key }) {
      hub.send(.slotChanged(subscriber: member.id, mid: slot.mid, publication: nil))
    }
    for slot in bound { announce(slot, to: member) }
    setTargets(of: member)
    if let index = members.firstIndex(where: { $0.id == member.id }) {
      var asking = members[index]
      asking.wanted = (0, 0)
      askForReceivers(&asking)
      members[index] = asking
    }
    settleMix()
  }

  /// What is said of a source may change what others have of it.
  private func noteChange(of source: Member.Source, from before: Member.Source?, _ member: Member) {
    guard let before else { return }
    switch (before.isLive, source.isLive) {
    case (true, false): end(before, of: member)
    case (false, true):
      hub.send(.publicationStarted(member.publication(source)))
      fillSlots()
    case (true, true):
      guard before.description != source.description else { return }
      hub.send(.publicationChanged(member.publication(source)))
      // A screen takes other places than a camera.
      fillSlots()
    case (false, false): break
    }
  }
}

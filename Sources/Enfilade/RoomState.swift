// The room's own mind: members, their sources and slots, and who receives whom. An actor; the packet path never waits for it.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire
import Logging

/// One room's control plane.
actor RoomState {
  nonisolated let hub = EventHub()
  let name: String
  let core: EngineCore
  private(set) var members: [Member] = []
  private(set) var isClosed = false

  init(name: String, core: EngineCore) {
    self.name = name
    self.core = core
  }

  // MARK: Look

  func names() -> [(id: ParticipantID, name: String)] { members.map { ($0.id, $0.name) } }
  func name(of id: ParticipantID) -> String? { members.first { $0.id == id }?.name }

  func publications(of id: ParticipantID) -> [Publication] {
    guard let member = members.first(where: { $0.id == id }) else { return [] }
    return member.sources.filter(\.isLive).map(member.publication)
  }

  // MARK: Membership

  func join(name: String, policy: SubscriptionPolicy) throws(RoomError) -> ParticipantID {
    guard !isClosed else { throw RoomError(code: .closed, reason: "the room \(self.name) is closed") }
    let member = Member(
      id: core.makeParticipantID(), name: name, policy: policy, link: LinkID(core.runtime.makeIdentifier()),
      shard: core.runtime.placeLink(preferred: members.last?.shard), sessionID: UInt64.random(in: 1..<(1 << 62)))
    members.append(member)
    hub.send(.participantJoined(id: member.id, name: name))
    return member.id
  }

  func remove(_ id: ParticipantID, reason: LeaveReason) async {
    guard let index = members.firstIndex(where: { $0.id == id }) else { return }
    let member = members.remove(at: index)
    for source in member.sources { end(source, of: member) }
    if member.localCredentials != nil { member.shard.post(.removeLink(member.link)) }
    core.runtime.forgetLink(on: member.shard)
    core.forget(member.link)
    hub.send(.participantLeft(id: id, reason: reason))
    // The commands above are carried out when these are answered: nothing passes any more.
    await member.shard.barrier()
    for shard in core.runtime.shards where shard !== member.shard { await shard.barrier() }
  }

  func close() async {
    guard !isClosed else { return }
    isClosed = true
    await core.forgetRoom(name)
    while let member = members.first { await remove(member.id, reason: .roomClosed) }
    hub.finish()
  }

  // MARK: Negotiation

  func answer(_ text: String, of id: ParticipantID) throws(NegotiationError) -> String {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw NegotiationError(code: .left, reason: "the participant has left the room")
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
    return core.fragment(answering: fragment, credentials: local, port: members[index].shard.localAddress.port).text
  }

  // MARK: Constraints

  func setConstraint(_ constraint: VideoConstraint, mid: String, of id: ParticipantID) throws(RoomError) {
    guard let member = members.first(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    guard let slot = member.slots.first(where: { $0.mid == mid && $0.kind == .video }) else {
      throw RoomError(code: .unknownSection, reason: "no picture is sent in the media section \(mid)")
    }
    member.shard.post(.setTarget(slot.key, LayerTarget(constraint)))
  }

  // MARK: What the engine says

  func handle(_ event: EngineEvent) async {
    switch event {
    case .linkChanged(let link, let state): await handleLink(link, state)
    case .mediaStarted(let key, let format): start(key, codec: format.codec.encodingName)
    case .mediaEnded(let key): stop(key)
    case .encodingsWanted(let key, let mask): announceDemand(key, mask)
    case .refused(let refusal):
      core.logger.error("The engine refused a command.", metadata: ["room": "\(name)", "refusal": "\(refusal)"])
    case .dropped: break
    }
  }

  private func handleLink(_ link: LinkID, _ state: LinkState) async {
    guard let index = members.firstIndex(where: { $0.link == link }) else { return }
    members[index].connection = ConnectionState(state)
    let id = members[index].id
    hub.send(.connectionChanged(id: id, state: members[index].connection))
    switch state {
    case .failed(let failure): await remove(id, reason: .connectionFailed(failure.text))
    case .closed: await remove(id, reason: .left)
    case .connecting, .connected, .disconnected: break
    }
  }

  private func start(_ key: PublicationKey, codec: String) {
    guard let (index, position) = locate(key) else { return }
    let wasLive = members[index].sources[position].isLive
    members[index].sources[position].codec = codec
    guard !wasLive else { return }
    hub.send(.publicationStarted(members[index].publication(members[index].sources[position])))
    fillSlots()
  }

  private func announceDemand(_ key: PublicationKey, _ mask: UInt8) {
    guard let (index, position) = locate(key) else { return }
    let source = members[index].sources[position]
    guard source.rids.count > 1 else { return }
    let wanted = source.rids.indices.filter { mask >> UInt8($0) & 1 != 0 }.map { source.rids[$0] }
    hub.send(.encodingsWanted(publisher: members[index].id, mid: source.mid, rids: wanted))
  }

  private func stop(_ key: PublicationKey) {
    guard let (index, position) = locate(key), members[index].sources[position].isLive else { return }
    end(members[index].sources[position], of: members[index])
    members[index].sources[position].codec = nil
  }

  private func locate(_ key: PublicationKey) -> (member: Int, source: Int)? {
    for index in members.indices {
      if let position = members[index].sources.firstIndex(where: { $0.key == key }) { return (index, position) }
    }
    return nil
  }
}

// MARK: - Who receives whom

extension RoomState {
  /// Fills free slots of everybody with what they want and do not have yet.
  private func fillSlots() {
    for index in members.indices {
      var member = members[index]
      for slot in assign(&member) { announce(slot, to: member) }
      askForReceivers(&member)
      members[index] = member
    }
  }

  /// Binds live publications that `member` wants to its free slots, in the order of joining.
  /// - Returns: the slots that were bound.
  private func assign(_ member: inout Member) -> [Member.Slot] {
    var bound: [Member.Slot] = []
    for publisher in members where member.wants(publisher.id) {
      for source in publisher.sources where source.isLive && !member.slots.contains(where: { $0.publication == source.key }) {
        guard let free = member.slots.firstIndex(where: { $0.kind == source.kind && $0.publication == nil }) else { continue }
        member.slots[free].publication = source.key
        bound.append(member.slots[free])
      }
    }
    return bound
  }

  /// Tells the engine and the application what a slot now carries.
  private func announce(_ slot: Member.Slot, to member: Member) {
    member.shard.post(.bind(slot.key, slot.publication))
    let publication = slot.publication.flatMap(locate).map { members[$0.member].publication(members[$0.member].sources[$0.source]) }
    hub.send(.slotChanged(subscriber: member.id, mid: slot.mid, publication: publication))
  }

  /// Asks for as many receiving sections as are missing, once for each number.
  private func askForReceivers(_ member: inout Member) {
    guard member.localCredentials != nil else { return }
    var missing = (audio: 0, video: 0)
    for publisher in members where member.wants(publisher.id) {
      for source in publisher.sources where source.isLive && !member.slots.contains(where: { $0.publication == source.key }) {
        if source.kind == .audio { missing.audio += 1 } else { missing.video += 1 }
      }
    }
    guard missing != member.wanted else { return }
    member.wanted = missing
    if missing != (0, 0) { hub.send(.receiversWanted(subscriber: member.id, audio: missing.audio, video: missing.video)) }
  }

  /// A publication is over: nobody's slot carries it any more, and the slots can carry something else.
  private func end(_ source: Member.Source, of member: Member) {
    guard source.isLive else { return }
    hub.send(.publicationEnded(member.publication(source)))
    for index in members.indices {
      for position in members[index].slots.indices where members[index].slots[position].publication == source.key {
        members[index].slots[position].publication = nil
        announce(members[index].slots[position], to: members[index])
      }
    }
    fillSlots()
  }
}

// MARK: - Answering

extension RoomState {
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
      candidates: core.candidates(port: member.shard.localAddress.port))
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
    core.register(member.link, publications: plan.sources.map(\.key), room: self)
    switch link {
    case .none: break
    case .add(let configuration): member.shard.post(.addLink(member.link, configuration))
    case .restart(let local, let remote): member.shard.post(.restartICE(member.link, local: local, remote: remote))
    }
    member.shard.post(.configure(member.link, plan.media))
    for source in ended { end(source, of: before) }
    for slot in before.slots where slot.publication != nil && !member.slots.contains(where: { $0.key == slot.key }) {
      hub.send(.slotChanged(subscriber: member.id, mid: slot.mid, publication: nil))
    }
    for slot in bound { announce(slot, to: member) }
    if let index = members.firstIndex(where: { $0.id == member.id }) {
      var asking = members[index]
      asking.wanted = (0, 0)
      askForReceivers(&asking)
      members[index] = asking
    }
  }
}

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
  var members: [Member] = []
  var isClosed = false
  var configuration: Room.Configuration
  /// Who stands in front of the door, in the order of coming.
  var waiting: [Waiting] = []
  /// Identities that do not come in any more.
  var blocked: Set<String> = []
  /// Whether somebody who records was there when last looked.
  var wasRecorded = false
  /// How far pictures are held back, as the room was last told.
  var shedLevel = 0
  /// Who speaks, and who did.
  var speakers = SpeakerSelector<PublicationKey>()
  /// Closes the room at the end of its lifetime.
  var expiry: Task<Void, Never>?
  let madeAt = ContinuousClock.now
  /// What the room's mixture is called, and by that which worker makes it; what is played into the room lives there, too.
  let mixID: MixerID
  /// The room's mixture, once somebody wanted it.
  var mix: RoomMix?
  var mixConfiguration = MixConfiguration()

  init(name: String, configuration: Room.Configuration, core: EngineCore) {
    self.name = name
    self.configuration = configuration
    self.core = core
    mixID = MixerID(core.runtime.makeIdentifier())
  }

  // MARK: Look

  func names() -> [(id: ParticipantID, name: String)] { members.map { ($0.id, $0.name) } }
  func name(of id: ParticipantID) -> String? { members.first { $0.id == id }?.name }

  func info(of id: ParticipantID) -> ParticipantInfo? { members.first { $0.id == id }?.info }
  func infos() -> [ParticipantInfo] { members.map(\.info) }

  func publications(of id: ParticipantID) -> [Publication] {
    guard let member = members.first(where: { $0.id == id }) else { return [] }
    return member.sources.filter(\.isLive).map(member.publication)
  }

  // MARK: Constraints

  func setConstraint(_ constraint: VideoConstraint, mid: String, of id: ParticipantID) throws(RoomError) {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    guard let position = members[index].slots.firstIndex(where: { $0.mid == mid && $0.kind == .video }) else {
      throw RoomError(code: .unknownSection, reason: "no picture is sent in the media section \(mid)")
    }
    members[index].slots[position].constraint = constraint
    postTarget(of: members[index].slots[position], to: members[index])
  }

  /// Tells the engine what is of use in a slot, and no more than its shard can send.
  func postTarget(of slot: Member.Slot, to member: Member) {
    member.shard.post(.setTarget(slot.key, LayerTarget(slot.constraint.shed(core.shedLevels[member.shard.index]))))
  }

  /// A shard holds its subscribers' pictures back, or less so than before.
  func setShedding(of shard: Int) {
    guard !isClosed else { return }
    for member in members where member.shard.index == shard {
      for slot in member.slots where slot.kind == .video { postTarget(of: slot, to: member) }
    }
    let worst = Set(members.map(\.shard.index)).map { core.shedLevels[$0] }.max() ?? 0
    guard worst != shedLevel else { return }
    shedLevel = worst
    let reason = worst == 3 ? "the server is too busy to send pictures" : "the server is busy, and sends smaller pictures"
    hub.send(.picturesLimited(reason: worst == 0 ? nil : reason))
  }

  // MARK: Downlinks

  func connectionQuality(of id: ParticipantID) async -> ConnectionQuality? {
    guard let asked = members.first(where: { $0.id == id }) else { return nil }
    guard let report = await asked.shard.downlinkReport(of: asked.link) else { return nil }
    // It may have negotiated anew meanwhile, or left.
    guard let member = members.first(where: { $0.id == id }) else { return nil }
    let allocations = report.slots.compactMap { entry -> VideoAllocation? in
      guard let slot = member.slots.first(where: { $0.key == entry.slot }) else { return nil }
      return VideoAllocation(entry.allocation, mid: slot.mid, publication: slot.publication.map { PublicationID(rawValue: $0.rawValue) })
    }
    return ConnectionQuality(report, allocations: allocations)
  }

  func setPolicy(_ policy: BandwidthPolicy, of id: ParticipantID) throws(RoomError) {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    members[index].bandwidthPolicy = policy
    if members[index].hasLink { members[index].shard.post(.setPolicy(members[index].link, AllocationPolicy(policy))) }
  }

  private func announceAllocation(_ key: SlotKey, _ allocation: SlotAllocation) {
    for member in members {
      guard let slot = member.slots.first(where: { $0.key == key }) else { continue }
      let publication = slot.publication.map { PublicationID(rawValue: $0.rawValue) }
      hub.send(
        .allocationChanged(subscriber: member.id, VideoAllocation(allocation, mid: slot.mid, publication: publication)))
      return
    }
  }

  func decisions(mid: String, of id: ParticipantID) async throws(RoomError) -> [LayerDecision] {
    guard let member = members.first(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    guard let slot = member.slots.first(where: { $0.mid == mid && $0.kind == .video }) else {
      throw RoomError(code: .unknownSection, reason: "no picture is sent in the media section \(mid)")
    }
    guard let answer = await member.shard.decisions(of: slot.key) else { return [] }
    return answer.entries.map { LayerDecision($0, seenAt: answer.at) }
  }

  private func announceDecisions(_ key: SlotKey, _ entries: [DecisionLog.Entry], missed: Int, at now: Instant) {
    for member in members {
      guard let slot = member.slots.first(where: { $0.key == key }) else { continue }
      let decisions = entries.map { LayerDecision($0, seenAt: now) }
      return hub.send(.layersDecided(subscriber: member.id, mid: slot.mid, decisions: decisions, missed: missed))
    }
  }

  // MARK: What the engine says

  func handle(_ event: EngineEvent) async {
    switch event {
    case .linkChanged(let link, let state): await handleLink(link, state)
    case .mediaStarted(let key, let format): start(key, codec: format.codec.encodingName)
    case .mediaEnded(let key): stop(key)
    case .encodingsWanted(let key, let mask): announceDemand(key, mask)
    case .layersDecided(let slot, let entries, let missed, let now): announceDecisions(slot, entries, missed: missed, at: now)
    case .speech(let key, let score): hear(score, of: key)
    case .telephoneEvent(let key, let code, let volume, let isEnd, let duration):
      announceTone(key, code: code, volume: volume, isEnd: isEnd, duration: duration)
    case .bitrateLimitExceeded(let link):
      guard let member = members.first(where: { $0.link == link }) else { return }
      hub.send(.bitrateLimitExceeded(id: member.id))
    case .refused(let refusal):
      core.logger.error("The engine refused a command.", metadata: ["room": "\(name)", "refusal": "\(refusal)"])
    case .allocationChanged(let slot, let allocation): announceAllocation(slot, allocation)
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
    guard !wasLive, members[index].sources[position].isLive else { return }
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
    guard let (index, position) = locate(key) else { return }
    let ended = members[index].sources[position]
    members[index].sources[position].codec = nil
    end(ended, of: members[index])
  }

  func locate(_ key: PublicationKey) -> (member: Int, source: Int)? {
    for index in members.indices {
      if let position = members[index].sources.firstIndex(where: { $0.key == key }) { return (index, position) }
    }
    return nil
  }
}

// Who receives whom, and in which media section.

import EnfiladeEngine
import EnfiladeRuntime
import EnfiladeWire

extension RoomState {
  /// Fills free slots of everybody with what they want and do not have yet.
  func fillSlots() {
    for index in members.indices {
      var member = members[index]
      for slot in assign(&member) { announce(slot, to: member) }
      askForReceivers(&member)
      members[index] = member
    }
    settleMix()
  }

  /// Decides what comes in each of a member's slots.
  /// - Returns: the slots that carry something else than before.
  func assign(_ member: inout Member) -> [Member.Slot] {
    let before = member.slots.map(\.publication)
    for position in member.slots.indices {
      if let chosen = member.slots[position].chosen { member.slots[position].publication = isLive(chosen) ? chosen : nil }
    }
    if let stage = member.stage {
      arrange(&member, stage)
    } else {
      fill(&member)
    }
    // Who hears the mixture has everybody's voice already.
    if member.audioMode == .mixed {
      for position in member.slots.indices where member.slots[position].kind == .audio { member.slots[position].publication = nil }
    }
    return member.slots.indices.filter { member.slots[$0].publication != before[$0] }.map { member.slots[$0] }
  }

  /// Binds live publications that `member` wants to its free slots, in the order of joining.
  private func fill(_ member: inout Member) {
    for publisher in members where member.wants(publisher.id) {
      for source in publisher.sources where source.isLive && !member.slots.contains(where: { $0.publication == source.key }) {
        let free = member.slots.firstIndex { $0.kind == source.kind && $0.publication == nil && $0.chosen == nil }
        if let free { member.slots[free].publication = source.key }
      }
    }
  }

  private func isLive(_ key: PublicationKey) -> Bool {
    locate(key).map { members[$0.member].sources[$0.source].isLive } ?? false
  }

  /// Tells the engine and the application what a slot now carries.
  func announce(_ slot: Member.Slot, to member: Member) {
    // What comes in the mixture's slot, the media worker says.
    if slot.key != member.mixSlot { member.shard.post(.bind(slot.key, slot.publication), isUrgent: slot.publication == nil) }
    let publication = slot.publication.flatMap(locate).map { members[$0.member].publication(members[$0.member].sources[$0.source]) }
    hub.send(.slotChanged(subscriber: member.id, mid: slot.mid, publication: publication))
  }

  /// Asks for as many receiving sections as are missing, once for each number.
  func askForReceivers(_ member: inout Member) {
    guard member.localCredentials != nil else { return }
    var missing = (audio: 0, video: 0)
    if let stage = member.stage {
      // One section for each place, however many there are to be shown.
      let (audio, video) = (member.slots.count { $0.kind == .audio }, member.slots.count { $0.kind == .video })
      let voices = member.audioMode == .mixed ? 1 : stage.voices
      return ask(&member, for: (max(0, voices - audio), max(0, stage.pictures.count - video)))
    }
    for publisher in members where member.wants(publisher.id) {
      for source in publisher.sources where source.isLive && !member.slots.contains(where: { $0.publication == source.key }) {
        if source.kind == .audio { missing.audio += 1 } else { missing.video += 1 }
      }
    }
    if member.audioMode == .mixed { missing.audio = member.slots.contains { $0.kind == .audio } ? 0 : 1 }
    ask(&member, for: missing)
  }

  private func ask(_ member: inout Member, for missing: (audio: Int, video: Int)) {
    guard missing != member.wanted else { return }
    member.wanted = missing
    if missing != (0, 0) { hub.send(.receiversWanted(subscriber: member.id, audio: missing.audio, video: missing.video)) }
  }

  /// A publication is over: nobody's slot carries it any more, and the slots can carry something else.
  func end(_ source: Member.Source, of member: Member) {
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

  /// Takes everything out of a member's slots, and forgets what it was told it lacks.
  func emptySlots(of index: Int) {
    for position in members[index].slots.indices where members[index].slots[position].publication != nil {
      members[index].slots[position].publication = nil
      announce(members[index].slots[position], to: members[index])
    }
    var member = members[index]
    askForReceivers(&member)
    members[index] = member
  }
}

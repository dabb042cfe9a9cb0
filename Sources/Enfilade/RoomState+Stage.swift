// Rooms larger than a screen: who is shown and heard in the places a subscriber has. Last speakers for pictures, loudest for voices.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeWire

extension RoomState {
  /// A publication that may take a place.
  private struct Candidate {
    let key: PublicationKey
    let participant: ParticipantID
    let isScreen: Bool
    /// When its participant last became the dominant speaker, or was last heard.
    let spokeAt: Instant?
  }

  /// Whoever was heard this lately is not taken off its place for another voice: shorter pauses belong to speaking.
  private static let voiceHold = TimeDelta.milliseconds(400)
  /// How much louder, in dB, a voice has to be to take the place of one that speaks.
  private static let loudnessMargin = 10

  // MARK: Verbs

  func setStage(_ stage: Stage?, of id: ParticipantID) throws(RoomError) {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    var member = members[index]
    let before = member.stage
    member.stage = stage
    for slot in assign(&member) { announce(slot, to: member) }
    askForReceivers(&member)
    members[index] = member
    guard before?.pictures != stage?.pictures else { return }
    if stage == nil {
      // The sizes were the stage's.
      for position in members[index].slots.indices where members[index].slots[position].kind == .video {
        members[index].slots[position].constraint = VideoConstraint()
        postTarget(of: members[index].slots[position], to: members[index])
      }
    }
    setTargets(of: members[index])
  }

  func choose(_ publication: PublicationID?, mid: String, of id: ParticipantID) throws(RoomError) {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    guard let position = members[index].slots.firstIndex(where: { $0.mid == mid }) else {
      throw RoomError(code: .unknownSection, reason: "nothing is sent in the media section \(mid)")
    }
    let key = publication.map { PublicationKey($0.rawValue) }
    if let key {
      guard members[index].role.permissions.contains(.subscribe) else {
        throw RoomError(code: .notPermitted, reason: "\(members[index].name) may not receive anybody in the room \(name)")
      }
      guard let found = locate(key), members[found.member].sources[found.source].kind == members[index].slots[position].kind else {
        throw RoomError(code: .unknownPublication, reason: "the room \(name) has no publication \(key.rawValue) for the section \(mid)")
      }
    }
    var member = members[index]
    member.slots[position].chosen = key
    if key == nil { member.slots[position].publication = nil }
    var changed = assign(&member)
    if key == nil, !changed.contains(where: { $0.key == member.slots[position].key }) { changed.append(member.slots[position]) }
    for slot in changed { announce(slot, to: member) }
    members[index] = member
  }

  /// Tells the engine what is of use in each place.
  func setTargets(of member: Member) {
    guard let index = members.firstIndex(where: { $0.id == member.id }) else { return }
    let pictures = members[index].slots.indices.filter { members[index].slots[$0].kind == .video }
    for (place, position) in pictures.enumerated() {
      let slot = members[index].slots[position]
      if let stage = member.stage {
        members[index].slots[position].constraint = place < stage.pictures.count ? stage.pictures[place] : .init()
      }
      // What an engine is not told is not constrained.
      guard members[index].slots[position].constraint != slot.constraint || core.shedLevels[member.shard.index] > 0 else { continue }
      postTarget(of: members[index].slots[position], to: members[index])
    }
  }

  // MARK: Speech

  /// A publication tells how much it speaks.
  func hear(_ score: SpeechScore, of key: PublicationKey) {
    guard let (index, position) = locate(key) else { return }
    let source = members[index].sources[position]
    guard source.isLive, !source.isMuted else { return }
    let now = MonotonicClock.now
    _ = speakers.handleScore(score, of: key, at: now)
    // A screen's sound is heard, but nobody speaks there.
    if source.purpose == .microphone, let dominant = speakers.decide(at: now), let found = locate(dominant) {
      hub.send(.activeSpeaker(members[found.member].publication(members[found.member].sources[found.source])))
      return fillSlots()
    }
    guard score.immediate > 0 else { return }
    let speaker = members[index].id
    for index in members.indices where members[index].stage != nil && members[index].wants(speaker) {
      var member = members[index]
      guard !member.slots.contains(where: { $0.publication == key }) else { continue }
      let changed = assign(&member)
      members[index] = member
      for slot in changed { announce(slot, to: member) }
    }
  }

  // MARK: Places

  /// Decides who is in each place of a stage.
  func arrange(_ member: inout Member, _ stage: Stage) {
    let free = { (slots: [Member.Slot], kind: MediaKind) in slots.indices.filter { slots[$0].kind == kind && slots[$0].chosen == nil } }
    let chosen = Set(member.slots.compactMap(\.chosen))
    // Places are counted with those that were chosen, so that a size stays with its section.
    let pictures = member.slots.indices.filter { member.slots[$0].kind == .video }
    arrangePictures(&member, stage, places: pictures, leavingOut: chosen)
    let voices = free(member.slots, .audio)
    for place in voices.dropFirst(max(0, stage.voices)) { member.slots[place].publication = nil }
    arrangeVoices(&member, places: Array(voices.prefix(max(0, stage.voices))), leavingOut: chosen)
  }

  private func arrangePictures(_ member: inout Member, _ stage: Stage, places: [Int], leavingOut chosen: Set<PublicationKey>) {
    var ranked = rankedPictures(for: member, stage).filter { !chosen.contains($0) }[...]
    var place = 0
    while place < places.count {
      guard place < stage.pictures.count else {
        if member.slots[places[place]].chosen == nil { member.slots[places[place]].publication = nil }
        place += 1
        continue
      }
      // A group: neighbours of one size.
      var end = place
      while end < min(places.count, stage.pictures.count), stage.pictures[end] == stage.pictures[place] { end += 1 }
      let group = places[place..<end].filter { member.slots[$0].chosen == nil }
      seat(Array(ranked.prefix(group.count)), in: group, of: &member)
      ranked = ranked.dropFirst(group.count)
      place = end
    }
  }

  /// Puts publications into places: who is there stays, who is not takes what is free.
  private func seat(_ wanted: [PublicationKey], in places: [Int], of member: inout Member) {
    for place in places {
      if let shown = member.slots[place].publication, !wanted.contains(shown) { member.slots[place].publication = nil }
    }
    var coming = wanted.filter { key in !places.contains { member.slots[$0].publication == key } }[...]
    for place in places where member.slots[place].publication == nil { member.slots[place].publication = coming.popFirst() }
  }

  /// Pictures that a member may be shown, the first that should be first.
  private func rankedPictures(for member: Member, _ stage: Stage) -> [PublicationKey] {
    var candidates: [Candidate] = []
    for publisher in members where member.wants(publisher.id) && !stage.hidden.contains(publisher.id) {
      let spokeAt = publisher.sources.compactMap { speakers.dominantAt($0.key) }.max()
      for source in publisher.sources where source.isLive && source.kind == .video {
        candidates.append(
          Candidate(key: source.key, participant: publisher.id, isScreen: source.purpose == .screen, spokeAt: spokeAt))
      }
    }
    func rank(_ candidate: Candidate) -> (Int, Int, Instant) {
      let pin = stage.pinned.firstIndex(of: candidate.participant) ?? Int.max
      return (pin, candidate.isScreen ? 0 : 1, candidate.spokeAt ?? .zero)
    }
    // Of equal rank, the order of joining: the sort of the standard library is stable.
    return candidates.map { ($0.key, rank($0)) }.sorted { one, other in
      if one.1.0 != other.1.0 { return one.1.0 < other.1.0 }
      if one.1.1 != other.1.1 { return one.1.1 < other.1.1 }
      return one.1.2 > other.1.2
    }.map(\.0)
  }

  private func arrangeVoices(_ member: inout Member, places: [Int], leavingOut chosen: Set<PublicationKey>) {
    let now = MonotonicClock.now
    var candidates: [Candidate] = []
    for publisher in members where member.wants(publisher.id) {
      for source in publisher.sources where source.isLive && source.kind == .audio && !chosen.contains(source.key) {
        candidates.append(
          Candidate(
            key: source.key, participant: publisher.id, isScreen: source.purpose != .microphone, spokeAt: speakers.heardAt(source.key)))
      }
    }
    for place in places {
      guard let heard = member.slots[place].publication else { continue }
      if !candidates.contains(where: { $0.key == heard }) { member.slots[place].publication = nil }
    }
    // Who is not heard yet: screens, then the loudest of those who speak, then who spoke last.
    let waiting = candidates.filter { candidate in !places.contains { member.slots[$0].publication == candidate.key } }.sorted {
      if $0.isScreen != $1.isScreen { return $0.isScreen }
      let (one, other) = (loudness($0.key, at: now), loudness($1.key, at: now))
      if one != other { return one > other }
      return ($0.spokeAt ?? .zero) > ($1.spokeAt ?? .zero)
    }
    for candidate in waiting {
      if let free = places.first(where: { member.slots[$0].publication == nil }) {
        member.slots[free].publication = candidate.key
      } else if candidate.isScreen || loudness(candidate.key, at: now) > 0 {
        guard let victim = quietest(places, of: member, for: candidate, candidates, at: now) else { continue }
        member.slots[victim].publication = candidate.key
      } else {
        return
      }
    }
  }

  /// The place that a voice may take: of who has been silent longest, or speaks much more quietly.
  private func quietest(_ places: [Int], of member: Member, for candidate: Candidate, _ candidates: [Candidate], at now: Instant) -> Int? {
    let taken = places.compactMap { place -> (place: Int, candidate: Candidate)? in
      guard let key = member.slots[place].publication, let there = candidates.first(where: { $0.key == key }), !there.isScreen else {
        return nil
      }
      return (place, there)
    }
    let silent = taken.filter { now - ($0.candidate.spokeAt ?? .zero) > Self.voiceHold }
    if let longest = silent.min(by: { ($0.candidate.spokeAt ?? .zero) < ($1.candidate.spokeAt ?? .zero) }) { return longest.place }
    guard let softest = taken.min(by: { loudness($0.candidate.key, at: now) < loudness($1.candidate.key, at: now) }) else { return nil }
    guard candidate.isScreen || loudness(candidate.key, at: now) > loudness(softest.candidate.key, at: now) + Self.loudnessMargin else {
      return nil
    }
    return softest.place
  }

  private func loudness(_ key: PublicationKey, at now: Instant) -> Int { Int(speakers.score(key, at: now).loudness) }
}

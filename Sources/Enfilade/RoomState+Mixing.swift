// The room's mixture in the control plane: when there is one, what is in it, and whose slot carries it.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRuntime
import EnfiladeWire

/// A room's mixture, from the moment somebody wanted it until the room is closed.
struct RoomMix {
  let id: MixerID
  let worker: MediaWorker
  /// As it was opened; what is configured since is for the next.
  let channelCount: Int
  /// What the worker was told last.
  var sources: Set<PublicationKey> = []
  var slots: Set<SlotKey> = []
  var recorders: Set<RecorderID> = []
  var taps: [RecorderID: Tap] = [:]

  /// Who takes samples; of the mixture where no publication is named.
  struct Tap {
    let line: TapLine
    let publication: PublicationKey?
  }
}

extension RoomState {
  // MARK: What participants ask

  func setMixConfiguration(_ configuration: MixConfiguration) { mixConfiguration = configuration }

  func setAudioMode(_ mode: AudioMode, of id: ParticipantID) throws(RoomError) {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    guard members[index].audioMode != mode else { return }
    if mode == .mixed { try openMix() }
    members[index].audioMode = mode
    // What is bound anew is bound at once; the slot that carried the mixture, and carries nothing now, is emptied.
    let carried = members[index].mixSlot
    members[index].mixSlot = nil
    var member = members[index]
    let changed = assign(&member)
    members[index] = member
    if mode == .mixed { settleMix() }
    for slot in changed { announce(slot, to: members[index]) }
    if let carried, !changed.contains(where: { $0.key == carried }) { members[index].shard.post(.bind(carried, nil)) }
    fillSlots()
  }

  func setVolume(_ volume: Double, of publication: PublicationID, for id: ParticipantID) throws(RoomError) {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    let key = PublicationKey(publication.rawValue)
    guard let found = locate(key), members[found.member].sources[found.source].kind == .audio else {
      throw RoomError(code: .unknownPublication, reason: "nobody in the room \(name) publishes a sound of that name")
    }
    guard !members[found.member].sources[found.source].description.isEncrypted else {
      throw RoomError(code: .encrypted, reason: "what is encrypted between participants is in no mixture")
    }
    let volume = Float(max(0, min(4, volume)))
    members[index].volumes[key] = volume == 1 ? nil : volume
    if let slot = members[index].mixSlot, let mix { mix.worker.post(.setGain(volume, key, slot)) }
  }

  func setPlacement(_ position: Double, of publication: PublicationID) throws(RoomError) {
    let key = PublicationKey(publication.rawValue)
    guard let found = locate(key), members[found.member].sources[found.source].kind == .audio else {
      throw RoomError(code: .unknownPublication, reason: "nobody in the room \(name) publishes a sound of that name")
    }
    guard !members[found.member].sources[found.source].description.isEncrypted else {
      throw RoomError(code: .encrypted, reason: "what is encrypted between participants is in no mixture")
    }
    let position = position.isFinite ? Float(max(-1, min(1, position))) : 0
    members[found.member].sources[found.source].placement = position
    if let mix, mix.sources.contains(key) { mix.worker.post(.setPlacement(position, key, mix.id)) }
  }

  // MARK: Recording

  /// A recorder of the mixture, what it will be given, and of how many channels that is.
  func record() throws(RoomError) -> (RecorderID, AsyncStream<RecordedPacket>, channelCount: Int) {
    try openMix()
    let recorder = RecorderID(core.runtime.makeIdentifier())
    let packets = core.runtime.recording(recorder)
    mix?.recorders.insert(recorder)
    if let mix { mix.worker.post(.addRecorder(recorder, mix.id, .packets)) }
    noteRecording()
    return (recorder, packets, mix?.channelCount ?? 1)
  }

  func stopRecording(_ recorder: RecorderID) {
    mix?.recorders.remove(recorder)
    mix?.worker.post(.removeRecorder(recorder))
    core.runtime.endRecording(recorder)
    noteRecording()
  }

  // MARK: The mixture

  /// Makes the room's mixture, with everything in it that is live.
  func openMix() throws(RoomError) {
    guard !isClosed else { throw RoomError(code: .closed, reason: "the room \(name) is closed") }
    guard mix == nil else { return }
    guard let worker = core.runtime.worker(for: mixID) else {
      throw RoomError(code: .unavailable, reason: "this engine has no threads that mix")
    }
    worker.post(.open(mixID, AudioMixer.Configuration(mixConfiguration)))
    mix = RoomMix(id: mixID, worker: worker, channelCount: mixConfiguration.isStereo ? 2 : 1)
    settleMix()
  }

  /// Tells the worker what has changed: what is to be heard, and whose slots hear it. What is encrypted between participants is never decoded.
  func settleMix() {
    guard var mix else { return }
    var sources: Set<PublicationKey> = []
    for member in members {
      for source in member.sources where source.kind == .audio && source.isLive && !source.description.isEncrypted {
        sources.insert(source.key)
        guard !mix.sources.contains(source.key) else { continue }
        mix.worker.post(.addSource(source.key, owner: member.link.rawValue, mix.id))
        if source.placement != 0 { mix.worker.post(.setPlacement(source.placement, source.key, mix.id)) }
      }
    }
    for key in mix.sources.subtracting(sources) {
      mix.worker.post(.removeSource(key, mix.id))
      for index in members.indices where members[index].volumes[key] != nil { members[index].volumes[key] = nil }
    }
    let gone = mix.sources.subtracting(sources)
    mix.sources = sources
    var slots: Set<SlotKey> = []
    for index in members.indices {
      settleMixSlot(of: index, mix)
      if let slot = members[index].mixSlot { slots.insert(slot) }
    }
    for slot in mix.slots.subtracting(slots) { mix.worker.post(.removeListener(slot)) }
    mix.slots = slots
    self.mix = mix
    endTaps(of: gone)
  }

  /// Finds the slot that carries the mixture for a member: its first one for sound, while it wants the mixture and may hear.
  private func settleMixSlot(of index: Int, _ mix: RoomMix) {
    let member = members[index]
    let isWanted = member.audioMode == .mixed && member.role.permissions.contains(.subscribe)
    let carrier = isWanted ? member.slots.first { $0.kind == .audio } : nil
    let slot = carrier?.key
    guard slot != member.mixSlot else { return }
    if let before = member.mixSlot, member.slots.contains(where: { $0.key == before }) {
      member.shard.post(.bind(before, nil), isUrgent: true)
    }
    members[index].mixSlot = slot
    guard let slot, let carrier else { return }
    mix.worker.post(.addListener(slot, owner: member.link.rawValue, mix.id, carrier.mixFormat))
    for (key, volume) in member.volumes { mix.worker.post(.setGain(volume, key, slot)) }
    member.shard.post(.listen(slot, worker: UInt8(mix.worker.number)))
  }

  /// The mixture ends with the room.
  func closeMix() {
    guard let mix else { return }
    for recorder in mix.recorders { core.runtime.endRecording(recorder) }
    for recorder in mix.taps.keys { core.runtime.endTap(recorder, .roomClosed) }
    mix.worker.post(.close(mix.id))
    self.mix = nil
  }
}

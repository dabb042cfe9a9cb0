// Taps: one source's sound for the application. A source that is tapped is lent in full, whether or not anybody hears the mixture.

import DequeModule
import EnfiladeMixing
import EnfiladeRTP
import EnfiladeWire

extension MixWorker {
  /// Somebody who takes one source as samples.
  struct Tap: ~Copyable {
    let recorder: RecorderID
    let room: MixerID
    let key: PublicationKey
    /// What the room's mixture calls it.
    let source: Int32
    /// That of the room's mixture.
    let epoch: Instant
    var media: SourceTap
  }

  package var tapCount: Int { taps.count }

  /// When the next tick of a tap is due.
  var nextTap: Instant {
    var next = Instant.distantFuture
    for index in 0..<taps.count {
      if let time = taps[index].media.nextTime { next = min(next, taps[index].epoch + TimeDelta(nanoseconds: (time * 62_500 + 2) / 3)) }
    }
    return next
  }

  func isTapped(_ key: PublicationKey, in room: MixerID) -> Bool {
    for index in 0..<taps.count where taps[index].key == key && taps[index].room == room { return true }
    return false
  }

  // MARK: Verbs

  mutating func addTap(_ recorder: RecorderID, _ key: PublicationKey, to id: MixerID) {
    guard let room = roomIndices[id], let source = rooms[room].sources[key], taps.count < Limits.tapCount else { return }
    let isFollowed = rooms[room].isFollowing || isTapped(key, in: id)
    let media = SourceTap(channelCount: rooms[room].mixer.configuration.encoder.channelCount, codecs: codecs)
    taps.append(Tap(recorder: recorder, room: id, key: key, source: source, epoch: rooms[room].mixer.epoch, media: media))
    if !isFollowed { follow(key, room) }
    sayToHome(of: key, .loudnessWanted(key, level: 127))
  }

  mutating func setTapMuted(_ recorder: RecorderID, _ isMuted: Bool) {
    for index in 0..<taps.count where taps[index].recorder == recorder { taps[index].media.setMuted(isMuted) }
  }

  mutating func removeTap(_ recorder: RecorderID) {
    for index in 0..<taps.count where taps[index].recorder == recorder {
      let (id, key) = (taps[index].room, taps[index].key)
      taps.remove(at: index)
      guard let room = roomIndices[id], rooms[room].sources[key] != nil, !isTapped(key, in: id) else { return }
      guard rooms[room].isFollowing else { return unfollow(key) }
      if !rooms[room].mixer.isCandidate(key.rawValue) {
        sayToHome(of: key, .loudnessWanted(key, level: UInt8(-AudioMixer.admissionLevel)))
      }
      return
    }
  }

  /// The source is gone, and so are its taps.
  mutating func removeTaps(of key: PublicationKey, in room: MixerID) {
    for index in (0..<taps.count).reversed() where taps[index].key == key && taps[index].room == room { taps.remove(at: index) }
  }

  // MARK: Handle

  /// A packet of a source came: for those who tap it.
  static func tap(
    _ taps: inout UniqueArray<Tap>, _ payload: RawSpan, codec: Codec, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp,
    isRedundant: Bool = false, source: Int32, room: MixerID, at now: Instant
  ) {
    for index in 0..<taps.count where taps[index].source == source && taps[index].room == room {
      taps[index].media.handlePacket(
        payload, codec: codec, sequence: sequence, timestamp: timestamp, isRedundant: isRedundant,
        at: (now - taps[index].epoch).nanoseconds * 3 / 62_500)
    }
  }

  /// A source's packets begin anew.
  mutating func restartTaps(of source: Int32, in room: MixerID) {
    for index in 0..<taps.count where taps[index].source == source && taps[index].room == room { taps[index].media.restart() }
  }

  // MARK: Time

  /// Gives what is due.
  mutating func tapDue(at now: Instant) {
    for index in 0..<taps.count {
      let time = (now - taps[index].epoch).nanoseconds * 3 / 62_500
      while let due = taps[index].media.nextTime, due <= time {
        guard let start = taps[index].media.handleTimeout(at: time) else { continue }
        var packet = RecordedPacket(recorder: taps[index].recorder, timestamp: UInt32(truncatingIfNeeded: start))
        packet.time = start
        packet.samples = Self.copy(taps[index].media.samples.span)
        if taps[index].media.level > LoudestSelector.silenceLevel { packet.speakers = [taps[index].key] }
        record(packet)
      }
    }
  }

  /// Somebody who does not fetch in time loses the oldest: the packets of two seconds.
  mutating func record(_ packet: RecordedPacket) {
    if recorded.count >= 4_096 { recorded.removeFirst() }
    recorded.append(packet)
  }

  static func copy(_ samples: Span<Float>) -> [Float] {
    var copy: [Float] = []
    copy.reserveCapacity(samples.count)
    for index in 0..<samples.count { copy.append(samples[index]) }
    return copy
  }
}

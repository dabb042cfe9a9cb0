// What is played into rooms: publications whose home is a media worker, as its mixtures are. A packet goes to every shard that has listeners of it,
// on the lanes; and to the room's mixture, which is in the same hands, at once.

import DequeModule
package import EnfiladeMixing
import EnfiladeRTP
import EnfiladeWire

/// What is played, for the application that plays it.
package struct PlaybackReport: Hashable, Sendable {
  package var playback: PublicationKey
  /// So much more may come, in samples for each channel.
  package var consumed: Int64
  package var statistics: Player.Statistics
  /// It is over, and so is its publication.
  package var isOver: Bool
  /// It was never played.
  package var isRefused = false
}

extension MixWorker {
  /// Something that is played.
  struct Playback: ~Copyable {
    let key: PublicationKey
    var player: Player
    /// Its numbers, and who has listeners of it.
    var stream: MixStream
    var isMuted = false
    /// The mixture that hears it, and what it is called there.
    var room: MixerID?
    var source: Int32 = -1
    /// What was said of it last.
    var reported = Player.Statistics()
  }

  // MARK: Look

  /// When the next packet of anything that is played is due.
  var nextPlayback: Instant {
    var next = Instant.distantFuture
    for index in 0..<playbacks.count {
      if let time = playbacks[index].player.nextTime { next = min(next, instant(ofSample: time)) }
    }
    return next
  }

  package var playbackCount: Int { playbacks.count }

  package mutating func pollPlayback() -> PlaybackReport? { playbackReports.popFirst() }

  /// The moment of a sample on the worker's line, never before it.
  private func instant(ofSample time: Int64) -> Instant { epoch + TimeDelta(nanoseconds: (time * 62_500 + 2) / 3) }
  private func sampleTime(at now: Instant) -> Int64 { (now - epoch).nanoseconds * 3 / 62_500 }

  func playbackIndex(_ key: PublicationKey) -> Int? {
    for index in 0..<playbacks.count where playbacks[index].key == key { return index }
    return nil
  }

  // MARK: Verbs

  mutating func perform(_ command: PlaybackCommand, on key: PublicationKey, at now: Instant) {
    if case .open(let form, let capacity) = command { return openPlayback(key, form, capacity: capacity) }
    guard let index = playbackIndex(key) else { return }
    let time = sampleTime(at: now)
    switch command {
    case .open: break
    case .samples(let samples): playbacks[index].player.append(samples, at: time)
    case .packets(let packets): playbacks[index].player.append(packets, at: time)
    case .end: playbacks[index].player.end(at: time)
    case .stop: playbacks[index].player.stop(at: time)
    case .setMuted(let isMuted): playbacks[index].isMuted = isMuted
    case .close: return closePlayback(index)
    }
    report(index)
  }

  private mutating func openPlayback(_ key: PublicationKey, _ form: Player.Form, capacity: Int) {
    guard key.shard == number, playbackIndex(key) == nil else { return }
    do throws(AudioCodecError) {
      guard playbacks.count < Limits.playbackCount else { throw .noRoom }
      let player = try Player(form, capacity: capacity, codecs: codecs)
      playbacks.append(Playback(key: key, player: player, stream: makeStream(.opus)))
    } catch {
      statistics.refusedPlaybacks &+= 1
      playbackReports.append(PlaybackReport(playback: key, consumed: 0, statistics: Player.Statistics(), isOver: true, isRefused: true))
    }
  }

  private mutating func closePlayback(_ index: Int) {
    let playback = playbacks.remove(at: index)
    for port in playback.stream.ports { slab.say(.about(playback.key, .publicationEnded), to: Int(port)) }
    giveBack(playback.stream)
  }

  /// Says what has changed, if anything has.
  private mutating func report(_ index: Int) {
    let consumed = playbacks[index].player.takeConsumed()
    let statistics = playbacks[index].player.statistics
    let isOver = playbacks[index].player.isOver
    guard consumed > 0 || isOver || statistics != playbacks[index].reported else { return }
    playbacks[index].reported = statistics
    playbackReports.append(PlaybackReport(playback: playbacks[index].key, consumed: consumed, statistics: statistics, isOver: isOver))
  }

  // MARK: Who hears it

  /// The room's mixture hears it from now on, or no longer.
  mutating func setMixture(of key: PublicationKey, _ room: Int?) {
    guard let index = playbackIndex(key) else { return }
    guard let room, let source = rooms[room].sources[key] else {
      playbacks[index].room = nil
      return
    }
    playbacks[index].room = rooms[room].id
    playbacks[index].source = source
    rooms[room].mixer.restartSource(source, ssrc: playbacks[index].stream.ssrc)
    restartTaps(of: source, in: rooms[room].id)
  }

  mutating func addPlaybackOutpost(_ port: Int32, _ index: Int) {
    playbacks[index].stream.ports.removeAll { $0 == port }
    playbacks[index].stream.ports.append(port)
    describe(playbacks[index].stream, key: playbacks[index].key, to: Int(port))
  }

  // MARK: Time

  /// Plays whatever is due; in front of the mixtures, so that they have it at the same moment.
  mutating func playDue(at now: Instant) {
    let time = sampleTime(at: now)
    var index = 0
    while index < playbacks.count {
      if let due = playbacks[index].player.nextTime, due <= time {
        play(index, at: now, time)
        report(index)
      }
      index += 1
    }
  }

  private mutating func play(_ index: Int, at now: Instant, _ time: Int64) {
    // Every step consumes or ends something: what waits is bounded, and so is this.
    while let due = playbacks[index].player.nextTime, due <= time {
      let isWanted = !playbacks[index].isMuted && (!playbacks[index].stream.ports.isEmpty || playbacks[index].room != nil)
      guard let output = playbacks[index].player.handleTimeout(at: time, isWanted: isWanted) else { continue }
      playbacks[index].stream.sequence = playbacks[index].stream.sequence + 1
      if let room = playbacks[index].room.flatMap({ roomIndices[$0] }) {
        Self.hear(output, of: playbacks, index, in: &rooms, room, &taps, at: now)
        settle(room)
      }
      lend(output, of: index, at: now)
    }
  }

  // Several tables at once, of which one is changed: as parameters, they do not overlap.

  private static func hear(
    _ output: Player.Output, of playbacks: borrowing UniqueArray<Playback>, _ index: Int, in rooms: inout UniqueArray<Room>, _ room: Int,
    _ taps: inout UniqueArray<Tap>, at now: Instant
  ) {
    // Sound: a view of initialized bytes.
    let payload = unsafe playbacks[index].player.payload.span.bytes.extracting(0..<playbacks[index].player.payloadByteCount)
    rooms[room].mixer.handlePacket(
      of: playbacks[index].source, payload: payload, codec: .opus, sequence: playbacks[index].stream.sequence, timestamp: output.timestamp,
      level: output.level, at: now)
    tap(
      &taps, payload, codec: .opus, sequence: playbacks[index].stream.sequence, timestamp: output.timestamp,
      source: playbacks[index].source, room: rooms[room].id, at: now)
  }

  /// Lends a packet to every shard that has listeners of it.
  private mutating func lend(_ output: Player.Output, of index: Int, at now: Instant) {
    guard !playbacks[index].stream.ports.isEmpty else { return }
    guard let handle = slab.lease() else {
      statistics.drops &+= 1
      return
    }
    defer { slab.release(handle) }
    guard let packet = Self.write(output, of: playbacks, index, in: handle, &slab) else {
      statistics.drops &+= 1
      return
    }
    lend(packet, handle, to: playbacks[index].stream, at: now)
  }

  private static func write(
    _ output: Player.Output, of playbacks: borrowing UniqueArray<Playback>, _ index: Int, in handle: PacketHandle, _ slab: inout PacketStore
  ) -> Packet? {
    let stream = playbacks[index].stream
    // Sound: a view of initialized bytes.
    let payload = unsafe playbacks[index].player.payload.span.bytes.extracting(0..<playbacks[index].player.payloadByteCount)
    guard var bytes = slab.mutableBytes(of: handle),
      let byteCount = stream.write(
        timestamp: output.timestamp, marker: output.isFirst, level: output.level, payload: payload, into: &bytes),
      case .success(let view) = RTPPacketView.parse(bytes.bytes.extracting(0..<byteCount))
    else { return nil }
    let extensions = RTPExtensions(view, in: bytes.bytes.extracting(0..<byteCount), map: MixStream.extensions)
    return Packet(
      handle: handle, start: 0, byteCount: byteCount, inbound: stream.number, format: stream.format, sequence: stream.sequence, view: view,
      extensions: extensions)
  }
}

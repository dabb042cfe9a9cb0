// A media worker: the mixtures of many rooms, off the shards and reached by the same lanes. Sans-IO, as a shard is: it is told (`perform`,
// `takeRelayed`, `handleTimeout`), it is asked (`poll…`, `nextDeadline`).
//
//     shard ── packets of publications that are heard ──▶ worker ── packets of mixtures ──▶ shard ── the ordinary way ──▶ listeners
//           ── listen, unlisten ──────────────────────▶        ── follow ─────────────▶
//
// To a shard the worker is one more shard: the home of publications, and an outpost of those it mixes. What it is lent it copies and sends home
// at once.

import DequeModule
package import EnfiladeMixing
import EnfiladeRTP
import EnfiladeStreams
package import EnfiladeWire

/// One worker's mixtures.
package struct MixWorker: ~Copyable {
  /// A room's mixture here.
  struct Room: ~Copyable {
    let id: MixerID
    var mixer: AudioMixer
    /// One for each of the mixer's variants, in its order.
    var streams: [MixStream] = []
    /// Publications by the mixer's numbers for them; meaningless where there is none.
    var sources: [PublicationKey: Int32] = [:]
    var recorders: [RecorderID: Recorder] = [:]
    /// Home lends packets to us.
    var isFollowing = false
    var speakers: [UInt64] = []
    var dominant: UInt64?
  }

  struct Recorder {
    var variant: Int
    var form: RecordedForm
  }

  struct Slot {
    var mixer: MixerID?
    var owner: UInt64 = 0
    var format = MediaFormat.opus
    /// The lane to its shard, or −1 while the shard has not asked.
    var port: Int32 = -1
    /// It is known to its mixer.
    var isListening = false
    /// Volumes of its own, by publication.
    var gains: [PublicationKey: Float] = [:]
  }

  /// A stream that is lent to us, by the place at which ``RelayPort`` has it.
  struct Heard {
    var room: MixerID
    var source: Int32
    var serial: UInt32
    /// Which lane it comes on, and what it is called there.
    var port: Int
    var lane: Int32
  }

  /// Names of listeners without a slot have this bit, which no slot's number has.
  static let recorderBit: UInt64 = 1 << 63
  /// Rooms begin their ticks at four moments of the 20 ms, so that they do not all want the processor at once.
  private static let phaseCount: UInt64 = 4
  /// A tick this late counts as late: the next one is due. Half of the last fifty are too many.
  private static let lateness = Limits.mixTick
  private static let lateLimit = 25
  /// Without a late tick for this long, one step more is done again.
  private static let reliefInterval = TimeDelta.seconds(Int64(10))

  /// The worker's number: behind those of the shards.
  package let number: UInt8
  let codecs: any AudioCodecFactory
  let wallClock: WallClock
  let epoch: Instant
  var random: SeededRandom
  var slab: PacketStore
  var rooms = UniqueArray<Room>()
  var roomIndices: [MixerID: Int] = [:]
  var slots: [SlotKey: Slot] = [:]
  var heard: [Heard?] = []
  private var freeHeard: [Int] = []
  private var freeNumbers: [Int32] = []
  private var nextNumber: Int32 = 0
  private var nextSerial: UInt32 = 1
  private var events = Deque<MixEvent>()
  var recorded = Deque<RecordedPacket>()
  var playbacks = UniqueArray<Playback>()
  var taps = UniqueArray<Tap>()
  var playbackReports = Deque<PlaybackReport>()
  private var effort = 0
  private var lateCount = 0
  private var tickCount = 0
  private var lastLate = Instant.zero
  package internal(set) var statistics = Statistics()

  /// What a worker has done.
  package struct Statistics: Hashable, Sendable {
    package var packetsIn: UInt64 = 0
    package var packetsOut: UInt64 = 0
    package var encodes: UInt64 = 0
    package var ticks: UInt64 = 0
    package var lateTicks: UInt64 = 0
    /// Ticks that were never made: what lies more than one back is over, and its timestamps stay unused.
    package var skippedTicks: UInt64 = 0
    /// Packets that found no slot, or no room on a lane.
    package var drops: UInt64 = 0
    /// Packets of what nobody mixes any more.
    package var strays: UInt64 = 0
    /// What was to be played when there was too much, or no encoder.
    package var refusedPlaybacks: UInt64 = 0

    package init() {}
  }

  /// - Parameters:
  ///   - number: behind those of the shards.
  ///   - slotCount: packets of mixtures that shards may hold at the same time.
  package init(number: UInt8, slotCount: Int, codecs: any AudioCodecFactory, wallClock: WallClock, seed: UInt64) {
    self.number = number
    self.codecs = codecs
    self.wallClock = wallClock
    epoch = wallClock.instant
    random = SeededRandom(seed: seed)
    slab = PacketStore(PacketSlab(shard: number, slotCount: slotCount))
  }

  // MARK: Look

  package var nextDeadline: Instant {
    var next = min(nextPlayback, nextTap)
    for index in 0..<rooms.count { next = min(next, rooms[index].mixer.nextDeadline) }
    return next
  }
  package var roomCount: Int { rooms.count }
  package var leasedCount: Int { slab.leasedCount }
  /// How much less than configured is done, in steps.
  package var effortStep: Int { effort }

  package mutating func pollEvent() -> MixEvent? { events.popFirst() }
  package mutating func pollRecorded() -> RecordedPacket? { recorded.popFirst() }

  /// The next shard that was told something since it was last asked for here: wake it.
  package mutating func takeShardToWake() -> Int? {
    for port in 0..<slab.ports.count where slab.ports[port].takeWaking() { return Int(slab.ports[port].peer) }
    return nil
  }

  /// What the lanes want: look before a long sleep.
  package var laneWork: ShardEngine.LaneWork {
    mutating get {
      var work = ShardEngine.LaneWork.none
      for port in 0..<slab.ports.count {
        if slab.ports[port].hasNews() { return .toTake }
        if slab.ports[port].isBehind { work = .waitsForRoom }
      }
      return work
    }
  }

  // MARK: Time

  /// Makes every tick that is due.
  package mutating func handleTimeout(at now: Instant) {
    var isLate = false
    var isDue = false
    playDue(at: now)
    for index in 0..<rooms.count where rooms[index].mixer.nextDeadline <= now {
      if rooms[index].mixer.isWaking {
        rooms[index].mixer.handleTimeout(at: now)
        continue
      }
      isDue = true
      if now - rooms[index].mixer.nextDeadline > Self.lateness { isLate = true }
      let before = rooms[index].mixer.statistics
      rooms[index].mixer.handleTimeout(at: now)
      statistics.ticks &+= 1
      statistics.encodes &+= rooms[index].mixer.statistics.encodes - before.encodes
      statistics.skippedTicks &+= rooms[index].mixer.statistics.skippedTicks - before.skippedTicks
      settle(index)
      while let output = rooms[index].mixer.pollOutput() { send(output, of: index, at: now) }
      noteSpeakers(index)
    }
    if isDue { weigh(isLate: isLate, at: now) }
    tapDue(at: now)
    publishLanes()
  }

  /// Does less when ticks come late too often, and more again when they have not for long.
  private mutating func weigh(isLate: Bool, at now: Instant) {
    tickCount += 1
    if isLate {
      statistics.lateTicks &+= 1
      lateCount += 1
      lastLate = now
    }
    if tickCount >= 50 || lateCount > Self.lateLimit {
      if lateCount > Self.lateLimit { change(effortTo: effort + 1) }
      tickCount = 0
      lateCount = 0
    }
    if effort > 0, now - lastLate >= Self.reliefInterval {
      lastLate = now
      change(effortTo: effort - 1)
    }
  }

  private mutating func change(effortTo step: Int) {
    // One more than any mixer can go back by has no effect.
    let step = max(0, min(step, 2 + Limits.mixSourceCount))
    guard step != effort else { return }
    effort = step
    for index in 0..<rooms.count { rooms[index].mixer.setEffort(step) }
    note(.effortChanged(step: step))
  }

  private mutating func note(_ event: MixEvent) {
    // Nobody fetches them: what is lost is only news, and the newest says what counts.
    if events.count >= 1_024 { events.removeFirst() }
    events.append(event)
  }

  private mutating func noteSpeakers(_ index: Int) {
    let speakers = rooms[index].mixer.speakers
    let dominant = rooms[index].mixer.dominantSpeaker
    guard speakers != rooms[index].speakers || dominant != rooms[index].dominant else { return }
    rooms[index].speakers = speakers
    rooms[index].dominant = dominant
    note(.speakersChanged(rooms[index].id, speakers.map { PublicationKey($0) }, dominant: dominant.map { PublicationKey($0) }))
  }

  // MARK: Commands

  package mutating func perform(_ command: MixCommand, at now: Instant) {
    switch command {
    case .open(let id, let configuration): open(id, configuration)
    case .close(let id): close(id)
    case .addSource(let key, let owner, let id): addSource(key, owner: owner, to: id)
    case .removeSource(let key, let id): removeSource(key, of: id)
    case .addListener(let slot, let owner, let id, let format):
      slots[slot, default: Slot()].mixer = id
      slots[slot]?.owner = owner
      slots[slot]?.format = format
      beginListening(slot)
    case .removeListener(let slot):
      endListening(slot)
      slots[slot] = nil
    case .setGain(let gain, let key, let slot):
      guard let id = slots[slot]?.mixer, let room = roomIndices[id] else { return }
      slots[slot]?.gains[key] = gain == 1 ? nil : gain
      rooms[room].mixer.setGain(gain, of: key.rawValue, for: slot.rawValue)
    case .setPlacement(let position, let key, let id):
      if let room = roomIndices[id] { rooms[room].mixer.setPlacement(position, of: key.rawValue) }
    case .addRecorder(let recorder, let id, let form): addRecorder(recorder, to: id, form)
    case .removeRecorder(let recorder):
      removeRecorder(recorder)
      removeTap(recorder)
    case .addTap(let recorder, let key, let id): addTap(recorder, key, to: id)
    case .setTapMuted(let recorder, let isMuted): setTapMuted(recorder, isMuted)
    case .playback(let key, let command): perform(command, on: key, at: now)
    }
    publishLanes()
  }

  private mutating func open(_ id: MixerID, _ configuration: AudioMixer.Configuration) {
    guard roomIndices[id] == nil else { return }
    let phase = Limits.mixTick / Int64(Self.phaseCount) * Int64(id.rawValue % Self.phaseCount)
    var mixer = AudioMixer(configuration, codecs: codecs, epoch: epoch + phase, seed: id.rawValue)
    mixer.setEffort(effort)
    roomIndices[id] = rooms.count
    rooms.append(Room(id: id, mixer: mixer))
  }

  private mutating func close(_ id: MixerID) {
    guard let index = roomIndices.removeValue(forKey: id) else { return }
    for key in Array(rooms[index].sources.keys) { removeSource(key, at: index) }
    for stream in rooms[index].streams {
      for port in stream.ports { slab.say(.about(key(of: stream), .publicationEnded), to: Int(port)) }
      giveBack(stream)
    }
    for slot in Array(slots.keys) where slots[slot]?.mixer == id {
      slots[slot]?.mixer = nil
      slots[slot]?.isListening = false
    }
    rooms.swapAt(index, rooms.count - 1)
    rooms.removeLast()
    if index < rooms.count { roomIndices[rooms[index].id] = index }
  }

  // MARK: Streams of ours

  func key(of stream: MixStream) -> PublicationKey { PublicationKey(number: UInt64(stream.number), shard: number) }

  /// Makes streams for the mixer's new variants, tells slots which of them they carry, and homes what is wanted of them.
  mutating func settle(_ index: Int) {
    while rooms[index].streams.count < rooms[index].mixer.variantCount {
      rooms[index].streams.append(makeStream(rooms[index].mixer.codec(of: rooms[index].streams.count)))
    }
    while let move = rooms[index].mixer.pollMove() {
      if move.listener & Self.recorderBit != 0 {
        rooms[index].recorders[RecorderID(move.listener & ~Self.recorderBit)]?.variant = move.variant
        continue
      }
      let slot = SlotKey(move.listener)
      guard let port = slots[slot]?.port, port >= 0 else { continue }
      slab.say(.follow(slot, number: rooms[index].streams[move.variant].number), to: Int(port))
      // The shard is told of the stream right behind, before it can ask.
      if !rooms[index].streams[move.variant].ports.contains(port) { addOutpost(port, room: index, variant: move.variant) }
    }
    while let change = rooms[index].mixer.pollAttention() {
      let key = PublicationKey(change.source)
      let isWanted = change.isWanted || isTapped(key, in: rooms[index].id)
      sayToHome(of: key, .loudnessWanted(key, level: isWanted ? 127 : UInt8(-AudioMixer.admissionLevel)))
    }
  }

  /// A stream is over: its place on the lanes is free.
  mutating func giveBack(_ stream: MixStream) { freeNumbers.append(stream.number) }

  mutating func makeStream(_ codec: Codec) -> MixStream {
    let free = freeNumbers.popLast()
    if free == nil { nextNumber += 1 }
    defer { nextSerial = nextSerial == .max ? 1 : nextSerial + 1 }
    return MixStream(
      format: codec == .pcmu ? .pcmu : codec == .pcma ? .pcma : .opus, number: free ?? nextNumber - 1, serial: nextSerial,
      ssrc: SSRC(UInt32(truncatingIfNeeded: random.next())),
      sequence: ExtendedSequenceNumber(Int64(random.next() & 0x7FFF)))
  }

  mutating func addOutpost(_ port: Int32, room: Int, variant: Int) {
    rooms[room].streams[variant].ports.append(port)
    describe(rooms[room].streams[variant], key: key(of: rooms[room].streams[variant]), to: Int(port))
  }

  mutating func describe(_ stream: MixStream, key: PublicationKey, to port: Int) {
    guard let handle = slab.lease() else {
      statistics.drops &+= 1
      return
    }
    // One line of time for all of them, tied to our own wall clock (RFC 3550 §6.4.1).
    var clock = SenderReportClock(clockRate: stream.format.clockRate)
    clock.handleSenderReport(ntp: wallClock.ntp(at: epoch), timestamp: RTPTimestamp(0))
    var publisher = PublisherClock()
    publisher.handleSenderReport(ntp: wallClock.ntp, local: wallClock.ntp, at: epoch)
    let description = RelayedStream(
      publication: key, encoding: 0, serial: stream.serial, ssrc: stream.ssrc, kind: .audio, format: stream.format,
      timelineOffset: 0,
      extensions: MixStream.extensions, clock: clock, publisherClock: publisher)
    // Sound: leased just now; the shard reads it after the message is published.
    unsafe slab.place(of: handle)!.initializeMemory(as: RelayedStream.self, to: description)
    slab.say(.stream(handle, stream: stream.number), to: port)
  }

  /// Lends a packet of a mixture to every shard that has listeners of it, and gives it to those who record it.
  private mutating func send(_ output: AudioMixer.Output, of index: Int, at now: Instant) {
    for (id, recorder) in rooms[index].recorders where recorder.variant == output.variant {
      var packet = RecordedPacket(recorder: id, timestamp: output.timestamp.rawValue)
      packet.time = output.time
      switch recorder.form {
      case .packets: packet.payload = Self.copyPayload(of: output.variant, rooms, index)
      case .samples:
        packet.samples = Self.copySamples(of: output.variant, rooms, index)
        packet.speakers = rooms[index].mixer.speakers.map { PublicationKey($0) }
      }
      record(packet)
    }
    let ports = rooms[index].streams[output.variant].ports
    guard !ports.isEmpty else { return }
    rooms[index].streams[output.variant].sequence = rooms[index].streams[output.variant].sequence + 1
    let stream = rooms[index].streams[output.variant]
    guard let handle = slab.lease() else {
      statistics.drops &+= 1
      return
    }
    defer { slab.release(handle) }
    guard let packet = Self.write(output, of: rooms, index, stream, in: handle, &slab) else {
      statistics.drops &+= 1
      return
    }
    lend(packet, handle, to: stream, at: now)
  }

  /// Puts a packet of ours, just written, on the lanes to the shards that have listeners of its stream.
  mutating func lend(_ packet: Packet, _ handle: PacketHandle, to stream: MixStream, at now: Instant) {
    // Sound: leased just now, and read by the shards after the message is published.
    unsafe (slab.place(of: handle)! + PacketStore.noteOffset).initializeMemory(as: Packet.self, to: packet)
    unsafe (slab.place(of: handle)! + PacketStore.arrivalOffset).storeBytes(of: now, as: Instant.self)
    for port in stream.ports {
      slab.retain(handle)
      if slab.ports[Int(port)].stage(.packet(handle, stream: stream.number)) {
        statistics.packetsOut &+= 1
      } else {
        slab.release(handle)
        statistics.drops &+= 1
      }
    }
  }

  // Several tables at once, of which one is changed: as parameters, they do not overlap.

  private static func copyPayload(of variant: Int, _ rooms: borrowing UniqueArray<Room>, _ room: Int) -> [UInt8] {
    let payload = rooms[room].mixer.payload(of: variant)
    var copy: [UInt8] = []
    copy.reserveCapacity(payload.byteCount)
    for byte in 0..<payload.byteCount { copy.append(payload.loadUInt8(at: byte)) }
    return copy
  }

  private static func copySamples(of variant: Int, _ rooms: borrowing UniqueArray<Room>, _ room: Int) -> [Float] {
    copy(rooms[room].mixer.samples(of: variant))
  }

  private static func write(
    _ output: AudioMixer.Output, of rooms: borrowing UniqueArray<Room>, _ room: Int, _ stream: MixStream, in handle: PacketHandle,
    _ slab: inout PacketStore
  ) -> Packet? {
    guard var bytes = slab.mutableBytes(of: handle),
      let byteCount = stream.write(output, payload: rooms[room].mixer.payload(of: output.variant), into: &bytes),
      case .success(let view) = RTPPacketView.parse(bytes.bytes.extracting(0..<byteCount))
    else { return nil }
    let extensions = RTPExtensions(view, in: bytes.bytes.extracting(0..<byteCount), map: MixStream.extensions)
    return Packet(
      handle: handle, start: 0, byteCount: byteCount, inbound: stream.number, format: stream.format, sequence: stream.sequence, view: view,
      extensions: extensions)
  }

  // MARK: Helpers

  mutating func publishLanes() {
    for port in 0..<slab.ports.count { slab.ports[port].publish() }
  }

  mutating func sayToHome(of key: PublicationKey, _ message: RelayMessage) {
    guard Int(key.shard) < slab.ports.count else { return }
    slab.say(message, to: Int(key.shard))
  }

  /// A place for a stream that is lent to us.
  mutating func insertHeard(_ stream: Heard) -> Int {
    if let free = freeHeard.popLast() {
      heard[free] = stream
      return free
    }
    heard.append(stream)
    return heard.count - 1
  }

  /// Forgets a stream that is lent to us: what is still under way of it is nobody's.
  mutating func removeHeard(_ place: Int) {
    guard let stream = heard[place] else { return }
    slab.ports[stream.port].setMirror(nil, of: stream.lane)
    heard[place] = nil
    freeHeard.append(place)
  }
}

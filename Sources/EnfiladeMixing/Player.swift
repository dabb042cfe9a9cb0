// One thing that is played into a room: samples that are encoded here, or Opus packets that are passed on as they are. Sans-IO: it is told what
// there is to play and that a moment has come, and asked for the packet of that moment.
//
//     waiting ──enough has come──▶ playing ──nothing is left──▶ trailing ──200 ms of silence──▶ waiting, or over when the end was said
//                                     ▲──────enough has come────────┘

package import EnfiladeRTP
package import EnfiladeWire

/// Plays on the line of time of its worker. Times are samples at 48 kHz since the worker's epoch.
package struct Player: ~Copyable {
  /// What is played.
  package enum Form: Hashable, Sendable {
    /// Samples at 48 kHz, channels side by side, which are encoded as the settings say.
    case samples(EncoderSettings)
    /// Opus packets of one or two channels.
    case packets(channelCount: Int)
  }

  /// What has become of it.
  package struct Statistics: Hashable, Sendable {
    /// Samples for each channel that were played, silence not counted.
    package var playedSamples: Int64 = 0
    package var packets: UInt64 = 0
    /// Times that there was nothing left to play before the end was said.
    package var underruns: UInt64 = 0
    /// What came when there was no room for it, in samples for each channel.
    package var overflowedSamples: Int64 = 0
    /// Moments that were over before anybody came to them, in samples.
    package var skippedSamples: Int64 = 0
    package var codecFailures: UInt64 = 0

    package init() {}
  }

  /// A packet for the moment that came.
  package struct Output: Sendable {
    package var timestamp: RTPTimestamp
    /// The first after a pause (RFC 3551 §4.1).
    package var isFirst: Bool
    /// What it says of its loudness (RFC 6464 §3); `nil` where nobody has decoded it.
    package var level: AudioLevel?
  }

  private enum State: Hashable { case waiting, playing, trailing(Int), over }

  /// Silence behind the last sound, so that every buffer of every receiver has played it before the end.
  private static let tailTicks = 10
  /// Packets of silence behind the last one that is passed on, so that no decoder makes up what is not there.
  private static let silentPackets = 5
  /// So much must have come before it begins, unless that is all there is.
  private static let leastLead = 2 * Limits.mixTickSampleCount
  /// Over this long a sound that is cut off goes down: 5 ms.
  private static let fade = 240
  /// Above this a packet is told to have voice in it.
  private static let voiceLevel = 50

  package private(set) var statistics = Statistics()
  private let form: Form
  private let encoder: (any AudioEncoder)?
  private let channelCount: Int
  private let capacity: Int
  private var queue: SampleQueue
  private var packets: [FilePacket] = []
  /// Packets in front that were played.
  private var packetHead = 0
  /// Samples for each channel that wait.
  private var queuedCount = 0
  private var state = State.waiting
  /// No more comes.
  private var isEnded = false
  private var isStopping = false
  /// It goes on behind a gap.
  private var isResuming = false
  /// When the next packet is due.
  private var next: Int64 = 0
  private var isFirst = true
  private var wasEncoded = false
  private var block: UniqueArray<Float>
  package private(set) var payload: UniqueArray<UInt8>
  package private(set) var payloadByteCount = 0
  private var consumed: Int64 = 0

  /// - Parameter capacity: how much may wait, in samples for each channel.
  package init(_ form: Form, capacity: Int, codecs: any AudioCodecFactory) throws(AudioCodecError) {
    self.form = form
    self.capacity = max(Self.leastLead, min(Limits.playbackSampleCount, capacity))
    switch form {
    case .samples(let settings):
      channelCount = settings.channelCount
      encoder = try codecs.makeEncoder(settings)
      queue = SampleQueue(capacity: 2 * self.capacity * settings.channelCount)
      block = UniqueArray(repeating: 0, count: Limits.mixTickSampleCount * settings.channelCount)
    case .packets(let count):
      channelCount = count
      encoder = nil
      queue = SampleQueue(capacity: 1)
      block = UniqueArray()
    }
    payload = UniqueArray(repeating: 0, count: Limits.playbackPayloadByteCount)
  }

  // MARK: Look

  /// When ``handleTimeout(at:isWanted:)`` wants to be called, in samples; `nil` while there is nothing to play.
  package var nextTime: Int64? { state == .playing || isTrailing ? next : nil }
  /// Everything was played, and the end was said.
  package var isOver: Bool { state == .over }
  private var isTrailing: Bool { if case .trailing = state { true } else { false } }

  /// Samples for each channel that were played or passed over since this was last asked: so much more may come.
  package mutating func takeConsumed() -> Int64 {
    defer { consumed = 0 }
    return consumed
  }

  // MARK: Verbs

  /// More to play, as samples.
  package mutating func append(_ samples: [Float], at now: Int64) {
    guard !isEnded else { return }
    let count = min(samples.count / channelCount, capacity - queuedCount)
    overflow(samples.count / channelCount - count)
    let valueCount = count * channelCount
    var space = queue.space(for: valueCount)
    for index in 0..<valueCount { space[index] = samples[index].isFinite ? samples[index] : 0 }
    queue.commit(valueCount)
    queuedCount += count
    begin(at: now)
  }

  /// More to play, as packets.
  package mutating func append(_ more: [FilePacket], at now: Int64) {
    guard !isEnded else { return }
    for packet in more {
      guard queuedCount + packet.sampleCount <= capacity + Limits.audioPacketSampleCount,
        packet.payload.count <= Limits.playbackPayloadByteCount
      else {
        overflow(packet.sampleCount)
        continue
      }
      packets.append(packet)
      queuedCount += packet.sampleCount
    }
    begin(at: now)
  }

  /// No more comes: what is there is played, and then it is over.
  package mutating func end(at now: Int64) {
    isEnded = true
    begin(at: now)
  }

  /// It goes silent within 20 ms, and is over.
  package mutating func stop(at now: Int64) {
    isEnded = true
    isStopping = true
    begin(at: now)
  }

  private mutating func overflow(_ count: Int) {
    guard count > 0 else { return }
    statistics.overflowedSamples += Int64(count)
    consumed += Int64(count)
  }

  private mutating func begin(at now: Int64) {
    guard state != .playing, state != .over, isEnded || queuedCount >= Self.leastLead else { return }
    guard queuedCount > 0 || !isEnded else {
      // Nothing is left; what trails goes on to its end.
      if state == .waiting { state = .over }
      return
    }
    if state == .waiting {
      // On whole ticks, so that those who play at the same time are served in one turn.
      let tick = Int64(Limits.mixTickSampleCount)
      next = max(next, (now + tick - 1) / tick * tick)
      isFirst = true
    }
    state = .playing
  }

  // MARK: Time

  /// The moment ``nextTime`` has come. Gives the packet of it, whose bytes are in ``payload``; `nil` when there is none to send.
  ///
  /// - Parameters:
  ///   - now: may be later; what lies more than two ticks back is over, and what would have been played then is played now.
  ///   - isWanted: somebody listens. What nobody listens to is not encoded.
  package mutating func handleTimeout(at now: Int64, isWanted: Bool) -> Output? {
    guard nextTime != nil, next <= now else { return nil }
    let tick = Int64(Limits.mixTickSampleCount)
    if now - next > 2 * tick {
      let late = (now - next) / tick * tick
      statistics.skippedSamples += late
      next += late
      isFirst = true
    }
    if case .samples = form { return playSamples(isWanted: isWanted) }
    return playPacket(isWanted: isWanted)
  }

  private func makeOutput(level: AudioLevel?) -> Output {
    Output(timestamp: RTPTimestamp(UInt32(truncatingIfNeeded: next)), isFirst: isFirst, level: level)
  }

  private mutating func played(_ count: Int) {
    queuedCount -= count
    consumed += Int64(count)
  }

  /// Goes on by one step behind the last sound, and gives whether there is silence to send.
  private mutating func trail(_ left: Int, sampleCount: Int) {
    next += Int64(sampleCount)
    if left > 1 { state = .trailing(left - 1) } else { state = isEnded ? .over : .waiting }
  }

  // MARK: Samples

  private mutating func playSamples(isWanted: Bool) -> Output? {
    let wanted = Limits.mixTickSampleCount
    let count = state == .playing ? min(wanted, queuedCount) : 0
    fillBlock(count)
    if count > 0 {
      statistics.playedSamples += Int64(count)
      played(count)
    }
    // What is cut off, or runs out, goes down.
    if isStopping, count > 0 {
      fadeOut(from: 0, count)
      played(queuedCount)
      queue.removeAll()
      isStopping = false
    } else if count < wanted, count > 0, !isEnded {
      fadeOut(from: max(0, count - Self.fade), count)
    }
    let result = encode(isWanted: isWanted)
    if case .trailing(let left) = state {
      trail(left, sampleCount: wanted)
      return result
    }
    next += Int64(wanted)
    guard count < wanted || isEnded && queuedCount == 0 else { return result }
    runDry()
    return result
  }

  /// Nothing is left to play.
  private mutating func runDry() {
    if !isEnded {
      statistics.underruns &+= 1
      isResuming = true
    }
    state = .trailing(Self.tailTicks)
  }

  private mutating func fillBlock(_ count: Int) {
    Self.fill(&block, from: queue, count * channelCount)
    queue.removeFirst(count * channelCount)
    guard isResuming, count > 0 else { return }
    isResuming = false
    for index in 0..<min(count, Self.fade) {
      let gain = Float(index) / Float(Self.fade)
      for channel in 0..<channelCount { block[index * channelCount + channel] *= gain }
    }
  }

  private static func fill(_ block: inout UniqueArray<Float>, from queue: borrowing SampleQueue, _ count: Int) {
    let samples = queue.samples
    for index in 0..<count { block[index] = samples[index] }
    for index in count..<block.count { block[index] = 0 }
  }

  private mutating func fadeOut(from start: Int, _ end: Int) {
    for index in start..<end {
      let gain = Float(end - index) / Float(end - start + 1)
      for channel in 0..<channelCount { block[index * channelCount + channel] *= gain }
    }
  }

  private mutating func encode(isWanted: Bool) -> Output? {
    guard isWanted, let encoder else {
      wasEncoded = false
      return nil
    }
    // What it knows of is long over.
    if !wasEncoded { encoder.reset() }
    do throws(AudioCodecError) {
      payloadByteCount = try Self.encode(block, by: encoder, into: &payload)
    } catch {
      statistics.codecFailures &+= 1
      return nil
    }
    wasEncoded = true
    let level = Int(max(0, min(127, -SampleKernels.level(block.span))))
    statistics.packets &+= 1
    defer { isFirst = false }
    return makeOutput(level: AudioLevel(level: UInt8(level), hasVoice: level < Self.voiceLevel))
  }

  private static func encode(
    _ samples: borrowing UniqueArray<Float>, by encoder: any AudioEncoder, into payload: inout UniqueArray<UInt8>
  ) throws(AudioCodecError) -> Int {
    var bytes = payload.mutableSpan
    // Sound: every pattern of bits is a byte.
    var target = unsafe bytes.mutableBytes
    return try encoder.encode(samples.span, into: &target)
  }

  // MARK: Packets

  private mutating func playPacket(isWanted: Bool) -> Output? {
    if isStopping {
      isStopping = false
      played(queuedCount)
      packets = []
      packetHead = 0
      state = .trailing(Self.tailTicks)
    }
    if case .trailing(let left) = state {
      // Packets of silence first, and then nothing.
      let isSilenceSent = isWanted && left > Self.tailTicks - Self.silentPackets
      let result =
        isSilenceSent ? send(OpusPacket.silence(isStereo: channelCount == 2), level: AudioLevel(level: 127, hasVoice: false)) : nil
      trail(left, sampleCount: Limits.mixTickSampleCount)
      return result
    }
    guard packetHead < packets.count else {
      runDry()
      defer { next += Int64(Limits.mixTickSampleCount) }
      return isWanted ? send(OpusPacket.silence(isStereo: channelCount == 2), level: AudioLevel(level: 127, hasVoice: false)) : nil
    }
    let packet = packets[packetHead]
    removeFirstPacket()
    played(packet.sampleCount)
    let result: Output?
    if packet.isSilent {
      // It belongs to no time of its own.
      result = nil
    } else {
      statistics.playedSamples += Int64(packet.sampleCount - packet.leading - packet.trailing)
      result = isWanted ? send(packet.payload, level: nil) : nil
      next += Int64(packet.sampleCount)
    }
    if queuedCount == 0, isEnded { state = .trailing(Self.tailTicks) }
    return result
  }

  private mutating func send(_ bytes: [UInt8], level: AudioLevel?) -> Output {
    for index in bytes.indices { payload[index] = bytes[index] }
    payloadByteCount = bytes.count
    statistics.packets &+= 1
    defer { isFirst = false }
    return makeOutput(level: level)
  }

  private mutating func removeFirstPacket() {
    packetHead += 1
    guard packetHead >= 64 || packetHead == packets.count else { return }
    packets.removeFirst(packetHead)
    packetHead = 0
  }
}

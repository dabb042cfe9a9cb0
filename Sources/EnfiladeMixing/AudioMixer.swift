// One room's mixture (RFC 7667 §3.6, Topo-Mixer): everybody but yourself. Sans-IO: it is told packets and ticks, and asked for packets.
//
//     packets ──▶ claims ──▶ candidates ──▶ selected ──▶ playouts ──▶ sums ──▶ limiters ──▶ encoders ──▶ packets
//
// Its cost follows who speaks: as many decoders as are heard, one sum and one encoder for all who are silent, one more for each who speaks and
// listens. Where nobody speaks there is no tick at all.

package import EnfiladeRTP
package import EnfiladeWire

/// Mixes the sources of one room for its listeners.
package struct AudioMixer: ~Copyable {
  /// How a mixer is set up.
  package struct Configuration: Hashable, Sendable {
    /// How many sources are heard at the same time.
    package var speakerCount: Int
    package var encoder: EncoderSettings
    /// How loud the noise is in mixtures in which nobody is heard, in dBov; `nil` for none.
    package var comfortNoiseLevel: Int?

    package init(speakerCount: Int = 3, encoder: EncoderSettings = EncoderSettings(), comfortNoiseLevel: Int? = nil) {
      self.speakerCount = max(1, min(Limits.mixSourceCount, speakerCount))
      self.encoder = encoder
      self.comfortNoiseLevel = comfortNoiseLevel
      // Discontinuous transmission would take the noise for what need not be sent, and leave it to every receiver's own invention.
      if comfortNoiseLevel != nil { self.encoder.usesDiscontinuousTransmission = false }
    }
  }

  /// What a mixer has done.
  package struct Statistics: Hashable, Sendable {
    package var ticks: UInt64 = 0
    /// Ticks that were never made, because time was over for them.
    package var skippedTicks: UInt64 = 0
    package var decodedTicks: UInt64 = 0
    package var encodes: UInt64 = 0
    /// Packets of sources that nobody listens to.
    package var unheard: UInt64 = 0
    package var codecFailures: UInt64 = 0
    /// Codecs that nothing here can decode.
    package var unsupported: UInt64 = 0
    /// Listeners that wanted a mixture of their own when there were too many.
    package var crowded: UInt64 = 0

    package init() {}
  }

  /// A listener that hears another variant from the next packet on.
  package struct Move: Hashable, Sendable {
    package var listener: UInt64
    package var variant: Int
  }

  /// A source whose every packet counts from now on, or of which only loud ones do.
  package struct Attention: Hashable, Sendable {
    package var source: UInt64
    package var isWanted: Bool
  }

  struct Playout: ~Copyable {
    var source: Int32
    var codec: Codec
    var player: SourcePlayout
    /// How much of it the last tick ended with: zero or one.
    var gain: Float = 0
    var next: Float = 0
    /// It is decoded in this tick, and this is what it said.
    var isPulled = false
    /// Ticks since it was last decoded.
    var unseenTicks = 0
    var samples: UniqueArray<Float>
  }

  struct Listener {
    let id: UInt64
    let owner: UInt64
    let codec: Codec
    var variant: Int32 = -1
    /// Gains of its own, by source.
    var gains: [UInt64: Float] = [:]
  }

  /// Silence that is encoded after the last word, so that every decoder ends in silence: 200 ms.
  static let tailTicks = 10
  /// A source without a level that was found silent is not decoded again for half a second.
  private static let silenceBackOff = TimeDelta.milliseconds(500)
  /// A candidate that nobody hears, and of which nothing is known but what its decoder says, is decoded every fifth tick; and at each while it
  /// is this much louder than it was, in decibels.
  static let lookTicks = 5
  static let remarkableRise: Float = 3
  /// A candidate that has not been loud for a second is one no more.
  static let candidatePatience = 50

  package let configuration: Configuration
  let codecs: any AudioCodecFactory
  package let epoch: Instant
  package internal(set) var statistics = Statistics()

  var sources: [MixSource?] = []
  private var sourceIndices: [UInt64: Int32] = [:]
  private var freeSources: [Int32] = []
  var listeners: [Listener] = []
  var listenerIndices: [UInt64: Int] = [:]
  var selector: LoudestSelector
  var playouts = UniqueArray<Playout>()
  var variants = UniqueArray<MixVariant>()
  var noise: ComfortNoise
  var moves: [Move] = []
  private var attention: [Attention] = []
  /// Who listens to what has to be found out again.
  var isStale = false
  /// The number of the tick that comes next; ticks are counted from the epoch, whether they happen or not.
  var nextTick: Int64 = 0
  var isTicking = false
  var tail = 0
  var nextOutput = 0
  private(set) var effort = 0

  /// - Parameters:
  ///   - epoch: the beginning of the first tick, and zero of the mixture's timestamps.
  ///   - seed: what the comfort noise comes from.
  package init(_ configuration: Configuration, codecs: any AudioCodecFactory, epoch: Instant, seed: UInt64 = 1) {
    self.configuration = configuration
    noise = ComfortNoise(level: configuration.comfortNoiseLevel, channelCount: configuration.encoder.channelCount, seed: seed)
    self.codecs = codecs
    self.epoch = epoch
    selector = LoudestSelector(limit: configuration.speakerCount)
  }

  // MARK: Look

  /// When ``handleTimeout(at:)`` wants to be called: never, while nobody speaks, unless somebody listens to comfort noise.
  package var nextDeadline: Instant { isTicking ? instant(of: nextTick) : isWaking ? epoch : .distantFuture }
  /// Somebody listens, there is to be noise, and no tick is under way: the next ``handleTimeout(at:)`` only says when the first will be.
  package var isWaking: Bool { !isTicking && isNoiseWanted }
  var isNoiseWanted: Bool { noise.isOn && !listeners.isEmpty }
  package var listenerCount: Int { listeners.count }
  package var sourceCount: Int { sourceIndices.count }
  package var variantCount: Int { variants.count }
  /// What a variant's packets are; it never changes.
  package func codec(of variant: Int) -> Codec { variants[variant].codec }

  /// The sources that are heard, by their names.
  package var speakers: [UInt64] {
    selector.candidates.compactMap { candidate in candidate.isSelected ? sources[Int(candidate.source)]?.id : nil }
  }
  /// The dominant speaker.
  package var dominantSpeaker: UInt64? { selector.dominant.flatMap { sources[Int($0)]?.id } }

  /// What has become of a source's packets since it was last taken up; `nil` while nobody listens to it.
  package func playoutStatistics(of source: Int32) -> SourcePlayout.Statistics? {
    guard let playout = playoutIndex(of: source) else { return nil }
    return playouts[playout].player.statistics
  }

  /// How long after its fastest packet's arrival a source is heard, in samples; `nil` while nobody listens to it.
  package func playoutDelay(of source: Int32, at now: Instant) -> Int64? {
    guard let playout = playoutIndex(of: source) else { return nil }
    return playouts[playout].player.delay(at: sampleTime(at: now))
  }

  func playoutIndex(of source: Int32) -> Int? {
    guard source >= 0, Int(source) < sources.count, let playout = sources[Int(source)]?.playout, playout >= 0 else { return nil }
    return Int(playout)
  }

  func instant(of tick: Int64) -> Instant { epoch + Limits.mixTick * tick }
  /// Samples since the epoch.
  func sampleTime(at now: Instant) -> Int64 { (now - epoch).nanoseconds / 1_000 * 48 / 1_000 }

  // MARK: Sources

  /// Makes a source known. Gives its number, which ``handlePacket(of:payload:codec:sequence:timestamp:level:at:)`` wants; `nil` when there are
  /// too many, or one of that name already.
  package mutating func addSource(_ id: UInt64, owner: UInt64) -> Int32? {
    guard sourceIndices[id] == nil, sourceIndices.count < Limits.mixPublicationCount else { return nil }
    let source = MixSource(id: id, owner: owner)
    let index: Int32
    if let free = freeSources.popLast() {
      sources[Int(free)] = source
      index = free
    } else {
      sources.append(source)
      index = Int32(sources.count - 1)
    }
    sourceIndices[id] = index
    return index
  }

  /// Whether every packet of a source counts.
  package func isCandidate(_ id: UInt64) -> Bool { sourceIndices[id].map { selector.contains($0) } ?? false }

  /// The number of a source; `nil` for one that is not known.
  package func sourceIndex(of id: UInt64) -> Int32? { sourceIndices[id] }

  /// Forgets a source. What it says is over with the last tick.
  package mutating func removeSource(_ id: UInt64) {
    guard let index = sourceIndices.removeValue(forKey: id) else { return }
    expel(index)
    sources[Int(index)] = nil
    freeSources.append(index)
    for listener in listeners.indices where !listeners[listener].gains.isEmpty { listeners[listener].gains[id] = nil }
    isStale = true
  }

  /// What a source is named by in mixed packets, and that its packets begin anew: with other numbers, on another line.
  package mutating func restartSource(_ index: Int32, ssrc: SSRC) {
    guard Int(index) < sources.count else { return }
    sources[Int(index)]?.ssrc = ssrc
    sources[Int(index)]?.restart()
    if let playout = playoutIndex(of: index) { playouts[playout].player.restart() }
  }

  /// Where a source stands between left, −1, and right, 1; without effect in a mixture of one channel.
  package mutating func setPlacement(_ position: Float, of id: UInt64) {
    guard let index = sourceIndices[id] else { return }
    let position = max(-1, min(1, position))
    sources[Int(index)]?.placement = SIMD2(min(1, 1 - position), min(1, 1 + position))
  }

  // MARK: Listeners

  /// Lets somebody hear everybody but `owner`, in Opus or in G.711.
  package mutating func addListener(_ id: UInt64, owner: UInt64, codec: Codec = .opus) -> Bool {
    guard listenerIndices[id] == nil, listeners.count < Limits.mixListenerCount else { return false }
    listenerIndices[id] = listeners.count
    listeners.append(Listener(id: id, owner: owner, codec: codec))
    isStale = true
    // He hears who is speaking now, or at least is told which stream is his.
    settleListeners()
    return true
  }

  package mutating func removeListener(_ id: UInt64) {
    guard let index = listenerIndices.removeValue(forKey: id) else { return }
    let last = listeners.count - 1
    if index != last {
      listeners.swapAt(index, last)
      listenerIndices[listeners[index].id] = index
    }
    listeners.removeLast()
    isStale = true
  }

  /// How loud one listener hears one source: 1 as it is, 0 not at all, at most 4.
  package mutating func setGain(_ gain: Float, of source: UInt64, for listener: UInt64) {
    guard let index = listenerIndices[listener], gain.isFinite else { return }
    listeners[index].gains[source] = gain == 1 ? nil : max(0, min(4, gain))
    isStale = true
  }

  // MARK: Effort

  /// Does less: first simpler encoding, then fewer speakers. Step 0 is what was configured; beyond the last step nothing changes.
  package mutating func setEffort(_ step: Int) {
    effort = max(0, min(step, Self.lastEffort(configuration)))
    let complexity = effort == 0 ? configuration.encoder.complexity : effort == 1 ? min(2, configuration.encoder.complexity) : 0
    for index in 0..<variants.count { variants[index].encoder.setComplexity(complexity) }
    selector.limit = max(1, configuration.speakerCount - max(0, effort - 2))
  }

  /// The step beyond which no less can be done.
  package static func lastEffort(_ configuration: Configuration) -> Int { 2 + configuration.speakerCount - 1 }

  // MARK: Packets

  /// A packet of a source came.
  ///
  /// - Parameters:
  ///   - level: what the packet says of its loudness (RFC 6464).
  ///   - now: when it came; the tick may be later.
  package mutating func handlePacket(
    of index: Int32, payload: RawSpan, codec: Codec, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp, level: AudioLevel?,
    isRedundant: Bool = false, at now: Instant
  ) {
    guard Int(index) < sources.count, sources[Int(index)] != nil else { return }
    guard codec == .opus || codec == .pcmu || codec == .pcma else {
      statistics.unsupported &+= 1
      return
    }
    guard let time = sources[Int(index)]?.sampleTime(of: timestamp, codec: codec) else { return }
    var claim: Float?
    if !isRedundant {
      let (claimed, believed) = sources[Int(index)]!.handleClaim(level, payload: payload, codec: codec)
      claim = claimed
      if sources[Int(index)]!.playout < 0 { admit(index, believed: believed, codec: codec, at: now) }
    }
    guard let playout = playoutIndex(of: index) else {
      statistics.unheard &+= 1
      return
    }
    if playouts[playout].codec != codec {
      // The source changed its codec: another decoder, and from here on.
      release(index)
      guard take(index, codec: codec) else { return }
    }
    guard let playout = playoutIndex(of: index) else { return }
    playouts[playout].player.handlePacket(
      payload, sequence: sequence.rawValue, timestamp: time, arrival: sampleTime(at: now), isRedundant: isRedundant,
      claim: claim)
  }

  /// Whether a source that claims no more than this would be heard of: quieter packets need not be brought.
  package static let admissionLevel: Float = LoudestSelector.silenceLevel - 10

  /// Makes a source a candidate if it is loud enough, in place of a quieter one if need be.
  private mutating func admit(_ index: Int32, believed: Float, codec: Codec, at now: Instant) {
    guard believed > Self.admissionLevel, now >= sources[Int(index)]!.ignoredUntil, !listeners.isEmpty else { return }
    if selector.candidates.count >= configuration.speakerCount + Limits.spareCandidateCount {
      guard let weakest = selector.weakest, believed > weakest.standing + LoudestSelector.hysteresis else { return }
      expel(weakest.source)
    }
    guard take(index, codec: codec) else { return }
    selector.add(index, level: believed)
    if let id = sources[Int(index)]?.id { attention.append(Attention(source: id, isWanted: true)) }
    beginTicking(at: now)
  }

  /// The first tick is the next whole one from now on.
  mutating func beginTicking(at now: Instant) {
    guard !isTicking else { return }
    isTicking = true
    nextTick = max(nextTick, (now - epoch).nanoseconds / Limits.mixTick.nanoseconds + 1)
  }

  /// Gives a source a playout: one that is free and has the right decoder, or a new one.
  private mutating func take(_ index: Int32, codec: Codec) -> Bool {
    var free: Int?
    for place in 0..<playouts.count where playouts[place].source < 0 {
      if free == nil || playouts[place].codec == codec { free = place }
      if playouts[place].codec == codec { break }
    }
    if let free, playouts[free].codec == codec {
      playouts[free].source = index
      playouts[free].player.restart()
      sources[Int(index)]?.playout = Int32(free)
      return true
    }
    let channelCount = configuration.encoder.channelCount
    let decoder: any AudioDecoder
    do {
      decoder = try codecs.makeDecoder(codec, channelCount: channelCount)
    } catch {
      statistics.codecFailures &+= 1
      return false
    }
    let playout = Playout(
      source: index, codec: codec, player: SourcePlayout(decoder: decoder, channelCount: channelCount),
      samples: UniqueArray(repeating: 0, count: Limits.mixTickSampleCount * channelCount))
    if let free {
      playouts[free] = playout
      sources[Int(index)]?.playout = Int32(free)
    } else {
      playouts.append(playout)
      sources[Int(index)]?.playout = Int32(playouts.count - 1)
    }
    return true
  }

  /// The next source whose packets are wanted in another way.
  package mutating func pollAttention() -> Attention? { attention.popLast() }

  /// Takes a candidate's place away.
  mutating func expel(_ index: Int32) {
    release(index)
    selector.remove(index)
    if let id = sources[Int(index)]?.id { attention.append(Attention(source: id, isWanted: false)) }
  }

  /// Takes a source's playout away.
  private mutating func release(_ index: Int32) {
    guard let playout = playoutIndex(of: index) else { return }
    if playouts[playout].gain > 0 { isStale = true }
    playouts[playout].source = -1
    playouts[playout].gain = 0
    playouts[playout].next = 0
    playouts[playout].isPulled = false
    playouts[playout].player.stop()
    sources[Int(index)]?.playout = -1
  }

  /// A source that was taken for loud and is silent is left alone for a while.
  mutating func dismiss(_ index: Int32, at now: Instant) {
    expel(index)
    sources[Int(index)]?.ignoredUntil = now + Self.silenceBackOff
  }
}

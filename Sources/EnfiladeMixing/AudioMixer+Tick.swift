// One tick: who is heard, what they say, and what everybody gets of it.

import EnfiladeRTP
package import EnfiladeWire

extension AudioMixer {
  /// Makes the tick that is due. Afterwards: ``pollMove()``, then ``pollOutput()``, each until it gives nothing.
  package mutating func handleTimeout(at now: Instant) {
    guard !isWaking else { return beginTicking(at: now) }
    guard isTicking, now >= nextDeadline else { return }
    // What lies more than a tick back is over: nobody is served by catching up.
    let current = (now - epoch).nanoseconds / Limits.mixTick.nanoseconds
    if current - 1 > nextTick {
      statistics.skippedTicks &+= UInt64(current - 1 - nextTick)
      nextTick = current - 1
    }
    statistics.ticks &+= 1
    select(at: now)
    pull()
    settleListeners()
    let isHeard = mix()
    finish(isHeard: isHeard, at: now)
  }

  /// The next listener that hears another variant, beginning with the output that follows.
  package mutating func pollMove() -> Move? { moves.popLast() }

  /// What a tick has for one variant's listeners.
  package struct Output: Sendable {
    package var variant: Int
    package var byteCount: Int
    package var timestamp: RTPTimestamp
    /// The same as samples at 48 kHz since the epoch.
    package var time: Int64
    /// Whose voices are in it.
    package var contributorCount: Int
    package var contributors: InlineArray<15, SSRC>
    /// How loud each of them is in it (RFC 6465 §3): minus decibels.
    package var levels: InlineArray<15, UInt8>
  }

  /// The next packet of this tick; ``payload(of:)`` has its bytes until the next tick.
  package mutating func pollOutput() -> Output? {
    while nextOutput < variants.count {
      defer { nextOutput += 1 }
      guard variants[nextOutput].payloadByteCount > 0 else { continue }
      return output(of: nextOutput)
    }
    return nil
  }

  @_lifetime(borrow self)
  package borrowing func payload(of variant: Int) -> RawSpan {
    // Sound: a view of initialized bytes.
    unsafe variants[variant].payload.span.bytes.extracting(0..<variants[variant].payloadByteCount)
  }

  /// What is in a variant's last tick, as samples.
  @_lifetime(borrow self)
  package borrowing func samples(of variant: Int) -> Span<Float> { variants[variant].samples.span }

  // MARK: Choosing

  private mutating func select(at now: Instant) {
    Self.updateLevels(&selector, &sources, playouts, at: now)
    for candidate in selector.candidates {
      guard let playout = playoutIndex(of: candidate.source) else { continue }
      playouts[playout].next = candidate.isSelected ? 1 : 0
      let isQuiet = (sources[Int(candidate.source)]?.quietTicks ?? 0) >= Self.candidatePatience
      if isQuiet, !candidate.isSelected, playouts[playout].gain == 0 { dismiss(candidate.source, at: now) }
    }
  }

  /// Selector and sources at once: as parameters, they do not overlap.
  private static func updateLevels(
    _ selector: inout LoudestSelector, _ sources: inout [MixSource?], _ playouts: borrowing UniqueArray<Playout>, at now: Instant
  ) {
    var levels: InlineArray<24, Float> = InlineArray(repeating: -127)
    var order: InlineArray<24, Int32> = InlineArray(repeating: -1)
    var count = 0
    for candidate in selector.candidates where count < 24 {
      let playout = Int(sources[Int(candidate.source)]?.playout ?? -1)
      let isPlaying = playout >= 0 && playouts[playout].player.isPlaying
      // Where nothing is claimed, what was heard last holds until the next look.
      let isKnown = isPlaying && (playouts[playout].isPulled || sources[Int(candidate.source)]?.isUndeclared == true)
      levels[count] =
        sources[Int(candidate.source)]?.tick(
          heard: isKnown ? playouts[playout].player.level : nil, claimed: isKnown ? playouts[playout].player.playedClaim : nil) ?? -127
      order[count] = candidate.source
      count += 1
    }
    selector.tick(at: now) { source in
      for index in 0..<count where order[index] == source { return levels[index] }
      return -127
    }
  }

  // MARK: Decoding

  /// Decodes what is heard, what fades out, and what nothing is known of.
  private mutating func pull() {
    let now = nextTick * Int64(Limits.mixTickSampleCount)
    for index in 0..<playouts.count {
      playouts[index].isPulled = false
      let source = playouts[index].source
      guard source >= 0 else { continue }
      playouts[index].unseenTicks += 1
      let isUndeclared = sources[Int(source)]?.isUndeclared ?? false
      guard playouts[index].gain > 0 || playouts[index].next > 0 || isUndeclared && isWorthALook(index) else {
        playouts[index].player.skip(at: now)
        continue
      }
      statistics.decodedTicks &+= 1
      playouts[index].unseenTicks = 0
      playouts[index].isPulled = true
      if playouts[index].gain != playouts[index].next { isStale = true }
      Self.pull(&playouts[index], at: now)
    }
  }

  /// Whether a candidate that nobody hears is decoded, to know how loud it is.
  private func isWorthALook(_ index: Int) -> Bool {
    guard playouts[index].player.isPlaying, playouts[index].unseenTicks < Self.lookTicks else { return true }
    return playouts[index].player.level > selector.level(of: playouts[index].source) + Self.remarkableRise
  }

  // Several members of one element at once, of which one is changed: as parameters, they do not overlap.

  private static func pull(_ playout: inout Playout, at now: Int64) {
    pull(&playout.player, into: &playout.samples, at: now, isHeard: playout.gain > 0)
  }

  private static func pull(_ player: inout SourcePlayout, into samples: inout UniqueArray<Float>, at now: Int64, isHeard: Bool) {
    var samples = samples.mutableSpan
    _ = player.pull(into: &samples, at: now, isHeard: isHeard)
  }

  // MARK: Mixing

  /// Sums, limits and encodes for every audience. Gives whether anybody is heard.
  private mutating func mix() -> Bool {
    var isHeard = false
    for index in 0..<playouts.count where playouts[index].gain > 0 || playouts[index].next > 0 { isHeard = true }
    tail = isHeard ? Self.tailTicks : tail - 1
    let isSent = isHeard || tail > 0 || isNoiseWanted
    if isSent { noise.makeTick() }
    for index in 0..<variants.count {
      variants[index].payloadByteCount = 0
      guard isSent, let audience = variants[index].audience else { continue }
      sum(audience, into: index)
      encode(index)
    }
    nextOutput = 0
    return isHeard
  }

  private mutating func sum(_ audience: MixVariant.Audience, into index: Int) {
    Self.clear(&variants[index].samples)
    var isHeard = false
    for place in 0..<playouts.count where playouts[place].gain > 0 || playouts[place].next > 0 {
      guard let source = sources[Int(playouts[place].source)] else { continue }
      var volume: (last: Float, now: Float) = (1, 1)
      switch audience {
      case .everybody: break
      case .without(let owner): if source.owner == owner { continue }
      case .personal(let listener, let owner):
        if source.owner == owner { continue }
        let now = listenerIndices[listener].flatMap { listeners[$0].gains[source.id] } ?? 1
        // From what it was: a volume that is set is reached over one tick.
        volume = (variants[index].lastGains[place], now)
        variants[index].lastGains[place] = now
      }
      if playouts[place].next * volume.now > 0 { isHeard = true }
      Self.add(
        playouts, place, from: source.placement * (playouts[place].gain * volume.last),
        to: source.placement * (playouts[place].next * volume.now), channelCount: configuration.encoder.channelCount, into: &variants, index
      )
    }
    if noise.isOn {
      Self.add(noise, isHeard: isHeard, channelCount: configuration.encoder.channelCount, to: &variants[index])
    }
    Self.limit(&variants[index])
  }

  private static func add(_ noise: borrowing ComfortNoise, isHeard: Bool, channelCount: Int, to variant: inout MixVariant) {
    let gain = variant.noiseGain
    variant.noiseGain = ComfortNoise.gain(after: gain, isHeard: isHeard)
    let next = variant.noiseGain
    guard gain > 0 || next > 0 else { return }
    var samples = variant.samples.mutableSpan
    SampleKernels.add(
      noise.samples.span, from: SIMD2(repeating: gain), to: SIMD2(repeating: next), channelCount: channelCount, to: &samples)
  }

  private static func clear(_ samples: inout UniqueArray<Float>) {
    var samples = samples.mutableSpan
    for place in 0..<samples.count { samples[place] = 0 }
  }

  private static func add(
    _ playouts: borrowing UniqueArray<Playout>, _ place: Int, from first: SIMD2<Float>, to last: SIMD2<Float>, channelCount: Int,
    into variants: inout UniqueArray<MixVariant>, _ variant: Int
  ) {
    var samples = variants[variant].samples.mutableSpan
    // One channel has no left and right.
    let isStereo = channelCount == 2
    SampleKernels.add(
      playouts[place].samples.span, from: isStereo ? first : SIMD2(repeating: max(first.x, first.y)),
      to: isStereo ? last : SIMD2(repeating: max(last.x, last.y)), channelCount: channelCount, to: &samples)
  }

  private static func limit(_ variant: inout MixVariant) { limit(&variant.samples, by: &variant.limiter) }

  private static func limit(_ samples: inout UniqueArray<Float>, by limiter: inout Limiter) {
    var samples = samples.mutableSpan
    limiter.process(&samples)
  }

  private mutating func encode(_ index: Int) {
    // A decoder that comes over from another stream must find its feet with the first packet.
    if variants[index].isEntered != variants[index].wasIsolated {
      variants[index].encoder.setIsolated(variants[index].isEntered)
      variants[index].wasIsolated = variants[index].isEntered
    }
    variants[index].isEntered = false
    statistics.encodes &+= 1
    do throws(AudioCodecError) {
      variants[index].payloadByteCount = try Self.encode(&variants[index])
    } catch {
      statistics.codecFailures &+= 1
    }
  }

  private static func encode(_ variant: inout MixVariant) throws(AudioCodecError) -> Int {
    let encoder = variant.encoder
    return try encode(variant.samples, by: encoder, into: &variant.payload)
  }

  private static func encode(
    _ samples: borrowing UniqueArray<Float>, by encoder: any AudioEncoder, into payload: inout UniqueArray<UInt8>
  ) throws(AudioCodecError) -> Int {
    var bytes = payload.mutableSpan
    // Sound: every pattern of bits is a byte.
    var target = unsafe bytes.mutableBytes
    return try encoder.encode(samples.span, into: &target)
  }

  // MARK: Afterwards

  private mutating func finish(isHeard: Bool, at now: Instant) {
    for index in 0..<playouts.count where playouts[index].source >= 0 {
      if playouts[index].gain != playouts[index].next { isStale = true }
      // Faded out: what it says from now on is not decoded.
      if playouts[index].gain > 0, playouts[index].next == 0 {
        let source = playouts[index].source
        if sources[Int(source)]?.isUndeclared != true { playouts[index].player.stop() }
      }
      playouts[index].gain = playouts[index].next
    }
    nextTick += 1
    isTicking = isHeard || tail > 0 || !selector.candidates.isEmpty || isNoiseWanted
  }

  private func output(of index: Int) -> Output {
    // On the codec's own clock, and from the same zero: 960 samples are a whole number of its ticks.
    let ticks = Limits.mixTickSampleCount * variants[index].codec.clockRate / Limits.mixSampleRate
    var output = Output(
      variant: index, byteCount: variants[index].payloadByteCount,
      timestamp: RTPTimestamp(UInt32(truncatingIfNeeded: (nextTick - 1) * Int64(ticks))),
      time: (nextTick - 1) * Int64(Limits.mixTickSampleCount), contributorCount: 0,
      contributors: InlineArray(repeating: SSRC(0)), levels: InlineArray(repeating: 127))
    for place in 0..<playouts.count where playouts[place].isPulled && playouts[place].gain > 0 {
      guard output.contributorCount < 15, let source = sources[Int(playouts[place].source)] else { continue }
      switch variants[index].audience {
      case .without(source.owner): continue
      case .personal(_, owner: source.owner): continue
      default: break
      }
      output.contributors[output.contributorCount] = source.ssrc
      output.levels[output.contributorCount] = UInt8(min(127, max(0, -playouts[place].player.level)))
      output.contributorCount += 1
    }
    return output
  }
}

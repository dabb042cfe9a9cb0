// One source that is being listened to: its packets, its decoder, and where in it the mixer is.
//
//     packets ──▶ jitter buffer ──▶ decoder ──▶ queue ──▶ time scaler ──▶ resampler ──▶ 20 ms for the mixture
//
//     waiting ──first packet──▶ playing ──nothing came for long──▶ waiting
//
// The point that is played next follows the clock at a distance: the transit of the fastest packets, and what the others need beyond that. Small
// errors, such as clocks that do not agree, are made up by the resampler; larger ones by the time scaler; and where there is nothing to hear, at once.

import EnfiladeWire

/// Plays one source. Times are samples at 48 kHz: `timestamp` on the source's line, `now` on ours.
package struct SourcePlayout: ~Copyable {
  /// What has become of a source's packets and samples.
  package struct Statistics: Hashable, Sendable {
    package var packets: UInt64 = 0
    /// Came after their turn.
    package var late: UInt64 = 0
    package var duplicates: UInt64 = 0
    package var malformed: UInt64 = 0
    /// Never came, or too late.
    package var lost: UInt64 = 0
    /// Lost packets that another carried (RFC 2198).
    package var redundant: UInt64 = 0
    /// Lost packets made up for by in-band repair.
    package var recovered: UInt64 = 0
    /// Samples that were given out.
    package var samples: UInt64 = 0
    /// Of these, made up.
    package var concealed: UInt64 = 0
    /// Taken out, and added, to change the delay.
    package var accelerated: UInt64 = 0
    package var decelerated: UInt64 = 0
    /// Passed over, because the mixture passed over them.
    package var skipped: UInt64 = 0

    package init() {}
  }

  /// Nothing to play for this long ends a stretch: 100 ms of made-up sound is more than enough.
  private static let patience = 4_800
  /// Errors below 2 ms are left alone.
  private static let tolerance: Double = 96
  /// Beyond this the time scaler helps: 20 ms, and this many ticks from one time to the next.
  private static let scalingError: Int64 = 960
  private static let scalingInterval = 5
  /// The most that the resampler changes the pitch: 0.5 %, nine hundredths of a semitone.
  private static let largestDeviation = 0.005
  /// How fast it makes up for an error, in samples.
  private static let timeConstant = 96_000.0
  /// Below this, in decibels, samples can come and go unheard.
  private static let silenceLevel: Float = -60
  /// Over this long the sound from before a jump fades into that behind it: 5 ms.
  private static let seam = 240
  /// Lost packets of a hundred from which on waiting for the next, which says what the last was, pays.
  private static let repairingLoss: Float = 0.02

  package private(set) var statistics = Statistics()
  private let channelCount: Int
  private let decoder: any AudioDecoder
  /// Nothing was decoded since it last forgot what came before, which costs as much as to decode.
  private var isDecoderFresh = true
  private var buffer = JitterBuffer()
  private var jitter = JitterEstimator()
  private var queue: SampleQueue
  private var resampler = Resampler()
  package private(set) var isPlaying = false
  /// The timestamp behind the newest sample in the queue.
  private var decoded: Int64 = 0
  /// The number of the newest packet that was decoded.
  private var newestSequence: Int64?
  private var packetSampleCount = Limits.mixTickSampleCount
  /// Samples made up since the packets ran out, without moving on in the source.
  private var held = 0
  private var ticksSinceScaling = 0
  /// When the last tick was filled.
  private var lastPull: Int64?
  private var lossRate: Float = 0
  private var newestClaim: Float?
  private var claimBefore: Float?
  /// How loud the last tick was.
  package private(set) var level: Float = -127

  package init(decoder: any AudioDecoder, channelCount: Int) {
    self.decoder = decoder
    self.channelCount = channelCount
    queue = SampleQueue(capacity: 3 * Limits.audioPacketSampleCount * channelCount)
  }

  // MARK: Look

  /// How loud the packets of the last tick said they were, the lowest of two neighbours; `nil` when something was made up.
  package var playedClaim: Float? {
    guard let newestClaim, let claimBefore else { return nil }
    return min(newestClaim, claimBefore)
  }
  package var isActive: Bool { isPlaying || !buffer.isEmpty }
  /// Of what is to be heard next, how long ago the fastest packet would have brought it.
  package func delay(at now: Int64) -> Int64 {
    guard isPlaying, let baseline = jitter.baseline else { return 0 }
    return now - baseline - playPoint
  }
  /// What the delay is to be.
  package var targetDelay: Int64 {
    // The tick itself, what jitter takes, and one packet more where losses are made up for by the next packet.
    let repair = lossRate > Self.repairingLoss ? Int64(packetSampleCount) : 0
    return min(Int64(Limits.maximumPlayoutDelay), Int64(Limits.mixTickSampleCount) + 240 + jitter.delay + repair)
  }
  package var bufferedPacketCount: Int { buffer.count }

  private var leadCount: Int { Resampler.lead * channelCount }
  /// Samples for each channel that are decoded and not played.
  private var queuedCount: Int { (queue.count - leadCount) / channelCount }
  /// The timestamp of the sample that is played next.
  private var playPoint: Int64 { decoded - Int64(queuedCount) }

  // MARK: Handle

  /// A packet of the source, or what another packet carried of one.
  package mutating func handlePacket(
    _ payload: RawSpan, sequence: Int64, timestamp: Int64, arrival: Int64, isRedundant: Bool = false, claim: Float? = nil
  ) {
    if !isRedundant {
      statistics.packets &+= 1
      jitter.handlePacket(timestamp: timestamp, arrival: arrival)
    }
    guard let sampleCount = decoder.sampleCount(of: payload), sampleCount <= Limits.audioPacketSampleCount else {
      statistics.malformed &+= 1
      return
    }
    packetSampleCount = sampleCount
    // A jump of timestamps beyond what is ever waited for is another beginning.
    if isPlaying, abs(timestamp - decoded) > 10 * Int64(Limits.maximumPlayoutDelay) { stop() }
    if isPlaying, timestamp + Int64(sampleCount) <= decoded {
      if !isRedundant { statistics.late &+= 1 }
      return
    }
    switch buffer.insert(
      payload, sequence: sequence, timestamp: timestamp, sampleCount: sampleCount, isRedundant: isRedundant, claim: claim)
    {
    case .stored: if isRedundant { statistics.redundant &+= 1 }
    case .duplicate: if !isRedundant { statistics.duplicates &+= 1 }
    case .tooLarge: statistics.malformed &+= 1
    }
  }

  // MARK: Verbs

  /// Forgets everything but what is known of the delay; the next packet begins a stretch.
  package mutating func stop() {
    isPlaying = false
    lastPull = nil
    buffer.removeAll()
    queue.removeAll()
    resampler.reset()
    if !isDecoderFresh { decoder.reset() }
    isDecoderFresh = true
    held = 0
    level = -127
    newestSequence = nil
  }

  /// Nobody listens now: what is past is let go, unplayed and uncounted.
  package mutating func skip(at now: Int64) {
    guard !isPlaying, let baseline = jitter.baseline else { return }
    while let first = buffer.first, first.timestamp + Int64(first.sampleCount) <= now - baseline - targetDelay { buffer.removeFirst() }
  }

  /// Begins with another source.
  package mutating func restart() {
    stop()
    statistics = Statistics()
    jitter = JitterEstimator()
    lossRate = 0
  }

  /// Fills one tick; `false`, and silence, when there is nothing to play.
  ///
  /// - Parameter isHeard: the last tick that was filled was listened to: what follows is joined to it, and what was passed over is counted.
  package mutating func pull(into output: inout MutableSpan<Float>, at now: Int64, isHeard: Bool = true) -> Bool {
    guard isPlaying || begin(at: now) else {
      for index in 0..<output.count { output[index] = 0 }
      level = -127
      return false
    }
    let outputCount = output.count / channelCount
    ticksSinceScaling += 1
    let passed = now - (lastPull ?? now) - Int64(outputCount)
    lastPull = now
    var error = now - jitter.baseline! - targetDelay - playPoint
    if passed > 0, error > 0 {
      skip(Int(min(passed, error)), isHeard: isHeard)
      error = now - jitter.baseline! - targetDelay - playPoint
    }
    var ratio = 1.0
    let excess = abs(Double(error)) - Self.tolerance
    if excess > 0 {
      let deviation = min(Self.largestDeviation, excess / Self.timeConstant)
      ratio = error > 0 ? 1 + deviation : 1 - deviation
    }
    let needed = resampler.neededCount(for: outputCount, ratio: ratio)
    fill(needed)
    if error > Self.scalingError || error < -Self.scalingError / 2 {
      adjust(by: error, needed: needed)
      fill(needed)
    }
    let consumed = Self.read(queue, with: &resampler, ratio: ratio, channelCount: channelCount, into: &output)
    queue.removeFirst(consumed * channelCount)
    level = SampleKernels.level(output.span)
    statistics.samples &+= UInt64(outputCount)
    if held > Self.patience, buffer.isEmpty { stop() }
    return true
  }

  // MARK: Private

  /// Begins a stretch when its first packet is due.
  private mutating func begin(at now: Int64) -> Bool {
    guard let first = buffer.first, let baseline = jitter.baseline else { return false }
    let point = now - baseline - targetDelay
    guard point + Int64(Limits.mixTickSampleCount) > first.timestamp else { return false }
    isPlaying = true
    decoded = max(point, first.timestamp - Int64(Limits.mixTickSampleCount))
    held = 0
    newestSequence = first.sequence - 1
    queue.removeAll()
    queue.appendSilence(leadCount)
    // Up to the first packet there is nothing, and nothing is missing.
    let gap = max(0, Int(first.timestamp - decoded))
    queue.appendSilence(gap * channelCount)
    decoded += Int64(gap)
    return true
  }

  /// Ticks that were never made are not heard later: what would have been in them is passed over.
  private mutating func skip(_ count: Int, isHeard: Bool) {
    if isHeard { fill(Self.seam) }
    var before = InlineArray<480, Float>(repeating: 0)
    let seam = isHeard ? min(Self.seam * channelCount, queuedCount * channelCount) : 0
    for index in 0..<seam { before[index] = queue.samples[leadCount + index] }
    let queued = min(count, max(0, queuedCount))
    queue.removeFirst(queued * channelCount)
    decoded += Int64(count - queued)
    held = max(0, held - (count - queued))
    while let first = buffer.first, first.timestamp + Int64(first.sampleCount) <= decoded {
      newestSequence = first.sequence
      buffer.removeFirst()
    }
    guard isHeard else { return }
    statistics.skipped &+= UInt64(count)
    fill(Self.seam)
    let (lead, channels) = (leadCount, channelCount)
    var samples = queue.mutableSamples
    for index in 0..<min(seam, samples.count - lead) {
      let weight = Float(index / channels) / Float(Self.seam)
      samples[lead + index] = before[index] * (1 - weight) + samples[lead + index] * weight
    }
  }

  /// Decodes until there is enough.
  private mutating func fill(_ needed: Int) {
    while queuedCount < needed, decodeNext() {}
  }

  /// Puts the next samples into the queue; `false` when they do not fit.
  private mutating func decodeNext() -> Bool {
    isDecoderFresh = false
    while let first = buffer.first, first.timestamp + Int64(first.sampleCount) <= decoded {
      if !first.isRedundant { statistics.late &+= 1 }
      buffer.removeFirst()
    }
    guard let first = buffer.first else { return conceal(Limits.mixTickSampleCount, isHolding: true) }
    let gap = first.timestamp - decoded
    if gap <= 0 || gap <= Int64(held) {
      decoded = max(decoded, first.timestamp)
      return decodeFirst(first)
    }
    let missing = newestSequence.map { first.sequence - $0 - 1 } ?? 0
    if missing > 0, gap <= Int64(first.sampleCount) { return recover(Int(gap)) }
    if missing > 0 {
      note(loss: true)
      return conceal(min(Int(gap), packetSampleCount), isHolding: false)
    }
    // Nothing is missing: the source was silent, and says so by its numbers.
    return conceal(min(Int(gap), Limits.mixTickSampleCount), isHolding: false, isSilence: true)
  }

  private mutating func decodeFirst(_ first: JitterBuffer.Entry) -> Bool {
    var written = 0
    do throws(AudioCodecError) {
      guard queue.room >= Int(first.sampleCount) * channelCount else { return false }
      written = try Self.decode(buffer, with: decoder, count: Int(first.sampleCount), channelCount: channelCount, into: &queue)
    } catch {
      statistics.malformed &+= 1
      buffer.removeFirst()
      return conceal(Int(first.sampleCount), isHolding: false)
    }
    // What lies before the point that is played next is over.
    let over = min(written, max(0, Int(decoded - first.timestamp)))
    queue.remove(over * channelCount, at: queue.count - written * channelCount)
    decoded = max(decoded, first.timestamp + Int64(written))
    newestSequence = max(newestSequence ?? first.sequence, first.sequence)
    if !first.isRedundant { note(loss: false) }
    claimBefore = newestClaim
    newestClaim = first.claim
    held = 0
    buffer.removeFirst()
    return true
  }

  /// The packet right before the first one is missing: what that one says of it is better than nothing.
  private mutating func recover(_ count: Int) -> Bool {
    note(loss: true)
    do throws(AudioCodecError) {
      guard queue.room >= count * channelCount else { return false }
      try Self.recover(buffer, with: decoder, count: count * channelCount, into: &queue)
    } catch {
      return conceal(count, isHolding: false)
    }
    statistics.recovered &+= 1
    decoded += Int64(count)
    newestSequence = buffer.first.map { $0.sequence - 1 }
    return true
  }

  /// Makes something up. While it holds, the source's time stands still: what is missing may only be late.
  private mutating func conceal(_ count: Int, isHolding: Bool, isSilence: Bool = false) -> Bool {
    guard queue.room >= count * channelCount else { return false }
    Self.conceal(with: decoder, count: count * channelCount, into: &queue)
    newestClaim = nil
    if !isSilence { statistics.concealed &+= UInt64(count) }
    if isHolding {
      held += count
      return true
    }
    decoded += Int64(count)
    if !isSilence { newestSequence = newestSequence.map { $0 + 1 } }
    return true
  }

  // Several members at once, of which one is changed: as parameters, they do not overlap.

  private static func read(
    _ queue: borrowing SampleQueue, with resampler: inout Resampler, ratio: Double, channelCount: Int,
    into output: inout MutableSpan<Float>
  ) -> Int {
    resampler.read(queue.samples, ratio: ratio, channelCount: channelCount, into: &output)
  }

  private static func decode(
    _ buffer: borrowing JitterBuffer, with decoder: any AudioDecoder, count: Int, channelCount: Int, into queue: inout SampleQueue
  ) throws(AudioCodecError) -> Int {
    var space = queue.space(for: count * channelCount)
    let written = try decoder.decode(buffer.firstPayload, into: &space)
    queue.commit(written * channelCount)
    return written
  }

  private static func recover(
    _ buffer: borrowing JitterBuffer, with decoder: any AudioDecoder, count: Int, into queue: inout SampleQueue
  ) throws(AudioCodecError) {
    var space = queue.space(for: count)
    try decoder.recover(before: buffer.firstPayload, into: &space)
    queue.commit(count)
  }

  private static func conceal(with decoder: any AudioDecoder, count: Int, into queue: inout SampleQueue) {
    var space = queue.space(for: count)
    do throws(AudioCodecError) {
      try decoder.conceal(into: &space)
    } catch {
      for index in 0..<count { space[index] = 0 }
    }
    queue.commit(count)
  }

  private mutating func note(loss: Bool) {
    if loss { statistics.lost &+= 1 }
    lossRate += ((loss ? 1 : 0) - lossRate) * 0.01
  }

  /// Moves the point that is played next towards where it should be.
  private mutating func adjust(by error: Int64, needed: Int) {
    if level < Self.silenceLevel, held == 0 {
      // There is nothing to hear: the silence gets shorter or longer as it must.
      if error > 0 {
        let count = min(Int(error), queuedCount - 1)
        guard count > 0 else { return }
        queue.removeFirst(count * channelCount)
        statistics.accelerated &+= UInt64(count)
      } else {
        let count = min(Int(-error), needed)
        let lead = leadCount
        guard queue.insertSilence(count * channelCount, at: lead) else { return }
        statistics.decelerated &+= UInt64(count)
      }
      return
    }
    guard ticksSinceScaling >= Self.scalingInterval, held == 0 else { return }
    fill(max(needed, TimeScaler.sampleCount))
    guard held == 0 else { return }
    if error > 0 {
      let count = TimeScaler.accelerate(&queue, start: Resampler.lead, channelCount: channelCount)
      statistics.accelerated &+= UInt64(count)
      if count > 0 { ticksSinceScaling = 0 }
    } else {
      let count = TimeScaler.decelerate(&queue, start: Resampler.lead, channelCount: channelCount)
      statistics.decelerated &+= UInt64(count)
      if count > 0 { ticksSinceScaling = 0 }
    }
  }
}

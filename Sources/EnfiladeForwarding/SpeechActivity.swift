// How much a source speaks, on three time scales (I. Volfin and I. Cohen, "Dominant speaker identification for multipoint videoconferencing",
// Computer Speech & Language 27, 2013), from the levels its packets tell (RFC 6464). Nothing is decoded.

package import EnfiladeWire

/// What a source's speech amounts to at one moment: counts of active parts on three time scales, and how loud it is.
package struct SpeechScore: Hashable, Sendable, BitwiseCopyable {
  /// Active parts of the last 20 ms' level, 0…13.
  package var immediate: UInt8 = 0
  /// Active among the last five immediates, 0…5: about 100 ms.
  package var medium: UInt8 = 0
  /// Active among the last ten mediums, 0…10: about a second.
  package var long: UInt8 = 0
  /// The smoothed loudness, 0…127, where 127 is the loudest.
  package var loudness: UInt8 = 0

  package init() {}

  package init(immediate: UInt8, medium: UInt8, long: UInt8, loudness: UInt8 = 0) {
    self.immediate = immediate
    self.medium = medium
    self.long = long
    self.loudness = loudness
  }

  /// Whether there is anything to be heard above the source's own noise.
  package var isSilent: Bool { immediate == 0 && medium == 0 && long == 0 }
}

/// The last second of one source's levels. Told of every packet, asked ten times a second.
package struct SpeechActivity: Sendable {
  /// One immediate stands for this long.
  package static let interval = TimeDelta.milliseconds(20)
  /// The longest an Opus packet can be (RFC 6716 §2.1.4): a longer pause is silence that was not sent.
  private static let longestPacket = TimeDelta.milliseconds(120)
  private static let immediateCount = 50
  /// Immediates to a medium, mediums to a long.
  private static let mediumSpan = 5
  private static let longSpan = 10
  private static let mediumThreshold: UInt8 = 7
  private static let longThreshold = 4
  /// A level is active in so many parts of this size, beyond the noise and one part.
  private static let subUnit: UInt8 = 10
  /// The noise is looked for anew after so many levels: 15 s.
  private static let noiseWindow = 750
  /// A source that speaks reports this often, and one that begins to at once, but not more often than that.
  private static let reportInterval = TimeDelta.milliseconds(100)
  private static let onsetInterval = TimeDelta.milliseconds(60)

  /// The newest first from `head` on, around.
  private var immediates = InlineArray<50, UInt8>(repeating: 0)
  private var head = 0
  private var lastLevelAt: Instant?
  private var loudness: Double = 0
  /// The quietest level there has been, and that of the current window.
  private var noise: UInt8?
  private var nextNoise: UInt8 = 127
  private var levelCount = 0
  private var lastReport = SpeechScore()
  private var lastReportAt: Instant?

  package init() {}

  /// Takes the level of a packet, in −dBov as it stands there: 127 is silence.
  ///
  /// - Returns: what the source's speech amounts to now, when that is worth telling.
  package mutating func handleLevel(_ level: UInt8, at now: Instant) -> SpeechScore? {
    let volume = 127 - min(level, 127)
    trackNoise(volume)
    var steps = 1
    if let last = lastLevelAt {
      let pause = now - last
      steps = Int(max(1, (pause.nanoseconds + Self.interval.nanoseconds / 2) / Self.interval.nanoseconds))
      if pause > Self.longestPacket {
        for _ in 0..<min(steps - 1, Self.immediateCount) { push(0) }
        loudness = 0
        steps = 1
      }
    }
    lastLevelAt = now
    let floor = (noise ?? 0) &+ Self.subUnit
    let immediate = volume < floor ? 0 : volume / Self.subUnit
    for _ in 0..<steps { push(immediate) }
    loudness += (Double(immediate == 0 ? 0 : volume) - loudness) / 2
    return report(at: now)
  }

  private mutating func push(_ immediate: UInt8) {
    head = head == 0 ? Self.immediateCount - 1 : head - 1
    immediates[head] = immediate
  }

  /// The noise rises slowly, by the geometric mean of what it was and the quietest of the last window, and falls at once.
  private mutating func trackNoise(_ volume: UInt8) {
    // Digital silence is no noise: a microphone that is off says nothing about the room.
    guard volume > 0 else { return }
    guard let known = noise, known <= volume else {
      noise = volume
      nextNoise = 127
      levelCount = 0
      return
    }
    nextNoise = min(nextNoise, volume)
    levelCount += 1
    guard levelCount >= Self.noiseWindow else { return }
    noise = UInt8(min(127, (Double(known) * Double(nextNoise)).squareRoot()))
    nextNoise = 127
    levelCount = 0
  }

  /// What the last second amounts to.
  package var score: SpeechScore {
    var score = SpeechScore()
    score.immediate = immediates[head]
    for long in 0..<Self.longSpan {
      var active: UInt8 = 0
      for position in 0..<Self.mediumSpan where immediates[place(long * Self.mediumSpan + position)] > Self.mediumThreshold { active += 1 }
      if long == 0 { score.medium = active }
      if active > Self.longThreshold { score.long += 1 }
    }
    score.loudness = UInt8(min(127, loudness))
    return score
  }

  private func place(_ age: Int) -> Int {
    let place = head + age
    return place < Self.immediateCount ? place : place - Self.immediateCount
  }

  private mutating func report(at now: Instant) -> SpeechScore? {
    let isOnset = immediates[head] > 0 && lastReport.immediate == 0
    if let last = lastReportAt, now - last < (isOnset ? Self.onsetInterval : Self.reportInterval) { return nil }
    let score = self.score
    // A silence is told once.
    if score.isSilent && lastReport.isSilent { return nil }
    lastReport = score
    lastReportAt = now
    return score
  }
}

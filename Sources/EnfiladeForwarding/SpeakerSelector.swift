// Who speaks, of many: the comparison of scores by Volfin and Cohen (2013), and who else is to be heard. Asked when scores come; there is no
// clock in it.

package import EnfiladeWire

/// Finds the dominant speaker among sources that report their ``SpeechScore``, and keeps the order in which they were it.
package struct SpeakerSelector<ID: Hashable & Sendable>: Sendable {
  private struct Speaker {
    var score = SpeechScore()
    var at: Instant
    /// When it was last heard above its noise.
    var heardAt: Instant?
    /// When it last became dominant.
    var dominantAt: Instant?
  }

  /// How often the dominant speaker may change.
  package static var decisionInterval: TimeDelta { .milliseconds(300) }
  /// A score that is older is silence: a source that speaks reports ten times a second.
  package static var scoreAge: TimeDelta { .milliseconds(250) }
  /// How much more a candidate has to speak than the dominant speaker, as the logarithm of the scores' ratio, on each time scale.
  private static var thresholds: (immediate: Double, medium: Double, long: Double) { (3, 2, 0) }

  private var speakers: [ID: Speaker] = [:]
  private var decidedAt: Instant?
  /// The dominant speaker: the last one who was, while nobody speaks.
  package private(set) var dominant: ID?

  package init() {}

  // MARK: Look

  /// When a source last was, or became, the dominant one; `nil` when it never was.
  package func dominantAt(_ id: ID) -> Instant? { speakers[id]?.dominantAt }
  /// When a source was last heard above its noise.
  package func heardAt(_ id: ID) -> Instant? { speakers[id]?.heardAt }

  /// Its score at a moment.
  package func score(_ id: ID, at now: Instant) -> SpeechScore {
    guard let speaker = speakers[id], now - speaker.at <= Self.scoreAge else { return SpeechScore() }
    return speaker.score
  }

  // MARK: Handle

  /// A source has reported.
  ///
  /// - Returns: whether it was silent before and is heard now.
  package mutating func handleScore(_ score: SpeechScore, of id: ID, at now: Instant) -> Bool {
    let before = self.score(id, at: now)
    var speaker = speakers[id] ?? Speaker(at: now)
    speaker.score = score
    speaker.at = now
    if score.immediate > 0 { speaker.heardAt = now }
    speakers[id] = speaker
    return before.immediate == 0 && score.immediate > 0
  }

  /// A source is gone.
  package mutating func remove(_ id: ID) {
    speakers[id] = nil
    if dominant == id { dominant = nil }
  }

  /// Looks whether somebody else speaks more than the dominant speaker, if it is time to.
  ///
  /// - Returns: the new dominant speaker; `nil` when there is none.
  package mutating func decide(at now: Instant) -> ID? {
    if let last = decidedAt, now - last < Self.decisionInterval { return nil }
    decidedAt = now
    let reference = dominant.map { score($0, at: now) } ?? SpeechScore()
    var best: (id: ID, medium: Double)?
    for (id, speaker) in speakers where id != dominant && now - speaker.at <= Self.scoreAge {
      let immediate = SpeechTable.immediate(speaker.score.immediate) - SpeechTable.immediate(reference.immediate)
      let medium = SpeechTable.medium(speaker.score.medium) - SpeechTable.medium(reference.medium)
      let long = SpeechTable.long(speaker.score.long) - SpeechTable.long(reference.long)
      guard immediate > Self.thresholds.immediate, medium > Self.thresholds.medium, long > Self.thresholds.long else { continue }
      if best == nil || medium > best!.medium { best = (id, medium) }
    }
    guard let best else { return nil }
    dominant = best.id
    speakers[best.id]?.dominantAt = now
    return best.id
  }
}

/// The logarithms of the scores: score(v) = ln C(n, v) + n ln ½ − ln λ + λv, no less than 10⁻¹⁰, for λ = 0.78, 24 and 47, and n = 13, 5 and 10.
package enum SpeechTable {
  package static func immediate(_ count: UInt8) -> Double { look(immediates, count) }
  package static func medium(_ count: UInt8) -> Double { look(mediums, count) }
  package static func long(_ count: UInt8) -> Double { look(longs, count) }

  private static func look(_ table: [Double], _ count: UInt8) -> Double { table[min(Int(count), table.count - 1)] }

  private static let immediates: [Double] = [
    -23.025850930, -23.025850930, -23.025850930, -23.025850930, -0.072752909, 0.831872594, 1.213516902, 1.421974992, 1.534200704,
    1.574811385, 1.546187057, 1.428936340, 1.151362022, 0.320305116,
  ]
  private static let mediums: [Double] = [
    -23.025850930, 2.942629352, 3.776404759, 4.214477359, 4.510481943, 4.730535164,
  ]
  private static let longs: [Double] = [
    -23.025850930, 3.651202656, 4.466195929, 4.905318276, 5.207108948, 5.436982228, 5.622447640, 5.777670504, 5.910864509,
    6.027123554, 6.129525872,
  ]
}

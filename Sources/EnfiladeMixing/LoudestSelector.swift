// Who is heard: the loudest few, chosen so that a cough takes nobody's place and the dominant speaker keeps his. Who is dominant, the same comparison
// says as in a room that is forwarded (``SpeakerSelector``), told here of levels that were verified by decoding.

import EnfiladeForwarding
package import EnfiladeWire

/// Chooses among candidates by how loud they are. Levels are decibels as in RFC 6464 §3, 0 down to −127.
package struct LoudestSelector: Sendable {
  /// One source that may be heard.
  package struct Candidate: Sendable {
    package var source: Int32
    /// Follows the level up at once, and down slowly.
    package fileprivate(set) var level: Float = -127
    /// What it was believed to be when it was added.
    fileprivate var entryLevel: Float = -127
    fileprivate var age = 0
    fileprivate var activity = SpeechActivity()
    package internal(set) var isSelected = false
    /// Ticks since it was last loud enough to be heard.
    fileprivate var quietTicks = 0
    /// Ticks for which it has been louder than somebody who is heard.
    fileprivate var challengeTicks = 0

    package init(source: Int32) { self.source = source }

    /// How loud another must be to take its place. Its level comes up from silence, so at first it is what it came with: otherwise every source
    /// that is as loud would take the place again with its next packet.
    package var standing: Float { age < LoudestSelector.trialTicks ? max(level, entryLevel) : level }
  }

  /// Quieter is silence.
  package static let silenceLevel: Float = -50
  /// How much louder a challenger must be, and for how many ticks.
  package static let hysteresis: Float = 6
  package static let challengeTicks = 3
  /// How long somebody who fell silent keeps his place: longer than the pause between two sentences, while nobody else wants it.
  package static let hangoverTicks = 50
  /// For how long it counts what a candidate was believed to be when it came: as long as a liar keeps his place.
  package static let trialTicks = 10
  /// How long the dominant speaker is spared after he fell silent: longer than a breath.
  package static let dominantHoldTicks = 25

  /// How many are heard at most.
  package var limit: Int
  package private(set) var candidates: [Candidate] = []
  private var speakers = SpeakerSelector<Int32>()

  package init(limit: Int) {
    self.limit = limit
    candidates.reserveCapacity(Limits.mixSourceCount + Limits.spareCandidateCount)
  }

  /// The dominant speaker, while he is heard and speaks, or only takes a breath.
  package var dominant: Int32? {
    guard let dominant = speakers.dominant,
      candidates.contains(where: { $0.source == dominant && $0.isSelected && $0.quietTicks < Self.dominantHoldTicks })
    else { return nil }
    return dominant
  }

  package func contains(_ source: Int32) -> Bool { candidates.contains { $0.source == source } }
  /// How loud a candidate is taken to be: up at once, and down slowly.
  package func level(of source: Int32) -> Float { candidates.first { $0.source == source }?.level ?? -127 }
  package func isSelected(_ source: Int32) -> Bool { candidates.contains { $0.source == source && $0.isSelected } }

  /// - Parameter level: how loud it is believed to be.
  package mutating func add(_ source: Int32, level: Float = -127) {
    var candidate = Candidate(source: source)
    candidate.entryLevel = level
    candidates.append(candidate)
  }

  package mutating func remove(_ source: Int32) {
    candidates.removeAll { $0.source == source }
    speakers.remove(source)
  }

  /// The quietest candidate that is not heard, to make room for another.
  package var weakest: Candidate? {
    var weakest: Candidate?
    for candidate in candidates where !candidate.isSelected {
      if weakest.map({ candidate.standing < $0.standing }) ?? true { weakest = candidate }
    }
    return weakest
  }

  /// One tick: `level` says how loud each candidate is now, and who is heard is in ``candidates`` afterwards.
  package mutating func tick(at instant: Instant, level: (Int32) -> Float) {
    for index in candidates.indices {
      let now = max(-127, min(0, level(candidates[index].source)))
      let rate: Float = now > candidates[index].level ? 0.6 : 0.05
      candidates[index].age += 1
      candidates[index].level += (now - candidates[index].level) * rate
      if let score = candidates[index].activity.handleLevel(UInt8(-now), at: instant) {
        _ = speakers.handleScore(score, of: candidates[index].source, at: instant)
      }
      candidates[index].quietTicks = candidates[index].level > Self.silenceLevel ? 0 : candidates[index].quietTicks + 1
    }
    _ = speakers.decide(at: instant)
    drop()
    fill()
    challenge()
  }

  /// Lets go of whoever has been silent for long, and of as many as are too many.
  private mutating func drop() {
    for index in candidates.indices where candidates[index].isSelected && candidates[index].quietTicks >= Self.hangoverTicks {
      candidates[index].isSelected = false
    }
    while selectedCount > limit, let index = weakestSelected(sparing: limit > 0 ? dominant : nil) { candidates[index].isSelected = false }
  }

  private mutating func fill() {
    while selectedCount < limit, let index = loudestUnselected() {
      candidates[index].isSelected = true
      candidates[index].challengeTicks = 0
    }
  }

  private mutating func challenge() {
    guard let challenger = loudestUnselected(), let weakest = weakestSelected(sparing: dominant),
      candidates[challenger].level > candidates[weakest].level + Self.hysteresis
    else {
      for index in candidates.indices { candidates[index].challengeTicks = 0 }
      return
    }
    candidates[challenger].challengeTicks += 1
    guard candidates[challenger].challengeTicks >= Self.challengeTicks else { return }
    candidates[weakest].isSelected = false
    candidates[challenger].isSelected = true
    candidates[challenger].challengeTicks = 0
  }

  private var selectedCount: Int { candidates.reduce(0) { $0 + ($1.isSelected ? 1 : 0) } }

  private func loudestUnselected() -> Int? {
    var best: Int?
    for index in candidates.indices where !candidates[index].isSelected && candidates[index].quietTicks == 0 {
      if best == nil || candidates[index].level > candidates[best!].level { best = index }
    }
    return best
  }

  private func weakestSelected(sparing spared: Int32?) -> Int? {
    var best: Int?
    for index in candidates.indices where candidates[index].isSelected && candidates[index].source != spared {
      if best == nil || candidates[index].level < candidates[best!].level { best = index }
    }
    return best
  }
}

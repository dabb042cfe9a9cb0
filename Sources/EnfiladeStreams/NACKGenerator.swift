// Which packets of one source are missing, and when to ask for them (RFC 4585 §6.2.1).

public import EnfiladeWire

/// Finds gaps in one source's extended sequence numbers and says when each missing packet is to be asked for.
///
/// A packet is asked for first when ``Configuration/reorderingCount`` later ones have come or ``Configuration/reorderingDelay`` has
/// passed, then again after a round trip and each time half a round trip later than before, until it comes, is too old, or was asked for
/// too often.
///
///     unseen ──gap──▶ missing ──tolerance──▶ asked ──round trip──▶ asked again … ──▶ given up
///                        └────────────┬────────┴──────────┘
///                                 arrival ▶ recovered
@usableFromInline
package struct NACKGenerator: ~Copyable {
  @usableFromInline package struct Configuration: Sendable {
    /// How many later packets make a missing one due at once.
    @usableFromInline package var reorderingCount: Int
    /// After how long a missing packet is due, whatever comes later.
    @usableFromInline package var reorderingDelay: TimeDelta
    /// After how long a missing packet is of no use.
    @usableFromInline package var maximumAge: TimeDelta
    /// Whether a keyframe mends what was lost for good.
    @usableFromInline package var wantsKeyframes: Bool

    @usableFromInline package init(reorderingCount: Int, reorderingDelay: TimeDelta, maximumAge: TimeDelta, wantsKeyframes: Bool) {
      self.reorderingCount = reorderingCount
      self.reorderingDelay = reorderingDelay
      self.maximumAge = maximumAge
      self.wantsKeyframes = wantsKeyframes
    }

    /// Video: packets of a frame come together, so three later ones, or 8 ms, tell loss from reordering.
    @usableFromInline package static let video = Configuration(
      reorderingCount: 3, reorderingDelay: .milliseconds(8), maximumAge: Limits.missingPacketAge, wantsKeyframes: true)
    /// Audio: one packet each 20 ms, so the next one's coming tells already; after half a second a playout buffer has moved on.
    @usableFromInline package static let audio = Configuration(
      reorderingCount: 2, reorderingDelay: .milliseconds(8), maximumAge: .milliseconds(500), wantsKeyframes: false)
  }

  /// What the caller must do.
  @usableFromInline package enum Action: Hashable, Sendable {
    case none
    /// Ask for a keyframe: repair has given up on something.
    case requestKeyframe(KeyframeCause)
  }

  /// Why repair gave up.
  @usableFromInline package enum KeyframeCause: Hashable, Sendable {
    /// The numbers jumped by more than ``Limits/sequenceJumpCount``.
    case sequenceJump
    /// More than ``Limits/missingPacketCount`` packets are missing.
    case tooManyMissing
    /// A packet was asked for too often, or is too old.
    case unrecovered
  }

  /// What a packet was.
  @usableFromInline package struct Counters: Hashable, Sendable {
    /// Numbers that were found missing.
    @usableFromInline package var missing: UInt64 = 0
    /// Numbers written into NACKs, repeated ones included.
    @usableFromInline package var asked: UInt64 = 0
    /// Missing packets that came after all: late, or sent again.
    @usableFromInline package var recovered: UInt64 = 0
    /// Missing packets that were given up.
    @usableFromInline package var abandoned: UInt64 = 0
    /// Packets that were neither new nor missing.
    @usableFromInline package var duplicate: UInt64 = 0
    /// Times the list was thrown away.
    @usableFromInline package var resets: UInt64 = 0
  }

  @usableFromInline
  struct Entry: BitwiseCopyable {
    @usableFromInline var sequence: Int64
    @usableFromInline var dueAt: Instant
    @usableFromInline var missingSince: Instant
    @usableFromInline var attempts: UInt8
    /// Whether the reordering tolerance is over.
    @usableFromInline var isRipe: Bool
  }

  /// The smoothed round trip to the publisher, which times the repetitions.
  @usableFromInline package var roundTripTime: TimeDelta = Limits.assumedRoundTripTime
  @usableFromInline package private(set) var counters = Counters()
  @usableFromInline package let configuration: Configuration

  @usableFromInline var newest: ExtendedSequenceNumber?
  /// Sorted by number; never grows beyond the capacity it was made with.
  @usableFromInline var missing: UniqueArray<Entry>
  /// The earliest ``Entry/dueAt``.
  @usableFromInline var earliest = Instant.distantFuture

  @usableFromInline package init(_ configuration: Configuration) {
    self.configuration = configuration
    missing = UniqueArray(minimumCapacity: Limits.missingPacketCount)
  }

  // MARK: Look

  /// When ``pollDue(at:_:)`` has something, or ``Instant/distantFuture``.
  @inlinable package var nextDeadline: Instant { earliest }
  /// How many packets are missing now.
  @usableFromInline package var missingCount: Int { missing.count }
  /// Whether `sequence` is missing now.
  @usableFromInline package func isMissing(_ sequence: ExtendedSequenceNumber) -> Bool { find(sequence) != nil }

  // MARK: Handle

  /// A packet of the source came, by itself or by RTX.
  @inlinable package mutating func handlePacket(_ sequence: ExtendedSequenceNumber, at now: Instant) -> Action {
    if let newest, sequence.rawValue == newest.rawValue &+ 1, missing.isEmpty {
      self.newest = sequence
      return .none
    }
    return handleUnexpected(sequence, at: now)
  }

  /// A keyframe starts at `sequence`: nothing before it is needed any more.
  @usableFromInline package mutating func handleKeyframe(start sequence: ExtendedSequenceNumber) {
    var count = 0
    while count < missing.count, missing[count].sequence < sequence.rawValue { count += 1 }
    guard count > 0 else { return }
    missing.removeFirst(count)
    counters.abandoned &+= UInt64(count)
    updateEarliest()
  }

  /// Forgets everything: the source was paused, or starts anew.
  @usableFromInline package mutating func reset() {
    missing.removeAll(keepingCapacity: true)
    newest = nil
    earliest = .distantFuture
  }

  // MARK: Poll

  /// Names each packet that is to be asked for now, in rising order, and lets go what has been asked for long enough.
  @usableFromInline package mutating func pollDue(at now: Instant, _ ask: (ExtendedSequenceNumber) -> Void) -> Action {
    guard now >= earliest else { return .none }
    var kept = 0
    var abandoned = 0
    for index in 0..<missing.count {
      var entry = missing[index]
      if entry.dueAt <= now {
        if Int(entry.attempts) >= Limits.nackAttemptCount || now - entry.missingSince >= configuration.maximumAge {
          abandoned += 1
          continue
        }
        ask(ExtendedSequenceNumber(entry.sequence))
        counters.asked &+= 1
        entry.dueAt = now + interval(afterAttempts: Int64(entry.attempts))
        entry.attempts += 1
        entry.isRipe = true
      }
      missing[kept] = entry
      kept += 1
    }
    missing.removeLast(missing.count - kept)
    counters.abandoned &+= UInt64(abandoned)
    updateEarliest()
    return abandoned > 0 && configuration.wantsKeyframes ? .requestKeyframe(.unrecovered) : .none
  }

  // MARK: -

  /// A round trip, then half of one more each time.
  private func interval(afterAttempts attempts: Int64) -> TimeDelta {
    max(roundTripTime, Limits.nackIntervalFloor) * (attempts + 2) / 2
  }

  @usableFromInline
  mutating func handleUnexpected(_ sequence: ExtendedSequenceNumber, at now: Instant) -> Action {
    guard let newest else {
      self.newest = sequence
      return .none
    }
    let distance = sequence - newest
    if distance <= 0 {
      remove(sequence)
      return .none
    }
    let gap = distance - 1
    if gap >= Limits.sequenceJumpCount { return restart(at: sequence, cause: .sequenceJump) }
    if missing.count + gap > Limits.missingPacketCount { return restart(at: sequence, cause: .tooManyMissing) }
    self.newest = sequence
    counters.missing &+= UInt64(gap)
    let due = now + configuration.reorderingDelay
    for offset in 0..<gap {
      missing.append(
        Entry(sequence: newest.rawValue &+ 1 &+ Int64(offset), dueAt: due, missingSince: now, attempts: 0, isRipe: false))
    }
    if gap > 0 { earliest = min(earliest, due) }
    ripen(at: now)
    return .none
  }

  /// Makes due what enough later packets have overtaken. Ripe entries stand in front, so this looks only at the tail.
  private mutating func ripen(at now: Instant) {
    guard let newest else { return }
    var index = missing.count - 1
    while index >= 0, !missing[index].isRipe {
      if newest.rawValue &- missing[index].sequence >= Int64(configuration.reorderingCount) {
        missing[index].isRipe = true
        missing[index].dueAt = min(missing[index].dueAt, now)
        earliest = min(earliest, missing[index].dueAt)
      }
      index -= 1
    }
  }

  private mutating func remove(_ sequence: ExtendedSequenceNumber) {
    guard let index = find(sequence) else {
      counters.duplicate &+= 1
      return
    }
    let wasEarliest = missing[index].dueAt == earliest
    missing.remove(at: index)
    counters.recovered &+= 1
    if wasEarliest { updateEarliest() }
  }

  private mutating func restart(at sequence: ExtendedSequenceNumber, cause: KeyframeCause) -> Action {
    counters.abandoned &+= UInt64(missing.count)
    counters.resets &+= 1
    missing.removeAll(keepingCapacity: true)
    earliest = .distantFuture
    newest = sequence
    return configuration.wantsKeyframes ? .requestKeyframe(cause) : .none
  }

  private func find(_ sequence: ExtendedSequenceNumber) -> Int? {
    var low = 0
    var high = missing.count
    while low < high {
      let middle = (low + high) / 2
      if missing[middle].sequence < sequence.rawValue { low = middle + 1 } else { high = middle }
    }
    return low < missing.count && missing[low].sequence == sequence.rawValue ? low : nil
  }

  private mutating func updateEarliest() {
    var result = Instant.distantFuture
    for index in 0..<missing.count { result = min(result, missing[index].dueAt) }
    earliest = result
  }
}

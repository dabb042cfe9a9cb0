// Samples on their way from a decoder to a mixture: appended behind, taken from the front, never moved more than once on average.

/// A bounded queue of samples.
@safe struct SampleQueue: ~Copyable {
  private let storage: UnsafeMutablePointer<Float>
  private let capacity: Int
  private var head = 0
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    // Sound: allocated and zeroed here, freed in deinit, never replaced.
    unsafe storage = .allocate(capacity: capacity)
    unsafe storage.initialize(repeating: 0, count: capacity)
  }

  deinit { unsafe storage.deallocate() }

  /// How many more fit.
  var room: Int { capacity - count }

  /// Everything in the queue, oldest first.
  var samples: Span<Float> {
    @_lifetime(borrow self)
    borrowing get {
      // Sound: `head + count` never exceeds the capacity, and all of it is initialized.
      let span = unsafe Span(_unsafeStart: storage + head, count: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  var mutableSamples: MutableSpan<Float> {
    @_lifetime(&self)
    mutating get {
      // Sound: as above, held exclusively.
      let span = unsafe MutableSpan(_unsafeStart: storage + head, count: count)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  /// A place behind the last sample for up to `wanted` more, which ``commit(_:)`` makes part of the queue.
  @_lifetime(&self)
  mutating func space(for wanted: Int) -> MutableSpan<Float> {
    let wanted = min(wanted, room)
    if head + count + wanted > capacity {
      // Sound: `update` allows the overlap; both stretches are inside the storage.
      unsafe storage.update(from: storage + head, count: count)
      head = 0
    }
    let span = unsafe MutableSpan(_unsafeStart: storage + head + count, count: wanted)
    return unsafe _overrideLifetime(span, mutating: &self)
  }

  /// That many samples were written to the last ``space(for:)``.
  mutating func commit(_ written: Int) {
    precondition(written >= 0 && written <= capacity - head - count, "more samples than there was room for")
    count += written
  }

  mutating func appendSilence(_ wanted: Int) {
    var space = space(for: wanted)
    let written = space.count
    for index in 0..<written { space[index] = 0 }
    commit(written)
  }

  mutating func removeFirst(_ number: Int) {
    precondition(number >= 0 && number <= count, "took more samples than there are")
    head += number
    count -= number
    if count == 0 { head = 0 }
  }

  /// Takes `number` samples out from `start` on; what is behind them closes up.
  mutating func remove(_ number: Int, at start: Int) {
    precondition(number >= 0 && start >= 0 && start + number <= count, "took more samples than there are")
    // Sound: inside the queue, checked above; `update` allows the overlap.
    unsafe (storage + head + start).update(from: storage + head + start + number, count: count - start - number)
    count -= number
  }

  /// Makes room for `number` samples at `start`, which are to be written next; `false` when they do not fit.
  mutating func insertGap(_ number: Int, at start: Int) -> Bool {
    precondition(number >= 0 && start >= 0 && start <= count, "no such place among the samples")
    guard number <= room else { return false }
    _ = space(for: number)
    // Sound: `space` made room behind the last sample; the overlap is allowed.
    unsafe (storage + head + start + number).update(from: storage + head + start, count: count - start)
    count += number
    return true
  }

  /// Puts silence at `start`; `false` when it does not fit.
  mutating func insertSilence(_ number: Int, at start: Int) -> Bool {
    guard insertGap(number, at: start) else { return false }
    var samples = mutableSamples
    for index in start..<start + number { samples[index] = 0 }
    return true
  }

  mutating func removeAll() {
    head = 0
    count = 0
  }
}

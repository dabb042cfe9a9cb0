// Which output number an input number has: contiguous over what is forwarded, while gaps of real loss stay (RFC 3550 §5.1, RFC 7667 §3.7).

public import EnfiladeWire

/// What became of each of the last ``capacity`` input numbers of one source, two bits for each. A number's output is the newest offset plus
/// the numbers left out since, so late packets cost a count of bits, and those in order an addition.
@usableFromInline
package struct SequenceOffsetMap: Sendable {
  /// As many as a history holds: what can be repaired can be numbered.
  @usableFromInline package static let capacity = 512

  /// What happens to a number that is left out.
  @usableFromInline
  package enum Omission: Hashable, Sendable {
    /// What follows closes up.
    case closed
    /// It comes late, and those behind it have their numbers: this one stays empty unless something is sent there.
    case hole(ExtendedSequenceNumber)
    /// It was dealt with before, or is older than what is remembered.
    case settled
  }

  /// By the low bits of the number: left out while it was the newest, so that what follows closed up.
  @usableFromInline var omitted: InlineArray<8, UInt64>
  /// By the low bits of the number: forwarded or left out.
  @usableFromInline var settled: InlineArray<8, UInt64>
  @usableFromInline var first: Int64
  @usableFromInline var newest: Int64
  /// Output minus input behind ``newest``.
  @usableFromInline var offset: Int64
  @usableFromInline var isOpen: Bool

  package init() {
    omitted = InlineArray(repeating: 0)
    settled = InlineArray(repeating: 0)
    first = 0
    newest = -1
    offset = 0
    isOpen = false
  }

  /// Forgets all, and numbers `input` and what follows it as `output` and what follows that.
  package mutating func restart(input: ExtendedSequenceNumber, output: ExtendedSequenceNumber) {
    self = SequenceOffsetMap()
    first = input.rawValue
    newest = first &- 1
    offset = output.rawValue &- first
    isOpen = true
  }

  /// The output number of `input`, or `nil` if it was left out or is older than what is remembered.
  @inlinable package func output(for input: ExtendedSequenceNumber) -> ExtendedSequenceNumber? {
    let number = input.rawValue
    guard isOpen, number >= first else { return nil }
    if number > newest { return ExtendedSequenceNumber(number &+ offset) }
    guard newest &- number < Int64(Self.capacity), omitted[Self.word(number)] & Self.bit(number) == 0 else { return nil }
    return ExtendedSequenceNumber(number &+ offset &+ omittedCount(after: number))
  }

  /// The output number of `input`, which is forwarded now; `nil` as above, and for one that was dealt with before.
  @inlinable package mutating func place(_ input: ExtendedSequenceNumber) -> ExtendedSequenceNumber? {
    let number = input.rawValue
    guard isOpen, number >= first else { return nil }
    if number > newest {
      advance(to: number)
      settled[Self.word(number)] |= Self.bit(number)
      return ExtendedSequenceNumber(number &+ offset)
    }
    guard newest &- number < Int64(Self.capacity), settled[Self.word(number)] & Self.bit(number) == 0 else { return nil }
    settled[Self.word(number)] |= Self.bit(number)
    return ExtendedSequenceNumber(number &+ offset &+ omittedCount(after: number))
  }

  /// Leaves `input` out. When it is the newest, what follows closes up.
  @discardableResult
  @inlinable package mutating func drop(_ input: ExtendedSequenceNumber) -> Omission {
    let number = input.rawValue
    guard isOpen, number >= first else { return .settled }
    if number > newest {
      advance(to: number)
      settled[Self.word(number)] |= Self.bit(number)
      omitted[Self.word(number)] |= Self.bit(number)
      offset &-= 1
      return .closed
    }
    guard newest &- number < Int64(Self.capacity), settled[Self.word(number)] & Self.bit(number) == 0 else { return .settled }
    settled[Self.word(number)] |= Self.bit(number)
    return .hole(ExtendedSequenceNumber(number &+ offset &+ omittedCount(after: number)))
  }

  // MARK: -

  // Words are looked at where they are: an inline array that is passed is copied, and so waits for the word that was just written.

  /// Makes `number` the newest; what was skipped is unknown.
  @inlinable mutating func advance(to number: Int64) {
    if number &- newest >= Int64(Self.capacity) {
      omitted = InlineArray(repeating: 0)
      settled = InlineArray(repeating: 0)
    } else {
      var passed = newest &+ 1
      while passed <= number {
        let word = Self.word(passed)
        let keep = ~Self.bit(passed)
        omitted[word] &= keep
        settled[word] &= keep
        passed &+= 1
      }
    }
    newest = number
  }

  /// How many of the numbers behind `number`, up to the newest, were left out.
  @inlinable func omittedCount(after number: Int64) -> Int64 {
    var count = 0
    var position = number &+ 1
    while position <= newest {
      let low = position & 63
      let width = min(64 &- low, newest &- position &+ 1)
      let bits = omitted[Self.word(position)] >> UInt64(low)
      count &+= (width == 64 ? bits : bits & ((1 << UInt64(width)) &- 1)).nonzeroBitCount
      position &+= width
    }
    return Int64(count)
  }

  @inlinable static func word(_ number: Int64) -> Int { Int(truncatingIfNeeded: number >> 6) & 7 }
  @inlinable static func bit(_ number: Int64) -> UInt64 { 1 << UInt64(number & 63) }
}

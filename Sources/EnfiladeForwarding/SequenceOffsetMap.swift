// Which output number an input number has: contiguous over what is forwarded, while gaps of real loss stay (RFC 3550 §5.1, RFC 7667 §3.7).

public import EnfiladeWire

/// The last few changes of one stream's offset from input to output sequence numbers. A packet that comes late is numbered by the offset
/// that was valid at its place; one from before everything remembered has no number any more.
@usableFromInline package struct SequenceOffsetMap: Sendable {
  /// How many changes are remembered. A change is a swallowed packet or a new source; late packets are rarely older than a few.
  @usableFromInline package static let capacity = 16

  @usableFromInline package struct Segment: Sendable {
    @usableFromInline package var firstInput: Int64
    @usableFromInline package var offset: Int64
    @usableFromInline package var isDropped: Bool

    @usableFromInline init(firstInput: Int64, offset: Int64, isDropped: Bool) {
      self.firstInput = firstInput
      self.offset = offset
      self.isDropped = isDropped
    }
  }

  /// The segment that is open now, apart from the others: nearly every packet is numbered by it, and a look into an inline array copies all of it.
  @usableFromInline package var newest: Segment
  /// Segments in all.
  @usableFromInline package var count: Int
  /// The segments before it stand at `0..<count - 1`, oldest first.
  @usableFromInline package var older: InlineArray<15, Segment>

  @usableFromInline package init() {
    newest = Segment(firstInput: .max, offset: 0, isDropped: true)
    older = InlineArray(repeating: Segment(firstInput: 0, offset: 0, isDropped: true))
    count = 0
  }

  /// Forgets all, and numbers `input` and what follows it as `output` and what follows that.
  @usableFromInline package mutating func restart(input: ExtendedSequenceNumber, output: ExtendedSequenceNumber) {
    count = 0
    append(Segment(firstInput: input.rawValue, offset: output.rawValue &- input.rawValue, isDropped: false))
  }

  /// The output number of `input`, or `nil` if it was dropped or is older than what is remembered.
  /// It changes nothing; it is mutating because only then is the map looked at where it lies, and not copied first.
  @inlinable @inline(__always)
  package mutating func output(for input: ExtendedSequenceNumber) -> ExtendedSequenceNumber? {
    guard input.rawValue >= newest.firstInput else { return outputOfOlder(input) }
    return newest.isDropped ? nil : ExtendedSequenceNumber(input.rawValue &+ newest.offset)
  }

  /// The same for a packet that comes late.
  @usableFromInline mutating func outputOfOlder(_ input: ExtendedSequenceNumber) -> ExtendedSequenceNumber? {
    var index = count - 2
    while index >= 0 {
      let segment = older[index]
      if input.rawValue >= segment.firstInput {
        return segment.isDropped ? nil : ExtendedSequenceNumber(input.rawValue &+ segment.offset)
      }
      index -= 1
    }
    return nil
  }

  /// Leaves out `input`, which must be newer than every number forwarded or left out so far: what follows closes up.
  @usableFromInline package mutating func drop(_ input: ExtendedSequenceNumber) {
    guard count > 0 else { return }
    if !newest.isDropped, count >= 2, newest.firstInput == input.rawValue, older[count - 2].isDropped {
      // The run of dropped packets goes on: the open segment behind it starts one later.
      newest.firstInput &+= 1
      newest.offset &-= 1
      return
    }
    let offset = newest.offset
    append(Segment(firstInput: input.rawValue, offset: 0, isDropped: true))
    append(Segment(firstInput: input.rawValue &+ 1, offset: offset &- 1, isDropped: false))
  }

  private mutating func append(_ segment: Segment) {
    if count == Self.capacity {
      for index in 1..<count - 1 { older[index - 1] = older[index] }
      count -= 1
    }
    if count > 0 { older[count - 1] = newest }
    newest = segment
    count += 1
  }
}

// How old a history's packets are, without a time for each: the newest number is noted now and then.

import EnfiladeWire

/// How short of packet memory a shard is.
enum Scarcity: UInt8, BitwiseCopyable, Comparable {
  case plenty
  case short
  case dire

  static func < (one: Scarcity, other: Scarcity) -> Bool { one.rawValue < other.rawValue }

  /// The scarcity of a slab, which was `before`: it is left again only when there is clearly more.
  init(_ slab: borrowing PacketSlab, before: Scarcity) {
    let sixteenths = slab.freeCount * 16 / slab.slotCount
    self =
      if sixteenths < (before == .dire ? 2 : 1) { .dire } else if sixteenths < (before == .plenty ? 4 : 6) { .short } else { .plenty }
  }

  /// Below so many free slots it is time to look.
  func floor(of slab: borrowing PacketSlab) -> Int { slab.slotCount * (self == .plenty ? 4 : 1) / 16 }

  /// How long packets are kept: beyond any replay; several round trips; as long as a lost packet is worth mending at all.
  var keepingTime: TimeDelta {
    switch self {
    case .plenty: .seconds(Int64(3))
    case .short: .seconds(Int64(1))
    case .dire: .milliseconds(250)
    }
  }
}

/// Marks along a history.
struct HistoryAge: BitwiseCopyable {
  private struct Mark: BitwiseCopyable {
    var newest: ExtendedSequenceNumber
    var at: Instant
  }

  /// Twelve marks of 250 ms reach as far back as anything is kept.
  private static let spacing = TimeDelta.milliseconds(250)
  private var marks = InlineArray<12, Mark>(repeating: Mark(newest: ExtendedSequenceNumber(.min), at: .zero))
  private var count = 0
  private var head = 0
  /// When the next mark is due.
  private(set) var nextMark = Instant.zero

  /// The last packet that is known to be older than `keepingTime`.
  func expired(keepingTime: TimeDelta, at now: Instant) -> ExtendedSequenceNumber? {
    for offset in 1...marks.count where offset <= count {
      let mark = marks[(head + marks.count - offset) % marks.count]
      if now - mark.at >= keepingTime { return mark.newest }
    }
    return nil
  }

  /// Notes the newest packet.
  mutating func mark(_ newest: ExtendedSequenceNumber, at now: Instant) {
    marks[head] = Mark(newest: newest, at: now)
    head = (head + 1) % marks.count
    count = min(count + 1, marks.count)
    nextMark = now + Self.spacing
  }
}

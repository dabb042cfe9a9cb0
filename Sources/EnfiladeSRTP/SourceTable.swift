// What a receiver remembers about each synchronization source under one key: the highest authenticated index and a replay window
// (RFC 3711 §3.3.1, §3.3.2, Appendix A).

/// The sources of one session, for one of SRTP and SRTCP. Plain memory, found by a scan that begins at the last hit: a link has few
/// sources. State moves only through ``accept(_:at:)``, which the caller reaches only after the tag fitted.
struct SourceTable {
  /// Packets behind the highest index that are still accepted: RFC 3711 §3.3.2 asks for at least 64; a video sender at 4 Mbit/s puts
  /// 1,024 packets into two seconds, longer than any retransmission is worth.
  static let windowPacketCount: Int64 = 1_024
  private static let windowWordCount = Int(windowPacketCount / 64)
  /// Authenticated sources a peer may use at once: a screen, three encodings and their repair streams for dozens of media sections;
  /// more is a peer that tries our memory.
  static let sourceLimit = 1_024

  /// What the replay window says about an index.
  enum Verdict {
    case fresh
    case replayed
    case tooOld
  }

  private struct Source {
    var ssrc: UInt32
    var highest: Int64
  }

  private var sources: UnsafeMutablePointer<Source>?
  private var windows: UnsafeMutablePointer<UInt64>?
  private var capacity = 0
  private(set) var count = 0
  private var lastHit = 0

  init() {}

  /// Gives the memory back. The owner calls it once.
  mutating func deallocate() {
    sources?.deallocate()
    windows?.deallocate()
    self = SourceTable()
  }

  /// The position of `ssrc`, or -1 for one that was never authenticated.
  @inline(__always)
  mutating func find(_ ssrc: UInt32) -> Int {
    guard let sources else { return -1 }
    if lastHit < count, sources[lastHit].ssrc == ssrc { return lastHit }
    for position in 0..<count where sources[position].ssrc == ssrc {
      lastHit = position
      return position
    }
    return -1
  }

  /// Whether one more source may come.
  var isFull: Bool { count >= Self.sourceLimit }

  /// The packet index that a sequence number most likely stands for (RFC 3711 Appendix A). A source that is unknown begins at a
  /// rollover counter of zero, and before the first half round nothing is older than that.
  @inline(__always)
  func estimateIndex(_ sequenceNumber: UInt16, at position: Int) -> Int64 {
    guard position >= 0, let sources else { return Int64(sequenceNumber) }
    return Self.estimateIndex(sequenceNumber, highest: sources[position].highest)
  }

  /// The same against a known highest index.
  @inline(__always)
  static func estimateIndex(_ sequenceNumber: UInt16, highest: Int64) -> Int64 {
    guard highest > 32_768 else { return Int64(sequenceNumber) }
    let newest = Int64(highest & 0xFFFF)
    let number = Int64(sequenceNumber)
    var rollover = highest >> 16
    if newest < 32_768 {
      if number - newest > 32_768 { rollover -= 1 }
    } else if newest - 32_768 > number {
      rollover += 1
    }
    return rollover << 16 | number
  }

  /// Whether `index` is new (RFC 3711 §3.3.2).
  @inline(__always)
  func check(_ index: Int64, at position: Int) -> Verdict {
    guard position >= 0, let sources, let windows else { return .fresh }
    let highest = sources[position].highest
    if index > highest { return .fresh }
    if highest - index >= Self.windowPacketCount { return .tooOld }
    let bit = Int(index & (Self.windowPacketCount - 1))
    return windows[position * Self.windowWordCount + bit >> 6] & (1 << UInt64(bit & 63)) == 0 ? .fresh : .replayed
  }

  /// Remembers an authenticated index; adds the source when it is new. `false` when there is no room for a new source.
  mutating func accept(_ index: Int64, ssrc: UInt32, at position: Int) -> Bool {
    var position = position
    if position < 0 {
      guard !isFull else { return false }
      position = add(ssrc, index: index)
    }
    guard let sources, let windows else { return false }
    let window = windows + position * Self.windowWordCount
    let highest = sources[position].highest
    if index > highest {
      if index - highest >= Self.windowPacketCount {
        window.update(repeating: 0, count: Self.windowWordCount)
      } else {
        // The bits between the two belong to indices that left the window on the other side.
        for skipped in (highest + 1)..<index {
          let bit = Int(skipped & (Self.windowPacketCount - 1))
          window[bit >> 6] &= ~(1 << UInt64(bit & 63))
        }
      }
      sources[position].highest = index
    }
    let bit = Int(index & (Self.windowPacketCount - 1))
    window[bit >> 6] |= 1 << UInt64(bit & 63)
    return true
  }

  private mutating func add(_ ssrc: UInt32, index: Int64) -> Int {
    if count == capacity { grow() }
    let position = count
    count += 1
    (sources! + position).initialize(to: Source(ssrc: ssrc, highest: index))
    (windows! + position * Self.windowWordCount).initialize(repeating: 0, count: Self.windowWordCount)
    lastHit = position
    return position
  }

  private mutating func grow() {
    let larger = capacity == 0 ? 4 : capacity * 2
    let newSources = UnsafeMutablePointer<Source>.allocate(capacity: larger)
    let newWindows = UnsafeMutablePointer<UInt64>.allocate(capacity: larger * Self.windowWordCount)
    if let sources, let windows {
      newSources.moveInitialize(from: sources, count: count)
      newWindows.moveInitialize(from: windows, count: count * Self.windowWordCount)
      sources.deallocate()
      windows.deallocate()
    }
    sources = newSources
    windows = newWindows
    capacity = larger
  }
}

// Cross traffic that fills whatever queue there is.

import EnfiladeWire

/// Reno in outline (RFC 5681): slow start, congestion avoidance, fast retransmit, a time-out of one second.
struct TCPFlow {
  static let segmentByteCount = 1200
  static let acknowledgementByteCount = 40
  static let timeout = 1.0
  static let initialWindow = 10.0

  private let meanPause: Double?
  private var random: SeededRandom
  private var window = Self.initialWindow
  private var threshold = Double.infinity
  private var nextSegment = 0
  private var acknowledged = 0
  private var duplicates = 0
  private var recoverUntil = -1
  private var end: Int
  private var lastProgress = 0.0
  private var resume: Double?
  private(set) var deliveredByteCount = 0

  // The receiver.
  private var expected = 0
  private var ahead: Set<Int> = []

  init(meanPauseSeconds: Double?, seed: UInt64) {
    meanPause = meanPauseSeconds
    random = SeededRandom(seed: seed)
    end = meanPauseSeconds == nil ? .max : 0
  }

  mutating func start(at now: Double) {
    lastProgress = now
    if meanPause != nil { resume = now + pause() }
  }

  private mutating func pause() -> Double {
    // Exponential within 4 %: the number of halvings is geometric, and the place within one uniform. There is no logarithm here.
    var length = 0.0
    let unit = meanPause! * 0.693_147_180_559_945_3
    while random.uniform() < 0.5, length < 20 { length += 1 }
    return (length + random.uniform()) * unit
  }

  /// When something happens without a packet.
  var nextDeadline: Double? {
    if let resume { return resume }
    return acknowledged < nextSegment ? lastProgress + Self.timeout : nil
  }

  mutating func handleTimeout(at now: Double) {
    if let next = resume, now >= next {
      resume = nil
      end = nextSegment + (30_000 + Int(random.next() % 20_001)) / Self.segmentByteCount
      window = Self.initialWindow
      threshold = .infinity
      lastProgress = now
      return
    }
    guard acknowledged < nextSegment, now >= lastProgress + Self.timeout else { return }
    threshold = max(2, window / 2)
    window = 1
    nextSegment = acknowledged
    duplicates = 0
    recoverUntil = -1
    lastProgress = now
  }

  /// Segments to send now.
  mutating func pollSegments() -> [Int] {
    var segments: [Int] = []
    if isRetransmitting {
      isRetransmitting = false
      segments.append(acknowledged)
    }
    let allowed = Int(window) + (recoverUntil >= 0 ? duplicates : 0)
    while nextSegment < end, nextSegment - acknowledged < allowed {
      segments.append(nextSegment)
      nextSegment += 1
    }
    return segments
  }
  private var isRetransmitting = false

  /// - Returns: what the receiver acknowledges.
  mutating func handleSegment(_ segment: Int) -> Int {
    if segment >= expected, ahead.insert(segment).inserted { deliveredByteCount += Self.segmentByteCount }
    while ahead.remove(expected) != nil { expected += 1 }
    return expected
  }

  mutating func handleAcknowledgement(_ number: Int, at now: Double) {
    if number > acknowledged {
      let count = number - acknowledged
      acknowledged = number
      nextSegment = max(nextSegment, acknowledged)
      duplicates = 0
      lastProgress = now
      if recoverUntil >= 0 {
        if number > recoverUntil {
          recoverUntil = -1
          window = threshold
        } else {
          // A partial acknowledgement: the next hole (RFC 6582 §3.2).
          isRetransmitting = true
        }
      } else if window < threshold {
        window += Double(count)
      } else {
        window += Double(count) / window
      }
      if acknowledged >= end, meanPause != nil, resume == nil { resume = now + pause() }
    } else {
      duplicates += 1
      if duplicates == 3, recoverUntil < 0 {
        threshold = max(2, window / 2)
        window = threshold
        recoverUntil = nextSegment - 1
        isRetransmitting = true
      }
    }
  }
}

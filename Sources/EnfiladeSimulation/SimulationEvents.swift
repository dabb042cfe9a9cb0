// What happens next.

/// A packet under way.
struct SimulatedPacket {
  enum Content {
    case media
    case padding
    /// RTCP as on the wire.
    case report([UInt8])
    /// Sequence numbers that are missing.
    case nack([Int64])
    case keyFrameRequest
    case segment(Int)
    case acknowledgement(Int)
  }

  var flow: Int
  var isForward: Bool
  /// The place in the flow's path it goes to next.
  var hop = 0
  var byteCount: Int
  var content: Content
  /// When the source made it, and when it was sent, in seconds.
  var created = 0.0
  var sent = 0.0
  var transportNumber: Int64 = 0
  /// Counts the packets of its SSRC; padding and repair share the video's.
  var streamNumber: Int64 = 0
  var isAudio = false
  var isRetransmission = false
  var sequence: Int64 = 0
  var frame = 0
  var frameByteCount = 0
  var isKeyFrame = false
  var isEndOfFrame = false
  var layer = 0
}

struct SimulationEvent {
  enum Action {
    /// A packet comes to the next hop, or to its end.
    case packet(SimulatedPacket)
    case timer(flow: Int)
    case sample
  }

  var time: Double
  /// Tells apart what happens at the same time: first scheduled, first done.
  var serial: Int
  var action: Action

  func isBefore(_ other: SimulationEvent) -> Bool { time < other.time || time == other.time && serial < other.serial }
}

/// A binary heap.
struct SimulationEventQueue {
  private var heap: [SimulationEvent] = []
  private var serial = 0

  mutating func schedule(_ action: SimulationEvent.Action, at time: Double) {
    heap.append(SimulationEvent(time: time, serial: serial, action: action))
    serial += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].isBefore(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> SimulationEvent? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, heap[left].isBefore(heap[least]) { least = left }
      if left + 1 < heap.count, heap[left + 1].isBefore(heap[least]) { least = left + 1 }
      guard least != parent else { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

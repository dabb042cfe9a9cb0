// What one source has been to one subscriber: the state of a stretch beside its numbers.

/// A run of packets from one source, between two switches.
package struct Passage: Sendable {
  /// ``Encoding/serial``; zero for none.
  package var serial: UInt32 = 0
  package var encoding: UInt8 = 0
  var points = OperatingPointHistory(.only, from: .min)
  var ledger = FrameLedger()
  /// Nothing has gone out: the first frame takes up the counters.
  var needsAlignment = true
  /// The receiver is to be told which decode targets it gets, with the next frame; and with which frame it was.
  var needsAnnouncement = true
  var announcingFrame = Int64.min
  /// The newest key picture's first frame: what is behind it leans on nothing before.
  var keyFrame = Int64.min
  /// A structure came with a layer left out: it goes with the next frame.
  var needsStructure = false
  /// With which frames one went lately: the packet that brings it may come late, when the next has gone out.
  private var structureFrames = InlineArray<4, Int64>(repeating: .min)
  private var structureCount = 0

  init() {}

  init(_ encoding: borrowing Encoding, point: OperatingPoint, from frame: Int64) {
    serial = encoding.serial
    self.encoding = encoding.index
    points = OperatingPointHistory(point, from: frame)
  }

  mutating func noteStructure(with frame: Int64) {
    structureFrames[structureCount & 3] = frame
    structureCount &+= 1
  }

  func bringsStructure(_ frame: Int64) -> Bool {
    for index in 0..<4 where structureFrames[index] == frame { return true }
    return false
  }

  /// Why a frame is not for a decode target, or `nil` when it is.
  @inline(__always)
  func refusal(of frame: FrameInfo, at point: OperatingPoint) -> ForwardDrop? {
    guard frame.epoch == point.epoch else { return .otherStructure }
    guard frame.indication(point.decodeTarget) != FrameInfo.notPresent else { return .layer }
    return frame.references & ledger.droppedFrames(before: frame.number) == 0 ? nil : .undecodable
  }

  /// Why a frame that comes late is not sent. What has been chosen since may lean on it, so it is also judged by that.
  func lateRefusal(of frame: FrameInfo) -> ForwardDrop? {
    guard let first = points.index(at: frame.number) else { return .tooOld }
    var reason: ForwardDrop?
    for index in first..<points.count {
      // What was chosen at a key picture leans on nothing that comes before it.
      if index > first, frame.number < keyFrame, points.first(of: index) >= keyFrame { break }
      // What was added at a switch leans on nothing that was not sent by then.
      if index > first, points[index].hasMoreFrames(than: points[index - 1]) { break }
      reason = refusal(of: frame, at: points[index])
      if reason == nil { return nil }
    }
    return reason
  }
}

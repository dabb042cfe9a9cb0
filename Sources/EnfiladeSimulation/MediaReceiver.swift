// A synthetic subscriber: feedback in either format, repair, and a jitter buffer that knows what can be shown.

import EnfiladeCongestion
import EnfiladeRTP
import EnfiladeWire

struct MediaReceiver {
  static let nackRetrySeconds = 0.15
  static let nackLimit = 5
  /// A decoder that has waited this long for a missing frame asks for a key frame.
  static let patienceSeconds = 0.5

  private let feedback: MediaModel.Feedback
  private let repairs: Bool
  private var recorder = ReceivedPacketRecorder()
  private var streamReports = StreamReportGenerator()

  // Repair of the video stream.
  private var nextSequence: Int64 = 0
  private var missing: [(sequence: Int64, asked: Double, count: Int)] = []
  private var seen: Set<Int64> = []
  private var seenAudio: Set<Int64> = []

  // Frames.
  private var frames: [Int: (received: Int, total: Int, isKey: Bool)] = [:]
  private var nextFrame: Int?
  private var newestFrame = -1
  private var lastShown: Double?
  private var lastKeyRequest = -1.0
  private(set) var shownCount = 0
  private(set) var longestGap = 0.0
  private var largestKeyFrame = -1

  init(_ model: MediaModel) {
    feedback = model.feedback
    repairs = model.repairs
    // The fastest interval clients use at the rates that are of interest here.
    recorder.setAvailableBitrate(.megabitsPerSecond(10))
  }

  /// When there is a report to send, or a missing packet to ask for again.
  var nextDeadline: Double? {
    var deadline: Double?
    switch feedback {
    case .transportWide: deadline = recorder.nextDeadline.map { Double($0.nanoseconds) * 1e-9 }
    case .byStream: deadline = streamReports.nextDeadline
    }
    if let oldest = missing.first {
      let next = oldest.asked + Self.nackRetrySeconds
      deadline = min(deadline ?? next, next)
    }
    return deadline
  }

  struct Arrival {
    /// It is here for the first time.
    var isNew = true
    var missing: [Int64] = []
    var wantsKeyFrame = false
  }

  mutating func handle(_ packet: SimulatedPacket, at now: Double) -> Arrival {
    let instant = Instant(nanoseconds: Int64(now * 1e9))
    switch feedback {
    case .transportWide: recorder.record(UInt16(truncatingIfNeeded: packet.transportNumber), at: instant)
    case .byStream: streamReports.record(packet, at: now)
    }
    var arrival = Arrival()
    guard case .media = packet.content else { return arrival }
    if packet.isAudio {
      arrival.isNew = seenAudio.insert(packet.streamNumber).inserted
      return arrival
    }
    arrival.isNew = seen.insert(packet.sequence).inserted
    guard arrival.isNew else { return arrival }
    if repairs {
      missing.removeAll { $0.sequence == packet.sequence }
      if packet.sequence > nextSequence {
        for sequence in nextSequence..<min(packet.sequence, nextSequence + 256) {
          missing.append((sequence, now, 1))
          arrival.missing.append(sequence)
        }
      }
    }
    nextSequence = max(nextSequence, packet.sequence + 1)
    assemble(packet, now)
    if let lastShown, now - lastShown > Self.patienceSeconds, now - lastKeyRequest > Self.patienceSeconds, repairs {
      lastKeyRequest = now
      arrival.wantsKeyFrame = true
    }
    return arrival
  }

  private mutating func assemble(_ packet: SimulatedPacket, _ now: Double) {
    newestFrame = max(newestFrame, packet.frame)
    var frame = frames[packet.frame] ?? (0, packet.frameByteCount, packet.isKeyFrame)
    frame.received += packet.byteCount
    frames[packet.frame] = frame
    guard frame.received >= frame.total else { return }
    if frame.isKey { largestKeyFrame = max(largestKeyFrame, packet.frame) }
    if nextFrame == nil || largestKeyFrame > nextFrame! { nextFrame = max(largestKeyFrame, nextFrame ?? packet.frame) }
    while let next = nextFrame, let ready = frames[next], ready.received >= ready.total {
      if let lastShown { longestGap = max(longestGap, now - lastShown) }
      lastShown = now
      shownCount += 1
      frames[next] = nil
      nextFrame = next + 1
    }
  }

  /// RTCP that is due, as on the wire.
  mutating func pollReport(at now: Double) -> [UInt8]? {
    switch feedback {
    case .byStream: return streamReports.poll(at: now)
    case .transportWide:
      let instant = Instant(nanoseconds: Int64(now * 1e9))
      guard let deadline = recorder.nextDeadline, instant >= deadline else { return nil }
      var isWritten = false
      let bytes = [UInt8].writing(capacity: 1200) {
        isWritten = recorder.pollFeedback(into: &$0, senderSSRC: SSRC(1), mediaSSRC: SSRC(2), at: instant)
      }
      return isWritten ? bytes : nil
    }
  }

  /// Missing packets to ask for again.
  mutating func pollMissing(at now: Double) -> [Int64] {
    missing.removeAll { $0.count >= Self.nackLimit }
    var asked: [Int64] = []
    for index in missing.indices where now - missing[index].asked >= Self.nackRetrySeconds - 1e-9 {
      missing[index].asked = now
      missing[index].count += 1
      asked.append(missing[index].sequence)
    }
    missing.sort { $0.asked < $1.asked || $0.asked == $1.asked && $0.sequence < $1.sequence }
    return asked
  }
}

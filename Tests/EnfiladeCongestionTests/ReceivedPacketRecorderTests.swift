// ReceivedPacketRecorder in virtual time.

import EnfiladeCongestion
import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Recording arrivals")
struct ReceivedPacketRecorderTests {
  /// One feedback as read back: `nil` for lost, else microseconds on the receiver's clock.
  struct Feedback: Equatable {
    var base: UInt16
    var count: UInt8
    var microseconds: [Int64?]
  }

  static func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  static func poll(_ recorder: inout ReceivedPacketRecorder, at now: Instant, capacity: Int = 1200) -> Feedback? {
    var isWritten = false
    let bytes = [UInt8].writing(capacity: capacity) {
      isWritten = recorder.pollFeedback(into: &$0, senderSSRC: SSRC(1), mediaSSRC: SSRC(2), at: now)
    }
    guard isWritten, let bytes else {
      #expect(bytes?.isEmpty == true)
      return nil
    }
    #expect(bytes.count <= ReceivedPacketRecorder.maximumFeedbackByteCount)
    var reader = RTCPReader(bytes.rawBytes)
    guard case .transportFeedback(let feedback)? = reader.next() else {
      Issue.record("not feedback: \(bytes)")
      return nil
    }
    var result = Feedback(base: feedback.baseSequenceNumber, count: feedback.feedbackCount, microseconds: [])
    let reference = Int64(feedback.referenceTime) * 64_000
    var statuses = feedback.statuses()
    while let status = statuses.next() { result.microseconds.append(status.ticks.map { reference + Int64($0) * 250 }) }
    return result
  }

  static func all(_ recorder: inout ReceivedPacketRecorder, at now: Instant) -> [Feedback] {
    var found: [Feedback] = []
    while let feedback = poll(&recorder, at: now) {
      found.append(feedback)
      if found.count > 100 { Issue.record("never ends"); break }
    }
    return found
  }

  @Test("Nothing received, nothing to say and no deadline")
  func silence() {
    var recorder = ReceivedPacketRecorder()
    #expect(recorder.nextDeadline == nil)
    #expect(Self.poll(&recorder, at: Self.at(1000)) == nil)
  }

  @Test("The first packet is reported one interval later, not before")
  func first() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(7, at: Self.at(1000))
    #expect(recorder.nextDeadline == Self.at(1100))
    #expect(Self.poll(&recorder, at: Self.at(1099)) == nil)
    #expect(Self.poll(&recorder, at: Self.at(1100)) == Feedback(base: 7, count: 0, microseconds: [1_000_000]))
    #expect(recorder.nextDeadline == nil)
    #expect(Self.poll(&recorder, at: Self.at(5000)) == nil)
  }

  @Test("Feedback goes on where the last ended, counts itself, and tells of losses between")
  func continues() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(65_534, at: Self.at(1000))
    recorder.record(65_535, at: Self.at(1010))
    #expect(Self.poll(&recorder, at: Self.at(1100)) == Feedback(base: 65_534, count: 0, microseconds: [1_000_000, 1_010_000]))
    recorder.record(2, at: Self.at(1120))
    #expect(recorder.nextDeadline == Self.at(1200))
    #expect(Self.poll(&recorder, at: Self.at(1200)) == Feedback(base: 0, count: 1, microseconds: [nil, nil, 1_120_000]))
  }

  @Test("After a silence the next packet waits for nothing but the interval since the last feedback")
  func afterSilence() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(1, at: Self.at(0))
    #expect(Self.poll(&recorder, at: Self.at(100)) != nil)
    recorder.record(2, at: Self.at(5000))
    #expect(recorder.nextDeadline == Self.at(5000))
  }

  @Test(
    "The interval follows the bandwidth between 50 and 100 ms: 68 bytes may take a twentieth",
    arguments: [
      (0, 100), (50, 100), (108, 100), (109, 99), (145, 75), (217, 50), (218, 50), (5000, 50),
    ] as [(Int64, Int64)])
  func interval(kilobitsPerSecond: Int64, milliseconds: Int64) {
    var recorder = ReceivedPacketRecorder()
    recorder.setAvailableBitrate(.kilobitsPerSecond(kilobitsPerSecond))
    recorder.record(1, at: Self.at(0))
    let deadline = recorder.nextDeadline.map { ($0 - .zero).milliseconds }
    #expect(deadline == milliseconds)
  }

  @Test("A late packet is told of again with all that follow it, while it is inside the back window")
  func late() {
    var recorder = ReceivedPacketRecorder()
    for (number, time) in [(1, 0), (3, 10), (4, 20)] as [(UInt16, Int64)] { recorder.record(number, at: Self.at(time)) }
    #expect(Self.poll(&recorder, at: Self.at(100)) == Feedback(base: 1, count: 0, microseconds: [0, nil, 10_000, 20_000]))
    recorder.record(2, at: Self.at(150))
    #expect(Self.poll(&recorder, at: Self.at(200)) == Feedback(base: 2, count: 1, microseconds: [150_000, 10_000, 20_000]))
    #expect(recorder.tooOldCount == 0)
  }

  @Test("A packet that comes after the back window is not reported any more, and counted")
  func tooLate() {
    var recorder = ReceivedPacketRecorder()
    for (number, time) in [(1, 0), (3, 10), (4, 20)] as [(UInt16, Int64)] { recorder.record(number, at: Self.at(time)) }
    _ = Self.poll(&recorder, at: Self.at(100))
    recorder.record(5, at: Self.at(600))
    recorder.record(2, at: Self.at(601))
    #expect(recorder.tooOldCount == 1)
    #expect(Self.all(&recorder, at: Self.at(700)) == [Feedback(base: 5, count: 1, microseconds: [600_000])])
  }

  @Test("What came before the very first packet is reported too")
  func beforeTheFirst() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(0, at: Self.at(0))
    recorder.record(65_535, at: Self.at(1))
    #expect(Self.poll(&recorder, at: Self.at(100)) == Feedback(base: 65_535, count: 0, microseconds: [1_000, 0]))
  }

  @Test("A duplicate keeps its first arrival, and is counted")
  func duplicate() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(1, at: Self.at(0))
    recorder.record(1, at: Self.at(50))
    #expect(recorder.duplicateCount == 1)
    #expect(Self.poll(&recorder, at: Self.at(100)) == Feedback(base: 1, count: 0, microseconds: [0]))
    recorder.record(1, at: Self.at(120))
    #expect(recorder.duplicateCount == 2)
    #expect(recorder.nextDeadline == nil)
  }

  @Test("What does not fit one feedback comes in the next, at once")
  func split() {
    var recorder = ReceivedPacketRecorder()
    // Every second packet lost, times apart by more than a small delta: the dearest there is.
    for index in 0..<900 as Range<Int64> { recorder.record(UInt16(2 * index % 65_536), at: .zero + .microseconds(index * 100)) }
    let found = Self.all(&recorder, at: Self.at(200))
    #expect(found.count > 1)
    #expect(found.map(\.count) == (0..<found.count).map { UInt8($0) })
    let times = found.flatMap(\.microseconds)
    #expect(times.count == 1799)
    for index in 0..<900 { #expect(times[2 * index] == Int64(index) * 100 / 250 * 250) }
    #expect(recorder.nextDeadline == nil)
  }

  @Test("A gap of more than 8 s goes into feedbacks of its own")
  func longGap() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(1, at: Self.at(0))
    recorder.record(2, at: Self.at(9_000))
    #expect(Self.all(&recorder, at: Self.at(9_000)).map(\.microseconds) == [[0], [9_000_000]])
  }

  @Test("The window never grows: what leaves it unreported is counted, and the rest is still right")
  func overflow() {
    var recorder = ReceivedPacketRecorder()
    let count = ReceivedPacketRecorder.capacity + 500
    for index in 0..<count { recorder.record(UInt16(index), at: .zero + .microseconds(Int64(index))) }
    #expect(recorder.unreportedCount == 500)
    let times = Self.all(&recorder, at: Self.at(200)).flatMap(\.microseconds)
    #expect(times.count == ReceivedPacketRecorder.capacity)
    #expect(times[0] == Int64(500))
    // A jump of more than the window empties it.
    recorder.record(UInt16(count + 10_000), at: Self.at(300))
    #expect(Self.all(&recorder, at: Self.at(500)).flatMap(\.microseconds).compactMap { $0 } == [300_000])
  }

  @Test("One stray number from far behind is refused; two in a row are a sender that began anew")
  func restart() {
    var recorder = ReceivedPacketRecorder()
    for index in 0..<100 as Range<UInt16> { recorder.record(30_000 + index, at: Self.at(Int64(index))) }
    _ = Self.all(&recorder, at: Self.at(200))
    recorder.record(5, at: Self.at(210))
    recorder.record(30_100, at: Self.at(220))
    recorder.record(6, at: Self.at(230))
    #expect(recorder.tooOldCount == 2)
    #expect(Self.all(&recorder, at: Self.at(320)) == [Feedback(base: 30_100, count: 1, microseconds: [220_000])])
    recorder.record(7, at: Self.at(330))
    recorder.record(8, at: Self.at(340))
    #expect(Self.all(&recorder, at: Self.at(440)) == [Feedback(base: 7, count: 2, microseconds: [330_000, 340_000])])
  }

  @Test("Without room nothing is lost: the deadline stands until there is some")
  func noRoom() {
    var recorder = ReceivedPacketRecorder()
    recorder.record(1, at: Self.at(0))
    #expect(Self.poll(&recorder, at: Self.at(100), capacity: 23) == nil)
    #expect(recorder.nextDeadline == Self.at(100))
    #expect(Self.poll(&recorder, at: Self.at(120), capacity: 24) == Feedback(base: 1, count: 0, microseconds: [0]))
  }

  @Test("Whatever is lost or reordered by less than the back window, a sender that listens learns of every packet", arguments: 0..<100)
  func property(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    // Packets every few milliseconds, delayed by up to 300 ms, some of them lost.
    var events: [(arrival: Int64, number: Int)] = []
    var sent: Int64 = 0
    let first = Int.random(in: 0..<65_536, using: &random)
    for index in 0..<1500 {
      sent += Int64.random(in: 0...8_000, using: &random)
      guard index == 0 || Int.random(in: 0..<20, using: &random) != 0 else { continue }
      let delay = index == 0 ? 0 : Int.random(in: 0..<10, using: &random) == 0 ? Int64.random(in: 0...300_000, using: &random) : 20_000
      events.append((sent + delay, first + index))
    }
    events.sort { ($0.arrival, $0.number) < ($1.arrival, $1.number) }

    var recorder = ReceivedPacketRecorder()
    recorder.setAvailableBitrate(.kilobitsPerSecond(Int64.random(in: 50...1000, using: &random)))
    var learned: [Int: Int64] = [:]
    var lastBase = first
    func drain(at now: Instant) {
      for feedback in Self.all(&recorder, at: now) {
        let base = lastBase + SequenceNumber(feedback.base).distance(from: SequenceNumber(UInt16(lastBase % 65_536)))
        for (offset, time) in feedback.microseconds.enumerated() {
          if let time, learned[base + offset] == nil { learned[base + offset] = time }
        }
        lastBase = base
      }
    }
    for event in events {
      let now = Instant.zero + .microseconds(event.arrival)
      while let deadline = recorder.nextDeadline, deadline <= now { drain(at: deadline) }
      recorder.record(UInt16(event.number % 65_536), at: now)
    }
    if let deadline = recorder.nextDeadline { drain(at: deadline) }
    var expected: [Int: Int64] = [:]
    for event in events { expected[event.number] = event.arrival / 250 * 250 }
    #expect(learned == expected)
  }
}

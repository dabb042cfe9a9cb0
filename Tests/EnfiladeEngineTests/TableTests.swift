// The engine's small tables against models.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Tables")
struct TableTests {
  @Test("The deadline queue gives what is due, the earliest first, whatever was moved or taken back", arguments: 0..<50 as Range<UInt64>)
  func deadlineQueue(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var queue = DeadlineQueue()
    // What only comes nearer, and what is moved.
    var fixed: [Int: Int64] = [:]
    var movable: [Int: Int64] = [:]
    var model: [Int: Int64] { fixed.merging(movable) { min($0, $1) } }
    var now: Int64 = 0
    for _ in 0..<2000 {
      let index = Int(random.next() % 80)
      let at = now + Int64(random.next() % 50)
      switch random.next() % 8 {
      case 0:
        queue.set(.distantFuture, for: index)
        (fixed[index], movable[index]) = (nil, nil)
      case 1:
        queue.set(Instant(nanoseconds: at), for: index)
        (fixed[index], movable[index]) = (at, nil)
      case 2:
        queue.set(Instant(nanoseconds: at + 7), movable: Instant(nanoseconds: at), for: index)
        (fixed[index], movable[index]) = (at + 7, at)
      case 3:
        queue.advance(Instant(nanoseconds: at), for: index)
        fixed[index] = min(fixed[index] ?? .max, at)
      case 4, 5:
        queue.move(Instant(nanoseconds: at), for: index)
        movable[index] = at
      case 6 where random.next() % 4 == 0:
        queue.move(.distantFuture, for: index)
        movable[index] = nil
      default:
        now += Int64(random.next() % 20)
        while let due = queue.popDue(at: Instant(nanoseconds: now)) {
          let deadline = model[due]
          (fixed[due], movable[due]) = (nil, nil)
          #expect(deadline != nil && deadline! <= now)
          #expect(model.values.allSatisfy { $0 >= deadline! })
        }
        #expect(model.values.allSatisfy { $0 > now })
      }
      #expect(queue.next == model.values.min().map { Instant(nanoseconds: $0) } ?? .distantFuture)
      #expect(queue.deadline(of: index) == model[index].map { Instant(nanoseconds: $0) } ?? .distantFuture)
    }
  }

  @Test("A bounded queue of events gives them in order, and says at the end how many it lost")
  func eventQueue() {
    var queue = EventQueue()
    for number in 0..<EventQueue.capacity + 3 { queue.append(.mediaEnded(PublicationKey(UInt64(number)))) }
    for number in 0..<EventQueue.capacity {
      guard case .mediaEnded(let key)? = queue.poll() else {
        Issue.record("event \(number) is missing")
        return
      }
      #expect(key.rawValue == UInt64(number))
    }
    guard case .dropped(3)? = queue.poll() else {
      Issue.record("nothing was said of the loss")
      return
    }
    #expect(queue.poll() == nil)
    queue.append(.dropped(count: 9))
    guard case .dropped(9)? = queue.poll() else {
      Issue.record("the queue does not go on")
      return
    }
  }

  private static func format(_ format: MediaFormat, _ type: UInt8, _ retransmission: UInt8? = nil) -> NegotiatedFormat {
    NegotiatedFormat(format: format, payloadType: PayloadType(type), retransmissionPayloadType: retransmission.map { PayloadType($0) })
  }

  @Test("A format has the payload type it was negotiated with, and no other codec's")
  func payloadTypes() {
    let table = PayloadTypeTable([
      Self.format(.opus, 111), Self.format(.vp8, 96, 97), Self.format(.vp9, 98, 99), Self.format(.vp8, 100, 101),
    ])
    #expect(table.payloadType(for: .opus) == PayloadType(111))
    #expect(table.retransmissionPayloadType(for: .opus) == nil)
    // Of two the first, which is liked best.
    #expect(table.payloadType(for: .vp8) == PayloadType(96))
    #expect(table.retransmissionPayloadType(for: .vp8) == PayloadType(97))
    for format in [MediaFormat.vp9Profile2, .av1, .h264High, .pcmu, .telephoneEvent] {
      #expect(table.payloadType(for: format) == nil)
    }
    // RED goes out as what is inside, unless it was negotiated itself.
    #expect(table.payloadType(for: .red) == PayloadType(111) && table.stripsRedundancy)
    let redundant = PayloadTypeTable([Self.format(.opus, 111), Self.format(.red, 63)])
    #expect(redundant.payloadType(for: .red) == PayloadType(63) && !redundant.stripsRedundancy)
  }

  @Test("An H.264 decoder that assembles fragments stands in for every other profile; one that does not stands in for none")
  func substitutes() {
    let fragments = PayloadTypeTable([Self.format(.h264ConstrainedBaseline, 102, 103)])
    for format in MediaFormat.allCases {
      #expect(fragments.payloadType(for: format) == (format.isH264 ? PayloadType(102) : nil), "\(format)")
      #expect(fragments.retransmissionPayloadType(for: format) == (format.isH264 ? PayloadType(103) : nil), "\(format)")
    }
    let single = PayloadTypeTable([Self.format(.h264BaselineSingle, 104)])
    for format in MediaFormat.allCases {
      #expect(single.payloadType(for: format) == (format == .h264BaselineSingle ? PayloadType(104) : nil))
    }
    // The very format before any that stands in.
    let both = PayloadTypeTable([Self.format(.h264ConstrainedBaseline, 102), Self.format(.h264High, 110)])
    #expect(both.payloadType(for: .h264High) == PayloadType(110))
  }

  @Test("Every format has a codec of its kind and a clock")
  func formats() {
    for format in MediaFormat.allCases {
      #expect(format.codec.kind == format.kind)
      #expect([8_000, 48_000, 90_000].contains(format.clockRate))
      #expect(Int(format.rawValue) < 32)
    }
  }
}

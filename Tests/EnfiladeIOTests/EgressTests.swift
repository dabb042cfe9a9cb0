// Who goes first when there is no room for all.

import EnfiladeIO
import EnfiladeWire
import Testing

@Suite("Egress")
struct EgressTests {
  /// A socket with a buffer of so many datagrams, and more room after each wait.
  private final class NarrowSink: DatagramSink {
    var room: Int
    var roomAfterWait: [Int]
    var waits: [TimeDelta] = []
    var sent: [UInt32] = []

    init(room: Int, roomAfterWait: [Int] = []) {
      self.room = room
      self.roomAfterWait = roomAfterWait
    }

    func send(_ datagrams: UnsafeBufferPointer<OutgoingDatagram>) -> SendResult {
      var result = SendResult()
      for datagram in datagrams {
        guard room > 0 else {
          result.blocked = .socketFull
          return result
        }
        room -= 1
        sent.append(datagram.byteCount)
        result.consumedCount += 1
        result.sentCount += 1
      }
      return result
    }

    func waitUntilWritable(for timeout: TimeDelta) -> Bool {
      waits.append(timeout)
      guard !roomAfterWait.isEmpty else { return false }
      room = roomAfterWait.removeFirst()
      return true
    }
  }

  /// Sends datagrams told apart by their size; those of 100 bytes and less are sound.
  private static func send(_ sizes: [Int], to sink: NarrowSink) -> EgressDrops {
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 8000, alignment: 8)
    defer { bytes.deallocate() }
    let datagrams = sizes.map { size in
      var datagram = OutgoingDatagram(
        base: bytes, byteCount: size, segmentByteCount: size > 2000 ? 1000 : 0, to: SocketAddress(ipv4: 0x7F00_0001, port: 9))
      datagram.isUrgent = size <= 100
      return datagram
    }
    var patience = TimeDelta.milliseconds(2)
    return datagrams.withUnsafeBufferPointer { sink.sendPatiently($0, patience: &patience) }
  }

  @Test("With room for all, all go in order and nobody waits")
  func plenty() {
    let sink = NarrowSink(room: 10)
    #expect(Self.send([1200, 60, 1100, 61], to: sink) == EgressDrops())
    #expect(sink.sent == [1200, 60, 1100, 61] && sink.waits.isEmpty)
  }

  @Test("Without room video is dropped, and sound waits for room")
  func videoFirst() {
    let sink = NarrowSink(room: 1, roomAfterWait: [5])
    let drops = Self.send([1200, 1201, 1202, 60, 61], to: sink)
    #expect(sink.sent == [1200, 60, 61])
    #expect(drops.video == 2 && drops.urgent == 0)
    #expect(sink.waits == [.milliseconds(2)])
  }

  @Test("A run that is dropped counts as the datagrams it would have become")
  func runs() {
    let sink = NarrowSink(room: 0)
    let drops = Self.send([5500], to: sink)
    #expect(drops.video == 6 && drops.urgent == 0 && sink.waits.isEmpty)
  }

  @Test("Nobody waits twice: when there is no room after all, sound is dropped and counted, too")
  func impatience() {
    let sink = NarrowSink(room: 0)
    let drops = Self.send([60, 1200, 61, 62], to: sink)
    #expect(sink.sent.isEmpty && sink.waits.count == 1)
    #expect(drops.video == 1 && drops.urgent == 3)
  }

  @Test("Room that comes back serves whoever is next, and video goes again before sound when it is short")
  func shortRelief() {
    let sink = NarrowSink(room: 0, roomAfterWait: [2])
    let drops = Self.send([60, 1200, 1201, 61], to: sink)
    #expect(sink.sent == [60, 1200])
    #expect(drops.video == 1 && drops.urgent == 1)
  }
}

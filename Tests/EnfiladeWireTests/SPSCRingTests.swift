// The ring itself: order, bounds, lifetime, and two real threads (run under the thread sanitizer too).

import EnfiladeWire
import Foundation
import Synchronization
import Testing

@Suite("SPSCRing")
struct SPSCRingTests {
  @Test("Elements come out in the order they went in, for every capacity", arguments: [1, 2, 4, 64])
  func order(capacity: Int) {
    var ring = SPSCRing<UInt32>(capacity: capacity)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    var next: UInt32 = 0
    var expected: UInt32 = 0
    for round in 0..<(capacity * 7) {
      for _ in 0...(round % capacity) where producer.push(next) { next += 1 }
      for _ in 0...(round % 3) {
        guard let element = consumer.pop() else { break }
        #expect(element == expected)
        expected += 1
      }
    }
    while let element = consumer.pop() {
      #expect(element == expected)
      expected += 1
    }
    #expect(expected == next)
  }

  @Test("A full ring refuses and loses nothing", arguments: [1, 2, 8])
  func full(capacity: Int) {
    var ring = SPSCRing<Int>(capacity: capacity)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    for value in 0..<capacity { #expect(producer.push(value) == true) }
    #expect(producer.push(-1) == false)
    #expect(producer.freeCount() == 0)
    #expect(consumer.pop() == 0)
    #expect(producer.freeCount() == 1)
    #expect(producer.push(capacity) == true)
    for value in 1...capacity { #expect(consumer.pop() == value) }
    #expect(consumer.pop() == nil)
  }

  @Test("What is staged is not seen before it is published")
  func staging() {
    var ring = SPSCRing<UInt64>(capacity: 4)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(producer.stage(1) == true)
    #expect(producer.stage(2) == true)
    #expect(consumer.availableCount() == 0)
    producer.publish()
    #expect(consumer.availableCount() == 2)
    #expect(consumer.pop() == 1)
  }

  @Test("A batch takes what there is, oldest first, and no more than it has room for")
  func batch() {
    var ring = SPSCRing<Int>(capacity: 8)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    for value in 0..<6 { #expect(producer.push(value) == true) }
    var target = [Int](repeating: -1, count: 4)
    var span = target.mutableSpan
    #expect(consumer.pop(into: &span) == 4)
    #expect(target == [0, 1, 2, 3])
    span = target.mutableSpan
    #expect(consumer.pop(into: &span) == 2)
    #expect(target == [4, 5, 2, 3])
    span = target.mutableSpan
    #expect(consumer.pop(into: &span) == 0)
  }

  @Test("Either end outlives the other and the ring")
  func lifetime() {
    func consumerOnly() -> SPSCRing<UInt16>.Consumer {
      var ring = SPSCRing<UInt16>(capacity: 2)
      var producer = ring.takeProducer()
      #expect(producer.push(7) == true)
      return ring.takeConsumer()
    }
    var consumer = consumerOnly()
    #expect(consumer.pop() == 7)
    #expect(consumer.pop() == nil)
  }

  @Test("Two threads pass 200,000 elements in order through a small ring", arguments: [1, 2, 16])
  func twoThreads(capacity: Int) {
    /// Two words that must agree, so that a torn or early read shows.
    struct Message: BitwiseCopyable {
      var value: UInt64
      var check: UInt64
    }
    let count: UInt64 = capacity == 1 ? 20_000 : 200_000
    var ring = SPSCRing<Message>(capacity: capacity)
    let ends = Mutex<SPSCRing<Message>.Producer?>(ring.takeProducer())
    var consumer = ring.takeConsumer()
    let box = ProducerBox(ends)
    let thread = Thread {
      guard var producer = box.ends.withLock({ $0.take() }) else { return }
      var value: UInt64 = 0
      while value < count {
        // Batches of one to seven, so that staging and publishing interleave with the reader.
        for _ in 0...(value % 7) where value < count {
          guard producer.stage(Message(value: value, check: ~value)) else { break }
          value += 1
        }
        producer.publish()
        if producer.freeCount() == 0 { sched_yield() }
      }
    }
    thread.start()

    var expected: UInt64 = 0
    var mismatches = 0
    var target = [Message](repeating: Message(value: 0, check: 0), count: 5)
    while expected < count {
      if expected % 3 == 0 {
        guard let message = consumer.pop() else {
          sched_yield()
          continue
        }
        if message.value != expected || message.check != ~expected { mismatches += 1 }
        expected += 1
      } else {
        var span = target.mutableSpan
        let taken = consumer.pop(into: &span)
        if taken == 0 { sched_yield() }
        for position in 0..<taken {
          if target[position].value != expected || target[position].check != ~expected { mismatches += 1 }
          expected += 1
        }
      }
    }
    #expect(mismatches == 0)
    #expect(consumer.pop() == nil)
  }

  /// Carries a ~Copyable end into a thread's closure.
  final class ProducerBox<Element: BitwiseCopyable>: Sendable {
    let ends: Mutex<SPSCRing<Element>.Producer?>
    init(_ ends: consuming Mutex<SPSCRing<Element>.Producer?>) { self.ends = ends }
  }
}

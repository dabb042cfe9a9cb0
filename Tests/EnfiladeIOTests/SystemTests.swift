// Waiting, waking, clocks, threads and interfaces.

import EnfiladeIO
import EnfiladeWire
import Synchronization
import Testing

@Suite("System")
struct SystemTests {
  @Test("A wake-up from another thread ends a wait; any number of signals are one")
  func wakeUp() throws {
    let poller = try Poller()
    let wakeUp = try WakeUp()
    try poller.watch(wakeUp.descriptor, for: .readable, token: 42)
    #expect(poller.wait(timeout: .zero) == 0)
    #expect(!wakeUp.drain())
    let thread = try SystemThread(name: "enfilade-test-with-a-long-name") {
      wakeUp.signal()
      wakeUp.signal()
    }
    #expect(poller.wait(timeout: nil) == 1)
    thread.join()
    #expect(poller.event(at: 0).token == 42)
    #expect(poller.event(at: 0).events.contains(.readable))
    #expect(wakeUp.drain())
    #expect(!wakeUp.drain())
    #expect(poller.wait(timeout: .zero) == 0)
    poller.forget(wakeUp.descriptor)
    wakeUp.signal()
    #expect(poller.wait(timeout: .zero) == 0)
  }

  @Test("A wait without events lasts at least as long as asked, to the microsecond")
  func timeout() throws {
    let poller = try Poller()
    let before = MonotonicClock.now
    #expect(poller.wait(timeout: .microseconds(300)) == 0)
    #expect(MonotonicClock.now - before >= .microseconds(300))
  }

  @Test("A watched socket can be watched for writing and then not")
  func change() throws {
    let poller = try Poller()
    let socket = try UDPSocket(bindingTo: loopback)
    try poller.watch(socket.descriptor, for: [.readable, .writable], token: 1)
    #expect(poller.wait(timeout: .zero) == 1)
    #expect(poller.event(at: 0).events == .writable)
    try poller.change(socket.descriptor, to: .readable, token: 2)
    #expect(poller.wait(timeout: .zero) == 0)
    #expect(throws: IOError.self) { try poller.watch(-1, for: .readable, token: 0) }
  }

  @Test("A thread runs its body to the end before it is joined")
  func thread() throws {
    let sum = Atomic(0)
    let threads = try (0..<4).map { number in
      try SystemThread(name: "worker-\(number)", processor: number % SystemThread.processorCount) {
        for _ in 0..<1_000 { sum.add(1, ordering: .relaxed) }
      }
    }
    threads.forEach { $0.join() }
    #expect(sum.load(ordering: .relaxed) == 4_000)
  }

  @Test("The monotonic clock does not go back, and the wall clock is of this century")
  func clocks() {
    let first = MonotonicClock.now
    let wall = wallClock()
    #expect(MonotonicClock.now >= first)
    #expect(wall.instant >= first)
    // 2024 began 3,913,056,000 seconds after 1900.
    #expect(wall.ntp.rawValue >> 32 > 3_913_056_000)
    #expect(MonotonicClock.threadProcessorTime > .zero)
  }

  @Test("Random bytes differ")
  func random() {
    #expect(osRandom() != osRandom())
    #expect(osRandomBytes(32) != osRandomBytes(32))
    #expect(osRandomBytes(0).isEmpty)
  }

  @Test("The loopback address is among the machine's own")
  func interfaces() throws {
    let all = try localAddresses()
    let local = try #require(all.first { $0.address == loopback })
    #expect(local.isLoopback)
    #expect(!local.isLinkLocal)
  }
}

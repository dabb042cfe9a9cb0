// Schedules and traces.

import EnfiladeSimulation
import Testing

@Suite("Capacity")
struct CapacityTests {
  @Test("Steps hold until the next one")
  func steps() {
    let schedule = CapacitySchedule([(seconds: 0, kilobitsPerSecond: 100), (10, 300), (20, 0), (30, 50)])
    #expect(schedule.bitsPerSecond(at: 9.99) == 100_000)
    #expect(schedule.bitsPerSecond(at: 10) == 300_000)
    #expect(abs(schedule.average(from: 0, to: 20) - 200_000) < 1)
    #expect(abs(schedule.bits(from: 5, to: 15, limit: 150_000) - 1_250_000) < 1)
    // 100 kbit before the second step, the rest in it.
    #expect(abs(schedule.finish(bits: 400_000, from: 9)! - 11) < 1e-6)
    // Across ten seconds of nothing.
    #expect(abs(schedule.finish(bits: 350_000, from: 19)! - 31) < 1e-6)
  }

  @Test("Nothing passes a link that is closed for good")
  func closed() {
    #expect(CapacitySchedule([(seconds: 0, kilobitsPerSecond: 100), (1, 0)]).finish(bits: 200_000, from: 0) == nil)
    #expect(CapacitySchedule(steps: [.init(seconds: 0, bitsPerSecond: 0)], periodSeconds: 1).finish(bits: 1, from: 0) == nil)
  }

  @Test("A line of a Mahimahi trace is 1500 bytes, and the trace repeats after its last line")
  func mahimahi() throws {
    let schedule = try CapacitySchedule(mahimahi: "0\n5\n5\n9\n")
    #expect(schedule.periodSeconds == 0.010)
    #expect(abs(schedule.bits(from: 0, to: 0.010) - 48_000) < 1e-3)
    #expect(abs(schedule.bits(from: 0.010, to: 1.010) - 4_800_000) < 1)
    #expect(schedule.bitsPerSecond(at: 0.0055) == 24_000_000)
    #expect(schedule.bitsPerSecond(at: 0.0155) == 24_000_000)
    #expect(schedule.bitsPerSecond(at: 0.0075) == 0)
  }

  @Test("Seconds and kilobits, with comments")
  func pairs() throws {
    let schedule = try CapacitySchedule(secondsAndKilobits: "# measured\n0 500\n2.5, 100 # worse\n\n10\t800\n")
    #expect(schedule.bitsPerSecond(at: 1) == 500_000)
    #expect(schedule.bitsPerSecond(at: 3) == 100_000)
    #expect(schedule.bitsPerSecond(at: 100) == 800_000)
  }

  @Test("A bad trace is refused with its line", arguments: ["0 1\n0 2", "a b", "1", "0 -5", "", "# nothing", "0 1 2", "0 nan"])
  func refused(text: String) { #expect(throws: TraceError.self) { try CapacitySchedule(secondsAndKilobits: text) } }

  @Test("A bad Mahimahi trace is refused with its line", arguments: ["5\n4", "x", "", "-1", "0"])
  func refusedMahimahi(text: String) { #expect(throws: TraceError.self) { try CapacitySchedule(mahimahi: text) } }
}

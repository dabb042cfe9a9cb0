// How long packets wait for company.

import EnfiladeRuntime
import EnfiladeWire
import Testing

@Suite("The egress window")
struct FlushWindowTests {
  private static func window(busyPermille: Int64, turns: Int = 2000) -> FlushWindow {
    var window = FlushWindow(maximum: .milliseconds(1))
    for _ in 0..<turns { window.handleTurn(idle: .microseconds(1000 - busyPermille), busy: .microseconds(busyPermille)) }
    return window
  }

  @Test("A shard with time to spare sends at once", arguments: [0, 100, 240] as [Int64])
  func idle(busyPermille: Int64) {
    #expect(Self.window(busyPermille: busyPermille).current == TimeDelta.zero)
  }

  @Test("A shard without time lets packets wait the longest, and no longer", arguments: [760, 900, 1000] as [Int64])
  func busy(busyPermille: Int64) {
    #expect(Self.window(busyPermille: busyPermille).current == TimeDelta.milliseconds(1))
  }

  @Test("Between the two the wait grows with the load")
  func between() {
    let waits = [300, 400, 500, 600, 700].map { Self.window(busyPermille: $0).current }
    for (shorter, longer) in zip(waits, waits.dropFirst()) { #expect(shorter < longer) }
    #expect(waits[2] > TimeDelta.microseconds(400) && waits[2] < TimeDelta.microseconds(600))
  }

  @Test("A burst of work does not make an idle shard a busy one, and a pause does not make a busy one idle")
  func inertia() {
    var idle = Self.window(busyPermille: 10)
    idle.handleTurn(idle: .zero, busy: .milliseconds(20))
    #expect(idle.current == TimeDelta.zero)
    var busy = Self.window(busyPermille: 950)
    busy.handleTurn(idle: .milliseconds(20), busy: .zero)
    #expect(busy.current == TimeDelta.milliseconds(1))
  }

  @Test("Switched off, nothing ever waits")
  func off() {
    var window = FlushWindow(maximum: .zero)
    for _ in 0..<1000 { window.handleTurn(idle: .zero, busy: .milliseconds(1)) }
    #expect(window.current == TimeDelta.zero)
  }

  @Test("A turn that took no time at all changes nothing")
  func nothing() {
    var window = Self.window(busyPermille: 500)
    let load = window.load
    window.handleTurn(idle: .zero, busy: .zero)
    #expect(abs(window.load - load) < 0.001)
  }
}

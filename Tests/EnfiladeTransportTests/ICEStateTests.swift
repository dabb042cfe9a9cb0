// The state × event table of the ICE agents.

import EnfiladeTransport
import Testing

@Suite struct ICEStateTests {
  /// The table as it must be; a dot is "no change".
  private static let table = """
    state         check         consent       nomination    silence       loss          expiry        restart       close
    new           checking      ·             connected     ·             ·             failed        ·             closed
    checking      ·             ·             connected     ·             ·             failed        ·             closed
    connected     ·             ·             ·             disconnected  checking      failed        ·             closed
    disconnected  ·             connected     connected     ·             checking      failed        ·             closed
    failed        ·             ·             ·             ·             ·             ·             new           closed
    closed        ·             ·             ·             ·             ·             ·             ·             ·
    """

  @Test("Every state answers every event as the table says")
  func stateTable() {
    func row(_ cells: [String]) -> String {
      var line = cells.map { $0.padding(to: 14) }.joined()
      while line.last == " " { line.removeLast() }
      return line
    }
    var lines = [row(["state"] + ICEEvent.allCases.map { "\($0)" })]
    for state in ICEState.allCases {
      lines.append(row(["\(state)"] + ICEEvent.allCases.map { state.after($0) == state ? "·" : "\(state.after($0))" }))
    }
    #expect(lines.joined(separator: "\n") == Self.table)
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

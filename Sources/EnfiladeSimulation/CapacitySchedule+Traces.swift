// Traces that others recorded, as text.

/// Why a trace was refused.
public struct TraceError: Error, Hashable, Sendable {
  /// Counted from one; zero for the whole.
  public var line: Int
  /// What is wrong with it.
  public var message: String
}

extension CapacitySchedule {
  /// Each line holds seconds and kilobits per second; `#` begins a comment. Repeats after the last line's time when `repeats`.
  ///
  /// - Throws: ``TraceError`` for a line that is no pair, or goes back in time.
  public init(secondsAndKilobits text: String, repeats: Bool = false) throws(TraceError) {
    var steps: [Step] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let fields = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" || $0 == "," || $0 == "\r" }
      if fields.isEmpty { continue }
      guard fields.count == 2, let seconds = Double(fields[0]), let rate = Double(fields[1]), seconds.isFinite, rate.isFinite,
        rate >= 0, seconds >= 0
      else {
        throw TraceError(line: index + 1, message: "expected seconds and kilobits per second")
      }
      guard steps.isEmpty || seconds > steps[steps.count - 1].seconds else {
        throw TraceError(line: index + 1, message: "time goes back")
      }
      steps.append(Step(seconds: seconds, bitsPerSecond: rate * 1000))
    }
    guard let last = steps.last else { throw TraceError(line: 0, message: "no steps") }
    self.init(steps: steps, periodSeconds: repeats && steps.count > 1 ? last.seconds : nil)
  }

  /// The format of Mahimahi's link emulator: each line is a millisecond at which 1500 bytes may pass; the last line's time is the period.
  ///
  /// - Throws: ``TraceError`` for a line that is no number, or goes back in time.
  public init(mahimahi text: String) throws(TraceError) {
    var steps: [Step] = []
    var current = -1
    var opportunities = 0
    func close(_ steps: inout [Step], until next: Int) {
      if current >= 0 {
        steps.append(Step(seconds: Double(current) / 1000, bitsPerSecond: Double(opportunities) * 12_000_000))
        if next > current + 1 { steps.append(Step(seconds: Double(current + 1) / 1000, bitsPerSecond: 0)) }
      } else if next > 0 {
        steps.append(Step(seconds: 0, bitsPerSecond: 0))
      }
    }
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let field = line.filter { $0 != "\r" && $0 != " " }
      if field.isEmpty || field.hasPrefix("#") { continue }
      guard let millisecond = Int(field), millisecond >= 0 else { throw TraceError(line: index + 1, message: "expected milliseconds") }
      guard millisecond >= current else { throw TraceError(line: index + 1, message: "time goes back") }
      if millisecond == current {
        opportunities += 1
      } else {
        close(&steps, until: millisecond)
        current = millisecond
        opportunities = 1
      }
    }
    guard current > 0 else { throw TraceError(line: 0, message: "no opportunities") }
    close(&steps, until: current + 1)
    self.init(steps: steps, periodSeconds: Double(current + 1) / 1000)
  }
}

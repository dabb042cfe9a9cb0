// The metrics of RFC 8868 §2 and those of our goals.

extension FlowResult {
  /// The average rate that arrived between two times, in bits per second.
  public func delivered(from start: Double, to end: Double) -> Double {
    var sum = 0.0
    for sample in samples where sample.seconds > start + 1e-6 && sample.seconds <= end + 1e-6 { sum += sample.delivered }
    return end > start ? sum * SimulationResult.sampleSeconds / (end - start) : 0
  }

  /// The lowest average over `window` seconds between two times, in bits per second.
  public func lowestDelivered(over window: Double, from start: Double, to end: Double) -> Double {
    var lowest = Double.infinity
    var begin = start
    while begin + window <= end + 1e-9 {
      lowest = min(lowest, delivered(from: begin, to: begin + window))
      begin += window / 2
    }
    return lowest
  }

  /// A quantile of the delays of packets that arrived between two times, in milliseconds; zero when there were none.
  public func delay(quantile: Double, from start: Double = 0, to end: Double = .infinity) -> Double {
    let values = delays.filter { $0.seconds >= start && $0.seconds < end }.map(\.milliseconds).sorted()
    guard !values.isEmpty else { return 0 }
    return values[min(values.count - 1, Int(Double(values.count) * quantile))]
  }

  /// The last time a packet was delayed by more than a bound, in seconds; `nil` if none was.
  public func lastDelay(above milliseconds: Double, from start: Double, to end: Double = .infinity) -> Double? {
    delays.last { $0.milliseconds > milliseconds && $0.seconds >= start && $0.seconds < end }?.seconds
  }

  /// When the estimate first satisfies a condition from a time on, in seconds after that time; `nil` if never.
  public func timeUntilTarget(from start: Double, _ condition: (Double) -> Bool) -> Double? {
    var current = 0.0
    for change in targets {
      if change.seconds >= start {
        if condition(change.bitsPerSecond) { return change.seconds - start }
      } else {
        current = change.bitsPerSecond
      }
    }
    return condition(current) ? 0 : nil
  }

  /// The share of media packets that were dropped or lost, repair not counted.
  public var lossShare: Double { sentPacketCount > 0 ? Double(lostPacketCount) / Double(sentPacketCount) : 0 }
}

extension SimulationResult {
  /// What arrived of one flow over what its link and source allow.
  public func utilization(of flow: Int, from start: Double, to end: Double) -> Double {
    let link = scenario.links[scenario.flows[flow].forward[0]]
    var limit = Double.infinity
    if case .media(let media) = scenario.flows[flow].kind, case .adaptive(_, let maximum) = media.source {
      limit = (maximum + media.audioKilobits) * 1000
    }
    let allowed = link.capacity.bits(from: start, to: end, limit: limit)
    return allowed > 0 ? flows[flow].delivered(from: start, to: end) * (end - start) / allowed : 0
  }

  /// Jain's fairness index of the rates of some flows between two times.
  public func fairness(of chosen: [Int], from start: Double, to end: Double) -> Double {
    let rates = chosen.map { flows[$0].delivered(from: start, to: end) }
    let sum = rates.reduce(0, +)
    let squares = rates.reduce(0) { $0 + $1 * $1 }
    return squares > 0 ? sum * sum / (Double(rates.count) * squares) : 0
  }

  /// The largest over the smallest rate of some flows between two times.
  public func spread(of chosen: [Int], from start: Double, to end: Double) -> Double {
    let rates = chosen.map { flows[$0].delivered(from: start, to: end) }
    guard let least = rates.min(), let most = rates.max(), least > 0 else { return .infinity }
    return most / least
  }
}

/// The middle of some values, of an even number the lower.
public func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.isEmpty ? .nan : sorted[(sorted.count - 1) / 2]
}

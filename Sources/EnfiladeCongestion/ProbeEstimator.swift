// What a probe found: how fast its packets left, and how fast they came.

import EnfiladeWire

/// Sums up the packets of the probes under way. A probe's result is asked for after each report.
package struct ProbeEstimator: Sendable {
  /// Probes that can be under way together.
  package static let clusterCount = 8
  /// Results are given when this share of what was asked for has arrived.
  package static let requiredShare = 0.8
  /// Arrivals this much faster than sending are a radio's bunching, not a measurement.
  package static let largestRatio = 2.0
  /// Arrivals slower than this share of sending mean that the link was full: then less than all of it is taken.
  package static let fullRatio = 0.9
  package static let fullUtilization = 0.95

  private struct Cluster: Sendable, BitwiseCopyable {
    var id = ProbeID.none
    var rate = Double.infinity
    var packetCount = 0
    var firstSent = Int64.max
    var lastSent = Int64.min
    var firstArrival = Int64.max
    var lastArrival = Int64.min
    var lastSentByteCount = 0
    var firstArrivedByteCount = 0
    var byteCount = 0
    var minimumPacketCount = 0
    var minimumByteCount = 0
  }

  private var clusters: InlineArray<8, Cluster> = InlineArray(repeating: Cluster())
  private var next = 0

  package init() {}

  /// A probe of `rate` bits per second begins.
  package mutating func begin(_ id: ProbeID, rate: Double = .infinity, minimumPacketCount: Int, minimumByteCount: Int) {
    var cluster = Cluster()
    cluster.id = id
    cluster.rate = rate
    cluster.minimumPacketCount = minimumPacketCount
    cluster.minimumByteCount = minimumByteCount
    clusters[next] = cluster
    next = next + 1 == Self.clusterCount ? 0 : next + 1
  }

  /// Takes a packet of a probe.
  ///
  /// - Returns: bits per second, once enough packets have come to say; again, and better, with each one after that.
  package mutating func handleArrival(_ result: PacketResult) -> Double? {
    guard result.probe != .none, let index = find(result.probe) else { return nil }
    let byteCount = Int(result.byteCount)
    clusters[index].packetCount += 1
    clusters[index].byteCount += byteCount
    if result.sent.nanoseconds < clusters[index].firstSent { clusters[index].firstSent = result.sent.nanoseconds }
    if result.sent.nanoseconds >= clusters[index].lastSent {
      clusters[index].lastSent = result.sent.nanoseconds
      clusters[index].lastSentByteCount = byteCount
    }
    if result.arrivalNanoseconds < clusters[index].firstArrival {
      clusters[index].firstArrival = result.arrivalNanoseconds
      clusters[index].firstArrivedByteCount = byteCount
    }
    clusters[index].lastArrival = max(clusters[index].lastArrival, result.arrivalNanoseconds)

    let cluster = clusters[index]
    guard Double(cluster.packetCount) >= Double(cluster.minimumPacketCount) * Self.requiredShare,
      Double(cluster.byteCount) >= Double(cluster.minimumByteCount) * Self.requiredShare
    else { return nil }
    let sendSpan = cluster.lastSent - cluster.firstSent
    let arrivalSpan = cluster.lastArrival - cluster.firstArrival
    guard sendSpan > 0, sendSpan <= 1_000_000_000, arrivalSpan > 0, arrivalSpan <= 1_000_000_000 else { return nil }
    let sendRate = Double(cluster.byteCount - cluster.lastSentByteCount) * 8e9 / Double(sendSpan)
    let arrivalRate = Double(cluster.byteCount - cluster.firstArrivedByteCount) * 8e9 / Double(arrivalSpan)
    guard arrivalRate <= Self.largestRatio * sendRate else { return nil }
    // No probe shows more than it tried: audio that passed in the middle of it makes it look faster than it was.
    let rate = min(sendRate, arrivalRate, cluster.rate)
    return arrivalRate < Self.fullRatio * sendRate ? min(Self.fullUtilization * arrivalRate, cluster.rate) : rate
  }

  private func find(_ id: ProbeID) -> Int? {
    for index in 0..<Self.clusterCount where clusters[index].id == id { return index }
    return nil
  }
}

// How often somebody may do something: a bucket of tokens for each of them, in bounded memory.

/// A token bucket for each key, such as a client's address.
package struct RateLimiter {
  private struct Bucket {
    var tokens: Double
    var filledAt: ContinuousClock.Instant
  }

  /// How many keys are kept. Beyond that, full buckets are forgotten, which changes nothing; when none is full, strangers are refused.
  package static let capacity = 10_000

  private let burst: Double
  private let perSecond: Double
  private var buckets: [String: Bucket] = [:]

  /// - Parameters:
  ///   - burst: how many at once.
  ///   - minute: how many in a minute, in the long run.
  package init(burst: Int, perMinute minute: Int) {
    self.burst = Double(burst)
    perSecond = Double(minute) / 60
  }

  /// Takes a token; gives back how long to wait where there is none.
  package mutating func take(_ key: String, at now: ContinuousClock.Instant) -> Duration? {
    if buckets[key] == nil, buckets.count >= Self.capacity {
      buckets = buckets.filter { level(of: $0.value, at: now) < burst }
      guard buckets.count < Self.capacity else { return .seconds(60) }
    }
    var bucket = buckets[key] ?? Bucket(tokens: burst, filledAt: now)
    bucket.tokens = level(of: bucket, at: now)
    bucket.filledAt = now
    defer { buckets[key] = bucket }
    guard bucket.tokens >= 1 else { return .seconds((1 - bucket.tokens) / perSecond) }
    bucket.tokens -= 1
    return nil
  }

  private func level(of bucket: Bucket, at now: ContinuousClock.Instant) -> Double {
    let elapsed = now - bucket.filledAt
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    return min(burst, bucket.tokens + seconds * perSecond)
  }
}

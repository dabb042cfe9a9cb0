// Token buckets: bursts, refilling, and memory that is bounded.

import EnfiladeMeet
import Testing

@Suite("Rate limits")
struct RateLimiterTests {
  @Test("A burst passes, then one at a time as the bucket fills")
  func burst() {
    var limiter = RateLimiter(burst: 3, perMinute: 60)
    let start = ContinuousClock.now
    for _ in 1...3 { #expect(limiter.take("a", at: start) == nil) }
    let wait = limiter.take("a", at: start)
    #expect(wait != nil && wait! > .milliseconds(900) && wait! <= .seconds(1))
    #expect(limiter.take("a", at: start + .milliseconds(1001)) == nil)
    #expect(limiter.take("a", at: start + .milliseconds(1002)) != nil)
    #expect(limiter.take("b", at: start) == nil)
  }

  @Test("However many come, no more than a bound is remembered, and full buckets make room")
  func memory() {
    var limiter = RateLimiter(burst: 2, perMinute: 60)
    let start = ContinuousClock.now
    for number in 0..<RateLimiter.capacity { #expect(limiter.take("\(number)", at: start) == nil) }
    #expect(limiter.take("one more", at: start) != nil)
    #expect(limiter.take("one more", at: start + .seconds(2)) == nil)
  }
}

// Who gets how much, and why.

import EnfiladeForwarding
import EnfiladeWire
import Testing

@Suite("Bandwidth allocation")
struct BandwidthAllocatorTests {
  static func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  /// 180p, 360p, 720p at 150, 500, 1500 kbit/s.
  static let simulcast = LayerOptions([
    LayerOption(spatial: 0, temporal: 0, bitrate: .kilobitsPerSecond(150), width: 320, height: 180, framesPerSecond: 30),
    LayerOption(spatial: 1, temporal: 0, bitrate: .kilobitsPerSecond(500), width: 640, height: 360, framesPerSecond: 30),
    LayerOption(spatial: 2, temporal: 0, bitrate: .kilobitsPerSecond(1500), width: 1280, height: 720, framesPerSecond: 30),
  ])

  static func wish(
    _ number: Int32, _ role: SubscriptionRole, current: Int8 = -1, height: UInt16 = 0, changed: Instant = .zero, wentDown: Bool = false
  ) -> SubscriptionWish {
    SubscriptionWish(
      subscription: number, role: role, options: simulcast, maximumHeight: height, current: current, changed: changed, wentDown: wentDown)
  }

  static func allocate(
    _ wishes: [SubscriptionWish], kilobits: Int64, proven: Int64? = nil, reserved: Int64 = 0, policy: AllocationPolicy = AllocationPolicy(),
    at now: Instant = at(10_000)
  ) -> (allocations: [Allocation], summary: BandwidthAllocator.Summary) {
    var allocator = BandwidthAllocator(policy: policy)
    let summary = allocator.allocate(
      wishes.span,
      budget: BandwidthAllocator.Budget(
        estimate: .kilobitsPerSecond(kilobits), proven: .kilobitsPerSecond(proven ?? kilobits), reserved: .kilobitsPerSecond(reserved)),
      at: now)
    return ((0..<allocator.allocations.count).map { allocator.allocations[$0] }, summary)
  }

  @Test("With room for all, everybody gets what he wants, and says so")
  func room() {
    let (allocations, summary) = Self.allocate([Self.wish(1, .speaker), Self.wish(2, .gallery)], kilobits: 5000)
    #expect(allocations.map(\.option) == [2, 2])
    #expect(allocations.map(\.reason) == [.satisfied, .satisfied])
    #expect(summary.allocated == .kilobitsPerSecond(3000) && summary.wanted == .kilobitsPerSecond(3000))
    #expect(summary.demand == nil)
  }

  @Test("A floor for everybody comes before a second step for anybody")
  func floor() {
    let wishes = [Self.wish(1, .pinned)] + (2...6).map { Self.wish($0, .thumbnail) }
    let (allocations, summary) = Self.allocate(wishes, kilobits: 1000)
    #expect(allocations.allSatisfy { $0.option >= 0 })
    #expect(allocations.filter { $0.reason == .limitedByBandwidth }.count == 6)
    #expect(summary.allocated <= .kilobitsPerSecond(1000))
  }

  @Test(
    "What is left goes where it is worth most",
    arguments: [(SubscriptionRole.screenShare, SubscriptionRole.pinned), (.pinned, .speaker), (.speaker, .gallery), (.gallery, .thumbnail)])
  func value(more: SubscriptionRole, less: SubscriptionRole) {
    for wishes in [[Self.wish(1, more), Self.wish(2, less)], [Self.wish(2, less), Self.wish(1, more)]] {
      let allocations = Self.allocate(wishes, kilobits: 800).allocations
      #expect(allocations.first { $0.subscription == 1 }!.option == 1)
      #expect(allocations.first { $0.subscription == 2 }!.option == 0)
    }
  }

  @Test("Never more than the estimate in all, except by policy", arguments: Array(stride(from: Int64(50), through: 6000, by: 50)))
  func within(kilobits: Int64) {
    let wishes = [Self.wish(1, .pinned), Self.wish(2, .speaker), Self.wish(3, .gallery), Self.wish(4, .thumbnail)]
    let (allocations, summary) = Self.allocate(wishes, kilobits: kilobits, reserved: 40)
    #expect(summary.allocated.bitsPerSecond + 40_000 <= max(kilobits * 1000, 40_000))
    #expect(summary.allocated.bitsPerSecond == allocations.reduce(0) { $0 + $1.bitrate.bitsPerSecond })
    for allocation in allocations { #expect((allocation.option < 0) == (allocation.reason == .paused)) }
  }

  @Test("More bandwidth is never worse for the most important")
  func monotonic() {
    var last: Int8 = -1
    for kilobits in stride(from: Int64(50), through: 4000, by: 25) {
      let option = Self.allocate([Self.wish(1, .thumbnail), Self.wish(2, .speaker)], kilobits: kilobits).allocations[1].option
      #expect(option >= last)
      last = option
    }
    #expect(last == 2)
  }

  @Test("A small tile takes no large picture")
  func constraint() {
    let allocation = Self.allocate([Self.wish(1, .thumbnail, height: 200)], kilobits: 5000).allocations[0]
    #expect(allocation.option == 0 && allocation.reason == .satisfied)
    #expect(Self.allocate([Self.wish(1, .pinned, height: 1080)], kilobits: 5000).allocations[0].reason == .limitedByPublication)
    #expect(Self.allocate([Self.wish(1, .thumbnail, height: 360)], kilobits: 5000).allocations[0].option == 1)
    #expect(Self.allocate([Self.wish(1, .thumbnail, height: 100)], kilobits: 5000).allocations[0].option == 0)
  }

  @Test("A step up waits for the probe that pays for it, and tells what that has to show")
  func proof() {
    let (allocations, summary) = Self.allocate([Self.wish(1, .speaker, current: 0)], kilobits: 2000, proven: 300)
    #expect(allocations[0].option == 0 && allocations[0].reason == .awaitingProbe)
    #expect(summary.demand == .kilobitsPerSecond(540))
    let paid = Self.allocate([Self.wish(1, .speaker, current: 0)], kilobits: 2000, proven: 1700)
    #expect(paid.allocations[0].option == 2)
  }

  @Test("The first picture at the lowest quality needs no probe")
  func first() {
    let (allocations, _) = Self.allocate([Self.wish(1, .speaker)], kilobits: 2000, proven: 0)
    #expect(allocations[0].option == 0 && allocations[0].reason == .awaitingProbe)
  }

  @Test("After a step down the next step up waits for the dwell, however much is proven")
  func dwell() {
    let wish = Self.wish(1, .speaker, current: 0, changed: Self.at(9000), wentDown: true)
    let early = Self.allocate([wish], kilobits: 3000, at: Self.at(10_000))
    #expect(early.allocations[0].option == 0 && early.allocations[0].reason == .dwelling)
    #expect(early.summary.revisit == Self.at(12_000))
    #expect(Self.allocate([wish], kilobits: 3000, at: Self.at(12_000)).allocations[0].option == 2)
  }

  @Test(
    "What is forwarded stays a little below its cost, and is not begun a little above",
    arguments: [(Int64(1400), Int8(2), Int8(1)), (1550, 2, 1), (1650, 2, 2), (1300, 1, 1)])
  func hysteresis(kilobits: Int64, whileForwarded: Int8, fromBelow: Int8) {
    #expect(Self.allocate([Self.wish(1, .speaker, current: 2)], kilobits: kilobits).allocations[0].option == whileForwarded)
    #expect(Self.allocate([Self.wish(1, .speaker, current: 1)], kilobits: kilobits).allocations[0].option == fromBelow)
  }

  @Test("When nothing fits video is paused, unless it is never to be")
  func pause() {
    #expect(Self.allocate([Self.wish(1, .speaker)], kilobits: 50).allocations[0].reason == .paused)
    var policy = AllocationPolicy()
    policy.neverPausesVideo = true
    let kept = Self.allocate([Self.wish(1, .speaker), Self.wish(2, .gallery)], kilobits: 50, policy: policy).allocations
    #expect(kept.map(\.option) == [0, 0] && kept.allSatisfy { $0.reason == .neverPaused })
  }

  @Test("A screen is sent a little beyond what fits; a camera is not")
  func oversend() {
    let screen = Self.allocate([Self.wish(1, .screenShare)], kilobits: 100).allocations[0]
    #expect(screen.option == 0 && screen.reason == .oversent)
    #expect(Self.allocate([Self.wish(1, .pinned)], kilobits: 100).allocations[0].option == -1)
  }

  @Test("Audio only is no video")
  func audioOnly() {
    var policy = AllocationPolicy()
    policy.isAudioOnly = true
    let (allocations, summary) = Self.allocate([Self.wish(1, .screenShare)], kilobits: 5000, policy: policy)
    #expect(allocations[0].option == -1 && allocations[0].reason == .audioOnly && summary.demand == nil)
  }

  @Test("A better quality that costs less is taken")
  func cheaper() {
    var wish = Self.wish(1, .gallery)
    wish.options = LayerOptions([
      LayerOption(spatial: 0, temporal: 0, bitrate: .kilobitsPerSecond(300), width: 320, height: 180, framesPerSecond: 30),
      LayerOption(spatial: 1, temporal: 0, bitrate: .kilobitsPerSecond(200), width: 640, height: 360, framesPerSecond: 30),
    ])
    #expect(Self.allocate([wish], kilobits: 350).allocations[0].option == 1)
  }

  @Test("Whatever size and rate a publisher claims, there is an answer", arguments: [UInt16(1), 46_341, .max])
  func claims(side: UInt16) {
    // As much as a layers allocation can say: 28 bits of kilobits.
    let options = LayerOptions([
      LayerOption(spatial: 0, temporal: 0, bitrate: .kilobitsPerSecond(1 << 28), width: side, height: side, framesPerSecond: 255)
    ])
    #expect(options[0].pixelCount == Int32(clamping: Int(side) * Int(side)))
    let wishes = (0..<Int32(Limits.allocationSubscriptionCount)).map {
      SubscriptionWish(subscription: $0, role: .screenShare, options: options)
    }
    var policy = AllocationPolicy()
    policy.screenShareOversend = .bitsPerSecond(1_000_000_000_000)
    let (allocations, summary) = Self.allocate(wishes, kilobits: 30_000, policy: policy)
    #expect(allocations.count == wishes.count)
    #expect(summary.wanted == .kilobitsPerSecond(Int64(wishes.count) << 28))
  }

  @Test("A publication without options gets nothing, and nobody is worse for it")
  func empty() {
    var wish = Self.wish(1, .speaker)
    wish.options = LayerOptions()
    let allocations = Self.allocate([wish, Self.wish(2, .gallery)], kilobits: 2000).allocations
    #expect(allocations[0].reason == .limitedByPublication && allocations[0].option == -1)
    #expect(allocations[1].option == 2)
  }

  @Test("The same question twice is the same answer, and more wishes than there is room for are no harm")
  func bounded() {
    let wishes = (0..<Int32(200)).map { Self.wish($0, SubscriptionRole(rawValue: UInt8($0 % 5))!) }
    let first = Self.allocate(wishes, kilobits: 20_000)
    #expect(first.allocations.count == Limits.allocationSubscriptionCount)
    #expect(first.allocations == Self.allocate(wishes, kilobits: 20_000).allocations)
  }
}

// What all clients of one run share: the clock's offset, keys, buffers, and the counts of what was measured.

import EnfiladeDTLS
import EnfiladeIO
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Shared by the clients of one run, on one thread.
package final class LoadContext {
  let options: LoadOptions
  let factory: OpenSSLHandshakeFactory
  let protector: any PacketProtector
  let batch: ReceiveBatch
  let wallClock: WallClock
  var random: SeededRandom
  /// Where a received packet is opened.
  let opened: UnsafeMutableRawPointer
  /// Where a packet to send is built.
  let sealed: UnsafeMutableRawPointer
  /// The payload to send: filler, of which every packet overwrites the head.
  let filler: UnsafeMutableRawPointer
  /// Where a piece of a recorded frame gets its descriptor.
  let recorded: UnsafeMutableRawPointer

  /// One-way latency by kind, of the probes.
  var videoLatency = LatencyHistogram()
  var audioLatency = LatencyHistogram()
  var openedCount: UInt64 = 0
  /// Packets that could not be opened.
  var unopenedCount: UInt64 = 0
  /// Packets that came twice, or behind the replay window (RFC 3711 §3.3.2): late or repeated, but whole.
  var replayedCount: UInt64 = 0
  /// Opened media without a stamp: something that no publisher of ours sent.
  var unstampedCount: UInt64 = 0

  static let bufferByteCount = Limits.slotByteCount

  init(_ options: LoadOptions) throws(LoadError) {
    self.options = options
    guard let protector = makeProtector(.auto) else { throw .noProtector }
    self.protector = protector
    do {
      factory = try OpenSSLHandshakeFactory(profiles: options.profiles)
    } catch {
      throw .system("\(error)")
    }
    batch = ReceiveBatch(bufferByteCount: options.coalescesReceive ? ReceiveBatch.coalescedByteCount : Self.bufferByteCount)
    wallClock = EnfiladeIO.wallClock()
    random = SeededRandom(seed: osRandom())
    opened = .allocate(byteCount: Self.bufferByteCount, alignment: 64)
    sealed = .allocate(byteCount: Self.bufferByteCount, alignment: 64)
    filler = .allocate(byteCount: Self.bufferByteCount, alignment: 64)
    recorded = .allocate(byteCount: Self.bufferByteCount, alignment: 64)
    for offset in stride(from: 0, to: Self.bufferByteCount, by: 8) {
      filler.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
    }
  }

  deinit {
    opened.deallocate()
    sealed.deallocate()
    filler.deallocate()
    recorded.deallocate()
  }

  /// Forgets what was measured so far.
  func resetMeasurements() {
    videoLatency.reset()
    audioLatency.reset()
    openedCount = 0
    unopenedCount = 0
    replayedCount = 0
    unstampedCount = 0
  }

  /// Whether it is a member's turn to speak.
  func isSpeaking(_ index: Int, at now: Instant) -> Bool {
    let (count, talkers) = (max(1, options.memberCount), options.talkerCount)
    return (index + Int(now.nanoseconds / Self.turn.nanoseconds) % count * talkers) % count < talkers
  }

  /// How long somebody speaks.
  private static let turn = TimeDelta.seconds(Int64(4))

  func makeSSRC() -> SSRC { SSRC(UInt32(truncatingIfNeeded: random.next()) | 1) }
}

// One subscriber that looks at what it receives: how many frames are complete, and how old each packet is.

import EnfiladeIO
import EnfiladeLoad
import EnfiladeRTP
import EnfiladeTransport
import EnfiladeWire

/// Reads one socket. Sequence numbers are in the clear part of SRTP, and the engine numbers without gaps, so a number tells its frame.
struct FrameWatcher {
  private let socket: UDPSocket
  private let packetsPerFrame: Int
  private let source: SSRC
  private let batch = ReceiveBatch(capacity: 16)
  private var unwrapper = SequenceUnwrapper()
  /// The number before the first one counted.
  private var base: ExtendedSequenceNumber?
  private var newest: ExtendedSequenceNumber?
  private var isRestarting = true

  init(_ socket: UDPSocket, packetsPerFrame: Int, source: SSRC) {
    self.socket = socket
    self.packetsPerFrame = packetsPerFrame
    self.source = source
  }

  /// Frames that are here whole since the last restart.
  var completeFrames: Int {
    guard let newest, let base else { return 0 }
    return (newest - base) / packetsPerFrame
  }

  /// Counts anew from the next packet on.
  mutating func restart() {
    base = newest
    isRestarting = newest == nil
  }

  /// Reads everything that is there.
  mutating func drain() {
    read { _, _ in }
  }

  /// The same, and how long ago each packet was sent.
  mutating func drain(_ stamps: [Instant], into latencies: inout LatencyHistogram) {
    read { packet, now in
      if packet >= 0, packet < stamps.count { latencies.record(now - stamps[packet]) }
    }
  }

  private mutating func read(_ each: (_ packet: Int, _ now: Instant) -> Void) {
    while true {
      let count = socket.receive(into: batch)
      guard count > 0 else { return }
      let now = MonotonicClock.now
      for position in 0..<count {
        let message = batch[position]
        for segment in 0..<message.segmentCount { take(message.segment(at: segment), now, each) }
      }
    }
  }

  private mutating func take(_ bytes: UnsafeMutableRawBufferPointer, _ now: Instant, _ each: (_ packet: Int, _ now: Instant) -> Void) {
    let span = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes))
    guard DatagramKind(span) == .rtp, let header = RTPFixedHeader.parse(span), header.ssrc == source else { return }
    let number = unwrapper.unwrap(header.sequenceNumber)
    if isRestarting {
      base = number - 1
      isRestarting = false
    }
    if let newest, number <= newest { return }
    newest = number
    if let base { each(number - base - 1, now) }
  }
}

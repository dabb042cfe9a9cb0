// The header extensions whose meaning changes where they pass: what a publisher says on its own clock is said on ours from here on.

import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

extension ShardEngine {
  /// Moves the offset of an absolute capture time from the publisher's clock, which it was said against, to ours, which the reports that
  /// subscribers get are on. Once, where the packet lies, so that what is sent of it first and again is the same. Before the publisher's first
  /// report nobody knows by how much, and the offset is taken out: a receiver that is not told the offset does not rely on it.
  mutating func moveCaptureClock(in handle: PacketHandle, from start: Int, _ extensions: inout RTPExtensions, link: Int) {
    guard extensions.byteCount(of: .absoluteCaptureTime) == AbsoluteCaptureTime.longByteCount else { return }
    let difference = links[link].publisherClock.offset
    let place = start + extensions.offset(of: .absoluteCaptureTime)
    guard var slot = slab.mutableBytes(of: handle) else { return }
    guard let difference else {
      AbsoluteCaptureTime.takeOutOffset(in: &slot, at: place)
      return extensions.setByteCount(AbsoluteCaptureTime.shortByteCount, of: .absoluteCaptureTime)
    }
    AbsoluteCaptureTime.moveClock(by: difference, in: &slot, at: place)
  }

  /// When what is written now leaves, for those who asked to be told and have no transport-wide numbers to tell arrivals by.
  @inline(__always)
  func sendTime(of stream: Int, at now: Instant) -> AbsoluteSendTime? {
    let map = outbound[stream].plan.map
    guard map[.absoluteSendTime] != nil, map[.transportSequenceNumber] == nil else { return nil }
    return AbsoluteSendTime(configuration.wallClock.ntp(at: now))
  }
}

// A UDP socket that sends and receives in batches, with segmentation (UDP_SEGMENT) and coalescing (UDP_GRO) by the kernel.

import CEnfiladeShims
package import EnfiladeWire
import Glibc

/// One bound, non-blocking UDP socket. Not thread-safe: one shard owns it.
package final class UDPSocket {
  /// What a socket is asked to be.
  package struct Options: Sendable {
    /// For an IPv6 address: whether IPv4 peers reach it too.
    package var isDualStack = true
    package var reusesPort = false
    /// Let the kernel coalesce datagrams of equal size into one message.
    package var coalescesReceive = true
    /// Let the kernel cut one message into datagrams of equal size.
    package var segmentsSend = true
    /// 4 MiB each: a quarter of a second at 128 Mbit/s, the time a shard may be late in the worst case.
    package var receiveBufferByteCount = 4 << 20
    package var sendBufferByteCount = 4 << 20

    package init() {}
  }

  /// How segmentation stands.
  package enum Segmentation: Hashable, Sendable {
    case enabled
    /// The application asked for none.
    case disabled
    /// The kernel does not know it: found at open.
    case unsupported
    /// The kernel or the path refused a message that then went out uncut, with this error number; decided once.
    case refused(Int32)
  }

  package let descriptor: Int32
  package let localAddress: SocketAddress
  private let isIPv6Socket: Bool
  /// Whether the kernel coalesces what we receive.
  package private(set) var coalescesReceive = false
  package private(set) var segmentation = Segmentation.disabled
  /// What the kernel granted, in its own accounting (twice what was asked for, or the system's limit).
  package private(set) var receiveBufferByteCount = 0
  package private(set) var sendBufferByteCount = 0
  /// Datagrams the kernel refused, by reason.
  package private(set) var refusals = SendRefusals()
  /// Received messages that did not fit their buffer.
  package private(set) var truncatedCount: UInt64 = 0
  /// Receive calls that failed for another reason than that nothing was there.
  package private(set) var receiveErrorCount: UInt64 = 0

  /// Opens and binds. Port 0 takes a free one, to be read from ``localAddress``.
  package init(bindingTo address: SocketAddress, options: Options = Options()) throws(IOError) {
    let fd = enfilade_udp_socket(address.isIPv6 ? 1 : 0, options.isDualStack ? 0 : 1)
    guard fd >= 0 else { throw IOError(.openSocket, code: -fd) }
    descriptor = fd
    isIPv6Socket = address.isIPv6
    do {
      localAddress = try Self.bind(fd, to: address, options: options)
    } catch {
      close(fd)
      throw error
    }
    _ = enfilade_set_option(fd, ENFILADE_OPTION_RECEIVE_BUFFER, Int32(clamping: options.receiveBufferByteCount))
    _ = enfilade_set_option(fd, ENFILADE_OPTION_SEND_BUFFER, Int32(clamping: options.sendBufferByteCount))
    receiveBufferByteCount = Self.option(fd, ENFILADE_OPTION_RECEIVE_BUFFER) ?? 0
    sendBufferByteCount = Self.option(fd, ENFILADE_OPTION_SEND_BUFFER) ?? 0
    if options.coalescesReceive { coalescesReceive = enfilade_set_option(fd, ENFILADE_OPTION_UDP_GRO, 1) == 0 }
    // A kernel that can read the option can cut messages (Linux 4.18).
    if options.segmentsSend { segmentation = Self.option(fd, ENFILADE_OPTION_UDP_SEGMENT) == nil ? .unsupported : .enabled }
  }

  deinit { close(descriptor) }

  private static func bind(_ fd: Int32, to address: SocketAddress, options: Options) throws(IOError) -> SocketAddress {
    if options.reusesPort {
      let status = enfilade_set_option(fd, ENFILADE_OPTION_REUSE_PORT, 1)
      guard status == 0 else { throw IOError(.reusePort, code: -status) }
    }
    var wanted = enfilade_address(address)
    var status = enfilade_bind(fd, address.isIPv6 ? 1 : 0, &wanted)
    guard status == 0 else { throw IOError(.bind, code: -status) }
    status = enfilade_local_address(fd, &wanted)
    guard status == 0 else { throw IOError(.readLocalAddress, code: -status) }
    return SocketAddress(wanted)
  }

  private static func option(_ fd: Int32, _ option: enfilade_option) -> Int? {
    var value: Int32 = 0
    return enfilade_get_option(fd, option, &value) == 0 ? Int(value) : nil
  }

  // MARK: Receive

  /// Takes what has arrived, at most as many messages as the batch holds. How many; zero when there is nothing.
  package func receive(into batch: ReceiveBatch) -> Int {
    batch.count = 0
    // An error queued by an earlier message (an ICMP answer, say) is reported once and then gone; three times is a broken socket.
    for _ in 0..<3 {
      let received = enfilade_receive_batch(
        descriptor, batch.messages, Int32(batch.capacity), UInt32(batch.bufferByteCount))
      if received >= 0 {
        batch.count = Int(received)
        for position in 0..<batch.count where batch.messages[position].flags & UInt16(ENFILADE_DATAGRAM_TRUNCATED) != 0 {
          truncatedCount &+= 1
        }
        return batch.count
      }
      if received == -EAGAIN { return 0 }
      if received != -EINTR { receiveErrorCount &+= 1 }
    }
    return 0
  }

  // MARK: Send

  /// Hands datagrams to the kernel in order. A destination that is refused costs only its own datagram, which is counted; a full
  /// socket ends the call, and the caller decides about the rest.
  package func send(_ datagrams: UnsafeBufferPointer<OutgoingDatagram>) -> SendResult {
    var result = SendResult()
    guard let base = datagrams.baseAddress else { return result }
    // Sound: both are plain, and the layout is held by a test and by static assertions in C.
    let messages = UnsafeRawPointer(base).assumingMemoryBound(to: enfilade_datagram.self)
    let limit = Int(ENFILADE_BATCH_LIMIT)
    while result.consumedCount < datagrams.count {
      let next = result.consumedCount
      if segmentation != .enabled, datagrams[next].segmentByteCount != 0 {
        guard sendUncut(datagrams[next], &result) else { return result }
        continue
      }
      assert(datagrams[next].isWithinSegmentationLimits)
      var count = min(limit, datagrams.count - next)
      if segmentation != .enabled {
        for ahead in 1..<max(1, count) where datagrams[next + ahead].segmentByteCount != 0 {
          count = ahead
          break
        }
      }
      let sent = enfilade_send_batch(descriptor, isIPv6Socket ? 1 : 0, messages + next, Int32(count))
      result.systemCallCount += 1
      if sent > 0 {
        result.sentCount += Int(sent)
        result.consumedCount += Int(sent)
        continue
      }
      guard handleRefusal(-sent, of: datagrams[next], &result) else { return result }
    }
    return result
  }

  /// Waits until the socket takes more, at most so long; whether it does.
  package func waitUntilWritable(for timeout: TimeDelta) -> Bool {
    enfilade_wait_writable(descriptor, max(0, timeout.nanoseconds)) != 0
  }

  /// Decides what an error says about the first datagram; `false` when the call is over.
  private func handleRefusal(_ code: Int32, of datagram: OutgoingDatagram, _ result: inout SendResult) -> Bool {
    switch code {
    case EINTR:
      return true
    case EAGAIN, ENOBUFS, ENOMEM:
      result.blocked = code == EAGAIN ? .socketFull : .noBuffers
      return false
    case EIO, EINVAL, EMSGSIZE:
      guard datagram.segmentByteCount != 0, UInt32(datagram.segmentByteCount) < datagram.byteCount else {
        return refuse(code, &result)
      }
      let sentBefore = result.sentCount
      guard sendUncut(datagram, &result) else { return false }
      // It went uncut, so it was the cutting that was refused. EMSGSIZE is about this one path, not about the socket.
      if result.sentCount > sentBefore, code != EMSGSIZE { segmentation = .refused(code) }
      return true
    default:
      return refuse(code, &result)
    }
  }

  private func refuse(_ code: Int32, _ result: inout SendResult) -> Bool {
    refusals.count(code)
    result.refusedCount += 1
    result.consumedCount += 1
    return true
  }

  /// Sends a run one segment at a time; `false` when the socket is full. Segments before that one are gone, the rest of the run is
  /// dropped with it: half a run is not worth remembering.
  private func sendUncut(_ datagram: OutgoingDatagram, _ result: inout SendResult) -> Bool {
    var address = enfilade_address(datagram.address)
    let segment = Int(datagram.segmentByteCount)
    var offset = 0
    let total = Int(datagram.byteCount)
    var lastError: Int32 = 0
    while offset < total {
      let count = segment == 0 ? total : min(segment, total - offset)
      let status = enfilade_send_one(descriptor, isIPv6Socket ? 1 : 0, datagram.base + offset, UInt32(count), &address)
      result.systemCallCount += 1
      if status == -EINTR { continue }
      if status == -EAGAIN || status == -ENOBUFS || status == -ENOMEM {
        result.blocked = status == -EAGAIN ? .socketFull : .noBuffers
        if offset > 0 {
          result.consumedCount += 1
          result.sentCount += 1
          refusals.count(-status)
        }
        return false
      }
      if status != 0 { lastError = -status }
      offset += count
    }
    if lastError != 0 { return refuse(lastError, &result) }
    result.sentCount += 1
    result.consumedCount += 1
    return true
  }
}

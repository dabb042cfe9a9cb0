// One TCP connection as the table of them keeps it: what has not come wholly, what has not gone yet, and since when.

import EnfiladeWire

/// The state of one connection.
struct StreamConnection: ~Copyable {
  /// The far end, with the connection's number.
  let address: SocketAddress
  let acceptedAt: Instant
  /// A check with a password of ours came over it.
  var isProved = false
  /// What came was not frames: nothing more is read.
  var isBroken = false
  /// Stands in the list of those with something to send.
  var isListed = false
  /// The part of a frame whose end has not come.
  var rest: ByteQueue
  var output: ByteQueue
  /// When something was last taken off the output, or the first thing put in.
  private(set) var progressedAt: Instant
  /// Bytes that went in and out since the beginning.
  private var appendedCount: UInt64 = 0
  private var sentCount: UInt64 = 0
  /// Everything in front of `mark` was put in at `markedAt` or before.
  private var mark: UInt64 = 0
  private var markedAt: Instant

  init(address: SocketAddress, limits: StreamLimits, at now: Instant) {
    self.address = address
    acceptedAt = now
    rest = ByteQueue(capacity: StreamFraming.headerByteCount + Limits.datagramByteCount)
    output = ByteQueue(capacity: limits.outputByteCount)
    progressedAt = now
    markedAt = now
  }

  /// How long the oldest byte has waited, at least.
  func delay(at now: Instant) -> TimeDelta { sentCount < mark ? now - markedAt : .zero }

  /// Puts a datagram behind its length at the end; `false` when there is no room.
  mutating func append(_ datagram: RawSpan, at now: Instant) -> Bool {
    let total = StreamFraming.headerByteCount + datagram.byteCount
    guard output.count + total <= output.capacity else { return false }
    if output.count == 0 { progressedAt = now }
    let header = UInt16(datagram.byteCount).bigEndian
    // Sound: the two bytes of a number that outlives the call.
    let isTaken = unsafe withUnsafeBytes(of: header) { unsafe output.append(RawSpan(_unsafeBytes: $0)) } && output.append(datagram)
    assert(isTaken)
    appendedCount &+= UInt64(total)
    if sentCount >= mark {
      mark = appendedCount
      markedAt = now
    }
    return true
  }

  /// The network took so many bytes.
  mutating func handleSent(_ byteCount: Int, at now: Instant) {
    guard byteCount > 0 else { return }
    output.removeFirst(byteCount)
    sentCount &+= UInt64(byteCount)
    progressedAt = now
    if sentCount >= mark, sentCount < appendedCount {
      mark = appendedCount
      markedAt = now
    }
  }
}

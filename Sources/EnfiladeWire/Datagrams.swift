// How datagrams pass between the engine, which has no socket, and whoever drives it.

/// One received message: a datagram, or several of equal size (the last may be shorter) that the kernel joined (UDP_GRO). Its bytes stay
/// where they are until the next receive.
@usableFromInline
@safe package struct ReceivedDatagram {
  @usableFromInline package var base: UnsafeMutableRawPointer
  @usableFromInline package var byteCount: Int
  /// The size of each datagram in the message; 0 when it is one.
  @usableFromInline package var segmentByteCount: Int
  /// The message was longer than its buffer: not to be trusted.
  @usableFromInline package var isTruncated: Bool
  @usableFromInline package var address: SocketAddress

  @inlinable
  package init(base: UnsafeMutableRawPointer, byteCount: Int, segmentByteCount: Int = 0, isTruncated: Bool = false, address: SocketAddress)
  {
    unsafe self.base = base
    self.byteCount = byteCount
    self.segmentByteCount = segmentByteCount
    self.isTruncated = isTruncated
    self.address = address
  }

  /// How many datagrams it holds.
  @usableFromInline package var segmentCount: Int { segmentByteCount == 0 ? 1 : (byteCount + segmentByteCount - 1) / segmentByteCount }
}

/// One message to send: a datagram, or a run of datagrams of equal size (the last may be shorter) to one destination (UDP_SEGMENT). Its
/// bytes stay where they are until the engine is asked again. The layout is the shims' `enfilade_datagram`; a test holds the two together.
@usableFromInline
@safe package struct OutgoingDatagram {
  /// The most segments the kernel takes in one message (UDP_MAX_SEGMENTS of Linux before 6.9; later ones take 128).
  @usableFromInline package static let segmentLimit = 64
  /// The most bytes in one message: below 65,535 less the IP and UDP headers, with room for options.
  @usableFromInline package static let byteLimit = 65_000

  @usableFromInline package var base: UnsafeMutableRawPointer
  @usableFromInline package var byteCount: UInt32
  /// The size of each segment; 0 sends the bytes as one datagram.
  @usableFromInline package var segmentByteCount: UInt16
  /// The shims read nothing from it on the way out.
  private var flags: UInt16
  @usableFromInline package var address: SocketAddress

  @inlinable
  package init(base: UnsafeMutableRawPointer, byteCount: Int, segmentByteCount: Int = 0, to address: SocketAddress) {
    unsafe self.init(base, UInt32(byteCount), UInt16(segmentByteCount), address)
  }

  @usableFromInline
  package init(_ base: UnsafeMutableRawPointer, _ byteCount: UInt32, _ segmentByteCount: UInt16, _ address: SocketAddress) {
    unsafe self.base = base
    self.byteCount = byteCount
    self.segmentByteCount = segmentByteCount
    flags = 0
    self.address = address
  }

  /// How many datagrams it becomes.
  package var segmentCount: Int {
    segmentByteCount == 0 ? 1 : (Int(byteCount) + Int(segmentByteCount) - 1) / Int(segmentByteCount)
  }

  /// What is dropped last when the socket takes no more: sound, and the words of the protocols. Video goes first.
  package var isUrgent: Bool {
    get { flags & 1 != 0 }
    set { flags = newValue ? flags | 1 : flags & ~1 }
  }

  /// Whether the kernel takes it: the caller splits longer runs.
  @usableFromInline package var isWithinSegmentationLimits: Bool {
    guard byteCount <= Self.byteLimit else { return false }
    guard segmentByteCount != 0 else { return true }
    return (Int(byteCount) + Int(segmentByteCount) - 1) / Int(segmentByteCount) <= Self.segmentLimit
  }
}

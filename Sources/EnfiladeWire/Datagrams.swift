// How datagrams pass between the engine, which has no socket, and whoever drives it.

/// What was received: one datagram, or several of equal size that the kernel joined (UDP_GRO). The bytes stay where they are until the
/// next receive.
@safe package struct ReceivedDatagram {
  package var base: UnsafeRawPointer
  package var byteCount: Int
  /// The size of each joined datagram but the last, which may be shorter; equal to ``byteCount`` when there is one.
  package var segmentByteCount: Int
  package var source: SocketAddress

  @inlinable package init(base: UnsafeRawPointer, byteCount: Int, segmentByteCount: Int, source: SocketAddress) {
    unsafe self.base = base
    self.byteCount = byteCount
    self.segmentByteCount = segmentByteCount
    self.source = source
  }
}

/// What is to be sent: one datagram, or several of equal size in one message (UDP_SEGMENT). The bytes stay where they are until the engine
/// is asked again.
@safe package struct OutgoingDatagram {
  package var base: UnsafeRawPointer
  package var byteCount: Int
  /// The size of each datagram but the last, which may be shorter; zero when there is one.
  package var segmentByteCount: Int
  package var destination: SocketAddress

  @inlinable package init(base: UnsafeRawPointer, byteCount: Int, segmentByteCount: Int, destination: SocketAddress) {
    unsafe self.base = base
    self.byteCount = byteCount
    self.segmentByteCount = segmentByteCount
    self.destination = destination
  }
}

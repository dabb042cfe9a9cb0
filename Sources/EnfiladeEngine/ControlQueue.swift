// STUN answers and handshake datagrams on their way out: small, rare, and never encrypted by the protector.

package import EnfiladeWire

/// A fixed number of datagram places. They are filled while datagrams are handled and emptied by the next drain.
@safe package struct ControlQueue: ~Copyable {
  /// One receive batch may ask for this many answers; beyond it, peers send again (RFC 8489 §6.2.1, RFC 6347 §4.2.4).
  package static let capacity = 512
  package static let placeByteCount = Limits.datagramByteCount

  private let storage: UnsafeMutableRawPointer
  private var lengths = [Int](repeating: 0, count: Self.capacity)
  private var destinations = [SocketAddress](repeating: SocketAddress(ipv4: 0, port: 0), count: Self.capacity)
  package private(set) var count = 0

  package init() {
    // Sound: allocated once, freed in deinit.
    unsafe storage = .allocate(byteCount: Self.capacity * Self.placeByteCount, alignment: 64)
  }

  deinit { unsafe storage.deallocate() }

  package var isEmpty: Bool { count == 0 }
  package var isFull: Bool { count == Self.capacity }

  /// Lets `body` write the next datagram; nothing written takes nothing.
  package mutating func append(to destination: SocketAddress, _ body: (inout ByteWriter) -> Void) {
    guard !isFull else { return }
    // Sound: inside the storage, and nobody else holds this place.
    let place = unsafe MutableRawSpan(_unsafeStart: storage + count * Self.placeByteCount, byteCount: Self.placeByteCount)
    var writer = ByteWriter(place)
    body(&writer)
    take(writer.count, to: destination)
  }

  /// Lets `body` fill the next place and say how many bytes it took; zero takes nothing, and gives `false`.
  package mutating func appendBytes(to destination: SocketAddress, _ body: (inout MutableRawSpan) -> Int) -> Bool {
    guard !isFull else { return false }
    // Sound: inside the storage, and nobody else holds this place.
    var place = unsafe MutableRawSpan(_unsafeStart: storage + count * Self.placeByteCount, byteCount: Self.placeByteCount)
    return take(body(&place), to: destination)
  }

  @discardableResult
  private mutating func take(_ length: Int, to destination: SocketAddress) -> Bool {
    guard length > 0, length <= Self.placeByteCount else { return false }
    lengths[count] = length
    destinations[count] = destination
    count += 1
    return true
  }

  /// The datagram at `index`, in the order of appending.
  package func datagram(at index: Int) -> OutgoingDatagram {
    // Sound: inside the storage; valid until the place is filled again, which is after the drain.
    var datagram = unsafe OutgoingDatagram(
      base: storage + index * Self.placeByteCount, byteCount: lengths[index], to: destinations[index])
    datagram.isUrgent = true
    return datagram
  }

  package mutating func removeAll() { count = 0 }
}

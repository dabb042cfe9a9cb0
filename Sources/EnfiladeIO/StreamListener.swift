// TCP for media (RFC 6544): a port that listens, and the connections it takes. Everything is non-blocking.

import CEnfiladeShims
package import EnfiladeWire
import Glibc

/// A listening TCP port.
package final class StreamListener {
  /// Connections that may wait to be taken: a room of fifty whose members come back at the same moment, several times over.
  private static let backlog: Int32 = 512
  /// Bytes that the kernel keeps before they are on their way, so that what waits, waits where it can still be dropped.
  private static let unsentByteCount: Int32 = 16 << 10

  /// What the next connection is.
  package enum Incoming {
    case connection(StreamSocket, from: SocketAddress)
    /// There is none.
    case none
    /// The process, or the system, has no more descriptors or memory.
    case exhausted
    /// One broke off before it was taken; there may be others.
    case brokenOff
  }

  package let descriptor: Int32
  package let localAddress: SocketAddress

  /// Opens, binds and listens. Port 0 takes a free one, to be read from ``localAddress``.
  ///
  /// - Parameter isDualStack: for an IPv6 address, whether IPv4 peers reach it too.
  package init(bindingTo address: SocketAddress, isDualStack: Bool = true) throws(IOError) {
    var wanted = enfilade_address(address)
    let fd = enfilade_tcp_listen(&wanted, isDualStack ? 0 : 1, Self.backlog)
    guard fd >= 0 else { throw IOError(.listen, code: -fd) }
    descriptor = fd
    let status = enfilade_local_address(fd, &wanted)
    localAddress = SocketAddress(wanted)
    guard status == 0 else { throw IOError(.readLocalAddress, code: -status) }
  }

  deinit { close(descriptor) }

  /// Takes the next connection.
  package func accept() -> Incoming {
    var address = enfilade_address()
    let fd = enfilade_tcp_accept(descriptor, &address, Self.unsentByteCount)
    if fd >= 0 { return .connection(StreamSocket(descriptor: fd), from: SocketAddress(address)) }
    switch -fd {
    case EAGAIN: return .none
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
    default: return .brokenOff
    }
  }
}

/// One TCP connection. It ends with its last reference.
package final class StreamSocket {
  /// What a transfer did.
  package enum Transfer: Hashable, Sendable {
    /// So many bytes went, at least one.
    case bytes(Int)
    /// Nothing, for now.
    case wouldBlock
    /// The connection is over.
    case ended
  }

  package let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Begins a connection to `address`; it stands when the descriptor is writable.
  package init(connectingTo address: SocketAddress) throws(IOError) {
    var wanted = enfilade_address(address)
    descriptor = enfilade_tcp_connect(&wanted)
    guard descriptor >= 0 else { throw IOError(.connect, code: -descriptor) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Where it comes from.
  package var localAddress: SocketAddress? {
    var address = enfilade_address()
    return enfilade_local_address(descriptor, &address) == 0 ? SocketAddress(address) : nil
  }

  package func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    guard let base = buffer.baseAddress, !buffer.isEmpty else { return .wouldBlock }
    return Self.transfer(enfilade_tcp_receive(descriptor, base, buffer.count), zeroIsEnd: true)
  }

  package func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return .wouldBlock }
    return Self.transfer(enfilade_tcp_send(descriptor, base, bytes.count), zeroIsEnd: false)
  }

  private static func transfer(_ result: Int, zeroIsEnd: Bool) -> Transfer {
    if result > 0 { return .bytes(result) }
    if result == 0 { return zeroIsEnd ? .ended : .wouldBlock }
    return result == -Int(EAGAIN) || result == -Int(EINTR) ? .wouldBlock : .ended
  }
}

// Which implementation protects: chosen by name, or by what the processor can do.

package import EnfiladeTransport

/// The implementations behind the protector seam.
package enum ProtectorBackend: String, Hashable, Sendable, CaseIterable {
  /// The fastest that this build and this processor have.
  case auto
  case libsrtp
  case multiBuffer

  /// Whether this build and this processor have it.
  package var isAvailable: Bool {
    switch self {
    case .auto, .libsrtp: true
    case .multiBuffer: false
    }
  }
}

/// Makes a protector for one shard; `nil` when the wanted implementation is not to be had here.
package func makeProtector(_ backend: ProtectorBackend) -> (any PacketProtector)? {
  switch backend {
  case .libsrtp: LibSRTPProtector()
  case .multiBuffer: nil
  case .auto: LibSRTPProtector()
  }
}

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
    case .auto, .libsrtp:
      return true
    case .multiBuffer:
      #if ENFILADE_IPSEC_MB
        return MultiBufferProtector.isSupported
      #else
        return false
      #endif
    }
  }
}

/// Makes a protector for one shard; `nil` when the wanted implementation is not to be had here.
package func makeProtector(_ backend: ProtectorBackend) -> (any PacketProtector)? {
  switch backend {
  case .libsrtp:
    return LibSRTPProtector()
  case .multiBuffer:
    #if ENFILADE_IPSEC_MB
      return MultiBufferProtector()
    #else
      return nil
    #endif
  case .auto:
    return makeProtector(.multiBuffer) ?? LibSRTPProtector()
  }
}

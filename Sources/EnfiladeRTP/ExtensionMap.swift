// Which local identifier stands for which header extension, as negotiated by `a=extmap` (RFC 8285 §5).

/// Identifiers 1…255 against kinds, both ways, in 32 bytes without a heap.
package struct ExtensionMap: Hashable, Sendable {
  /// Indexed by kind; zero where the kind was not negotiated.
  @usableFromInline package var identifiers: SIMD16<UInt8>
  /// Indexed by identifiers 1…14; kind + 1, or zero.
  @usableFromInline package var shortKinds: SIMD16<UInt8>

  @inlinable package init() {
    identifiers = .zero
    shortKinds = .zero
  }

  package init(_ pairs: KeyValuePairs<ExtensionKind, UInt8>) {
    self.init()
    for (kind, identifier) in pairs { self[kind] = identifier }
  }

  /// The kind's identifier. Setting one that another kind holds takes it from there; 0, and 15 in a session without two-byte
  /// elements, are never valid identifiers: zero removes the kind.
  @inlinable package subscript(kind: ExtensionKind) -> UInt8? {
    get {
      let identifier = identifiers[Int(kind.rawValue)]
      return identifier == 0 ? nil : identifier
    }
    set {
      let old = identifiers[Int(kind.rawValue)]
      if old != 0, old < 15 { shortKinds[Int(old)] = 0 }
      identifiers[Int(kind.rawValue)] = 0
      guard let newValue, newValue != 0 else { return }
      if let holder = self.kind(of: newValue) { identifiers[Int(holder.rawValue)] = 0 }
      identifiers[Int(kind.rawValue)] = newValue
      if newValue < 15 { shortKinds[Int(newValue)] = kind.rawValue + 1 }
    }
  }

  /// What `identifier` stands for.
  @inlinable package func kind(of identifier: UInt8) -> ExtensionKind? {
    guard identifier != 0 else { return nil }
    if identifier < 15 {
      let found = shortKinds[Int(identifier)]
      return found == 0 ? nil : ExtensionKind(rawValue: found - 1)
    }
    for index in 0..<ExtensionKind.count where identifiers[index] == identifier {
      return ExtensionKind(rawValue: UInt8(truncatingIfNeeded: index))
    }
    return nil
  }

  /// Whether some identifier needs the two-byte form.
  @inlinable package var needsTwoByteForm: Bool { any(identifiers .> 14) }

  @inlinable package var isEmpty: Bool { identifiers == .zero }
}

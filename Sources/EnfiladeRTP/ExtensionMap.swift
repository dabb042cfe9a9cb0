// Which local identifier stands for which header extension, as negotiated by `a=extmap` (RFC 8285 §5).

import EnfiladeWire

/// Identifiers 1…255 against kinds, both ways, in 32 bytes without a heap.
@usableFromInline package struct ExtensionMap: Hashable, Sendable {
  /// Indexed by kind; zero where the kind was not negotiated.
  @usableFromInline package var identifiers: InlineArray<16, UInt8>
  /// Indexed by identifiers 1…14; kind + 1, or zero. Follows from ``identifiers``.
  @usableFromInline package var shortKinds: InlineArray<16, UInt8>

  @inlinable package init() {
    identifiers = InlineArray(repeating: 0)
    shortKinds = InlineArray(repeating: 0)
  }

  @usableFromInline package init(_ pairs: KeyValuePairs<ExtensionKind, UInt8>) {
    self.init()
    for (kind, identifier) in pairs { self[kind] = identifier }
  }

  /// The kind's identifier. Setting one that another kind holds takes it from there; zero is no identifier, and removes the kind.
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
    let index = kindIndex(of: identifier)
    return index < 0 ? nil : ExtensionKind(rawValue: UInt8(truncatingIfNeeded: index))
  }

  /// The raw value of what `identifier` stands for, or a negative number.
  @inlinable package func kindIndex(of identifier: UInt8) -> Int {
    if identifier < 15 { return Int(shortKinds[Int(identifier)]) - 1 }
    for index in 0..<ExtensionKind.count where identifiers[index] == identifier { return index }
    return -1
  }

  /// Whether some identifier needs the two-byte form.
  @usableFromInline package var needsTwoByteForm: Bool { ExtensionKind.allCases.contains { (self[$0] ?? 0) > 14 } }

  @usableFromInline package var isEmpty: Bool { ExtensionKind.allCases.allSatisfy { self[$0] == nil } }

  @usableFromInline package static func == (a: ExtensionMap, b: ExtensionMap) -> Bool {
    ExtensionKind.allCases.allSatisfy { a[$0] == b[$0] }
  }

  @usableFromInline package func hash(into hasher: inout Hasher) {
    for kind in ExtensionKind.allCases { hasher.combine(self[kind] ?? 0) }
  }
}

// Quantities with types, so that a bit is never added to a byte.

/// A rate in bits per second.
@usableFromInline
package struct Bitrate: Hashable, Comparable, Sendable {
  @usableFromInline package var bitsPerSecond: Int64

  @inlinable package init(bitsPerSecond: Int64) { self.bitsPerSecond = bitsPerSecond }
  @inlinable package static var zero: Bitrate { Bitrate(bitsPerSecond: 0) }
  @inlinable package static func bitsPerSecond(_ value: Int64) -> Bitrate { Bitrate(bitsPerSecond: value) }
  @inlinable package static func kilobitsPerSecond(_ value: Int64) -> Bitrate { Bitrate(bitsPerSecond: value * 1_000) }
  @inlinable package static func megabitsPerSecond(_ value: Int64) -> Bitrate { Bitrate(bitsPerSecond: value * 1_000_000) }

  @inlinable package static func < (a: Bitrate, b: Bitrate) -> Bool { a.bitsPerSecond < b.bitsPerSecond }
  @inlinable package static func + (a: Bitrate, b: Bitrate) -> Bitrate { Bitrate(bitsPerSecond: a.bitsPerSecond &+ b.bitsPerSecond) }
  @inlinable package static func - (a: Bitrate, b: Bitrate) -> Bitrate { Bitrate(bitsPerSecond: a.bitsPerSecond &- b.bitsPerSecond) }
}

/// An amount of data in bytes.
@usableFromInline
package struct DataSize: Hashable, Comparable, Sendable {
  @usableFromInline package var byteCount: Int64

  @inlinable package init(byteCount: Int64) { self.byteCount = byteCount }
  @inlinable package static var zero: DataSize { DataSize(byteCount: 0) }
  @inlinable package static func bytes(_ value: Int64) -> DataSize { DataSize(byteCount: value) }

  @inlinable package static func < (a: DataSize, b: DataSize) -> Bool { a.byteCount < b.byteCount }
  @inlinable package static func + (a: DataSize, b: DataSize) -> DataSize { DataSize(byteCount: a.byteCount &+ b.byteCount) }
  @inlinable package static func - (a: DataSize, b: DataSize) -> DataSize { DataSize(byteCount: a.byteCount &- b.byteCount) }

  /// The rate that moves this much in `time`; zero when no time has passed.
  @inlinable package func rate(over time: TimeDelta) -> Bitrate {
    guard time.nanoseconds > 0 else { return .zero }
    return Bitrate(bitsPerSecond: Int64(Double(byteCount) * 8e9 / Double(time.nanoseconds)))
  }
}

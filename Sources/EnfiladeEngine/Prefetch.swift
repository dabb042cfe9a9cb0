// Hints to the processor about what will be asked for soon. They change nothing but when it is there.

private import CEnfiladeShims
import EnfiladeCongestion
import EnfiladeStreams
import EnfiladeWire

extension Pool where Element: ~Copyable {
  /// Begins to bring in some bytes of an element.
  @inline(__always)
  func prefetch(_ index: Int, from start: Int = 0, byteCount: Int) {
    guard contains(index) else { return }
    // Sound: occupied, hence its chunk is allocated; a hint reads nothing.
    let first = unsafe UnsafeRawPointer(chunkPointers[index >> Self.chunkShift]! + (index & (Self.chunkCount - 1)))
    var offset = start
    while offset < start &+ byteCount {
      unsafe enfilade_prefetch(first + offset)
      offset &+= 64
    }
  }
}

extension SequenceMap {
  /// Begins to bring in where the next numbers will be remembered.
  @inline(__always)
  func prefetchNext() {
    guard let next = newestSent else { return }
    let place = Int(truncatingIfNeeded: next.rawValue + 1) & (capacity &- 1)
    unsafe enfilade_prefetch(rounds.address(of: place))
    let first = unsafe UnsafeRawPointer(sources.address(of: place))
    unsafe enfilade_prefetch(first)
    unsafe enfilade_prefetch(first + 64)
    unsafe enfilade_prefetch(first + 128)
  }
}

extension LinkCongestion {
  /// Begins to bring in where the next packets will be noted.
  @inline(__always)
  func prefetchNext() {
    let first = unsafe controller.history.nextPlace
    unsafe enfilade_prefetch(first)
    unsafe enfilade_prefetch(first + 64)
    unsafe enfilade_prefetch(first + 128)
  }

  /// Begins to bring in what the next report will speak of.
  @inline(__always)
  func prefetchReported() {
    let first = unsafe controller.history.oldestPlace
    unsafe enfilade_prefetch(first)
    unsafe enfilade_prefetch(first + 64)
    unsafe enfilade_prefetch(first + 128)
    unsafe enfilade_prefetch(first + 192)
  }
}

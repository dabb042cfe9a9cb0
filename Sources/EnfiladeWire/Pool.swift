// A table whose elements never move: links and streams live here from their first packet to their last.

/// Elements in chunks, named by index. An index is stable for the element's life and is used again afterwards; growth allocates one chunk
/// and moves nothing. Access is a bounds check, an occupancy check and two loads.
@usableFromInline
@safe package struct Pool<Element: ~Copyable>: ~Copyable {
  @inlinable package static var chunkShift: Int { 6 }
  @inlinable package static var chunkCount: Int { 1 << chunkShift }

  @usableFromInline package let capacity: Int
  /// `capacity / chunkCount` chunk pointers, the first `chunks` of which are allocated.
  @usableFromInline package let chunkPointers: UnsafeMutablePointer<UnsafeMutablePointer<Element>?>
  @usableFromInline package let occupied: UnsafeMutablePointer<Bool>
  private var vacant: [Int32] = []
  /// Indices below this have been handed out at least once.
  @usableFromInline package private(set) var end = 0
  /// How many elements there are.
  @usableFromInline package private(set) var count = 0

  /// A table that takes at most `capacity` elements, rounded up to whole chunks.
  @usableFromInline package init(capacity: Int) {
    let chunks = max(1, (capacity + Self.chunkCount - 1) >> Self.chunkShift)
    self.capacity = chunks << Self.chunkShift
    // Sound: allocated once, freed in deinit; initialized before use.
    unsafe chunkPointers = .allocate(capacity: chunks)
    unsafe chunkPointers.initialize(repeating: nil, count: chunks)
    unsafe occupied = .allocate(capacity: self.capacity)
    unsafe occupied.initialize(repeating: false, count: self.capacity)
  }

  deinit {
    for index in 0..<end where unsafe occupied[index] {
      unsafe (chunkPointers[index >> Self.chunkShift]! + (index & (Self.chunkCount - 1))).deinitialize(count: 1)
    }
    for chunk in 0..<(capacity >> Self.chunkShift) { unsafe chunkPointers[chunk]?.deallocate() }
    unsafe chunkPointers.deallocate()
    unsafe occupied.deallocate()
  }

  @usableFromInline package var isFull: Bool { count == capacity }
  /// Indices that may be occupied: `0..<bound`.
  @usableFromInline package var bound: Int { end }

  @inlinable package func contains(_ index: Int) -> Bool {
    guard index >= 0, index < end else { return false }
    // Sound: the index was checked.
    return unsafe occupied[index]
  }

  /// Takes an element in and gives its index; `nil` when the table is full.
  @usableFromInline package mutating func insert(_ element: consuming Element) -> Int? {
    let index: Int
    if let reused = vacant.popLast() {
      index = Int(reused)
    } else {
      guard end < capacity else { return nil }
      index = end
      end += 1
      // Sound: the chunk index is below the number of chunks, because `index` is below the capacity.
      if unsafe chunkPointers[index >> Self.chunkShift] == nil {
        unsafe chunkPointers[index >> Self.chunkShift] = .allocate(capacity: Self.chunkCount)
      }
    }
    unsafe (chunkPointers[index >> Self.chunkShift]! + (index & (Self.chunkCount - 1))).initialize(to: element)
    unsafe occupied[index] = true
    count += 1
    return index
  }

  /// Takes an element out.
  @usableFromInline package mutating func remove(at index: Int) -> Element {
    precondition(contains(index), "removed what is not there")
    unsafe occupied[index] = false
    vacant.append(Int32(index))
    count -= 1
    return unsafe (chunkPointers[index >> Self.chunkShift]! + (index & (Self.chunkCount - 1))).move()
  }

  @inlinable package subscript(index: Int) -> Element {
    @inline(__always)
    unsafeAddress {
      precondition(contains(index), "no such element")
      // Sound: occupied, hence its chunk is allocated and the element initialized.
      return unsafe UnsafePointer(chunkPointers[index >> Self.chunkShift]! + (index & (Self.chunkCount - 1)))
    }
    @inline(__always)
    unsafeMutableAddress {
      precondition(contains(index), "no such element")
      // Sound: as above, and `self` is held exclusively.
      return unsafe chunkPointers[index >> Self.chunkShift]! + (index & (Self.chunkCount - 1))
    }
  }
}

// A contiguous array without copy on write and without reference count: allocates when it grows, and at no other time.
//
// swift-collections has the same under the same name (BasicContainers 1.6); it is ours because that module does not compile under the
// thread sanitizer with Swift 6.3, and everything above this one is tested there.

/// An array of elements that need not be copyable. What bounds it stands at its owner: grow it at the start, then stop.
@safe
@usableFromInline
package struct UniqueArray<Element: ~Copyable>: ~Copyable {
  /// `elementCount` initialized elements in front of `room - elementCount` vacant places.
  @usableFromInline var elements: UnsafeMutablePointer<Element>
  @usableFromInline var elementCount: Int
  @usableFromInline var room: Int

  /// Without room; allocates at the first element.
  @inlinable package init() { self.init(minimumCapacity: 0) }

  @inlinable package init(minimumCapacity: Int) {
    precondition(minimumCapacity >= 0)
    // Sound: allocated here and in `reserveCapacity`, freed in deinit.
    unsafe elements = .allocate(capacity: minimumCapacity)
    elementCount = 0
    room = minimumCapacity
  }

  @inlinable deinit {
    // Sound: the first `elementCount` places are initialized; a ~Copyable owner is destroyed once.
    unsafe elements.deinitialize(count: elementCount)
    unsafe elements.deallocate()
  }

  // MARK: Look

  @inlinable package var count: Int { elementCount }
  @inlinable package var isEmpty: Bool { elementCount == 0 }
  /// How many elements there is room for without growing.
  @inlinable package var capacity: Int { room }
  @inlinable package var indices: Range<Int> { unsafe Range(uncheckedBounds: (0, elementCount)) }

  @inlinable package subscript(index: Int) -> Element {
    @inline(__always)
    unsafeAddress {
      precondition(index >= 0 && index < elementCount, "no such element")
      // Sound: checked above.
      return unsafe UnsafePointer(elements + index)
    }
    @inline(__always)
    unsafeMutableAddress {
      precondition(index >= 0 && index < elementCount, "no such element")
      // Sound: checked above, and `self` is held exclusively.
      return unsafe elements + index
    }
  }

  /// Where an element lies, for a wrapper that hands out the same place.
  @unsafe @inlinable package func address(of index: Int) -> UnsafePointer<Element> {
    precondition(index >= 0 && index < elementCount, "no such element")
    // Sound: checked above.
    return unsafe UnsafePointer(elements + index)
  }

  /// The same, to change it; `self` must be held exclusively as long as the pointer is used.
  @unsafe @inlinable package mutating func mutableAddress(of index: Int) -> UnsafeMutablePointer<Element> {
    precondition(index >= 0 && index < elementCount, "no such element")
    // Sound: checked above.
    return unsafe elements + index
  }

  /// All elements, borrowed.
  @inlinable package var span: Span<Element> {
    @_lifetime(borrow self)
    borrowing get {
      // Sound: `elementCount` initialized elements, which cannot move while the array is borrowed.
      let span = unsafe Span(_unsafeStart: elements, count: elementCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// All elements, to change in place.
  @inlinable package var mutableSpan: MutableSpan<Element> {
    @_lifetime(&self)
    mutating get {
      // Sound: as above, held exclusively.
      let span = unsafe MutableSpan(_unsafeStart: elements, count: elementCount)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  // MARK: Verbs

  /// Makes room for `capacity` elements in all. Complexity: O(`count`) when it grows.
  @inlinable package mutating func reserveCapacity(_ capacity: Int) {
    guard capacity > room else { return }
    // Sound: every element moves once, and the old place is freed uninitialized.
    let grown = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    unsafe grown.moveInitialize(from: elements, count: elementCount)
    unsafe elements.deallocate()
    unsafe elements = grown
    room = capacity
  }

  @inlinable package mutating func append(_ element: consuming Element) {
    if elementCount == room { reserveCapacity(max(8, room * 2)) }
    // Sound: there is room behind the last element.
    unsafe (elements + elementCount).initialize(to: element)
    elementCount += 1
  }

  @inlinable @discardableResult package mutating func removeLast() -> Element {
    precondition(elementCount > 0, "removed from nothing")
    elementCount -= 1
    // Sound: it was initialized, and is vacant now.
    return unsafe (elements + elementCount).move()
  }

  @inlinable package mutating func removeLast(_ number: Int) {
    precondition(number >= 0 && number <= elementCount, "removed more than there is")
    elementCount -= number
    // Sound: these were initialized, and are vacant now.
    unsafe (elements + elementCount).deinitialize(count: number)
  }

  /// Takes an element out; those behind it move up. Complexity: O(`count`).
  @inlinable @discardableResult package mutating func remove(at index: Int) -> Element {
    precondition(index >= 0 && index < elementCount, "no such element")
    // Sound: the place is vacated, then the tail moves over it by one.
    let element = unsafe (elements + index).move()
    unsafe (elements + index).moveInitialize(from: elements + index + 1, count: elementCount - index - 1)
    elementCount -= 1
    return element
  }

  /// Takes the first `number` elements out; those behind move up. Complexity: O(`count`).
  @inlinable package mutating func removeFirst(_ number: Int) {
    precondition(number >= 0 && number <= elementCount, "removed more than there is")
    // Sound: the front is vacated, then the rest moves over it; `moveInitialize` allows the overlap.
    unsafe elements.deinitialize(count: number)
    unsafe elements.moveInitialize(from: elements + number, count: elementCount - number)
    elementCount -= number
  }

  /// Takes everything out, and gives the room back unless it is to be kept.
  @inlinable package mutating func removeAll(keepingCapacity: Bool = false) {
    if keepingCapacity { removeLast(elementCount) } else { self = UniqueArray() }
  }

  @inlinable package mutating func swapAt(_ a: Int, _ b: Int) {
    precondition(a >= 0 && a < elementCount && b >= 0 && b < elementCount, "no such element")
    guard a != b else { return }
    // Sound: both are initialized before and after.
    let element = unsafe (elements + a).move()
    unsafe (elements + a).moveInitialize(from: elements + b, count: 1)
    unsafe (elements + b).initialize(to: element)
  }
}

extension UniqueArray where Element: Copyable {
  @inlinable package init(repeating element: Element, count: Int) {
    self.init(minimumCapacity: count)
    // Sound: `count` places were allocated.
    unsafe elements.initialize(repeating: element, count: count)
    elementCount = count
  }
}

extension UniqueArray: @unchecked Sendable where Element: Sendable & ~Copyable {
  // Sendable: the only owner of its elements, changed only when held exclusively.
}

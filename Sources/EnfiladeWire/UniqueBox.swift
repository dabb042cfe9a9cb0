// A value with a place of its own on the heap, for state that is large and must not be carried along with what holds it.

/// One value, owned by whoever owns the box. Allocates once, at the beginning.
@safe
@usableFromInline
package struct UniqueBox<Value>: ~Copyable {
  @usableFromInline let place: UnsafeMutablePointer<Value>

  @inlinable package init(_ value: consuming Value) {
    // Sound: allocated and initialized here, freed in deinit; a ~Copyable owner is destroyed once.
    unsafe place = .allocate(capacity: 1)
    unsafe place.initialize(to: value)
  }

  @inlinable deinit {
    unsafe place.deinitialize(count: 1)
    unsafe place.deallocate()
  }

  /// Where the value lies, for an owner that lends a part of it.
  @inlinable package var address: UnsafePointer<Value> { @inline(__always) get { unsafe UnsafePointer(place) } }

  @inlinable package var value: Value {
    // Sound, both: the place is initialized as long as the box lives, and whoever writes holds the box exclusively.
    @inline(__always) unsafeAddress { unsafe UnsafePointer(place) }
    @inline(__always) unsafeMutableAddress { unsafe place }
  }
}

extension UniqueBox: @unchecked Sendable where Value: Sendable {
  // Sendable: the only owner of its value.
}

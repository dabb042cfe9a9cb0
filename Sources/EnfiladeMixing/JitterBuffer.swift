// Packets that have come and are not played yet, in the order of their timestamps.

import EnfiladeRTP
import EnfiladeWire

/// A bounded store of one source's payloads. Allocates when it is made, and at no other time.
package struct JitterBuffer: ~Copyable {
  package struct Entry {
    package var sequence: Int64
    /// In samples at 48 kHz.
    package var timestamp: Int64
    package var sampleCount: Int32
    fileprivate var place: Int32
    package var byteCount: Int32
    /// It was carried by a later packet (RFC 2198), or is what in-band repair would say.
    package var isRedundant: Bool
    /// How loud the packet says it is, in decibels; `nil` when it says nothing.
    package var claim: Float?
  }

  /// What became of a packet.
  package enum Insertion: Sendable, Hashable {
    case stored
    case duplicate
    /// Longer than any audio packet.
    case tooLarge
  }

  private var entries = UniqueArray<Entry>(minimumCapacity: Limits.jitterPacketCount)
  private var free = UniqueArray<Int32>(minimumCapacity: Limits.jitterPacketCount)
  private var bytes: UniqueArray<UInt8>
  /// Packets that made room for newer ones, unplayed.
  package private(set) var overflowCount: UInt64 = 0

  package init() {
    bytes = UniqueArray(repeating: 0, count: Limits.jitterPacketCount * Limits.audioPayloadByteCount)
    for place in 0..<Int32(Limits.jitterPacketCount) { free.append(place) }
  }

  package var count: Int { entries.count }
  package var isEmpty: Bool { entries.isEmpty }
  /// The packet to be played next.
  package var first: Entry? { entries.isEmpty ? nil : entries[0] }
  package var last: Entry? { entries.isEmpty ? nil : entries[entries.count - 1] }

  /// The first packet's bytes.
  package var firstPayload: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      let start = entries.isEmpty ? 0 : Int(entries[0].place) * Limits.audioPayloadByteCount
      let count = entries.isEmpty ? 0 : Int(entries[0].byteCount)
      // Sound: a view of initialized bytes.
      return unsafe bytes.span.bytes.extracting(start..<start + count)
    }
  }

  /// Keeps a copy of a payload. The packet itself replaces what was carried of it by another.
  package mutating func insert(
    _ payload: RawSpan, sequence: Int64, timestamp: Int64, sampleCount: Int, isRedundant: Bool, claim: Float? = nil
  ) -> Insertion {
    guard payload.byteCount <= Limits.audioPayloadByteCount else { return .tooLarge }
    var position = entries.count
    while position > 0, entries[position - 1].timestamp > timestamp { position -= 1 }
    if position > 0, entries[position - 1].timestamp == timestamp {
      guard entries[position - 1].isRedundant, !isRedundant else { return .duplicate }
      position -= 1
      free.append(entries.remove(at: position).place)
    }
    if free.isEmpty {
      // The oldest gives way: its turn is the furthest in the past.
      overflowCount &+= 1
      removeFirst()
      position = max(0, position - 1)
    }
    let place = free.removeLast()
    var target = bytes.mutableSpan
    for index in 0..<payload.byteCount { target[Int(place) * Limits.audioPayloadByteCount + index] = payload.loadUInt8(at: index) }
    entries.append(
      Entry(
        sequence: sequence, timestamp: timestamp, sampleCount: Int32(sampleCount), place: place, byteCount: Int32(payload.byteCount),
        isRedundant: isRedundant, claim: claim))
    var index = entries.count - 1
    while index > position {
      entries.swapAt(index, index - 1)
      index -= 1
    }
    return .stored
  }

  package mutating func removeFirst() {
    guard !entries.isEmpty else { return }
    free.append(entries.remove(at: 0).place)
  }

  package mutating func removeAll() {
    while !entries.isEmpty { free.append(entries.removeLast().place) }
  }
}

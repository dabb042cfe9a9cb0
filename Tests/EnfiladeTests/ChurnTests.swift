// Rooms that open and close, people who come and go in every way there is: afterwards nothing of it is left.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Glibc
import Testing

@Suite("Churn", .serialized)
struct ChurnTests {
  /// Six rooms of three for three seconds; `ENFILADE_CHURN=100x10x60` makes it a hundred rooms of ten for a minute.
  private static var size: (rooms: Int, seats: Int, seconds: Int) {
    let parts = (ProcessInfo.processInfo.environment["ENFILADE_CHURN"] ?? "").split(separator: "x").compactMap { Int($0) }
    return parts.count == 3 ? (parts[0], parts[1], parts[2]) : (6, 3, 3)
  }

  /// The open descriptors and what each is: a socket, an event counter, a file. Pipes are left out: the engine has none, and a sanitizer
  /// opens two to its symbolizer once it has something to name.
  private static var descriptors: [String: String] {
    let directory = "/proc/self/fd"
    let numbers = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    let pairs = numbers.map { ($0, (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)")) ?? "gone") }
    return Dictionary(uniqueKeysWithValues: pairs.filter { !$0.1.hasPrefix("pipe:") })
  }

  /// What is held, without what the allocator keeps of what was given back to it.
  private static var heldByteCount: Int {
    if let count = sanitizedByteCount { return count }
    trimAllocator()
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
  }

  /// A sanitizer keeps freed memory in quarantine, by the hundred megabytes, so that the resident size says nothing; but it counts what is allocated.
  private static var sanitizedByteCount: Int? {
    typealias Count = @convention(c) () -> Int
    return dlsym(nil, "__sanitizer_get_current_allocated_bytes").map { unsafeBitCast($0, to: Count.self)() }
  }

  /// The C library keeps freed memory, as much of it as was ever in use (malloc_trim(3)); its header is not part of the module.
  private static func trimAllocator() {
    typealias Trim = @convention(c) (Int) -> Int32
    guard let place = dlsym(nil, "malloc_trim") else { return }
    _ = unsafeBitCast(place, to: Trim.self)(0)
  }

  /// People come and go at random for a while; then every room is closed.
  private static func churn(_ engine: Engine, seed: UInt64, rooms: Int, seats: Int, for span: TimeDelta) async throws -> (
    joins: Int, packets: Int
  ) {
    var random = SeededRandom(seed: seed)
    var guests = [[Guest]](repeating: [], count: rooms)
    var joins = 0
    var packets = 0
    let end = MonotonicClock.now + span
    while MonotonicClock.now < end {
      let index = Int(random.next() % UInt64(rooms))
      let room = try await engine.room("\(index)")
      switch random.next() % 10 {
      case 0..<6 where guests[index].count < seats:
        let guest = try await Guest.join(
          room, "\(joins)", [(.audio, .sendrecv), (.video, .sendrecv), (.audio, .recvonly), (.video, .recvonly)])
        guest.client.isSending = true
        guests[index].append(guest)
        joins += 1
      case 0..<9 where !guests[index].isEmpty:
        let gone = guests[index].remove(at: Int(random.next() % UInt64(guests[index].count)))
        packets += gone.client.received.values.reduce(0) { $0 + $1.count }
        switch random.next() % 4 {
        case 0: await gone.participant.leave()
        case 1: try? await room.remove(gone.participant.id)
        // It says goodbye, and the engine finds out by itself.
        case 2: gone.client.close()
        // It says nothing at all, and is there until the room closes.
        default: break
        }
      case 9:
        await room.close()
        guests[index] = []
      default: break
      }
      for guest in guests.joined() { guest.client.pump() }
    }
    for room in await engine.rooms { await room.close() }
    return (joins, packets)
  }

  @Test("Rooms open and close, people come and go; then tables are empty, slots and descriptors are back, and memory is where it was")
  func nothingStays() async throws {
    let (rooms, seats, seconds) = Self.size
    let engine = try await loopbackEngine()
    // Once for what is made at first use and stays.
    _ = try await Self.churn(engine, seed: 1, rooms: rooms, seats: seats, for: .seconds(Int64(max(1, seconds / 3))))
    let descriptors = Self.descriptors
    let held = Self.heldByteCount
    let (joins, packets) = try await Self.churn(engine, seed: 2, rooms: rooms, seats: seats, for: .seconds(Int64(seconds)))
    #expect(joins > 5)
    #expect(packets > 0)
    await emptied(engine)
    let isBack = await eventually("every descriptor is back") { Self.descriptors.count <= descriptors.count }
    if !isBack {
      let others = Self.descriptors.filter { descriptors[$0.key] != $0.value }
      Issue.record("\(Self.descriptors.count) descriptors, \(descriptors.count) before; new: \(others)")
    }
    let growth = Self.heldByteCount - held
    #expect(growth < max(24 << 20, held / 10), "\(growth / 1024) KiB more after \(joins) joins")
    #expect(await engine.rooms.isEmpty)
    print("churn: \(joins) joins, \(packets) packets, \(growth / 1024) KiB more than \(held / 1024), \(descriptors.count) descriptors")
    await engine.shutdown()
  }
}

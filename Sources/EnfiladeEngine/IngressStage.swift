// The first room: sealed packets of one receive batch on their way into slots, and the opened packets of the turn.

package import EnfiladeTransport
package import EnfiladeWire

/// Jobs for the protector, with what belongs to each.
@safe package struct IngressStage: ~Copyable {
  package static let capacity = Limits.receiveBatchPacketCount

  private let jobs: UnsafeMutablePointer<UnprotectJob>
  private var links = UniqueArray<Int32>(minimumCapacity: Self.capacity)
  private var handles = UniqueArray<PacketHandle>(minimumCapacity: Self.capacity)

  package init() {
    // Sound: allocated once, freed in deinit; jobs are trivial.
    unsafe jobs = .allocate(capacity: Self.capacity)
  }

  deinit { unsafe jobs.deallocate() }

  package var count: Int { handles.count }

  package mutating func append(_ job: UnprotectJob, link: Int32, handle: PacketHandle) {
    precondition(count < Self.capacity, "the caller leaves room for a whole datagram")
    unsafe (jobs + count).initialize(to: job)
    links.append(link)
    handles.append(handle)
  }

  /// Opens everything that waits.
  package mutating func open(with protector: any PacketProtector) {
    // Sound: `count` jobs are initialized.
    unsafe protector.unprotect(UnsafeMutableBufferPointer(start: jobs, count: count))
  }

  package func job(at index: Int) -> UnprotectJob {
    precondition(index < count)
    return unsafe jobs[index]
  }
  package func link(at index: Int) -> Int { Int(links[index]) }
  package func handle(at index: Int) -> PacketHandle { handles[index] }

  package mutating func removeAll() {
    links.removeAll(keepingCapacity: true)
    handles.removeAll(keepingCapacity: true)
  }
}

// What cannot be saved: one header copy, one encryption and one message to the kernel for each packet or run, and nothing else.

import EnfiladeEngine
import EnfiladeIO
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// The same batches as the engine's, without an engine: equal sizes, equal numbers of destinations, an arena and jobs of the same capacity,
/// payloads encrypted out of place from shared slots, runs of one frame to each destination.
final class Floor {
  private struct Destination {
    var session: ProtectorSession
    var address: SocketAddress
    var next: Int64
  }

  private let shape: RoomShape
  private let headerByteCount: Int
  private let payloadByteCount: Int
  private let overheadByteCount: Int
  private let protector: any PacketProtector
  private var destinations: [Destination] = []
  private let slots: UnsafeMutableRawPointer
  private let header: UnsafeMutableRawPointer
  private let arena: UnsafeMutableRawPointer
  private let jobs: UnsafeMutablePointer<ProtectJob>
  private var jobCount = 0
  private var used = 0
  private let messages: UnsafeMutableBufferPointer<OutgoingDatagram>
  private var nextSlot = 0
  /// Payloads lie in as many slots as a history has, one after another, as they do in an engine.
  private static let slotCount = Limits.videoHistoryPacketCount

  /// - Parameters:
  ///   - sealedByteCount: the size of a packet as the engine sends it.
  ///   - addresses: where each subscriber is; not used without a socket.
  init(_ shape: RoomShape, profile: SRTPProfile, protector: any PacketProtector, sealedByteCount: Int, addresses: [SocketAddress]) throws {
    self.shape = shape
    self.protector = protector
    overheadByteCount = profile.rtpOverheadByteCount
    payloadByteCount = shape.packetBytes - SealedFrames.headerByteCount
    headerByteCount = sealedByteCount - overheadByteCount - payloadByteCount
    precondition(headerByteCount >= 12 && headerByteCount <= 64, "the engine sends \(sealedByteCount) bytes")
    slots = .allocate(byteCount: Self.slotCount * Limits.slotByteCount, alignment: 64)
    slots.initializeMemory(as: UInt8.self, repeating: 0x5A, count: Self.slotCount * Limits.slotByteCount)
    header = .allocate(byteCount: 64, alignment: 64)
    header.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    header.storeBytes(of: 0x80, as: UInt8.self)
    arena = .allocate(byteCount: EgressStage.arenaByteCount, alignment: 64)
    jobs = .allocate(capacity: EgressStage.jobCapacity)
    messages = .allocate(capacity: EgressStage.jobCapacity)
    for (position, address) in addresses.enumerated() {
      let keys = ReadyKeys.make(for: UInt64(0x1_0000 + position), profile: profile)
      for _ in 0..<shape.publishers {
        destinations.append(Destination(session: try protector.openSession(keys), address: address, next: 1))
      }
    }
  }

  deinit {
    slots.deallocate()
    header.deallocate()
    arena.deallocate()
    jobs.deallocate()
    messages.deallocate()
  }

  /// Seals, and with a socket sends, `frameCount` frames of each publisher to everybody.
  /// - Returns: how many packets that were.
  @inline(never)
  func run(frameCount: Int, socket: UDPSocket?) -> Int {
    for _ in 0..<frameCount {
      for destination in destinations.indices {
        if EgressStage.jobCapacity - jobCount < shape.packetsPerFrame
          || used + shape.packetsPerFrame * Limits.slotByteCount > EgressStage.arenaByteCount
        {
          flush(socket)
        }
        lay(destination)
      }
      flush(socket)
      nextSlot = (nextSlot + shape.packetsPerFrame) % Self.slotCount
    }
    return frameCount * destinations.count * shape.packetsPerFrame
  }

  private func lay(_ position: Int) {
    let session = destinations[position].session
    let first = destinations[position].next
    for packet in 0..<shape.packetsPerFrame {
      let place = arena + used
      place.copyMemory(from: header, byteCount: headerByteCount)
      let slot = slots + ((nextSlot + packet) % Self.slotCount) * Limits.slotByteCount
      (jobs + jobCount).initialize(
        to: ProtectJob(
          session: session, isRTCP: false, headerByteCount: headerByteCount, payloadByteCount: payloadByteCount,
          ssrc: SSRC(UInt32(truncatingIfNeeded: position)), index: ExtendedSequenceNumber(first + Int64(packet)),
          payload: UnsafeRawPointer(slot + SealedFrames.headerByteCount), destination: place))
      jobCount += 1
      used += headerByteCount + payloadByteCount + overheadByteCount
    }
    destinations[position].next = first + Int64(shape.packetsPerFrame)
    pending += 1
    last = position
  }

  private var pending = 0
  private var last = 0

  private func flush(_ socket: UDPSocket?) {
    protector.protect(UnsafeMutableBufferPointer(start: jobs, count: jobCount))
    let segment = headerByteCount + payloadByteCount + overheadByteCount
    let run = segment * shape.packetsPerFrame
    for message in 0..<pending {
      let datagram = OutgoingDatagram(
        base: arena + message * run, byteCount: run, segmentByteCount: shape.packetsPerFrame > 1 ? segment : 0,
        to: destinations[last - pending + 1 + message].address)
      (messages.baseAddress! + message).initialize(to: datagram)
    }
    if let socket { _ = socket.send(UnsafeBufferPointer(rebasing: messages[..<pending])) }
    pending = 0
    jobCount = 0
    used = 0
  }
}

// What publishers put on the wire, sealed ahead of time so that it costs the measured thread nothing.

import EnfiladeRTP
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Frames of every publisher of a room, in SRTP, in buffers that are used again. Numbers go on from one filling to the next.
final class SealedFrames {
  private struct Stream {
    var session: ProtectorSession
    var publisher: Int
    var encoding: Int
    var source: SSRC
    var next: ExtendedSequenceNumber
    var transportNumber: UInt16 = 0
    var frame: UInt32 = 0
  }

  /// One sealed packet.
  struct SealedPacket {
    var publisher: Int
    var base: UnsafeMutableRawPointer
    var byteCount: Int
  }

  static let headerByteCount = 20
  let shape: RoomShape
  /// Frames of each publisher in one filling.
  let frameLimit: Int
  /// Packets of the last filling, frame by frame; the frames of the publishers alternate.
  private(set) var packets: [SealedPacket] = []
  private var streams: [Stream] = []
  private let protector: any PacketProtector
  private let storage: UnsafeMutableRawPointer
  private let jobs: UnsafeMutableBufferPointer<ProtectJob>

  init(_ room: Room, frameLimit: Int, protector: any PacketProtector) throws {
    shape = room.shape
    self.frameLimit = frameLimit
    self.protector = protector
    let packetLimit = frameLimit * shape.packetsPerFrame * shape.publishers * shape.encodings
    storage = .allocate(byteCount: packetLimit * Limits.slotByteCount, alignment: 64)
    storage.initializeMemory(as: UInt8.self, repeating: 0x5A, count: packetLimit * Limits.slotByteCount)
    jobs = .allocate(capacity: packetLimit)
    packets.reserveCapacity(packetLimit)
    for (position, publisher) in room.publishers.enumerated() {
      let session = try protector.openSession(publisher.keys)
      for encoding in 0..<shape.encodings {
        streams.append(
          Stream(
            session: session, publisher: position, encoding: encoding, source: publisher.source(ofEncoding: encoding),
            next: ExtendedSequenceNumber(Int64(100 + 1_000 * position))))
      }
    }
  }

  deinit {
    storage.deallocate()
    jobs.deallocate()
  }

  /// Seals the next frames of every publisher.
  /// - Parameter startsKeyframe: the first frame of each is a key frame.
  func fill(frameCount: Int, startsKeyframe: Bool = false) {
    precondition(frameCount <= frameLimit)
    packets.removeAll(keepingCapacity: true)
    var count = 0
    for frame in 0..<frameCount {
      for stream in streams.indices {
        let isSpaced = shape.keyframeSpacing.map { Int(streams[stream].frame) % $0 == 0 } ?? false
        let isKeyframe = isSpaced || startsKeyframe && frame == 0
        for position in 0..<shape.packetsPerFrame {
          let base = storage + count * Limits.slotByteCount
          let isLast = position == shape.packetsPerFrame - 1
          let payloadByteCount = shape.packetBytes - Self.headerByteCount + (isLast ? shape.unevenBytes : 0)
          writeHeader(of: &streams[stream], isLast: isLast, at: base)
          writeDescriptor(
            isFirst: position == 0, isKeyframe: isKeyframe, encoding: streams[stream].encoding, at: base + Self.headerByteCount)
          let job = ProtectJob(
            session: streams[stream].session, isRTCP: false, headerByteCount: Self.headerByteCount, payloadByteCount: payloadByteCount,
            ssrc: streams[stream].source, index: streams[stream].next, payload: UnsafeRawPointer(base + Self.headerByteCount),
            destination: base)
          (jobs.baseAddress! + count).initialize(to: job)
          packets.append(SealedPacket(publisher: streams[stream].publisher, base: base, byteCount: 0))
          streams[stream].next = streams[stream].next + 1
          streams[stream].transportNumber &+= 1
          count += 1
        }
        streams[stream].frame += 1
      }
    }
    protector.protect(UnsafeMutableBufferPointer(rebasing: jobs[..<count]))
    for position in 0..<count {
      precondition(jobs[position].outcome == .done, "a publisher could not seal its packet")
      packets[position].byteCount = Int(jobs[position].resultByteCount)
    }
  }

  private func writeHeader(of stream: inout Stream, isLast: Bool, at base: UnsafeMutableRawPointer) {
    var writer = ByteWriter(MutableRawSpan(_unsafeStart: base, byteCount: Self.headerByteCount))
    writer.writeUInt8(0x90)
    writer.writeUInt8((isLast ? 0x80 : 0) | RoomMember.payloadType.rawValue)
    writer.writeUInt16(stream.next.wire.rawValue)
    writer.writeUInt32(stream.frame &* 3_000)
    writer.writeUInt32(stream.source.rawValue)
    // One element of two bytes (RFC 8285 §4.2).
    writer.writeUInt32(0xBEDE_0001)
    writer.writeUInt8(RoomMember.transportNumberIdentifier << 4 | 1)
    writer.writeUInt16(stream.transportNumber)
    writer.writeUInt8(0)
  }

  /// RFC 7741 §4.2 and §4.3: S where a frame begins, and P where it is no key frame.
  private func writeDescriptor(isFirst: Bool, isKeyframe: Bool, encoding: Int, at payload: UnsafeMutableRawPointer) {
    payload.storeBytes(of: isFirst ? 0x10 : 0x00, as: UInt8.self)
    payload.storeBytes(of: isKeyframe ? 0x00 : 0x01, toByteOffset: 1, as: UInt8.self)
    guard isFirst, isKeyframe, shape.encodings > 1 else { return }
    // RFC 6386 §9.1: the start code, then width and height, little-endian; of the largest 1280×720, of each below half of it.
    let scale = shape.encodings - 1 - encoding
    let size = [1280 >> scale, 720 >> scale].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    for (offset, byte) in ([0x9D, 0x01, 0x2A] + size).enumerated() {
      payload.storeBytes(of: byte, toByteOffset: 4 + offset, as: UInt8.self)
    }
  }
}

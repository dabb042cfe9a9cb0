// What the protector tests share: keys, packets, and a protector driven one packet at a time.

import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Testing

/// Two ends of one association: what the one sends with, the other receives with.
struct KeyPair {
  var near: SRTPKeyingMaterial
  var far: SRTPKeyingMaterial

  init(_ profile: SRTPProfile, seed: UInt64 = 1) {
    var random = SeededRandom(seed: seed)
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    let (k1, s1) = (bytes(profile.masterKeyByteCount), bytes(profile.masterSaltByteCount))
    let (k2, s2) = (bytes(profile.masterKeyByteCount), bytes(profile.masterSaltByteCount))
    near = SRTPKeyingMaterial(profile: profile, sendMasterKey: k1, sendMasterSalt: s1, receiveMasterKey: k2, receiveMasterSalt: s2)
    far = SRTPKeyingMaterial(profile: profile, sendMasterKey: k2, sendMasterSalt: s2, receiveMasterKey: k1, receiveMasterSalt: s1)
  }

  init(profile: SRTPProfile, key: [UInt8], salt: [UInt8]) {
    near = SRTPKeyingMaterial(profile: profile, sendMasterKey: key, sendMasterSalt: salt, receiveMasterKey: key, receiveMasterSalt: salt)
    far = near
  }
}

/// A clear RTP packet in two parts.
struct ClearPacket: Equatable {
  var header: [UInt8]
  var payload: [UInt8]
  var ssrc: SSRC
  var index: ExtendedSequenceNumber

  var bytes: [UInt8] { header + payload }

  init(index: Int64, ssrc: UInt32 = 0x0102_0304, csrcCount: Int = 0, extensionWordCount: Int? = nil, payload: [UInt8]) {
    self.index = ExtendedSequenceNumber(index)
    self.ssrc = SSRC(ssrc)
    self.payload = payload
    let sequence = self.index.wire.rawValue
    header = [0x80 | UInt8(csrcCount) | (extensionWordCount == nil ? 0 : 0x10), 96, UInt8(sequence >> 8), UInt8(sequence & 0xFF)]
    header += [0, 1, 2, 3]
    header += (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> (24 - 8 * UInt32($0))) }
    header += (0..<4 * csrcCount).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    if let extensionWordCount {
      header += [0xBE, 0xDE, UInt8(extensionWordCount >> 8), UInt8(extensionWordCount & 0xFF)]
      header += (0..<4 * extensionWordCount).map { UInt8(truncatingIfNeeded: $0 &* 13) }
    }
  }

  /// A packet of random shape.
  init(index: Int64, ssrc: UInt32, using random: inout SeededRandom) {
    let size = Int.random(in: 0...1_200, using: &random)
    self.init(
      index: index, ssrc: ssrc, csrcCount: Int.random(in: 0...4, using: &random),
      extensionWordCount: Bool.random(using: &random) ? Int.random(in: 0...6, using: &random) : nil,
      payload: Self.bytes(size, using: &random))
  }

  /// Random bytes, eight at a time: an unoptimized test draws millions of them.
  private static func bytes(_ count: Int, using random: inout SeededRandom) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count + 8) { buffer, filled in
      for offset in stride(from: 0, to: count, by: 8) {
        UnsafeMutableRawPointer(buffer.baseAddress! + offset).storeBytes(of: random.next(), as: UInt64.self)
      }
      filled = count
    }
  }
}

/// A sender's report of `byteCount` bytes with the given sender.
func report(ssrc: UInt32, byteCount: Int = 52) -> [UInt8] {
  let words = byteCount / 4 - 1
  return [0x80, 200, UInt8(words >> 8), UInt8(words & 0xFF)] + (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> (24 - 8 * UInt32($0))) }
    + (0..<byteCount - 8).map { UInt8(truncatingIfNeeded: $0 &* 31) }
}

extension PacketProtector {
  /// Protects packets in one batch, out of place; what became of each.
  func protectAll(_ packets: [ClearPacket], _ session: ProtectorSession) -> [(outcome: ProtectionOutcome, bytes: [UInt8])] {
    let room = 2_048
    let sources = UnsafeMutableRawPointer.allocate(byteCount: max(1, packets.count) * room, alignment: 64)
    let targets = UnsafeMutableRawPointer.allocate(byteCount: max(1, packets.count) * room, alignment: 64)
    defer {
      sources.deallocate()
      targets.deallocate()
    }
    var jobs = packets.enumerated().map { position, packet in
      let source = sources + position * room
      let target = targets + position * room
      packet.payload.withUnsafeBytes { source.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(source), byteCount: $0.count) }
      packet.header.withUnsafeBytes { target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      return ProtectJob(
        session: session, isRTCP: false, headerByteCount: packet.header.count, payloadByteCount: packet.payload.count, ssrc: packet.ssrc,
        index: packet.index, payload: source, destination: target)
    }
    jobs.withUnsafeMutableBufferPointer { protect($0) }
    return jobs.map { ($0.outcome, Array(UnsafeRawBufferPointer(start: $0.destination, count: Int($0.resultByteCount)))) }
  }

  func protect(_ packet: ClearPacket, _ session: ProtectorSession) -> [UInt8] {
    let result = protectAll([packet], session)[0]
    return result.outcome == .done ? result.bytes : []
  }

  /// Protects with the payload already behind its header.
  func protectInPlace(_ packet: ClearPacket, _ session: ProtectorSession) -> [UInt8] {
    var bytes = packet.bytes + [UInt8](repeating: 0xEE, count: 32)
    return bytes.withUnsafeMutableBytes { buffer in
      var job = ProtectJob(
        session: session, isRTCP: false, headerByteCount: packet.header.count, payloadByteCount: packet.payload.count, ssrc: packet.ssrc,
        index: packet.index, payload: buffer.baseAddress! + packet.header.count, destination: buffer.baseAddress!)
      withUnsafeMutablePointer(to: &job) { protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
      return job.outcome == .done ? Array(buffer[0..<Int(job.resultByteCount)]) : []
    }
  }

  func protectReport(_ bytes: [UInt8], _ session: ProtectorSession) -> [UInt8] {
    var target = Array(bytes[0..<8]) + [UInt8](repeating: 0, count: bytes.count + 32)
    let ssrc = bytes[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return target.withUnsafeMutableBytes { target in
      bytes.withUnsafeBytes { source in
        var job = ProtectJob(
          session: session, isRTCP: true, headerByteCount: 8, payloadByteCount: bytes.count - 8, ssrc: SSRC(ssrc),
          index: ExtendedSequenceNumber(0), payload: source.baseAddress! + 8, destination: target.baseAddress!)
        withUnsafeMutablePointer(to: &job) { protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
        return job.outcome == .done ? Array(target[0..<Int(job.resultByteCount)]) : []
      }
    }
  }

  /// Opens packets in one batch, out of place or in place.
  func unprotectAll(_ packets: [[UInt8]], _ session: ProtectorSession, isRTCP: Bool = false, inPlace: Bool = false) -> [Opened] {
    let room = 2_048
    let sources = UnsafeMutableRawPointer.allocate(byteCount: max(1, packets.count) * room, alignment: 64)
    let targets = UnsafeMutableRawPointer.allocate(byteCount: max(1, packets.count) * room, alignment: 64)
    defer {
      sources.deallocate()
      targets.deallocate()
    }
    var jobs = packets.enumerated().map { position, packet in
      let source = sources + position * room
      packet.withUnsafeBytes { source.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(source), byteCount: $0.count) }
      return UnprotectJob(
        session: session, isRTCP: isRTCP, source: source, sourceByteCount: packet.count,
        destination: inPlace ? source : targets + position * room, capacity: room)
    }
    jobs.withUnsafeMutableBufferPointer { unprotect($0) }
    return jobs.map {
      Opened(
        outcome: $0.outcome, bytes: Array(UnsafeRawBufferPointer(start: $0.destination, count: Int($0.resultByteCount))),
        index: $0.index.rawValue)
    }
  }

  func unprotect(_ packet: [UInt8], _ session: ProtectorSession, isRTCP: Bool = false) -> Opened {
    unprotectAll([packet], session, isRTCP: isRTCP)[0]
  }
}

/// What came out of an unprotect job.
struct Opened: Equatable {
  var outcome: ProtectionOutcome
  var bytes: [UInt8]
  var index: Int64
}

/// Every backend this machine has, with every profile.
let combinations: [(ProtectorBackend, SRTPProfile)] = ProtectorBackend.allCases.filter { $0 != .auto && $0.isAvailable }.flatMap {
  backend in
  SRTPProfile.allCases.map { (backend, $0) }
}

/// The bytes of hexadecimal text; blanks separate.
func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }
  return stride(from: 0, to: digits.count, by: 2).map {
    let start = digits.index(digits.startIndex, offsetBy: $0)
    return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)!
  }
}

// Protection without cryptography: the bytes stay in clear, and a tag of the profile's length ties them to a session. What SRTP promises
// it keeps: a wrong session, a flipped bit, a wrong rollover counter or a second copy does not pass (RFC 3711 §3.3).

package import EnfiladeTransport
import EnfiladeWire

/// A protector for tests and simulations.
package final class NullProtector: PacketProtector {
  /// What one source of one session has shown.
  private struct Window {
    static let width: Int64 = 1024
    var unwrapper = SequenceUnwrapper()
    var newest: Int64 = -1
    var seen: Set<Int64> = []

    func verdict(on index: Int64) -> ProtectionOutcome {
      if index <= newest - Self.width { return .tooOld }
      return seen.contains(index) ? .replayed : .done
    }

    mutating func take(_ index: Int64) {
      seen.insert(index)
      newest = max(newest, index)
      if seen.count > 2 * Int(Self.width) { seen = seen.filter { $0 > newest - Self.width } }
    }
  }

  private struct Session {
    var keys: SRTPKeyingMaterial
    var sendSeed: UInt64
    var receiveSeed: UInt64
    var windows: [UInt64: Window] = [:]
    var nextReport: UInt32 = 1
  }

  private var sessions: [Session?] = []
  /// Sessions that are open now.
  package private(set) var openCount = 0
  /// A bound on ``openCount``, to try out what happens at it.
  package var sessionLimit = Int.max
  /// Makes every protection fail, to try out what happens then.
  package var refusesToProtect = false

  package init() {}

  package var name: String { "null" }

  package func openSession(_ keys: SRTPKeyingMaterial) throws(ProtectorError) -> ProtectorSession {
    guard openCount < sessionLimit else { throw .tooManySessions }
    guard keys.sendMasterKey.count == keys.profile.masterKeyByteCount, keys.receiveMasterKey.count == keys.profile.masterKeyByteCount else {
      throw .wrongKeyLength
    }
    openCount += 1
    sessions.append(
      Session(
        keys: keys, sendSeed: Self.seed(keys.sendMasterKey, keys.sendMasterSalt),
        receiveSeed: Self.seed(keys.receiveMasterKey, keys.receiveMasterSalt)))
    return ProtectorSession(index: Int32(sessions.count - 1))
  }

  package func closeSession(_ session: ProtectorSession) {
    if sessions[Int(session.index)] != nil { openCount -= 1 }
    sessions[Int(session.index)] = nil
  }

  package func protect(_ jobs: UnsafeMutableBufferPointer<ProtectJob>) {
    for position in jobs.indices { protect(&jobs[position]) }
  }

  package func unprotect(_ jobs: UnsafeMutableBufferPointer<UnprotectJob>) {
    for position in jobs.indices { unprotect(&jobs[position]) }
  }

  private func protect(_ job: inout ProtectJob) {
    let place = Int(job.session.index)
    guard !refusesToProtect, sessions.indices.contains(place), let session = sessions[place] else {
      job.outcome = .noKey
      return
    }
    let header = Int(job.headerByteCount)
    let payload = Int(job.payloadByteCount)
    if UnsafeRawPointer(job.destination) + header != job.payload {
      (job.destination + header).copyMemory(from: job.payload, byteCount: payload)
    }
    var count = header + payload
    var index = UInt64(bitPattern: job.index.rawValue)
    if job.isRTCP {
      index = UInt64(session.nextReport)
      sessions[place]!.nextReport += 1
      // The E flag and the SRTCP index (RFC 3711 §3.4), in front of the tag.
      (job.destination + count).storeBytes(of: (0x8000_0000 | UInt32(index)).bigEndian, as: UInt32.self)
      count += 4
    }
    let tag = Self.tag(session.sendSeed, index, UnsafeRawPointer(job.destination), count)
    let tagByteCount = session.keys.profile.rtpOverheadByteCount
    Self.write(tag, at: job.destination + count, byteCount: tagByteCount)
    job.resultByteCount = UInt16(count + tagByteCount)
    job.outcome = .done
  }

  private func unprotect(_ job: inout UnprotectJob) {
    let place = Int(job.session.index)
    guard sessions.indices.contains(place), let session = sessions[place] else {
      job.outcome = .noKey
      return
    }
    let tagByteCount = session.keys.profile.rtpOverheadByteCount
    let sealed = Int(job.sourceByteCount) - tagByteCount
    let clear = job.isRTCP ? sealed - 4 : sealed
    guard clear >= (job.isRTCP ? 8 : 12), clear <= Int(job.capacity) else {
      job.outcome = .malformed
      return
    }
    let ssrc: UInt32
    if job.isRTCP {
      ssrc = UInt32(bigEndian: job.source.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    } else {
      ssrc = UInt32(bigEndian: job.source.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    }
    let key = UInt64(ssrc) << 1 | (job.isRTCP ? 1 : 0)
    var window = session.windows[key] ?? Window()
    let index: Int64
    if job.isRTCP {
      index = Int64(UInt32(bigEndian: job.source.loadUnaligned(fromByteOffset: clear, as: UInt32.self)) & 0x7FFF_FFFF)
    } else {
      let number = UInt16(bigEndian: job.source.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
      index = window.unwrapper.peek(SequenceNumber(number)).rawValue
    }
    let tag = Self.tag(session.receiveSeed, UInt64(bitPattern: index), job.source, sealed)
    guard Self.holds(tag, at: job.source + sealed, byteCount: tagByteCount) else {
      job.outcome = .authenticationFailed
      return
    }
    job.outcome = window.verdict(on: index)
    guard job.outcome == .done else { return }
    window.take(index)
    if !job.isRTCP { _ = window.unwrapper.unwrap(SequenceNumber(UInt16(truncatingIfNeeded: index))) }
    sessions[place]!.windows[key] = window
    if job.source != UnsafeRawPointer(job.destination) { job.destination.copyMemory(from: job.source, byteCount: clear) }
    job.resultByteCount = UInt16(clear)
    job.index = ExtendedSequenceNumber(index)
  }

  // MARK: The tag

  private static func mix(_ value: UInt64) -> UInt64 {
    var x = value
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return x ^ (x >> 31)
  }

  private static func seed(_ key: [UInt8], _ salt: [UInt8]) -> UInt64 {
    (key + salt).reduce(0x9E37_79B9_7F4A_7C15) { mix($0 ^ UInt64($1)) }
  }

  private static func tag(_ seed: UInt64, _ index: UInt64, _ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var state = mix(seed ^ mix(index &+ 1) ^ UInt64(count))
    var offset = 0
    while offset + 8 <= count {
      state = (state ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9FB2_1C65_1E98_DF25
      state ^= state >> 29
      offset += 8
    }
    while offset < count {
      state = (state ^ UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self))) &* 0x9FB2_1C65_1E98_DF25
      state ^= state >> 29
      offset += 1
    }
    return mix(state)
  }

  private static func byte(_ tag: UInt64, _ position: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: (position < 8 ? tag : mix(tag)) >> UInt64(8 * (position & 7)))
  }

  private static func write(_ tag: UInt64, at place: UnsafeMutableRawPointer, byteCount: Int) {
    for position in 0..<byteCount { place.storeBytes(of: byte(tag, position), toByteOffset: position, as: UInt8.self) }
  }

  private static func holds(_ tag: UInt64, at place: UnsafeRawPointer, byteCount: Int) -> Bool {
    for position in 0..<byteCount where place.load(fromByteOffset: position, as: UInt8.self) != byte(tag, position) { return false }
    return true
  }
}

// One link's keys in the form that Intel's multi-buffer library takes, derived as RFC 3711 §4.3 and RFC 7714 §11 say.

#if ENFILADE_IPSEC_MB

  import CIPsecMB
  import EnfiladeTransport

  /// What the library takes four of, in a row: send and receive, each for SRTP and SRTCP.
  enum MultiBufferKeyUse: Int, CaseIterable {
    case sendRTP
    case sendRTCP
    case receiveRTP
    case receiveRTCP
  }

  /// A link's state. Plain memory; whoever takes it out of the table releases it.
  struct MultiBufferSession {
    let profile: SRTPProfile
    /// AES-CM with HMAC-SHA1, not AES-GCM. Asked for every packet, which comparing profiles is too slow for.
    let isCounterMode: Bool
    /// How much of the tag stands behind an RTP packet (RFC 3711 §5.2).
    let rtpTagByteCount: Int
    /// What the library's functions for AES-GCM are told.
    let isAES256: Int32
    private let keys: UnsafeMutableRawPointer
    /// Session salts, 16 bytes each: as many of them as the profile has, then zeros.
    private let salts: UnsafeMutablePointer<UInt8>
    var received: SourceTable
    var receivedRTCP: SourceTable
    /// The last SRTCP index used; all senders of the session share the count, so no index ever comes twice (RFC 3711 §3.4).
    var lastRTCPIndex: UInt32 = 0

    private static var gcmStride: Int { (MemoryLayout<gcm_key_data>.size + 63) & ~63 }
    private static var cmStride: Int { MemoryLayout<enfilade_imb_cm_key>.size }
    private var stride: Int { profile.isCounterMode ? Self.cmStride : Self.gcmStride }
    private var keysByteCount: Int { stride * MultiBufferKeyUse.allCases.count }
    private static var saltsByteCount: Int { 16 * MultiBufferKeyUse.allCases.count }

    /// Derives the session keys, or takes the material as session keys; `nil` when the library refuses. The lengths have been checked.
    init?(_ material: SRTPKeyingMaterial, isDerived: Bool = false, manager: OpaqueManager) {
      profile = material.profile
      isCounterMode = profile.isCounterMode
      rtpTagByteCount = profile.rtpOverheadByteCount
      isAES256 = profile == .aeadAES256GCM ? 1 : 0
      received = SourceTable()
      receivedRTCP = SourceTable()
      let stride = profile.isCounterMode ? Self.cmStride : Self.gcmStride
      keys = .allocate(byteCount: stride * MultiBufferKeyUse.allCases.count, alignment: 64)
      salts = .allocate(capacity: Self.saltsByteCount)
      salts.initialize(repeating: 0, count: Self.saltsByteCount)
      for use in MultiBufferKeyUse.allCases {
        let sends = use == .sendRTP || use == .sendRTCP
        let master = KeyDerivation(
          key: sends ? material.sendMasterKey : material.receiveMasterKey,
          salt: sends ? material.sendMasterSalt : material.receiveMasterSalt)
        guard load(use, from: master, isDerived: isDerived, manager: manager) else {
          release()
          return nil
        }
      }
    }

    /// Forgets the keys and gives the memory back.
    mutating func release() {
      imb_clear_mem(keys, keysByteCount)
      imb_clear_mem(salts, Self.saltsByteCount)
      keys.deallocate()
      salts.deallocate()
      received.deallocate()
      receivedRTCP.deallocate()
    }

    private func load(_ use: MultiBufferKeyUse, from master: KeyDerivation, isDerived: Bool, manager: OpaqueManager) -> Bool {
      let first: UInt8 = use == .sendRTP || use == .receiveRTP ? 0 : 3
      if isDerived, !profile.isCounterMode {
        for (offset, byte) in master.salt.prefix(profile.masterSaltByteCount).enumerated() { salts[16 * use.rawValue + offset] = byte }
        enfilade_imb_gcm_key(manager.pointer, isAES256, master.key, gcmKey(use))
        return true
      }
      guard var cipherKey = master.derive(label: first, byteCount: profile.masterKeyByteCount, manager: manager),
        let salt = master.derive(label: first + 2, byteCount: profile.masterSaltByteCount, manager: manager)
      else { return false }
      defer { imb_clear_mem(&cipherKey, cipherKey.count) }
      for (offset, byte) in salt.enumerated() { salts[16 * use.rawValue + offset] = byte }
      guard profile.isCounterMode else {
        enfilade_imb_gcm_key(manager.pointer, isAES256, cipherKey, gcmKey(use))
        return true
      }
      guard var authenticationKey = master.derive(label: first + 1, byteCount: 20, manager: manager) else { return false }
      enfilade_imb_cm_key(manager.pointer, cipherKey, authenticationKey, cmKey(use))
      imb_clear_mem(&authenticationKey, authenticationKey.count)
      return true
    }

    @inline(__always)
    func gcmKey(_ use: MultiBufferKeyUse) -> UnsafeMutablePointer<gcm_key_data> {
      (keys + Self.gcmStride * use.rawValue).assumingMemoryBound(to: gcm_key_data.self)
    }

    @inline(__always)
    func cmKey(_ use: MultiBufferKeyUse) -> UnsafeMutablePointer<enfilade_imb_cm_key> {
      (keys + Self.cmStride * use.rawValue).assumingMemoryBound(to: enfilade_imb_cm_key.self)
    }

    /// Writes the 12 bytes of RFC 7714 §8.1 or §9.1: zeros, SSRC and 48 bits of index, over the salt.
    @inline(__always)
    func writeGCMVector(_ use: MultiBufferKeyUse, ssrc: UInt32, index: UInt64, to vector: UnsafeMutableRawPointer) {
      let salt = UnsafeRawPointer(salts + 16 * use.rawValue)
      let high = UInt64(ssrc) << 16 | index >> 32
      let low = UInt32(truncatingIfNeeded: index)
      vector.storeBytes(of: high.bigEndian ^ salt.loadUnaligned(as: UInt64.self), as: UInt64.self)
      vector.storeBytes(of: low.bigEndian ^ salt.loadUnaligned(fromByteOffset: 8, as: UInt32.self), toByteOffset: 8, as: UInt32.self)
    }

    /// Writes the 16 bytes of RFC 3711 §4.1.1: salt and SSRC and 48 bits of index, above 16 bits of block counter.
    @inline(__always)
    func writeCMVector(_ use: MultiBufferKeyUse, ssrc: UInt32, index: UInt64, to vector: UnsafeMutableRawPointer) {
      let salt = UnsafeRawPointer(salts + 16 * use.rawValue)
      let high = UInt64(ssrc)
      let low = index << 16
      vector.storeBytes(of: high.bigEndian ^ salt.loadUnaligned(as: UInt64.self), as: UInt64.self)
      vector.storeBytes(of: low.bigEndian ^ salt.loadUnaligned(fromByteOffset: 8, as: UInt64.self), toByteOffset: 8, as: UInt64.self)
    }
  }

  /// The library's state, owned by a protector.
  struct OpaqueManager {
    let pointer: UnsafeMutablePointer<IMB_MGR>

    /// `nil` when the library does not start.
    init?() {
      guard let pointer = enfilade_imb_open() else { return nil }
      self.pointer = pointer
    }

    var isFast: Bool { enfilade_imb_is_fast(pointer) != 0 }

    func release() { free_mb_mgr(pointer) }
  }

  /// The key derivation of RFC 3711 §4.3 with a rate of zero: each key is derived once.
  struct KeyDerivation {
    let key: [UInt8]
    /// 112 bits; a 96-bit salt has zeros at its end (RFC 7714 §11).
    let salt: [UInt8]

    init(key: [UInt8], salt: [UInt8]) {
      self.key = key
      self.salt = salt + [UInt8](repeating: 0, count: max(0, 14 - salt.count))
    }

    /// Labels: 0 cipher key, 1 authentication key, 2 salt; the same plus 3 for SRTCP (RFC 3711 §4.3.1, §4.3.2).
    func derive(label: UInt8, byteCount: Int, manager: OpaqueManager) -> [UInt8]? {
      var vector = salt + [0, 0]
      vector[7] ^= label
      return Self.keystream(key: key, vector: vector, byteCount: byteCount, manager: manager)
    }

    /// AES in counter mode over zeros.
    static func keystream(key: [UInt8], vector: [UInt8], byteCount: Int, manager: OpaqueManager) -> [UInt8]? {
      // Whole blocks, so that the library never writes a part of one.
      var bytes = [UInt8](repeating: 0, count: (byteCount + 15) & ~15)
      guard enfilade_imb_keystream(manager.pointer, key.count == 32 ? 1 : 0, key, vector, &bytes, UInt64(bytes.count)) == 1 else {
        return nil
      }
      return Array(bytes.prefix(byteCount))
    }
  }

#endif

// Protection of one packet at a time, for peers that are not in a hurry.

package import EnfiladeTransport
package import EnfiladeWire

extension PacketProtector {
  /// Seals a packet; `nil` when the protector refuses.
  package func protect(
    _ packet: [UInt8], headerByteCount: Int, ssrc: SSRC = SSRC(0), index: ExtendedSequenceNumber = ExtendedSequenceNumber(0), isRTCP: Bool,
    session: ProtectorSession
  ) -> [UInt8]? {
    var bytes = packet + [UInt8](repeating: 0, count: 32)
    let result: UInt16? = bytes.withUnsafeMutableBytes { buffer in
      var job = ProtectJob(
        session: session, isRTCP: isRTCP, headerByteCount: headerByteCount, payloadByteCount: packet.count - headerByteCount, ssrc: ssrc,
        index: index, payload: UnsafeRawPointer(buffer.baseAddress! + headerByteCount), destination: buffer.baseAddress!)
      withUnsafeMutablePointer(to: &job) { protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
      return job.outcome == .done ? job.resultByteCount : nil
    }
    return result.map { Array(bytes.prefix(Int($0))) }
  }

  /// Opens a packet.
  package func unprotect(
    _ packet: [UInt8], isRTCP: Bool, session: ProtectorSession
  ) -> (outcome: ProtectionOutcome, bytes: [UInt8], index: ExtendedSequenceNumber) {
    guard !packet.isEmpty, packet.count <= Int(UInt16.max) else { return (.malformed, [], ExtendedSequenceNumber(0)) }
    var bytes = packet
    return bytes.withUnsafeMutableBytes { buffer in
      var job = UnprotectJob(
        session: session, isRTCP: isRTCP, source: UnsafeRawPointer(buffer.baseAddress!), sourceByteCount: buffer.count,
        destination: buffer.baseAddress!, capacity: buffer.count)
      withUnsafeMutablePointer(to: &job) { unprotect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
      guard job.outcome == .done else { return (job.outcome, [], job.index) }
      return (.done, Array(buffer.prefix(Int(job.resultByteCount))), job.index)
    }
  }
}

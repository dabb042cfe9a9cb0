// Datagrams in: told apart by their first byte (RFC 7983 §7), media opened in one batch.

import EnfiladeTransport
package import EnfiladeWire

extension ShardEngine {
  /// Takes a received message. Media waits for ``finishBatch(at:)``; everything else is done at once.
  ///
  /// - Returns: `false` when there is no room for it: finish the batch, drain, and hand it in again.
  package mutating func handle(_ datagram: ReceivedDatagram, at now: Instant) -> Bool {
    advanceClock(to: now)
    guard datagram.byteCount > 0 else {
      drops.count(.emptyDatagram)
      return true
    }
    guard !datagram.isTruncated, datagram.segmentCount <= IngressStage.capacity else {
      drops.count(.oversizedDatagram)
      return true
    }
    guard ingress.count + datagram.segmentCount + packets.count <= IngressStage.capacity else { return false }
    let segment = datagram.segmentByteCount > 0 ? datagram.segmentByteCount : datagram.byteCount
    var offset = 0
    while offset < datagram.byteCount {
      let count = min(segment, datagram.byteCount - offset)
      // Sound: within the received bytes, which stay until the next receive.
      let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(datagram.base) + offset, byteCount: count)
      handleDatagram(bytes, from: datagram.address, at: now)
      offset += count
    }
    return true
  }

  /// Opens and parses the media that was handed in; then drain.
  package mutating func finishBatch(at now: Instant) {
    advanceClock(to: now)
    openIngress(at: now)
    publishLanes()
  }

  private mutating func handleDatagram(_ bytes: RawSpan, from source: SocketAddress, at now: Instant) {
    guard bytes.byteCount <= Limits.datagramByteCount else { return drops.count(.oversizedDatagram) }
    switch DatagramKind(bytes) {
    case .rtp: enqueueMedia(bytes, isRTCP: false, from: source)
    case .rtcp: enqueueMedia(bytes, isRTCP: true, from: source)
    case .stun: handleSTUN(bytes, from: source, at: now)
    case .dtls: handleHandshake(bytes, from: source, at: now)
    default: drops.count(.unknownDatagramKind)
    }
  }

  /// Gives a sealed packet a slot and a place in the batch.
  private mutating func enqueueMedia(_ bytes: RawSpan, isRTCP: Bool, from source: SocketAddress) {
    guard let found = addresses.find(source) else { return drops.count(.mediaFromUnknownAddress) }
    let link = Int(found)
    guard let session = links[link].session else { return drops.count(.mediaBeforeHandshake) }
    guard let handle = slab.lease() else { return drops.count(.slabExhausted) }
    links[link].packetsIn &+= 1
    links[link].bytesIn &+= UInt64(bytes.byteCount)
    // Sound: the handle was leased just now, and the source bytes stay until the batch is opened, which is before the next receive.
    unsafe bytes.withUnsafeBytes { sealed in
      unsafe ingress.append(
        UnprotectJob(
          session: session, isRTCP: isRTCP, source: sealed.baseAddress!, sourceByteCount: sealed.count,
          destination: slab.place(of: handle)!, capacity: Limits.slotByteCount), link: found, handle: handle)
    }
  }

  private mutating func openIngress(at now: Instant) {
    guard ingress.count > 0 else { return }
    ingress.open(with: protector)
    for index in 0..<ingress.count {
      let job = ingress.job(at: index)
      let handle = ingress.handle(at: index)
      if let reason = dropReason(for: job.outcome) {
        drops.count(reason)
        slab.release(handle)
      } else if job.isRTCP {
        handleRTCP(in: handle, byteCount: Int(job.resultByteCount), link: ingress.link(at: index), at: now)
        slab.release(handle)
      } else {
        handleRTP(in: handle, byteCount: Int(job.resultByteCount), index: job.index, link: ingress.link(at: index), at: now)
      }
    }
    ingress.removeAll()
  }

  private func dropReason(for outcome: ProtectionOutcome) -> DropReason? {
    switch outcome {
    case .done: nil
    case .authenticationFailed: .authenticationFailed
    case .replayed: .replayed
    case .tooOld: .tooOldForReplayWindow
    case .malformed: .malformedProtection
    case .noKey, .pending: .noKey
    }
  }
}

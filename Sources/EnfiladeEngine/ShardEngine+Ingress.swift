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
    // A socket that belongs to a link without ICE takes media and nothing else.
    case .stun where !source.isThroughOwnSocket: handleSTUN(bytes, from: source, at: now)
    case .dtls where !source.isThroughOwnSocket: handleHandshake(bytes, from: source, at: now)
    default: drops.count(.unknownDatagramKind)
    }
  }

  /// Gives a sealed packet a slot and a place in the batch.
  private mutating func enqueueMedia(_ bytes: RawSpan, isRTCP: Bool, from source: SocketAddress) {
    let known = addresses.find(source)
    guard let found = known ?? strangersLink(source, bytes, isRTCP: isRTCP) else {
      return drops.count(source.isThroughOwnSocket ? .sourceNotLatched : .mediaFromUnknownAddress)
    }
    let link = Int(found)
    guard let session = links[link].session else { return drops.count(.mediaBeforeHandshake) }
    guard let handle = slab.lease() else {
      relieveHistories(at: clock)
      return drops.count(.slabExhausted)
    }
    if known == nil { strangers.append(Stranger(job: ingress.count, address: source)) }
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
    if slab.own.freeCount < scarcity.floor(of: slab.own) { relieveHistories(at: now) }
    ingress.open(with: protector)
    var nextStranger = 0
    for index in 0..<ingress.count {
      fetchReportsAhead(of: index)
      let job = ingress.job(at: index)
      let handle = ingress.handle(at: index)
      var stranger: SocketAddress?
      if nextStranger < strangers.count, strangers[nextStranger].job == index {
        stranger = strangers[nextStranger].address
        nextStranger += 1
      }
      if let reason = dropReason(for: job.outcome) {
        drops.count(reason)
        slab.release(handle)
      } else if links[ingress.link(at: index)].plain != nil,
        !acceptPlain(job, in: handle, stranger: stranger, link: ingress.link(at: index), at: now)
      {
        slab.release(handle)
      } else if job.isRTCP {
        handleRTCP(in: handle, byteCount: Int(job.resultByteCount), link: ingress.link(at: index), at: now)
        slab.release(handle)
      } else if isTooMuch(Int(job.resultByteCount), of: ingress.link(at: index), at: now) {
        drops.count(.bitrateLimitExceeded)
        slab.release(handle)
      } else {
        handleRTP(in: handle, byteCount: Int(job.resultByteCount), index: job.index, link: ingress.link(at: index), at: now)
      }
    }
    ingress.removeAll()
    strangers.removeAll(keepingCapacity: true)
  }

  /// Begins to bring in what the next reports are held against: among hundreds of links it never is here by itself.
  @inline(__always)
  private func fetchReportsAhead(of index: Int) {
    if index + 2 < ingress.count, ingress.job(at: index + 2).isRTCP, links.contains(ingress.link(at: index + 2)) {
      let downlink = Int(links[ingress.link(at: index + 2)].downlink)
      if downlink >= 0 { downlinks.prefetch(downlink, byteCount: MemoryLayout<LinkCongestion>.size) }
    }
    if index + 1 < ingress.count, ingress.job(at: index + 1).isRTCP, links.contains(ingress.link(at: index + 1)) {
      let downlink = Int(links[ingress.link(at: index + 1)].downlink)
      if downlink >= 0 { downlinks[downlink].prefetchReported() }
    }
  }

  /// Whether a link brings in more than it may. Asked of what has proved to be its own, so that nobody can use up another's share; to the publisher
  /// what is dropped looks lost, and it slows down.
  private mutating func isTooMuch(_ byteCount: Int, of link: Int, at now: Instant) -> Bool {
    switch links[link].policer.handlePacket(byteCount: byteCount, at: now) {
    case .pass: return false
    case .drop: return true
    case .dropAndReport:
      events.append(.bitrateLimitExceeded(links[link].id))
      return true
    }
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

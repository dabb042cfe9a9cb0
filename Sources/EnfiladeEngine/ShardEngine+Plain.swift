// Links without ICE and without a handshake: how they begin, and how their peers' addresses are learned. What is not the peer's changes nothing.

import EnfiladeRTP
import EnfiladeSTUN
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

/// A packet on its way to the protector whose sender is not known to be the peer of its plain link.
struct Stranger {
  /// Its place among the jobs.
  var job: Int
  var address: SocketAddress
}

extension ShardEngine {
  /// Beside a link's number on the way out: RTCP that has a port of its own.
  static var reportPathBit: Int32 { 1 << 29 }

  // MARK: Beginning and end

  mutating func addPlainLink(_ id: LinkID, _ plain: PlainLinkConfiguration, at now: Instant) {
    guard linkIndices[id] == nil else { return events.append(.refused(.duplicateLink(id))) }
    guard !links.isFull else { return events.append(.refused(.linkCapacityReached(id))) }
    let session: ProtectorSession
    do throws(ProtectorError) { session = try protector.openSession(plain.keys) } catch {
      return events.append(.refused(.protectorRefused(id, error)))
    }
    // The agent of a link without ICE is closed from the first moment, and found by nobody.
    var agent = ICELiteAgent(local: ICECredentials.make(using: &random), remote: nil, at: now)
    _ = agent.close(at: now)
    let localSSRC = SSRC(UInt32(truncatingIfNeeded: random.next()))
    let made = links.insert(
      Link(id: id, localSSRC: localSSRC, ice: agent, handshake: NoHandshake(), inboundLimit: configuration.inboundLimit, at: now))
    guard let link = made else { return events.append(.refused(.linkCapacityReached(id))) }
    linkIndices[id] = link
    links[link].session = session
    links[link].profile = plain.keys.profile
    links[link].nextReport = now + .milliseconds(100)
    let path = PlainPath(plain, at: now)
    links[link].plain = path
    plainSockets[plain.socket] = Int32(link)
    if let socket = plain.reportSocket { plainSockets[socket] = Int32(link) }
    if let remote = path.remote { know(remote, link) }
    if path.hasReportSocket, let remote = path.remoteReports { know(remote, link) }
    updateState(link)
    reschedule(link, at: now)
  }

  mutating func forgetPlainPath(of link: Int) {
    guard let path = links[link].plain else { return }
    for (socket, owner) in plainSockets where owner == Int32(link) { plainSockets[socket] = nil }
    if let remote = path.remote { addresses.remove(LinkKey(remote), onlyIf: Int32(link)) }
    if let remote = path.remoteReports { addresses.remove(LinkKey(remote), onlyIf: Int32(link)) }
  }

  private mutating func know(_ address: SocketAddress, _ link: Int) {
    if addresses.insert(LinkKey(address), Int32(link)) == .full { drops.count(.addressTableFull) }
  }

  // MARK: State

  func plainState(of link: Int, _ path: PlainPath) -> LinkState {
    if path.hasFailed { return .failed(.consentExpired) }
    return path.remote == nil ? .connecting : .connected
  }

  mutating func handlePlainTimeout(_ link: Int, at now: Instant) {
    links[link].plain?.handleTimeout(at: now)
    updateState(link)
  }

  // MARK: Who is the peer

  /// The link that a packet from an unknown address may belong to; `nil` when it is not worth opening.
  func strangersLink(_ source: SocketAddress, _ bytes: RawSpan, isRTCP: Bool) -> Int32? {
    guard let socket = source.ownSocket, let link = plainSockets[socket], let path = links[Int(link)].plain,
      path.mayLatch(source, isRTCP: isRTCP)
    else { return nil }
    // What is not authenticated is looked at before it moves as much as a window of sequence numbers.
    guard path.isProtected || isRTCP || isAgreedOn(bytes, link: Int(link)) else { return nil }
    return link
  }

  private func isAgreedOn(_ bytes: RawSpan, link: Int) -> Bool {
    guard let header = RTPFixedHeader.parse(bytes) else { return false }
    return links[link].receive.contains { $0.carries(header.payloadType) }
  }

  /// Whether an opened packet is its link's peer's; one from an address that was not known makes that address the peer's.
  ///
  /// - Parameter stranger: the address, if it was not known when the packet came.
  mutating func acceptPlain(_ job: UnprotectJob, in handle: PacketHandle, stranger: SocketAddress?, link: Int, at now: Instant) -> Bool {
    guard let stranger else {
      links[link].plain?.handlePacket(isRTCP: job.isRTCP, at: now)
      return true
    }
    // A packet of the same turn may have settled it meanwhile.
    let isKnown = addresses.find(stranger) == Int32(link)
    guard isKnown || links[link].plain!.mayLatch(stranger, isRTCP: job.isRTCP), isKnown || isNews(job, in: handle, link: link) else {
      drops.count(.sourceNotLatched)
      return false
    }
    links[link].plain?.handlePacket(isRTCP: job.isRTCP, at: now)
    guard !isKnown else { return true }
    let reportsBefore = links[link].plain?.remoteReports
    if let before = links[link].plain?.latch(stranger) { addresses.remove(LinkKey(before), onlyIf: Int32(link)) }
    if let reportsBefore { addresses.remove(LinkKey(reportsBefore), onlyIf: Int32(link)) }
    for address in [links[link].plain?.remote, links[link].plain?.remoteReports] { if let address { know(address, link) } }
    if links[link].state == .connected { handlePathChange(link, at: now) }
    updateState(link)
    reschedule(link, at: now)
    return true
  }

  /// Whether a packet may say where its sender is: of a format that was agreed on, and newer than everything of its source, so that a packet
  /// that was overtaken while the peer moved does not lead back.
  private func isNews(_ job: UnprotectJob, in handle: PacketHandle, link: Int) -> Bool {
    guard !job.isRTCP else { return true }
    // Sound: the batch's reference keeps the slot.
    guard let bytes = unsafe slab.lentBytes(of: handle, count: Int(job.resultByteCount)), isAgreedOn(bytes, link: link),
      let header = RTPFixedHeader.parse(bytes)
    else { return false }
    guard let source = links[link].source(header.ssrc), source.inbound >= 0 else { return true }
    return inbound[Int(source.inbound)].unwrapper.newest.map { job.index > $0 } ?? true
  }

  // MARK: Tones

  /// Takes a packet of `telephone-event`, and tells what begins and what is over.
  mutating func hearTone(_ view: RTPPacketView, in bytes: RawSpan, stream: Int) {
    guard let event = TelephoneEvent(view.payload(in: bytes)) else { return drops.count(.telephoneEventMalformed) }
    let reports = inbound[stream].tones.handle(event, timestamp: view.timestamp, marker: view.marker)
    if let report = reports.lateEnd { tell(report, of: stream) }
    if let report = reports.begin { tell(report, of: stream) }
    if let report = reports.end { tell(report, of: stream) }
  }

  /// Sound came while a tone was sounding, whose end may have been lost.
  mutating func hearSoundBesideTone(at timestamp: RTPTimestamp, stream: Int) {
    // 200 ms: tones are repeated every 50 ms or so (RFC 4733 §2.5.1.2).
    let patience = inbound[stream].clockRate / 5
    if let report = inbound[stream].tones.handleSound(timestamp: timestamp, patience: patience) { tell(report, of: stream) }
  }

  /// What nobody may hear is not told either.
  private mutating func tell(_ report: TelephoneEventReceiver.Report, of stream: Int) {
    let publication = inbound[stream].publication
    guard !publications[publication].isMuted else { return }
    let duration = TimeDelta(nanoseconds: Int64(report.duration) * 1_000_000_000 / Int64(inbound[stream].clockRate))
    events.append(
      .telephoneEvent(
        publications[publication].key, code: report.code, volume: report.volume, isEnd: report.isEnd, duration: duration))
  }
}

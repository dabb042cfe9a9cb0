// What subscribers on loopback report of their packets: transport-wide feedback, as often as receivers in use send it.

import EnfiladeCongestion
import EnfiladeIO
import EnfiladeRTP
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Notes what arrives at some subscribers' sockets and reports it from there. Used by the thread that reads the sockets alone.
final class ReceivedReports: @unchecked Sendable {
  private let subscribers: [RoomMember]
  private let sessions: [ProtectorSession]
  private let protector: any PacketProtector
  private let destination: SocketAddress
  private var recorders: [ReceivedPacketRecorder]
  private let clear = UnsafeMutableRawPointer.allocate(byteCount: 2_048, alignment: 64)
  private let sealed = UnsafeMutableRawPointer.allocate(byteCount: 2_048, alignment: 64)
  /// Receivers in use send a report every 50 to 100 ms at rates of megabits per second.
  private static let interval = TimeDelta.milliseconds(67)
  private var due: [Instant]
  /// Packets that carry no number are numbered here, so that reports are the same with numbers and without.
  private var counters: [UInt16]

  init(_ subscribers: [RoomMember], protector: any PacketProtector, to destination: SocketAddress) throws {
    self.subscribers = subscribers
    self.protector = protector
    self.destination = destination
    sessions = try subscribers.map { try protector.openSession($0.keys) }
    recorders = subscribers.map { _ in ReceivedPacketRecorder() }
    due = [Instant](repeating: .zero, count: subscribers.count)
    counters = [UInt16](repeating: 0, count: subscribers.count)
  }

  deinit {
    clear.deallocate()
    sealed.deallocate()
  }

  /// Notes a packet of media (RFC 5761 §4) by its transport-wide number: the first element of a header without contributors (RFC 8285 §4.2).
  func note(_ packet: UnsafeMutableRawBufferPointer, _ position: Int, at now: Instant) {
    guard packet.count >= 20, packet[0] & 0x80 != 0, !(192...223).contains(packet[1]) else { return }
    counters[position] &+= 1
    let isNumbered = packet[0] & 0x10 != 0 && packet[16] == RoomMember.transportNumberIdentifier << 4 | 1
    recorders[position].record(isNumbered ? UInt16(packet[17]) << 8 | UInt16(packet[18]) : counters[position], at: now)
  }

  /// Sends the report of one subscriber when it is time.
  func send(from socket: UDPSocket, _ position: Int, at now: Instant) {
    guard now >= due[position], let deadline = recorders[position].nextDeadline, deadline <= now else { return }
    due[position] = now + Self.interval
    let source = subscribers[position].source
    var writer = ByteWriter(MutableRawSpan(_unsafeStart: clear, byteCount: 1_400))
    guard recorders[position].pollFeedback(into: &writer, senderSSRC: source, mediaSSRC: SSRC(1), at: now) else { return }
    // The first eight bytes stay in clear (RFC 3711 §3.4).
    sealed.copyMemory(from: clear, byteCount: 8)
    var job = ProtectJob(
      session: sessions[position], isRTCP: true, headerByteCount: 8, payloadByteCount: writer.count - 8, ssrc: source,
      index: ExtendedSequenceNumber(0), payload: UnsafeRawPointer(clear + 8), destination: sealed)
    withUnsafeMutablePointer(to: &job) { protector.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    precondition(job.outcome == .done, "a subscriber could not seal its report")
    var datagram = OutgoingDatagram(base: sealed, byteCount: Int(job.resultByteCount), to: destination)
    _ = withUnsafePointer(to: &datagram) { socket.send(UnsafeBufferPointer(start: $0, count: 1)) }
  }
}

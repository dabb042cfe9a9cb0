// A packet of the current turn: decrypted once, parsed once, and shared by everybody it goes to.

package import EnfiladeForwarding
package import EnfiladeRTP
package import EnfiladeWire

/// Where a clear packet lies and what was read from it.
package struct Packet {
  package var handle: PacketHandle
  /// Where the packet begins in its slot: behind the original sequence number for one that came as a retransmission.
  package var start: Int
  package var byteCount: Int
  package var inbound: Int32
  package var format: MediaFormat
  /// As a forwarder is asked about it; its frame is filled in when it has been read.
  package var forward: ForwardPacket
  /// Goes to the one subscriber that asked for it again, not to all.
  package var isRepair = false
  package var sequence: ExtendedSequenceNumber
  package var view: RTPPacketView
  package var extensions: RTPExtensions
  /// Where the sound of now is in a redundant payload.
  package var redundancy: PrimaryBlock?

  /// What goes out of it: all of its payload, or the primary block alone.
  @inline(__always)
  func payloadByteCount(isStripped: Bool) -> Int {
    format == .red && isStripped ? Int(redundancy?.byteCount ?? 0) : view.payloadByteCount
  }

  package init(
    handle: PacketHandle, start: Int, byteCount: Int, inbound: Int32, format: MediaFormat, frame: FrameInfo = FrameInfo(flags: []),
    isRepair: Bool = false, sequence: ExtendedSequenceNumber, view: RTPPacketView, extensions: RTPExtensions
  ) {
    self.handle = handle
    self.start = start
    self.byteCount = byteCount
    self.inbound = inbound
    self.format = format
    self.isRepair = isRepair
    self.sequence = sequence
    self.view = view
    self.extensions = extensions
    forward = ForwardPacket(
      frame: frame, sequence: sequence, timestamp: view.timestamp, marker: view.marker, isEmpty: view.payloadByteCount == 0)
  }
}

/// What the history keeps of a packet beside its bytes; the view is made again when somebody asks for it.
package struct HistoryNote: BitwiseCopyable {
  package var start: UInt16
  package var byteCount: UInt16
  package var format: MediaFormat
  /// The frame was not read, so that nobody was sent the packet: it could not be, or waits for a structure.
  package var isUnread = false
  /// The packet waits for a structure that its frame refers to.
  package var awaitsStructure = false
  /// The slot holds a note for other shards, and may be read by them: it is not written again.
  package var isLendable = false
  package var frame: FrameInfo

  package init(start: UInt16, byteCount: UInt16, format: MediaFormat, frame: FrameInfo) {
    self.start = start
    self.byteCount = byteCount
    self.format = format
    self.frame = frame
  }

  package init(_ packet: Packet) {
    self.init(start: UInt16(packet.start), byteCount: UInt16(packet.byteCount), format: packet.format, frame: packet.forward.frame)
  }
}

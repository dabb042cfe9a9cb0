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
  /// What it says of its frame.
  package var frame = FrameInfo(flags: [])
  /// Goes to the one subscriber that asked for it again, not to all.
  package var isRepair = false
  package var sequence: ExtendedSequenceNumber
  package var view: RTPPacketView
  package var extensions: RTPExtensions

  /// As a forwarder is asked about it.
  var forward: ForwardPacket {
    ForwardPacket(
      frame: frame, sequence: sequence, timestamp: view.timestamp, marker: view.marker, isEmpty: view.payloadByteCount == 0)
  }
}

/// What the history keeps of a packet beside its bytes; the view is made again when somebody asks for it.
package struct HistoryNote: BitwiseCopyable {
  package var start: UInt16
  package var byteCount: UInt16
  package var format: MediaFormat
  package var frame: FrameInfo

  package init(start: UInt16, byteCount: UInt16, format: MediaFormat, frame: FrameInfo) {
    self.start = start
    self.byteCount = byteCount
    self.format = format
    self.frame = frame
  }

  package init(_ packet: Packet) {
    self.init(start: UInt16(packet.start), byteCount: UInt16(packet.byteCount), format: packet.format, frame: packet.frame)
  }
}

// One packet as a subscriber gets it.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeWire

struct OutgoingCopy: Hashable, Sendable {
  var sequence: UInt16
  var timestamp: UInt32
  var marker: Bool
  var isFiller: Bool
  var payload: [UInt8]
  var dependency: [UInt8]

  /// Makes the copy from the packet and what is remembered of it: the way of the first sending and of every repair.
  init(of stored: StoredPacket, sent: SentPacket, output: ExtendedSequenceNumber, codec: Codec, structure: DependencyStructureBits?) {
    sequence = output.wire.rawValue
    timestamp = sent.timestamp.rawValue
    marker = sent.marker
    isFiller = sent.isFiller
    payload = []
    dependency = []
    guard !sent.isFiller else { return }
    let bytes = stored.bytes
    let original = stored.view.payload(in: bytes.rawBytes).copyToArray()
    payload = original
    if let patch = sent.payloadPatch(codec, payload: original.rawBytes) {
      payload = (0..<Int(patch.byteCount)).map { patch.bytes[$0] } + original[Int(patch.replacedByteCount)...]
    }
    guard let source = stored.extensions.data(of: .dependencyDescriptor, in: bytes.rawBytes) else { return }
    var room = [UInt8](repeating: 0xEE, count: sent.dependencyDescriptorRoom(for: source, structure: structure))
    var span = room.mutableSpan
    // Bytes have no padding.
    var place = unsafe span.mutableBytes
    guard let count = sent.writeDependencyDescriptor(source, structure: structure, into: &place) else { return }
    dependency = Array(room[..<count])
  }
}

/// A packet in the history of an encoding.
struct StoredPacket: Sendable {
  var bytes: [UInt8]
  var view: RTPPacketView
  var extensions: RTPExtensions
  var sequence: ExtendedSequenceNumber
  var truth: FrameTruth
  /// `nil` while it could not be read.
  var frame: FrameInfo?
  /// It came, and means nothing to anybody.
  var isLeftOut = false
}

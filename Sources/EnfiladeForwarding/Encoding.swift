// One encoding of a publication, as far as all its subscribers share it: its frames, its layers, its place in time.

package import EnfiladeRTP
package import EnfiladeWire

/// What forwarding knows of one incoming stream. Told of each packet once; looked at by every forwarder.
package struct Encoding: ~Copyable {
  /// Tells this stream from every other of the shard.
  package let serial: UInt32
  /// Its number within the publication, below ``Limits/encodingCount``.
  package let index: UInt8
  package let codec: Codec
  /// What added to a timestamp of this encoding gives the publication's common time, in ticks modulo 2³²; see ``EncodingTimeline``.
  package var timelineOffset: UInt32?
  /// On the heap: an encoding is handed to a forwarder for each packet and subscriber, and that must not carry kilobytes along.
  private var box: UniqueBox<EncodingDetails>

  package init(serial: UInt32, index: UInt8, codec: Codec) {
    precondition(Int(index) < Limits.encodingCount, "more encodings than a publication has")
    self.serial = serial
    self.index = index
    self.codec = codec
    box = UniqueBox(EncodingDetails(index: index, codec: codec))
  }

  // MARK: Look

  package var clockRate: Int { codec.clockRate }
  /// Where it lies: what all subscribers share is read in place. A coroutine would carry a copy of its kilobytes in a frame of its own,
  /// and the optimizer of Swift 6.3 reads that frame after it is gone.
  package var details: EncodingDetails {
    // Sound: the box lives as long as the encoding, which is borrowed meanwhile.
    @inline(__always) unsafeAddress { unsafe box.address }
  }
  package var lastPacketAt: Instant? { details.lastPacketAt }
  /// The newest key picture and what followed, for joiners.
  package var keyframeSpan: KeyframeSpan? { details.keyframeSpan }

  /// Whether its sender sends it.
  package func isLive(at now: Instant) -> Bool { details.isLive(at: now) }

  // MARK: Handle

  /// A packet with a payload came, for the first time.
  ///
  /// - Parameters:
  ///   - payload: without padding and not empty.
  ///   - bytes: the packet, which `extensions` refers to.
  package mutating func handlePacket(
    payload: RawSpan, extensions: RTPExtensions, in bytes: RawSpan, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp,
    at now: Instant
  ) -> Result<FrameInfo, FrameReader.Failure> {
    box.value.handlePacket(
      payload: payload, extensions: extensions, in: bytes, sequence: sequence, timestamp: timestamp, at: now)
  }

  /// The sender said what it sends in each layer of each encoding.
  package mutating func handleAllocation(_ allocation: VideoLayersAllocation) { box.value.handleAllocation(allocation) }
}

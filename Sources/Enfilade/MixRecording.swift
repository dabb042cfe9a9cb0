// A recording of a room's mixture: Ogg Opus, as it comes.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRuntime

/// The bytes of an Ogg Opus file (RFC 7845) that holds what is said in a room, from the moment it was asked for until the room is closed. Who iterates slower
/// than the room speaks loses the oldest, after five seconds; the room never waits.
///
/// Nothing comes while nobody speaks. Pauses are in the file all the same: what was said later is heard later.
public struct MixRecording: AsyncSequence, Sendable {
  let packets: AsyncStream<RecordedPacket>
  let channelCount: Int
  let recorder: RecorderID
  let state: RoomState

  /// Ends the recording. Letting go of it does not.
  public func stop() async { await state.stopRecording(recorder) }

  /// An iterator; a recording has one.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(
      packets: packets.makeAsyncIterator(), writer: OggOpusWriter(channelCount: channelCount, serial: UInt32.random(in: 1 ... .max)))
  }

  /// Gives one run of bytes after another; the first is the file's head.
  public struct AsyncIterator: AsyncIteratorProtocol {
    var packets: AsyncStream<RecordedPacket>.AsyncIterator
    var writer: OggOpusWriter
    var isBegun = false
    var isOver = false

    /// The next bytes; `nil` after the last.
    public mutating func next() async -> [UInt8]? {
      guard isBegun else {
        isBegun = true
        return writer.head()
      }
      guard !isOver else { return nil }
      while let packet = await packets.next(isolation: #isolation) {
        writer.append(packet.payload, timestamp: packet.timestamp)
        if let page = writer.takePage() { return page }
      }
      isOver = true
      return writer.finish()
    }
  }
}

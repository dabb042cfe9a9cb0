// A room's mixture as an Ogg Opus file that grows as long as somebody fetches it: `curl -H 'Authorization: Bearer …' -o
// minutes.opus http://…/rooms/standup/recording`, with a host's token.

import Enfilade
import HTTPTypes
import Hummingbird
import ServiceLifecycle

/// The recording of a room that is open.
struct RecordingResource {
  let meetings: Meetings

  var resources: [Resource] { [Resource(path: "/rooms/:room/recording", methods: [(.get, record)])] }

  @Sendable private func record(_ request: Request, _ context: MeetContext) async throws -> Response {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    // Whoever may send people out may keep what they said.
    _ = try await meeting.moderator(token: request.token)
    let recording: MixRecording
    do {
      recording = try await meeting.room.record()
    } catch {
      throw Problem(.serviceUnavailable, "The room cannot be recorded: \(error)", headers: [.retryAfter: "30"])
    }
    return Response(
      status: .ok, headers: [.contentType: "audio/ogg; codecs=opus", .cacheControl: "no-store", .xAccelBuffering: "no"],
      body: .init { writer in
        do {
          // Ends when whoever fetches goes away, when the room is closed, or when the server stops.
          try await request.body.consumeWithCancellationOnInboundClose { _ in
            for try await bytes in recording.cancelOnGracefulShutdown() { try await writer.write(ByteBuffer(bytes: bytes)) }
          }
        } catch {
          await recording.stop()
          throw error
        }
        await recording.stop()
        try await writer.finish(nil)
      })
  }
}

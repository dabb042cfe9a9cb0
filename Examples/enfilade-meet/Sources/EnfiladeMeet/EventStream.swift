// Server-sent events (WHATWG HTML §9.2) from a meeting's journal.

import Enfilade
import HTTPTypes
import Hummingbird
import ServiceLifecycle

/// The endless response to `GET …/events`.
struct EventStream: Sendable {
  let meeting: Meeting
  let reader: ParticipantID
  /// What the browser says it has seen last, after a reconnect.
  let lastEventID: String?

  func response(to request: Request) -> Response {
    Response(
      status: .ok,
      headers: [.contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no"],
      body: .init { writer in
        let (bell, key) = await meeting.openStream(for: reader)
        do {
          // Returns when the page goes away, when the participant leaves, or when the server stops.
          try await request.body.consumeWithCancellationOnInboundClose { _ in
            try await write(to: &writer, at: bell)
          }
        } catch {
          await meeting.closeStream(key, of: reader)
          throw error
        }
        await meeting.closeStream(key, of: reader)
        try await writer.finish(nil)
      })
  }

  @concurrent private func write(to writer: inout any ResponseBodyWriter, at bell: AsyncStream<Void>) async throws {
    try await writer.write(ByteBuffer(string: "retry: 1000\n\n"))
    var cursor = await meeting.cursor(lastEventID: lastEventID)
    for await _ in bell.cancelOnGracefulShutdown() {
      switch await meeting.read(for: reader, after: cursor) {
      case .signals(let signals, let last):
        cursor = last
        let text = signals.map { Self.text(id: $0.id, signal: $0.signal) }.joined()
        try await writer.write(ByteBuffer(string: text.isEmpty ? ":\n\n" : text))
      case .gone(let reason):
        let goodbye = Signal.goodbye(reason: reason, to: reader)
        try await writer.write(ByteBuffer(string: Self.text(id: nil, signal: goodbye)))
        return
      }
    }
  }

  /// One event.
  ///
  /// JSON as written here has no line breaks, so one `data` line holds it.
  private static func text(id: String?, signal: Signal) -> String {
    (id.map { "id: \($0)\n" } ?? "") + "event: \(signal.name)\ndata: \(signal.data)\n\n"
  }
}

extension HTTPField.Name {
  /// Tells nginx not to collect the stream before passing it on.
  static let xAccelBuffering = HTTPField.Name("X-Accel-Buffering")!
  static let lastEventID = HTTPField.Name("Last-Event-ID")!
}

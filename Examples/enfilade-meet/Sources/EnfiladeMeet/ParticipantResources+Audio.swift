// How a participant hears the others: each by itself, or all as one sound. RFC 7667 §3.6

import Enfilade
import HTTPTypes
import Hummingbird

extension ParticipantResources {
  private struct Hearing: Decodable {
    let mode: String
  }

  @Sendable func hear(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let wish = try JSON.decode(Hearing.self, from: await request.text(mediaType: MediaTypes.json))
    guard let mode = AudioMode(rawValue: wish.mode) else {
      throw Problem(.unprocessableContent, "The mode is \(AudioMode.forwarded.rawValue) or \(AudioMode.mixed.rawValue).")
    }
    try await meeting.setAudioMode(of: member, mode)
    return Response(status: .noContent)
  }
}

extension Meeting {
  /// Sets how a member hears the others.
  ///
  /// - Throws: a problem where somebody is encrypted from end to end, because nobody but the receivers can decode that; or what the room refused.
  func setAudioMode(of member: Member, _ mode: AudioMode) async throws(Problem) {
    if mode == .mixed, let voice = members.flatMap(\.publications).first(where: { $0.kind == .audio && $0.isEncrypted }) {
      let name = members.first { $0.id == voice.participant }?.participant.name ?? "Somebody"
      throw Problem(.conflict, "\(name) is encrypted from end to end, and what the server cannot hear it cannot mix.")
    }
    do {
      try await member.participant.setAudioMode(mode)
    } catch {
      throw Problem(error)
    }
  }
}

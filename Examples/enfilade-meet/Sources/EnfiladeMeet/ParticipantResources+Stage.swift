// What a participant has room for on its screen and in its ears: the room shows and lets hear who belongs there.

import Enfilade
import Foundation
import Hummingbird

extension ParticipantResources {
  /// Places for pictures, the most prominent first, and for voices.
  private struct Places: Decodable {
    /// Neighbouring places of one size.
    struct Group: Decodable {
      let width: Int?
      let height: Int?
      let framesPerSecond: Double?
      let priority: String?
      /// 1 where it is left out.
      let count: Int?
    }

    let pictures: [Group]
    let voices: Int?
    let pinned: [String]?
    let hidden: [String]?
  }

  @Sendable func arrange(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let places = try JSON.decode(Places.self, from: await request.text(mediaType: MediaTypes.json))
    let limit = MeetOptions.maximumPlaces
    let counts = places.pictures.map { $0.count ?? 1 }
    guard places.pictures.count <= limit, counts.allSatisfy((1...limit).contains), counts.reduce(0, +) <= limit,
      (0...limit).contains(places.voices ?? 0), (places.pinned ?? []).count <= limit,
      (places.hidden ?? []).count <= meetings.options.maximumParticipants
    else {
      throw Problem(.unprocessableContent, "A stage has at most \(limit) places for pictures, for voices, and for who is pinned.")
    }
    let pictures = try zip(places.pictures, counts).flatMap { group, count throws(Problem) in
      let wish = try VideoConstraint(
        width: group.width, height: group.height, framesPerSecond: group.framesPerSecond, priority: group.priority)
      return Array(repeating: wish, count: count)
    }
    let stage = Stage(
      pictures: pictures, voices: places.voices ?? Stage.defaultVoices, pinned: (places.pinned ?? []).map(ParticipantID.init(rawValue:)),
      hidden: Set((places.hidden ?? []).map(ParticipantID.init(rawValue:))))
    try await meeting.setStage(of: member.id, stage)
    return Response(status: .noContent)
  }

  @Sendable func clearStage(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    try await meeting.setStage(of: member.id, nil)
    return Response(status: .noContent)
  }
}

extension VideoConstraint {
  /// What a client says is of use; what it leaves out is not constrained.
  init(width: Int?, height: Int?, framesPerSecond: Double?, isPaused: Bool = false, priority: String? = nil) throws(Problem) {
    let size = 1...65_535
    guard size.contains(width ?? 1), size.contains(height ?? 1), (0.1...1000).contains(framesPerSecond ?? 1) else {
      throw Problem(.unprocessableContent, "A picture has 1 to 65535 pixels each way and 0.1 to 1000 frames per second.")
    }
    guard let priority = VideoPriority(rawValue: priority ?? VideoPriority.gallery.rawValue) else {
      throw Problem(.unprocessableContent, "A picture is one of \(VideoPriority.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    self.init(
      maximumWidth: width ?? size.upperBound, maximumHeight: height ?? size.upperBound,
      maximumFramesPerSecond: framesPerSecond ?? .infinity, isPaused: isPaused, priority: priority)
  }
}

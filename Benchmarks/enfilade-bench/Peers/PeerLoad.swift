// The loads that are compared: `video:2500`, `opus`, or both with a plus between.

import EnfiladeLoad
import EnfiladeWire

/// One load, by name.
struct PeerLoad: Hashable, Sendable {
  let name: String
  /// Zero for no video.
  private(set) var videoKilobitsPerSecond = 0
  private(set) var hasAudio = false

  /// `nil` when it is no load.
  init?(_ name: String) {
    self.name = name
    for part in name.split(separator: "+", omittingEmptySubsequences: false) {
      if part == "opus" {
        hasAudio = true
      } else if part == "video" {
        videoKilobitsPerSecond = 2500
      } else if part.hasPrefix("video:"), let rate = Int(part.dropFirst(6)), (50...50_000).contains(rate) {
        videoKilobitsPerSecond = rate
      } else {
        return nil
      }
    }
  }

  func apply(to options: inout LoadOptions) {
    options.sendsAudio = hasAudio
    options.video = videoKilobitsPerSecond == 0 ? nil : VideoShape(bitrate: .kilobitsPerSecond(Int64(videoKilobitsPerSecond)))
  }
}

// Who is in which room, how loud Opus may be, and where everybody takes packets: what a server is told before it is measured.

import Foundation

/// How mixtures are encoded, the same for every server: 48 kHz, mono, without forward error correction.
struct MixQuality: Codable {
  var bitrate = 32_000
  var complexity = 5
}

/// Somebody with a socket, who speaks plain RTP.
struct MixParty: Codable {
  var room: String
  /// Where they take packets, on 127.0.0.1.
  var port: Int
  var speaks: Bool
  /// Hears everybody as one sound; else each voice as it was sent.
  var isMixed = true
}

/// All of them.
struct MixPlan: Codable {
  var quality: MixQuality
  /// How many are heard at the same time; Janus hears all.
  var heard: Int
  /// Threads that carry the media of Enfilade.
  var shards: Int
  /// After so many seconds the server ends by itself.
  var lifetime: Double
  var parties: [MixParty]
}

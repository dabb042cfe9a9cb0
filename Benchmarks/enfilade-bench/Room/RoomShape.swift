// What is measured: who sends how much to how many.

import EnfiladeTransport

/// The size of a room and of what its publishers send.
struct RoomShape: Codable, Sendable {
  var publishers = 1
  var subscribers = 200
  /// Of the clear RTP packet as published, header included.
  var packetBytes = 1_100
  var packetsPerFrame = 8
  /// The last packet of a frame is this many bytes longer than the others, as browsers cut their frames.
  var unevenBytes = 0
  /// Encodings of each publisher's picture, each with packets of the same sizes.
  var encodings = 1
  /// Every so many-th frame of each encoding is a key frame; `nil` for none but the first.
  var keyframeSpacing: Int?

  /// Packets that leave for each frame of one publisher.
  var forwardedPerFrame: Int { packetsPerFrame * subscribers }
}

extension SRTPProfile {
  /// The names of RFC 5764 and RFC 7714, as `--profile` takes them.
  static let named: [(name: String, profile: SRTPProfile)] = [
    ("AEAD_AES_128_GCM", .aeadAES128GCM), ("AEAD_AES_256_GCM", .aeadAES256GCM), ("AES_CM_128_HMAC_SHA1_80", .aes128CMHMACSHA1_80),
  ]

  var standardName: String { Self.named.first { $0.profile == self }!.name }
}

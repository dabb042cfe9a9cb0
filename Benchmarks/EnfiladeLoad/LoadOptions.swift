// What a run of load is asked for.

import EnfiladeIO
package import EnfiladeTransport
package import EnfiladeWire

/// The media, the members and the times of one run.
package struct LoadOptions: Sendable {
  package var publisherCount = 1
  package var subscriberCount = 1
  /// Who publishes and watches on one connection, as a page does.
  package var memberCount = 0
  /// What each member has room for.
  package var stage = StageWish.gallery
  /// How many members speak at the same time, in turns.
  package var talkerCount = 3
  /// `nil` for no video.
  package var video: VideoShape?
  package var sendsAudio = true
  /// Offers three encodings (q, h, f); a server that does not take them gets one.
  package var offersSimulcast = false
  /// What to replay instead of made-up video: sizes and times are the dump's, over and over.
  package var replay: RTPDump?
  /// Real pictures to send, over and over: one recording for each of the encodings, the smallest first, and where there are more the next member's.
  /// Their packets carry no stamps, so that there is no latency of video.
  package var recordings: [IVFFile] = []
  /// How long to measure, and how long to send before that.
  package var duration = TimeDelta.seconds(Int64(10))
  package var warmUp = TimeDelta.seconds(Int64(2))
  package var coalescesReceive = true
  /// The SRTP profiles to offer; one for an equal comparison.
  package var profiles = SRTPProfile.negotiated
  /// Subscribers whose packets wake the client at once, spread over all: latency is theirs. The others are read every ``sweepInterval``,
  /// because a wake-up per packet costs the server, which pays for it in its send call, more than the packet.
  package var probeCount = 4
  package var sweepInterval = TimeDelta.milliseconds(20)
  /// Of the subscribers that are no probes, every so many-th packet is opened, to know that the keys are right; 0 for none.
  package var verifyEvery = 64
  package var givesTransportFeedback = true
  /// The room to meet in.
  package var room = "load"
  /// How long one client may take to connect.
  package var connectTimeout = TimeDelta.seconds(Int64(10))

  /// More than a process may have descriptors for is refused at the start.
  package static let clientLimit = 5000

  package init() {}

  package var sendsVideo: Bool { video != nil || replay != nil || !recordings.isEmpty }
}

/// Why a run did not happen, or ended.
package enum LoadError: Error, Hashable, CustomStringConvertible {
  case badOption(String)
  /// The server cannot be reached, or said no.
  case signaling(String)
  /// The server's description cannot be used.
  case description(String)
  /// A client did not connect in time.
  case notConnected(client: String, ice: String, handshake: String)
  /// Nothing protects on this machine.
  case noProtector
  case system(String)
  case badDump(String)
  case badRecording(String)

  package var description: String {
    switch self {
    case .badOption(let text): text
    case .signaling(let text): "Signaling: \(text)"
    case .description(let text): "Session description: \(text)"
    case .notConnected(let client, let ice, let handshake): "\(client) did not connect (ICE \(ice), DTLS \(handshake))."
    case .noProtector: "No implementation of SRTP is available."
    case .system(let text): "System: \(text)"
    case .badDump(let text): "RTP dump: \(text)"
    case .badRecording(let text): "Recording: \(text)"
    }
  }
}

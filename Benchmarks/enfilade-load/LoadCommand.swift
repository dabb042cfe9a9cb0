// The program `enfilade-load`: WebRTC publishers and subscribers against any server that speaks WHIP and WHEP, or against Janus.

import ArgumentParser
import EnfiladeLoad
import EnfiladeTransport
import EnfiladeWire
import Foundation

@main
struct LoadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-load",
    abstract: "Joins publishers and subscribers to a room, sends media shaped like a browser's, and measures what arrives.",
    discussion: """
      Everything runs on one thread and over loopback; every run ends by itself and deletes its sessions. Some subscribers are probes: \
      their packets wake the client at once, all are opened, and latency is theirs. The others are read in turn, because to wake a \
      client for each packet costs the server more than the packet.

      A server must offer a candidate on 127.0.0.1 and, where it offers itself (Janus), be an ICE-lite agent. Janus also needs a \
      session timeout longer than the run.

      EXAMPLES
        enfilade-load --url http://127.0.0.1:8080 --subscribers 40
        enfilade-load --publishers 0 --subscribers 0 --members 50 --simulcast --seconds 60
        enfilade-load --url http://127.0.0.1:8088/janus --signaling janus --video-bitrate 0 --profile aes-cm
        enfilade-load --url http://127.0.0.1:7000 --signaling whip --publish-path /live/{room}/whip --subscribe-path /live/{room}/whep
      """)

  @Option(help: "Where the server's HTTP interface is.")
  var url = "http://127.0.0.1:8080"

  @Option(help: "How the server is spoken to: \(SignalingKind.allCases.map(\.rawValue).joined(separator: ", ")).")
  var signaling = SignalingKind.enfilade

  @Option(help: "The path that publishers post to; {room} stands for the room.")
  var publishPath: String?

  @Option(help: "The path that subscribers post to.")
  var subscribePath: String?

  @Option(help: "The room's name.")
  var room = "load"

  @Option(help: "How many publish.")
  var publishers = 1

  @Option(help: "How many watch; each watches all publishers.")
  var subscribers = 10

  @Option(help: "How many publish and watch on one connection, with a stage; with the signaling of enfilade-meet.")
  var members = 0

  @Option(help: "What each member has room for: groups of places, COUNTxWIDTHxHEIGHT, separated by commas.")
  var stage = "9x640x360,16x320x180"

  @Option(help: "How many voices a member hears.")
  var voices = 3

  @Option(help: "How many members speak at the same time, in turns.")
  var talkers = 3

  @Option(help: "What lets members in, where the room wants an invitation.")
  var invite: String?

  @Option(
    help:
      "Send these IVF files (VP8) over and over instead: of each three encodings, the smallest first; with more than three the members take turns."
  )
  var recording: [String] = []

  @Option(help: "Video in kbit/s for each publisher; 0 for none.")
  var videoBitrate = 2500

  @Flag(inversion: .prefixedNo, help: "Opus, 50 packets a second, from each publisher.")
  var audio = true

  @Option(help: "Video frames in a second.")
  var framesPerSecond = 30

  @Option(help: "The most bytes of UDP payload in a video packet.")
  var packetBytes = 1200

  @Option(help: "Seconds between key frames that nobody asked for; 0 for none.")
  var keyframeInterval = 0.0

  @Flag(help: "Offer three encodings (q, h, f). A server that takes none gets one stream.")
  var simulcast = false

  @Option(help: "Send the shape of this RTP dump (rtpdump format) as video instead.")
  var replay: String?

  @Option(help: "Seconds to measure.")
  var seconds = 10.0

  @Option(help: "Seconds of media before that.")
  var warmUp = 2.0

  @Flag(inversion: .prefixedNo, help: "Let the kernel coalesce what is received (UDP_GRO).")
  var gro = true

  @Option(help: "Offer only this SRTP profile: aes-gcm, aes-gcm-256, aes-cm.")
  var profile: SRTPProfile?

  @Option(help: "How many subscribers are probes.")
  var probes = 4

  @Option(help: "Milliseconds in which each other subscriber is read once.")
  var sweepInterval = 20.0

  @Option(help: "Open every so many-th packet of subscribers that are no probes; 0 for none.")
  var verifyEvery = 64

  @Flag(inversion: .prefixedNo, help: "Offer transport-wide feedback as a subscriber, and give it.")
  var transportFeedback = true

  @Flag(help: "Write the result as JSON.")
  var json = false

  func validate() throws {
    guard seconds > 0, seconds <= 3600, warmUp >= 0, warmUp <= 60 else {
      throw ValidationError("Up to an hour, with up to a minute before.")
    }
    guard videoBitrate >= 0, videoBitrate <= 100_000 else { throw ValidationError("Video is at most 100 Mbit/s.") }
    guard (1...240).contains(framesPerSecond) else { throw ValidationError("1 to 240 frames in a second.") }
    guard (VideoTraffic.minimumPacketByteCount...1472).contains(packetBytes) else {
      throw ValidationError("Packets have 100 to 1472 bytes.")
    }
    guard sweepInterval >= 0.1, sweepInterval <= 1000, verifyEvery >= 0, probes >= 0 else {
      throw ValidationError("A number is out of range.")
    }
  }

  func run() throws {
    guard let stage = StageWish(parsing: stage, voices: voices) else {
      throw ValidationError("A stage is written as 9x640x360,16x320x180: up to 64 places, and up to 64 voices.")
    }
    guard recording.count % (simulcast ? 3 : 1) == 0 else { throw ValidationError("With simulcast there are three recordings each.") }
    guard let base = URL(string: url) else { throw ValidationError("'\(url)' is no URL.") }
    var options = LoadOptions()
    options.publisherCount = publishers
    options.subscriberCount = subscribers
    if videoBitrate > 0 {
      options.video = VideoShape(
        bitrate: .kilobitsPerSecond(Int64(videoBitrate)), framesPerSecond: framesPerSecond, packetByteCount: packetBytes,
        keyframeInterval: keyframeInterval > 0 ? .seconds(keyframeInterval) : nil)
    }
    options.replay = try replay.map { try RTPDump(contentsOf: $0) }
    options.memberCount = members
    options.stage = stage
    options.talkerCount = talkers
    options.recordings = try recording.map { try IVFFile(contentsOf: $0) }
    options.sendsAudio = audio
    options.offersSimulcast = simulcast
    options.duration = .seconds(seconds)
    options.warmUp = .seconds(warmUp)
    options.coalescesReceive = gro
    if let profile { options.profiles = [profile] }
    options.probeCount = probes
    options.sweepInterval = .seconds(sweepInterval / 1000)
    options.verifyEvery = verifyEvery
    options.givesTransportFeedback = transportFeedback
    options.room = room
    let adapter = try signaling.make(
      base: base, room: room, publishPath: publishPath, subscribePath: subscribePath, invitation: invite)
    let report = try LoadRun(options, signaling: adapter).run()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    } else {
      print(report.table)
    }
    if report.rejectedPacketCount + report.unstampedPacketCount > 0 { throw ExitCode(1) }
  }
}

extension SignalingKind: ExpressibleByArgument {}

extension SRTPProfile: ExpressibleByArgument {
  package init?(argument: String) {
    guard let profile = SRTPProfile.negotiated.first(where: { $0.shortName == argument }) else { return nil }
    self = profile
  }
}

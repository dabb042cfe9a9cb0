// What `fanout` and `scale` can be told.

import ArgumentParser
import EnfiladeSRTP
import EnfiladeTransport

/// Options that every measurement of forwarding has.
struct FanOutOptions: ParsableArguments {
  @Option(help: "Publishers, each with one video stream.") var publishers = 1
  @Option(help: "Subscribers, each of every publisher.") var subscribers = 200
  @Option(help: "Bytes of the clear RTP packet as published, header included.") var packetBytes = 1_100
  @Option(help: "Packets of a frame; they arrive together.") var packetsPerFrame = 8
  @Option(help: "How much longer the last packet of a frame is than the others.") var unevenBytes = 0
  @Option(help: "AEAD_AES_128_GCM, AEAD_AES_256_GCM or AES_CM_128_HMAC_SHA1_80.") var profile = "AEAD_AES_128_GCM"
  @Option(help: "auto, libsrtp or multiBuffer.") var protector = "auto"
  @Flag(inversion: .prefixedNo, help: "Pad packets that differ by a few bytes to one size.") var levelling = true
  @Option(help: "Seconds of processor time for each measurement.") var seconds = 1.0
  @Option(help: "Measurements of the engine, and of the floor between them.") var rounds = 5
  @Flag(help: "Print JSON.") var json = false

  var shape: RoomShape {
    RoomShape(
      publishers: publishers, subscribers: subscribers, packetBytes: packetBytes, packetsPerFrame: packetsPerFrame, unevenBytes: unevenBytes
    )
  }

  func validate() throws {
    guard publishers >= 1, subscribers >= 1, publishers + subscribers <= 4_000 else {
      throw ValidationError("--publishers and --subscribers must be at least 1, and together at most 4,000")
    }
    guard packetBytes >= 64, packetBytes + unevenBytes <= 1_400, unevenBytes >= 0 else {
      throw ValidationError("--packet-bytes must be 64 to 1,400, --uneven-bytes included")
    }
    guard packetsPerFrame >= 1, packetsPerFrame <= 58 else { throw ValidationError("--packets-per-frame must be 1 to 58") }
    guard seconds > 0, seconds <= 3_600, rounds >= 1, rounds <= 1_000 else {
      throw ValidationError("--seconds or --rounds is out of range")
    }
    _ = try srtpProfile()
    _ = try makePacketProtector()
  }

  func srtpProfile() throws -> SRTPProfile {
    guard let named = SRTPProfile.named.first(where: { $0.name == profile }) else { throw ValidationError("no such profile: \(profile)") }
    return named.profile
  }

  func makePacketProtector() throws -> any PacketProtector {
    guard let backend = ProtectorBackend(rawValue: protector) else { throw ValidationError("no such protector: \(protector)") }
    guard let made = makeProtector(backend) else { throw ValidationError("this machine does not have the protector \(protector)") }
    return made
  }
}

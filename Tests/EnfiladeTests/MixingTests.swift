// Mixtures through a real engine on loopback: sockets, SRTP, shards, the media worker, and Opus with tones in it.

import Enfilade
import EnfiladeEngine
import EnfiladeMixing
import EnfiladeOpus
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Testing

@Suite("Mixtures over sockets", .serialized)
struct MixingTests {
  private static let frequencies = [440.0, 700]

  /// A client that says one tone for ever.
  static func speak(_ client: TestClient, _ frequency: Double) throws {
    let encoder = try OpusEncoder(EncoderSettings(bitrate: 32_000, usesDiscontinuousTransmission: false))
    var time = 0
    client.makeOpus = {
      let samples = (0..<960).map { Float(0.2 * sin(2 * Double.pi * frequency * Double(time + $0) / 48_000)) }
      time += 960
      var bytes = [UInt8](repeating: 0, count: 1_276)
      var target = bytes.mutableSpan
      var raw = target.mutableBytes
      let count = (try? encoder.encode(samples.span, into: &raw)) ?? 0
      return Array(bytes.prefix(count))
    }
    client.isSending = true
  }

  static func decode(_ packets: some Sequence<[UInt8]>) throws -> [Float] {
    let decoder = try OpusDecoder(channelCount: 1)
    var heard: [Float] = []
    for packet in packets {
      var samples = [Float](repeating: 0, count: 5_760)
      var target = samples.mutableSpan
      let count = try decoder.decode(packet.span.bytes, into: &target)
      heard += samples.prefix(count)
    }
    return heard
  }

  /// Two seconds of what a client gets from now on are looked at, and the two that end half a second later, until they are as they should be:
  /// where a machine halts, that is later, and no other.
  private static func eventuallyHears(
    _ client: TestClient, _ what: String, among clients: [TestClient], sourceLocation: SourceLocation = #_sourceLocation,
    _ isRight: ([ReceivedPacket]) throws -> Bool
  ) async throws {
    var next = client.packets(on: "0").count + 100
    var failure: (any Error)?
    await eventually("\(client.name) hears \(what)", clients, sourceLocation: sourceLocation) {
      let packets = client.packets(on: "0")
      guard packets.count >= next else { return false }
      next = packets.count + 25
      do { return try isRight(packets.suffix(100)) } catch { failure = error }
      return true
    }
    if let failure { throw failure }
  }

  /// Waits until a client hears the tones that it should, and none that it should not.
  private static func eventuallyHears(
    _ client: TestClient, tones: Set<Int>, among clients: [TestClient], sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    try await eventuallyHears(client, "tones \(tones)", among: clients, sourceLocation: sourceLocation) { packets in
      let heard = try decode(packets.map(\.payload))
      let levels = frequencies.map { level($0, in: heard) }
      print("mixture: \(client.name) hears the tones at \(levels.map { $0.rounded() }) dB, and should hear \(tones.sorted())")
      return levels.indices.allSatisfy { tones.contains($0) ? abs(levels[$0] - -14) < 3 : levels[$0] < -45 }
    }
  }

  /// A tone's level in pieces of 100 ms, of which a quarter is louder. A machine that halts sender or worker leaves seams, and after them the sound is read
  /// up to half a percent faster; neither moves the tone out of a piece that has none of the seams.
  static func level(_ frequency: Double, in samples: [Float]) -> Double {
    let levels = stride(from: 0, to: samples.count - 4_799, by: 4_800).map { toneLevel(frequency, in: samples[$0..<$0 + 4_800]) }.sorted()
    return levels.isEmpty ? -.infinity : levels[levels.count * 3 / 4]
  }

  private static func toneLevel(_ frequency: Double, in samples: ArraySlice<Float>) -> Double {
    let coefficient = 2 * cos(2 * Double.pi * frequency / 48_000)
    var (first, second, weight) = (0.0, 0.0, 0.0)
    for (position, sample) in samples.enumerated() {
      let window = 0.5 - 0.5 * cos(2 * Double.pi * Double(position) / Double(samples.count - 1))
      weight += window
      (first, second) = (Double(sample) * window + coefficient * first - second, first)
    }
    return 10 * log10(max(1e-20, (first * first + second * second - coefficient * first * second) * 4 / (weight * weight)))
  }

  // How exact a mixture is, and who is in it of many, the tests in virtual time say. A machine that does not keep up leaves out ticks, and says which; and
  // where eight may be heard it has seven steps to go down before one of two is left out.

  @Test(
    "Who speaks hears the other and not himself, who listens hears both; a listener goes from forwarded to mixed and back without a gap")
  func tones() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("choir")
    await room.setMixing(MixConfiguration(speakers: 8))
    var speakers: [Guest] = []
    for number in 0..<2 { speakers.append(try await Guest.join(room, "speaker\(number)", [(.audio, .sendrecv)])) }
    let listener = try await Guest.join(room, "listener", [(.audio, .recvonly)])
    let clients = speakers.map(\.client) + [listener.client]
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    for guest in speakers { try await guest.participant.setAudioMode(.mixed) }
    try await listener.participant.setAudioMode(.mixed)
    for (number, guest) in speakers.enumerated() { try Self.speak(guest.client, Self.frequencies[number]) }
    await eventually("everybody hears something", clients) { clients.allSatisfy { !$0.packets(on: "0").isEmpty } }

    try await Self.eventuallyHears(speakers[0].client, tones: [1], among: clients)
    try await Self.eventuallyHears(speakers[1].client, tones: [0], among: clients)
    try await Self.eventuallyHears(listener.client, tones: [0, 1], among: clients)
    #expect(listener.client.packets(on: "0").last?.rtp.contributors.count ?? 0 == 2)
    #expect(speakers[0].client.packets(on: "0").last?.rtp.contributors.count ?? 0 == 1)

    // Back and forth; the stream is one all the time.
    let start = listener.client.packets(on: "0").count
    for mode in [AudioMode.forwarded, .mixed, .forwarded, .mixed] {
      let before = listener.client.packets(on: "0").count
      try await listener.participant.setAudioMode(mode)
      await eventually("it goes on", clients) { listener.client.packets(on: "0").count > before + 40 }
    }
    let packets = listener.client.packets(on: "0").dropFirst(max(0, start - 10))
    var advance = 0
    // How small the gaps are where nothing halts, the tests in virtual time say.
    for (one, next) in zip(packets, packets.dropFirst()) {
      #expect(next.index - one.index == 1)
      let step = Int(Int32(bitPattern: next.rtp.timestamp &- one.rtp.timestamp))
      #expect(step > 0)
      advance += step
    }
    let skipped = await engine.mixSnapshots().reduce(0) { $0 + $1.statistics.skippedTicks }
    print("mixture: \(packets.count) packets, \(advance / 48) ms over four changes; \(skipped) ticks skipped so far")

    // Who mutes somebody for himself does not hear him; the others do.
    let publication = try #require(await speakers[0].participant.publications.first)
    try await listener.participant.setVolume(0, of: publication.id)
    try await Self.eventuallyHears(listener.client, tones: [1], among: clients)
    try await Self.eventuallyHears(speakers[1].client, tones: [0], among: clients)
    await engine.shutdown()
  }

  /// The level of a tone on the left and on the right of what a client got.
  private static func sides(_ frequency: Double, _ packets: [ReceivedPacket]) throws -> (left: Double, right: Double) {
    let decoder = try OpusDecoder(channelCount: 2)
    var sides: ([Float], [Float]) = ([], [])
    for packet in packets {
      var samples = [Float](repeating: 0, count: 2 * 5_760)
      var target = samples.mutableSpan
      let count = try decoder.decode(packet.payload.span.bytes, into: &target)
      for index in 0..<count {
        sides.0.append(samples[2 * index])
        sides.1.append(samples[2 * index + 1])
      }
    }
    return (level(frequency, in: sides.0), level(frequency, in: sides.1))
  }

  @Test("In a mixture of two channels each voice is where it was placed, through Opus")
  func placement() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("stereo")
    await room.setMixing(MixConfiguration(speakers: 8, bitrate: 96_000, isStereo: true))
    var speakers: [Guest] = []
    for number in 0..<2 { speakers.append(try await Guest.join(room, "speaker\(number)", [(.audio, .sendonly)])) }
    let listener = try await Guest.join(room, "listener", [(.audio, .recvonly)])
    let clients = speakers.map(\.client) + [listener.client]
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    try await listener.participant.setAudioMode(.mixed)
    for (number, guest) in speakers.enumerated() { try Self.speak(guest.client, Self.frequencies[number]) }
    await eventually("it is heard", clients) { listener.client.packets(on: "0").count > 20 }
    var publications: [PublicationID] = []
    for guest in speakers { publications.append(try #require(await guest.participant.publications.first).id) }
    // Left of −1…1 is half as loud on the right at −0.5: 6 dB.
    for (position, differences) in [(-1.0, 20.0...200), (-0.5, 4.5...7.5), (0, -1...1)] {
      try await room.setPlacement(position, of: publications[0])
      try await room.setPlacement(-position, of: publications[1])
      try await Self.eventuallyHears(listener.client, "440 Hz at \(position), 700 Hz at \(-position)", among: clients) { packets in
        let (low, high) = (try Self.sides(Self.frequencies[0], packets), try Self.sides(Self.frequencies[1], packets))
        print("placed at \(position): 440 Hz left \(low.left), right \(low.right) dB")
        print("placed at \(-position): 700 Hz left \(high.left), right \(high.right) dB")
        return [low.left - low.right, high.right - high.left].allSatisfy(differences.contains)
          && [low.left, high.right].allSatisfy { abs($0 - -14) < 3 }
      }
    }
    await engine.shutdown()
  }

  @Test("A recording is an Ogg Opus file of what was said, pauses included")
  func recording() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("minutes")
    var events = room.events.makeAsyncIterator()
    let speaker = try await Guest.join(room, "speaker", [(.audio, .sendonly)])
    await eventually("connects", [speaker.client]) { speaker.client.isConnected }
    let recording = try await room.record()
    let file = Task {
      var bytes: [UInt8] = []
      for await run in recording { bytes += run }
      return bytes
    }
    try Self.speak(speaker.client, 700)
    await eventually("two seconds", [speaker.client]) { speaker.client.sentCounts["0"] ?? 0 > 100 }
    await recording.stop()
    let packets = try OggFile.packets(await file.value)
    #expect(packets.first.map { String(decoding: $0.prefix(8), as: UTF8.self) } == "OpusHead")
    #expect(packets.count > 50)
    let level = try Self.level(700, in: Self.decode(packets.dropFirst(2)))
    print("recording: \(packets.count - 2) packets, the tone at \(level.rounded()) dB")
    #expect(abs(level - -14) < 3)
    await engine.shutdown()
    var told: [Bool] = []
    while let event = await events.next() { if case .recordingChanged(let isRecorded) = event { told.append(isRecorded) } }
    #expect(told == [true, false])
  }
}

/// Reads Ogg (RFC 3533 §6) without the library's own code.
enum OggFile {
  struct Malformed: Error {}

  /// The packets of the one stream in a file, each page's checksum compared.
  static func packets(_ bytes: [UInt8]) throws -> [[UInt8]] {
    var packets: [[UInt8]] = []
    var packet: [UInt8] = []
    var offset = 0
    var number: UInt32 = 0
    while offset < bytes.count {
      guard offset + 27 <= bytes.count, Array(bytes[offset..<offset + 4]) == Array("OggS".utf8) else { throw Malformed() }
      let count = Int(bytes[offset + 26])
      let table = bytes[offset + 27..<offset + 27 + count]
      let end = offset + 27 + count + table.reduce(0) { $0 + Int($1) }
      guard end <= bytes.count else { throw Malformed() }
      var page = Array(bytes[offset..<end])
      let stored = (0..<4).reduce(UInt32(0)) { $0 | UInt32(page[22 + $1]) << UInt32(8 * $1) }
      for index in 22..<26 { page[index] = 0 }
      let sequence = (0..<4).reduce(UInt32(0)) { $0 | UInt32(page[18 + $1]) << UInt32(8 * $1) }
      guard checksum(page) == stored, sequence == number else { throw Malformed() }
      number += 1
      var position = offset + 27 + count
      for segment in table {
        packet += bytes[position..<position + Int(segment)]
        position += Int(segment)
        if segment < 255 {
          packets.append(packet)
          packet = []
        }
      }
      offset = end
    }
    return packets
  }

  /// Bit by bit, as RFC 3533 says it.
  private static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var checksum: UInt32 = 0
    for byte in bytes {
      checksum ^= UInt32(byte) << 24
      for _ in 0..<8 { checksum = checksum & 0x8000_0000 != 0 ? checksum << 1 ^ 0x04C1_1DB7 : checksum << 1 }
    }
    return checksum
  }
}

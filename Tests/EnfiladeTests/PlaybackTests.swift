// Sound that the application plays into a room, through a real engine on loopback: files and samples, heard by forwarded clients and in a mixture.

import Enfilade
import EnfiladeEngine
import EnfiladeMixing
import EnfiladeOpus
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Synchronization
import Testing

@Suite("Playback over sockets", .serialized)
struct PlaybackTests {
  /// A WAV file of 16 bits that holds one tone of −14 dB in each channel.
  private static func wav(_ frequencies: [Double], sampleRate: Int, seconds: Double) -> [UInt8] {
    func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    var data: [UInt8] = []
    for index in 0..<Int(Double(sampleRate) * seconds) {
      for frequency in frequencies {
        data += little(Int((0.2 * 32_767 * sin(2 * Double.pi * frequency * Double(index) / Double(sampleRate))).rounded()), 2)
      }
    }
    let block = 2 * frequencies.count
    var body = Array("WAVEfmt ".utf8) + little(16, 4) + little(1, 2) + little(frequencies.count, 2) + little(sampleRate, 4)
    body += little(sampleRate * block, 4) + little(block, 2) + little(16, 2) + Array("data".utf8) + little(data.count, 4) + data
    return Array("RIFF".utf8) + little(body.count, 4) + body
  }

  /// An Ogg Opus file that holds one tone of −14 dB, and the packets in it.
  private static func ogg(_ frequency: Double, seconds: Double, gain: Int = 0) throws -> (bytes: [UInt8], packets: [[UInt8]]) {
    let encoder = try OpusEncoder(EncoderSettings(bitrate: 32_000))
    var writer = OggOpusWriter(channelCount: 1, serial: 77)
    var bytes = writer.head()
    // The head is one page, whose gain and checksum are written anew.
    if gain != 0 {
      let bits = UInt16(bitPattern: Int16(gain))
      (bytes[44], bytes[45]) = (UInt8(bits & 0xFF), UInt8(bits >> 8))
      for index in 22..<26 { bytes[index] = 0 }
      let checksum = OggOpusWriter.checksum(Array(bytes[0..<47]))
      for index in 0..<4 { bytes[22 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)) }
    }
    var packets: [[UInt8]] = []
    for number in 0..<Int(seconds * 50) {
      let samples = (0..<960).map { Float(0.2 * sin(2 * Double.pi * frequency * Double(number * 960 + $0) / 48_000)) }
      var payload = [UInt8](repeating: 0, count: 1_276)
      var target = payload.mutableSpan
      var raw = target.mutableBytes
      let count = try encoder.encode(samples.span, into: &raw)
      packets.append(Array(payload.prefix(count)))
      writer.append(packets[number], timestamp: UInt32(number * 960))
      bytes += writer.takePage() ?? []
    }
    return (bytes + writer.finish(), packets)
  }

  /// One who is forwarded, one who hears the mixture, one who speaks and hears the mixture.
  private static func hall(_ name: String) async throws -> (engine: Engine, room: Room, forwarded: Guest, mixed: Guest) {
    let engine = try await loopbackEngine()
    let room = try await engine.room(name)
    await room.setMixing(MixConfiguration(speakers: 8))
    let forwarded = try await Guest.join(room, "forwarded", [(.audio, .recvonly)])
    let mixed = try await Guest.join(room, "mixed", [(.audio, .recvonly)])
    try await mixed.participant.setAudioMode(.mixed)
    let clients = [forwarded.client, mixed.client]
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    return (engine, room, forwarded, mixed)
  }

  private static func level(_ frequency: Double, _ client: TestClient) throws -> Double {
    try MixingTests.level(frequency, in: MixingTests.decode(client.packets(on: "0").map(\.payload)))
  }

  @Test("A WAV file is heard by who is forwarded and in the mixture, says how far it is, and is gone at its end")
  func wav() async throws {
    let (engine, room, forwarded, mixed) = try await Self.hall("station")
    let log = EventLog(room)
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("enfilade-\(UUID().uuidString).wav")
    try Data(Self.wav([440], sampleRate: 44_100, seconds: 2)).write(to: path)
    defer { try? FileManager.default.removeItem(at: path) }
    let playback = try await room.play(.file(path.path), as: "gong", identity: "house")
    #expect(playback.duration == .some(.seconds(2)))
    let info = try #require(await room.participant(playback.participant)?.info)
    #expect(info.name == "gong" && info.identity == .some("house"))
    #expect(info.publications.map(\.id) == [playback.publication])
    #expect(info.publications.map(\.purpose) == [.playback])
    let clients = [forwarded.client, mixed.client]
    await eventually("the half", clients) { playback.progress >= .seconds(1) }
    #expect(playback.progress < .seconds(2))
    let finished = Mutex(false)
    let wait = Task {
      try await playback.finished()
      finished.withLock { $0 = true }
    }
    await eventually("it ends", clients) { finished.withLock { $0 } }
    try await wait.value
    let statistics = playback.statistics
    #expect(statistics.played == .seconds(2) && playback.isOver)
    #expect(await room.participant(playback.participant) == nil)
    let (one, other) = (try Self.level(440, forwarded.client), try Self.level(440, mixed.client))
    let packets = forwarded.client.packets(on: "0")
    print(
      "playback: \(packets.count) packets forwarded, 440 Hz at \(one.rounded()) dB; in the mixture at \(other.rounded()) dB; \(statistics)")
    #expect(abs(one - -14) < 1.5)
    #expect(abs(other - -14) < 3)
    #expect(packets.count >= 100)
    #expect(packets.contains { $0.rtp.extensions.contains { $0.data.count == 1 && (14...20).contains(Int($0.data[0] & 0x7F)) } })
    await eventually("the end is told", clients) { log.contains("ended gong audio") && log.contains("left left") }
    #expect(log.contains("joined gong") && log.contains("started gong audio opus"))
    await engine.shutdown()
  }

  @Test(
    "An Ogg Opus file's packets are sent as they are; one that wants a gain is decoded, and is that much softer", arguments: [0, -1_536])
  func ogg(gain: Int) async throws {
    let (engine, room, forwarded, mixed) = try await Self.hall("ogg\(gain)")
    let (bytes, packets) = try Self.ogg(700, seconds: 2, gain: gain)
    let playback = try await room.play(.bytes(bytes))
    let clients = [forwarded.client, mixed.client]
    await eventually("it ends", clients) { playback.isOver }
    let payloads = forwarded.client.packets(on: "0").map(\.payload)
    let (one, other) = (try Self.level(700, forwarded.client), try Self.level(700, mixed.client))
    print("playback: Ogg Opus with a gain of \(gain / 256) dB: 700 Hz at \(one.rounded()) dB, in the mixture at \(other.rounded()) dB")
    if gain == 0 {
      #expect(Array(payloads.prefix(packets.count)) == packets)
    } else {
      #expect(!payloads.contains(packets[50]))
    }
    #expect(abs(one - (-14 + Double(gain) / 256)) < 1.5)
    #expect(abs(other - (-14 + Double(gain) / 256)) < 3)
    await engine.shutdown()
  }

  @Test("Pushed samples arrive, at the speed at which they are played; who stops pushing is counted, and may go on")
  func pushed() async throws {
    let (engine, room, forwarded, mixed) = try await Self.hall("pushed")
    let pushed = try await room.play(sampleRate: 16_000, as: "voice", buffering: .milliseconds(100))
    let clients = [forwarded.client, mixed.client]
    let pushedCount = Mutex(0)
    let pusher = Task {
      for piece in 0..<150 {
        try await pushed.push((0..<160).map { Float(0.2 * sin(2 * Double.pi * 440 * Double(piece * 160 + $0) / 16_000)) })
        pushedCount.withLock { $0 += 1 }
      }
    }
    await eventually("half a second", clients) { pushed.playback.progress >= .milliseconds(500) }
    let (sent, played) = (pushedCount.withLock { $0 }, pushed.playback.progress)
    // A push may be on its way, and what is played is told every 20 ms.
    #expect(Duration.milliseconds(10 * sent) <= played + .milliseconds(100 + 60), "\(sent) pieces at \(played)")
    #expect(pushed.playback.statistics.buffered <= .milliseconds(100))
    try await pusher.value
    await eventually("it runs dry", clients) { pushed.playback.statistics.underruns == 1 }
    try await pushed.push([Float](repeating: 0, count: 1_600))
    await pushed.finish()
    await eventually("it ends", clients) { pushed.playback.isOver }
    try await pushed.playback.finished()
    let (one, other) = (try Self.level(440, forwarded.client), try Self.level(440, mixed.client))
    print(
      "playback: pushed at 16 kHz, 440 Hz at \(one.rounded()) dB, in the mixture at \(other.rounded()) dB; \(pushed.playback.statistics)")
    #expect(abs(one - -14) < 1.5)
    #expect(abs(other - -14) < 3)
    #expect(abs(pushed.playback.progress / .milliseconds(1) - 1_600) < 2)
    await #expect { try await pushed.push([0]) } throws: { ($0 as? PlaybackError)?.code == .ended }
    await engine.shutdown()
  }

  @Test("Who waits to push goes on when it is cancelled, stopped, removed or the room is closed, each with its error")
  func endings() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("endings")
    func push(_ pushed: PushedPlayback) -> Task<PlaybackError.Code?, Never> {
      Task {
        do throws(PlaybackError) {
          while true { try await pushed.push([Float](repeating: 0.1, count: 48_000)) }
        } catch { return error.code }
      }
    }
    let cancelled = try await room.play(sampleRate: 48_000)
    let pusher = push(cancelled)
    await eventually("it waits") { cancelled.playback.statistics.buffered > .milliseconds(150) }
    pusher.cancel()
    #expect(await pusher.value == .some(.cancelled))
    await cancelled.playback.stop()
    #expect(await push(cancelled).value == .some(.ended))
    try await cancelled.playback.finished()

    let removed = try await room.play(sampleRate: 48_000)
    let other = push(removed)
    await eventually("it waits") { removed.playback.statistics.buffered > .milliseconds(150) }
    try await room.remove(removed.playback.participant)
    #expect(await other.value == .some(.removed))
    await #expect { try await removed.playback.finished() } throws: { ($0 as? PlaybackError)?.code == .removed }

    let last = try await room.play(sampleRate: 48_000)
    let third = push(last)
    await eventually("it waits") { last.playback.statistics.buffered > .milliseconds(150) }
    await room.close()
    #expect(await third.value == .some(.closed))
    await #expect { try await last.playback.finished() } throws: { ($0 as? PlaybackError)?.code == .closed }
    await #expect { try await room.play(sampleRate: 48_000) } throws: { ($0 as? PlaybackError)?.code == .closed }
    await engine.shutdown()
  }

  @Test("What cannot be played is an error with its reason; a file that breaks off is played as far as it is good")
  func refusals() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("refusals")
    func code(_ source: PlaybackSource) async -> PlaybackError.Code? {
      do throws(PlaybackError) {
        _ = try await room.play(source)
        return nil
      } catch {
        print("playback: \(error)")
        return error.code
      }
    }
    #expect(await code(.file("/nowhere/gong.wav")) == .some(.unreadable))
    #expect(await code(.file("/dev/zero")) == .some(.unreadable))
    #expect(await code(.file("/")) == .some(.unreadable))
    #expect(await code(.bytes([])) == .some(.malformed))
    #expect(await code(.bytes([UInt8](repeating: 7, count: 100))) == .some(.malformed))
    #expect(await code(.bytes(Array(Self.wav([440], sampleRate: 8_000, seconds: 1).prefix(40)))) == .some(.malformed))
    #expect(await code(.bytes(Self.wav([1, 2, 3], sampleRate: 8_000, seconds: 0.1))) == .some(.unsupported))
    await #expect { try await room.play(sampleRate: 100) } throws: { ($0 as? PlaybackError)?.code == .invalidFormat }
    let (bytes, _) = try Self.ogg(440, seconds: 1, gain: 256)
    var playbacks: [Playback] = []
    for _ in 0..<16 { playbacks.append(try await room.play(.bytes(bytes))) }
    #expect(await code(.bytes(bytes)) == .some(.limitReached))
    await room.close()
    for playback in playbacks { _ = try? await playback.finished() }
    await engine.shutdown()
  }

  @Test("Nobody who came in, and no rule of the door, is in an announcement's way; muting and permissions hold for it")
  func rules() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("rules", configuration: .init(capacity: 1))
    try await room.setLocked(true)
    let pushed = try await room.play(sampleRate: 48_000, channelCount: 2, as: "radio")
    #expect(await room.participants.map(\.name) == ["radio"])
    try await room.setLocked(false)
    let listener = try await Guest.join(room, "listener", [(.audio, .recvonly)])
    await eventually("connects", [listener.client]) { listener.client.isConnected }
    let pusher = Task {
      while true { try await pushed.push((0..<1_920).map { Float(0.2 * sin(Double($0 / 2) / 10)) }) }
    }
    await eventually("it is heard", [listener.client]) { listener.client.packets(on: "0").count > 10 }
    try await room.setMuted(true, pushed.playback.publication)
    listener.client.pump()
    let before = listener.client.packets(on: "0").count
    let progress = pushed.playback.progress
    await eventually("time goes on", [listener.client]) { pushed.playback.progress > progress + .milliseconds(300) }
    #expect(listener.client.packets(on: "0").count == before)
    try await room.setMuted(false, pushed.playback.publication)
    await eventually("it is heard again", [listener.client]) { listener.client.packets(on: "0").count > before + 10 }
    let participant = try #require(await room.participant(pushed.playback.participant))
    await #expect(throws: NegotiationError.self) { try await participant.answer(offer: Recorded.chromium) }
    pusher.cancel()
    try await room.remove(pushed.playback.participant)
    listener.client.pump()
    let last = listener.client.packets(on: "0").count
    try await Task.sleep(for: .milliseconds(100))
    listener.client.pump()
    #expect(listener.client.packets(on: "0").count == last)
    await engine.shutdown()
  }
}

// Members without ICE through a real engine on loopback: a telephone made of a socket and codecs, and GStreamer.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeMixing
import EnfiladeOpus
import EnfiladeRTP
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeSRTP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Foundation
import Glibc
import Testing

/// Somebody with a socket who speaks a tone by RTP, and decodes what comes.
final class Telephone {
  let socket: UDPSocket
  private let encoding: PlainTransport.Encoding
  private let payloadType: UInt8
  private let encoder: any AudioEncoder
  private let decoder: any AudioDecoder
  private let protector = ClearProtector(makeProtector(.auto)!)
  private let session: ProtectorSession
  private let received = ReceiveBatch(capacity: 16, bufferByteCount: 2_048)
  private let ssrc: UInt32
  private var sequence: Int64 = 1_000
  private var time: Int64 = 0
  private var next = MonotonicClock.now
  private let frequency: Double
  private let amplitude: Double
  var destination = SocketAddress(ipv4: 0, port: 0)
  private(set) var heard: [Float] = []
  private(set) var reportCount = 0
  private(set) var foreignCount = 0
  private(set) var sentCount = 0

  init(
    _ encoding: PlainTransport.Encoding, _ payloadType: UInt8, frequency: Double, amplitude: Double = 0.2,
    crypto: PlainTransport.Crypto? = nil, address: SocketAddress = SocketAddress(ipv4: 0x7F00_0001, port: 0)
  ) throws {
    socket = try UDPSocket(bindingTo: address)
    self.encoding = encoding
    self.payloadType = payloadType
    self.frequency = frequency
    self.amplitude = amplitude
    ssrc = UInt32.random(in: 1 ... .max)
    var settings = EncoderSettings()
    settings.codec = encoding == .opus ? .opus : encoding == .pcma ? .pcma : .pcmu
    encoder = try OpusCodecs().makeEncoder(settings)
    decoder = try OpusCodecs().makeDecoder(settings.codec, channelCount: 1)
    var keys = SRTPKeyingMaterial.clear
    if let crypto {
      // As the engine's, seen from the other side.
      let (theirs, ours) = (try CryptoAttribute(parsing: crypto.local), try CryptoAttribute(parsing: crypto.remote))
      let profiles: [CryptoSuite: SRTPProfile] = [
        .aes128CMHMACSHA1_80: .aes128CMHMACSHA1_80, .aes128CMHMACSHA1_32: .aes128CMHMACSHA1_32, .aeadAES128GCM: .aeadAES128GCM,
        .aeadAES256GCM: .aeadAES256GCM,
      ]
      keys = SRTPKeyingMaterial(
        profile: profiles[ours.suite]!, sendMasterKey: ours.masterKey, sendMasterSalt: ours.masterSalt,
        receiveMasterKey: theirs.masterKey, receiveMasterSalt: theirs.masterSalt)
    }
    session = try protector.openSession(keys)
  }

  private var clockRate: Int64 { encoding == .opus ? 48_000 : 8_000 }

  /// Sends what is due, and takes what came.
  func pump() throws {
    // A machine that is slower than time leaves some out: who else is on this thread must have its turn.
    next = max(next, MonotonicClock.now - .milliseconds(100))
    for _ in 0..<5 where next <= MonotonicClock.now {
      next = next + .milliseconds(20)
      let samples = (0..<960).map { Float(amplitude * sin(2 * Double.pi * frequency * Double(time + Int64($0)) / 48_000)) }
      var payload = [UInt8](repeating: 0, count: 1_276)
      var target = payload.mutableSpan
      var raw = target.mutableBytes
      let count = try encoder.encode(samples.span, into: &raw)
      send(Array(payload.prefix(count)), payloadType: payloadType)
      time += 960
    }
    receive()
  }

  func send(_ payload: [UInt8], payloadType: UInt8, marker: Bool = false, timestamp: UInt32? = nil, from other: UDPSocket? = nil) {
    sequence += 1
    sentCount += 1
    let stamp = timestamp ?? UInt32(truncatingIfNeeded: time * clockRate / 48_000)
    var bytes: [UInt8] = [
      0x80, (marker ? 0x80 : 0) | payloadType, UInt8(truncatingIfNeeded: sequence >> 8), UInt8(truncatingIfNeeded: sequence),
    ]
    for word in [stamp, ssrc] { for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) } }
    bytes += payload + [UInt8](repeating: 0, count: 32)
    bytes.withUnsafeMutableBytes { raw in
      var job = ProtectJob(
        session: session, isRTCP: false, headerByteCount: 12, payloadByteCount: payload.count, ssrc: SSRC(ssrc),
        index: ExtendedSequenceNumber(sequence), payload: UnsafeRawPointer(raw.baseAddress! + 12), destination: raw.baseAddress!)
      withUnsafeMutablePointer(to: &job) { protector.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
      var datagram = OutgoingDatagram(
        base: raw.baseAddress!, byteCount: Int(job.resultByteCount), segmentByteCount: 0, to: destination)
      _ = withUnsafeMutablePointer(to: &datagram) { (other ?? socket).send(UnsafeBufferPointer(start: $0, count: 1)) }
    }
  }

  private func receive() {
    while socket.receive(into: received) > 0 {
      for position in 0..<received.count {
        let datagram = received[position]
        for segment in 0..<datagram.segmentCount { take(Array(datagram.segment(at: segment))) }
      }
    }
  }

  private func take(_ sealed: [UInt8]) {
    let isRTCP = DatagramKind(sealed.rawBytes) == .rtcp
    var clear = [UInt8](repeating: 0, count: sealed.count)
    let count = sealed.withUnsafeBytes { source in
      clear.withUnsafeMutableBytes { target in
        var job = UnprotectJob(
          session: session, isRTCP: isRTCP, source: source.baseAddress!, sourceByteCount: source.count, destination: target.baseAddress!,
          capacity: target.count)
        withUnsafeMutablePointer(to: &job) { protector.unprotect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
        return job.outcome == .done ? Int(job.resultByteCount) : -1
      }
    }
    guard count >= 0 else {
      foreignCount += 1
      return
    }
    guard !isRTCP else {
      reportCount += 1
      return
    }
    let bytes = Array(clear.prefix(count))
    guard case .success(let view) = RTPPacketView.parse(bytes.rawBytes), view.payloadType.rawValue == payloadType else {
      foreignCount += 1
      return
    }
    let payload = view.payload(in: bytes.rawBytes)
    var samples = [Float](repeating: 0, count: 5_760)
    var target = samples.mutableSpan
    guard let decoded = try? decoder.decode(payload, into: &target) else { return }
    heard += samples.prefix(decoded)
  }
}

@Suite("Plain transports over sockets", .serialized)
struct PlainTransportTests {
  private static func pair(_ suite: PlainTransport.Suite) -> PlainTransport.Crypto {
    .init(local: PlainTransport.makeCrypto(suite), remote: PlainTransport.makeCrypto(suite))
  }

  private struct Case: Sendable, CustomTestStringConvertible {
    var encoding: PlainTransport.Encoding
    var payloadType: Int
    var suite: PlainTransport.Suite?
    var isIPv6 = false
    var testDescription: String { "\(encoding.rawValue), \(suite?.rawValue ?? "in clear"), IPv\(isIPv6 ? 6 : 4)" }
  }

  private static let cases = [
    Case(encoding: .pcma, payloadType: 8), Case(encoding: .pcmu, payloadType: 0, suite: .aes128CMHMACSHA1_80),
    Case(encoding: .opus, payloadType: 111, suite: .aes128CMHMACSHA1_32), Case(encoding: .opus, payloadType: 96, suite: .aeadAES128GCM),
    Case(encoding: .pcma, payloadType: 8, suite: .aeadAES256GCM), Case(encoding: .pcmu, payloadType: 0, isIPv6: true),
  ]

  @Test("A telephone hears the room and not itself, the room hears the telephone, whose keys are told", arguments: cases)
  private func telephone(_ setting: Case) async throws {
    let engine = try await Engine(
      .init(udpPort: 0, shards: 2, roomSpread: 0, controlsCongestion: false, includeLoopback: true, loadLimit: 10))
    let room = try await engine.room("call")
    await room.setMixing(MixConfiguration(speakers: 8))
    let log = EventLog(room)
    let guest = try await Guest.join(room, "guest", [(.audio, .sendrecv)])
    await eventually("the guest connects", [guest.client]) { guest.client.isConnected }
    try await guest.participant.setAudioMode(.mixed)
    let crypto = setting.suite.map(Self.pair)
    let loopback = setting.isIPv6 ? SocketAddress(ipv6High: 0, low: 1, port: 0) : SocketAddress(ipv4: 0x7F00_0001, port: 0)
    let telephone = try Telephone(
      setting.encoding, UInt8(setting.payloadType), frequency: 700, crypto: crypto, address: loopback)
    let transport = try await room.join(
      name: "telephone",
      over: .init(
        latching: crypto == nil ? .first : .authenticated, crypto: crypto,
        media: [.init(.audio, [.init(setting.encoding, payloadType: setting.payloadType), .init(.telephoneEvent, payloadType: 101)])]))
    telephone.destination = loopback
    telephone.destination.port = UInt16(transport.port)
    try MixingTests.speak(guest.client, 440)
    try await pump(telephone, guest) { telephone.heard.count > 3 * 48_000 && guest.client.packets(on: "0").count > 200 }

    let heard = Array(telephone.heard.suffix(2 * 48_000))
    let (there, own) = (MixingTests.level(440, in: heard), MixingTests.level(700, in: heard))
    let guestHeard = try MixingTests.decode(guest.client.packets(on: "0").suffix(100).map(\.payload))
    let (here, echo) = (MixingTests.level(700, in: guestHeard), MixingTests.level(440, in: guestHeard))
    print(
      "telephone \(setting.testDescription): hears the guest at \(there) dB, itself at \(own); the guest hears it at \(here), itself at \(echo)"
    )
    #expect(abs(there - -14) < 3)
    #expect(own < -45)
    #expect(abs(here - -14) < 3)
    #expect(echo < -45)
    #expect(telephone.reportCount >= 1)
    #expect(telephone.foreignCount == 0)

    for (duration, isEnd) in [(160, false), (800, true), (800, true), (800, true)] {
      let tone = EnfiladeRTP.TelephoneEvent(code: 10, isEnd: isEnd, volume: 9, duration: UInt16(duration))
      telephone.send(tone.bytes, payloadType: 101, marker: duration == 160, timestamp: 4_000_000)
    }
    try await pump(telephone, guest) { log.words.contains("key 10 true") }
    let keys = log.events.compactMap { event -> Enfilade.TelephoneEvent? in
      guard case .telephoneEvent(transport.participant.id, let key) = event else { return nil }
      return key
    }
    #expect(keys.map(\.isEnd) == [false, true])
    #expect(keys.allSatisfy { $0.key == "*" && $0.level == -9 })
    let clock = setting.encoding == .opus ? 48_000 : 8_000
    #expect(keys.last?.duration == .nanoseconds(800 * 1_000_000_000 / clock))

    // Somebody else's packets go nowhere, and take nothing over.
    let stranger = try UDPSocket(bindingTo: loopback)
    let before = telephone.heard.count
    var forged = OutgoingDatagram.of(
      [0x80, UInt8(setting.payloadType), 0xFF, 0xFF] + [UInt8](repeating: 7, count: 60), to: telephone.destination)
    for _ in 0..<20 { forged.send(over: stranger) }
    try await pump(telephone, guest) { telephone.heard.count > before + 24_000 }
    let drops = await engine.snapshots().reduce(UInt64(0)) { $0 + $1.drops[.sourceNotLatched] + $1.drops[.authenticationFailed] }
    #expect(drops >= 20)

    await transport.participant.leave()
    await eventually("its link is gone") { await census(of: engine).links == 1 }
    await engine.shutdown()
  }

  private func pump(_ telephone: Telephone, _ guest: Guest, until condition: () -> Bool) async throws {
    let end = MonotonicClock.now + .seconds(Int64(30))
    while !condition() {
      guard MonotonicClock.now < end else {
        Issue.record("not within thirty seconds; heard \(telephone.heard.count), sent \(telephone.sentCount)")
        return
      }
      try telephone.pump()
      guest.client.pump()
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  @Test(
    "RTCP with a port of its own comes on an odd one beside; a port that is taken, and what contradicts itself, is refused with a reason")
  func configurations() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    let sound = [PlainTransport.Media(.audio, [.init(.pcmu, payloadType: 0)])]
    let apart = try await room.join(
      name: "old", over: .init(latching: .first, multiplexesRTCP: false, media: sound, localAddress: "127.0.0.1"))
    #expect(apart.port % 2 == 0)
    #expect(apart.rtcpPort == apart.port + 1)
    let wrong: [(PlainTransport.Configuration, RoomError.Code)] = [
      (.init(media: sound), .invalidTransport), (.init(remote: "nowhere", media: sound), .invalidTransport),
      (.init(latching: .authenticated, media: sound), .invalidTransport), (.init(latching: .first, media: []), .invalidTransport),
      (.init(latching: .first, media: sound + sound), .invalidTransport),
      (.init(latching: .first, media: [.init(.audio, [.init(.opus, payloadType: 72)])]), .invalidTransport),
      (.init(latching: .first, media: [.init(.audio, [.init(.vp8, payloadType: 96)])]), .invalidTransport),
      (.init(latching: .first, crypto: .init(local: "x", remote: "y"), media: sound), .invalidTransport),
      (.init(latching: .first, media: sound, localAddress: "127.0.0.1", localPort: apart.port), .unavailable),
    ]
    for (configuration, code) in wrong {
      let error = await #expect(throws: RoomError.self) { _ = try await room.join(name: "wrong", over: configuration) }
      #expect(error?.code == code, "\(configuration)")
    }
    // The refused have left again, and the port of who has left is free.
    #expect(await room.participants.map(\.name) == ["old"])
    await apart.participant.leave()
    let again = try await room.join(
      name: "new", over: .init(latching: .first, media: sound, localAddress: "127.0.0.1", localPort: apart.port))
    #expect(again.port == apart.port)
    await #expect(throws: NegotiationError.self) { _ = try await again.participant.answer(offer: try Recorded.chromium) }
    await engine.shutdown()
  }

  // MARK: GStreamer

  private static let hasGStreamer = FileManager.default.isExecutableFile(atPath: "/usr/bin/gst-launch-1.0")

  private struct Pipeline: Sendable, CustomTestStringConvertible {
    var encoding: PlainTransport.Encoding
    var payloadType: Int
    var encode: String
    var decode: String
    var caps: String
    var isProtected = false
    var testDescription: String { encoding.rawValue + (isProtected ? ", SRTP" : "") }
  }

  private static let pipelines = [
    Pipeline(
      encoding: .pcma, payloadType: 8, encode: "alawenc ! rtppcmapay pt=8 min-ptime=20000000 max-ptime=20000000",
      decode: "rtppcmadepay ! alawdec", caps: "clock-rate=8000,encoding-name=PCMA"),
    Pipeline(
      encoding: .pcmu, payloadType: 0, encode: "mulawenc ! rtppcmupay pt=0 min-ptime=20000000 max-ptime=20000000",
      decode: "rtppcmudepay ! mulawdec", caps: "clock-rate=8000,encoding-name=PCMU", isProtected: true),
    Pipeline(
      encoding: .opus, payloadType: 96, encode: "opusenc frame-size=20 ! rtpopuspay pt=96", decode: "rtpopusdepay ! opusdec",
      caps: "clock-rate=48000,encoding-name=OPUS"),
  ]

  @Test(
    "GStreamer speaks into a room and hears it, and finds both tones; the room finds GStreamer's",
    .enabled(if: hasGStreamer, "gst-launch-1.0 is not installed: .ci/packages test"), arguments: pipelines)
  private func gstreamer(_ pipeline: Pipeline) async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("studio")
    await room.setMixing(MixConfiguration(speakers: 8))
    let guest = try await Guest.join(room, "guest", [(.audio, .sendrecv)])
    await eventually("the guest connects", [guest.client]) { guest.client.isConnected }
    try await guest.participant.setAudioMode(.mixed)
    let crypto = pipeline.isProtected ? Self.pair(.aes128CMHMACSHA1_80) : nil
    let media = PlainTransport.Format(pipeline.encoding, payloadType: pipeline.payloadType)
    let mouth = try await room.join(
      name: "mouth",
      over: .init(latching: crypto == nil ? .first : .authenticated, crypto: crypto, media: [.init(.audio, [media], receives: false)]))
    // gst-launch has no way to let two elements share a socket, so the ear has a port of its own.
    let ear = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0)).localAddress.port
    _ = try await room.join(
      name: "ear", over: .init(remote: "127.0.0.1:\(ear)", media: [.init(.audio, [media], sends: false)]))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("enfilade-\(UUID().uuidString).f32")
    defer { try? FileManager.default.removeItem(at: file) }
    var seal = ""
    if let crypto {
      let key = try CryptoAttribute(parsing: crypto.remote)
      let hex = (key.masterKey + key.masterSalt).map { String(format: "%02x", $0) }.joined()
      seal = "srtpenc key=\(hex) rtp-cipher=aes-128-icm rtp-auth=hmac-sha1-80 ! "
    }
    let speaking = try Self.launch(
      "audiotestsrc is-live=true freq=700 volume=0.2 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! audioconvert ! audioresample ! "
        + pipeline.encode + " ! " + seal + "udpsink host=127.0.0.1 port=\(mouth.port)")
    let hearing = try Self.launch(
      "udpsrc address=127.0.0.1 port=\(ear) caps=application/x-rtp,media=audio,payload=\(pipeline.payloadType),\(pipeline.caps) ! "
        + "rtpjitterbuffer latency=200 ! \(pipeline.decode) ! audioconvert ! audioresample ! "
        + "audio/x-raw,format=F32LE,rate=48000,channels=1 ! filesink buffer-mode=unbuffered location=\(file.path)")
    defer {
      // There is nothing to be put away in order.
      for process in [speaking, hearing] { _ = kill(process.processIdentifier, SIGKILL) }
    }
    try MixingTests.speak(guest.client, 440)
    func recorded() -> [Float] {
      guard let data = try? Data(contentsOf: file) else { return [] }
      return data.prefix(data.count / 4 * 4).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
    await eventually("four seconds are heard", [guest.client]) {
      guest.client.packets(on: "0").count > 250 && recorded().count > 4 * 48_000
    }
    let heard = Array(recorded().suffix(2 * 48_000))
    let levels = [440.0, 700].map { MixingTests.level($0, in: heard) }
    let guestHeard = try MixingTests.decode(guest.client.packets(on: "0").suffix(100).map(\.payload))
    let (here, echo) = (MixingTests.level(700, in: guestHeard), MixingTests.level(440, in: guestHeard))
    print(
      "GStreamer \(pipeline.testDescription): hears 440 Hz at \(levels[0]) dB, 700 Hz at \(levels[1]); the guest hears it at \(here), itself at \(echo)"
    )
    for level in levels { #expect(abs(level - -14) < 3) }
    #expect(abs(here - -14) < 3)
    #expect(echo < -45)
    await engine.shutdown()
  }

  private static func launch(_ description: String) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/gst-launch-1.0")
    process.arguments = ["-q"] + description.split(separator: " ").map(String.init)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    return process
  }
}

extension OutgoingDatagram {
  fileprivate struct Owned {
    var bytes: [UInt8]
    var address: SocketAddress

    mutating func send(over socket: UDPSocket) {
      let address = address
      bytes.withUnsafeMutableBytes { raw in
        var datagram = OutgoingDatagram(base: raw.baseAddress!, byteCount: raw.count, segmentByteCount: 0, to: address)
        _ = withUnsafeMutablePointer(to: &datagram) { socket.send(UnsafeBufferPointer(start: $0, count: 1)) }
      }
    }
  }

  fileprivate static func of(_ bytes: [UInt8], to address: SocketAddress) -> Owned { Owned(bytes: bytes, address: address) }
}

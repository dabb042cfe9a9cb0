// One stream that a publisher sends: when, how large, and under which numbers.

import EnfiladeRTP
import EnfiladeWire

/// Where a stream's packets come from.
enum Traffic {
  case video(VideoTraffic)
  case audio(AudioTraffic)
  case replay(ReplayTraffic)
  case recorded(RecordedTraffic)

  var nextDue: Instant {
    switch self {
    case .video(let traffic): traffic.nextDue
    case .audio(let traffic): traffic.nextDue
    case .replay(let traffic): traffic.nextDue
    case .recorded(let traffic): traffic.nextDue
    }
  }

  mutating func take(at now: Instant) -> ScheduledPacket {
    switch self {
    case .video(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .video(traffic)
      return packet
    case .audio(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .audio(traffic)
      return packet
    case .replay(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .replay(traffic)
      return packet
    case .recorded(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .recorded(traffic)
      return packet
    }
  }

  var keyframeCount: Int {
    switch self {
    case .video(let traffic): traffic.keyframeCount
    case .recorded(let traffic): traffic.keyframeCount
    case .audio, .replay: 0
    }
  }

  /// What the packet taken last consists of; `nil` where payloads are made up.
  var piece: RecordedTraffic.Piece? { if case .recorded(let traffic) = self { traffic.piece } else { nil } }

  mutating func requestKeyframe() {
    switch self {
    case .video(var traffic):
      traffic.requestKeyframe()
      self = .video(traffic)
    case .recorded(var traffic):
      traffic.requestKeyframe()
      self = .recorded(traffic)
    case .audio, .replay: break
    }
  }
}

/// A stream's numbers and what it has sent. A class, because its history is not to be copied with every packet.
final class OutgoingStream {
  /// What a retransmission needs of a packet that was sent; the rest of every payload is the same filler.
  struct Sent {
    var sequenceNumber = SequenceNumber(0)
    var timestamp: UInt32 = 0
    var marker = false
    var payloadByteCount = 0
    var head = InlineArray<32, UInt8>(repeating: 0)
    /// Where the rest of a recorded payload lies.
    var piece = RecordedTraffic.Piece(frame: 0, range: 0..<0)
  }

  /// Two seconds of 2.5 Mbit/s, as browsers keep.
  static let historyPacketCount = 512
  /// Packets that carry the section's and the encoding's name, until the server has surely learnt the source (RFC 9143 §15.1).
  static let namedPacketCount: UInt64 = 500
  /// Leaves room for headers, extensions and a retransmission's number within the size of packets that browsers send.
  static let recordedPayloadByteCount = 1_100

  let kind: MediaKind
  let source: SSRC
  let payloadType: PayloadType
  let retransmissionSource: SSRC
  /// `nil` where none was negotiated.
  let retransmissionType: PayloadType?
  let plan: ExtensionPlan
  /// Holds the encoding's name; `nil` without simulcast.
  let named: HeaderTemplate?
  /// Hold how loud a packet is (RFC 6464), for who speaks and who does not; `nil` where that was not negotiated.
  let levels: (speaking: [HeaderTemplate], silent: HeaderTemplate)?
  let sendsTransportNumbers: Bool
  var traffic: Traffic
  var next: ExtendedSequenceNumber
  var nextRetransmission = ExtendedSequenceNumber(1)
  let timestampBase: UInt32
  var pictureID: UInt16
  /// By sequence number; empty where nothing is retransmitted.
  var history: [Sent]
  var lastTimestamp: UInt32 = 0
  var lastSentAt = Instant.zero

  var packetCount: UInt64 = 0
  var payloadByteCount: UInt64 = 0
  var byteCount: UInt64 = 0
  var retransmissionCount: UInt64 = 0
  /// Asked for, and no longer known, or nothing to send it with.
  var unansweredCount: UInt64 = 0
  var keyframeRequestCount = 0

  /// Minus decibels (RFC 6464 §3), packet by packet: syllables, and the pauses between them.
  private static let speech: [UInt8] = [32, 24, 22, 25, 30, 27, 23, 28, 41, 33, 26, 24, 29, 38, 52, 36]
  private static let roomNoise: UInt8 = 78

  /// `rid` names the encoding, where there are several.
  init(
    kind: MediaKind, source: SSRC, payloadType: PayloadType, retransmissionSource: SSRC, retransmissionType: PayloadType?,
    extensions map: ExtensionMap, mid: String, rid: String?, traffic: Traffic, random: inout SeededRandom
  ) {
    self.kind = kind
    self.source = source
    self.payloadType = payloadType
    self.retransmissionSource = retransmissionSource
    self.retransmissionType = retransmissionType
    named = rid.flatMap { HeaderTemplate(.rid, Array($0.utf8), map) }
    let speaking = kind == .audio ? Self.speech.compactMap { HeaderTemplate(.audioLevel, [0x80 | $0], map) } : []
    let silent = kind == .audio ? HeaderTemplate(.audioLevel, [Self.roomNoise], map) : nil
    levels = silent.map { (speaking, $0) }
    let copied = levels != nil ? ExtensionKinds(.audioLevel) : named != nil ? ExtensionKinds(.rid) : []
    plan = ExtensionPlan(map: map, allowsMixed: false, mid: Array(mid.utf8), copied: copied)
    sendsTransportNumbers = map[.transportSequenceNumber] != nil
    self.traffic = traffic
    // Below half the range: a receiver must not have to guess the first rollover (RFC 3711 §3.3.1).
    next = ExtendedSequenceNumber(Int64(random.next() & 0x7FFF))
    timestampBase = UInt32(truncatingIfNeeded: random.next())
    pictureID = UInt16(truncatingIfNeeded: random.next() & 0x7FFF)
    history = retransmissionType == nil ? [] : Array(repeating: Sent(), count: Self.historyPacketCount)
  }

  func requestKeyframe() {
    keyframeRequestCount += 1
    traffic.requestKeyframe()
  }

  /// The stream's clock now (RFC 3550 §6.4.1).
  func reportTimestamp(at now: Instant) -> UInt32 {
    let ticksPerSecond: Int64 = kind == .video ? 90_000 : 48_000
    return lastTimestamp &+ UInt32(truncatingIfNeeded: (now - lastSentAt).nanoseconds * ticksPerSecond / 1_000_000_000)
  }
}

/// A packet whose header extension holds one element, to copy from (RFC 8285 §4.2).
struct HeaderTemplate {
  let bytes: [UInt8]
  let extensions: RTPExtensions

  /// `nil` where `kind` was not negotiated, or has no number for the one-byte form.
  init?(_ kind: ExtensionKind, _ data: [UInt8], _ map: ExtensionMap) {
    guard let identifier = map[kind], identifier <= 14, (1...16).contains(data.count) else { return nil }
    let words = (1 + data.count + 3) / 4
    let bytes = [UInt8].writing(capacity: 16 + 4 * words) { writer in
      writer.writeUInt8(0x90)
      writer.writeZeros(11)
      writer.writeUInt16(0xBEDE)
      writer.writeUInt16(UInt16(words))
      writer.writeUInt8(identifier << 4 | UInt8(data.count - 1))
      writer.writeBytes(data.rawBytes)
      writer.writeZeros(4 * words - 1 - data.count)
    }
    guard let bytes, case .success(let view) = RTPPacketView.parse(bytes.rawBytes) else { return nil }
    self.bytes = bytes
    extensions = RTPExtensions(view, in: bytes.rawBytes, map: map)
  }
}

// Members without ICE, DTLS and SDP: gateways to telephones, GStreamer, ffmpeg. RTP (RFC 3550), or SRTP with keys by signaling (RFC 4568).

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeSDP
import EnfiladeTransport
import EnfiladeWire

/// A participant that is reached by plain RTP or SRTP, on a port of its own.
///
/// ```swift
/// let gateway = try await room.join(
///   name: "+44 20 7946 0018",
///   over: .init(
///     remote: "192.0.2.7:40000", crypto: .init(local: ours, remote: theirs),
///     media: [.init(.audio, [.init(.pcma, payloadType: 8), .init(.telephoneEvent, payloadType: 101)])]))
/// tell(gateway.port)
/// ```
///
/// It hears the room's mixture from the start (``AudioMode/mixed``), in the first of its formats that can be mixed.
public struct PlainTransport: Sendable {
  /// Who it is in the room; ``Participant/leave()`` closes the port.
  public let participant: Participant
  /// Where it is to send RTP.
  public let port: Int
  /// Where it is to send RTCP; the same number where both share one port.
  public let rtcpPort: Int

  /// When the address that packets come from becomes the one that packets go to (symmetric RTP, RFC 4961).
  public enum Latching: Sendable, Hashable {
    /// Never: what does not come from ``Configuration/remote`` is dropped.
    case never
    /// With the first packet that is the peer's: with SRTP one whose tag fits, without it one of a payload type that was agreed on. Not again.
    case first
    /// With every packet that is newer than all before it and whose tag fits. Only with SRTP.
    case authenticated
  }

  /// How something is encoded.
  public enum Encoding: String, Sendable, Hashable, CaseIterable {
    /// RFC 7587.
    case opus
    /// G.711, µ-law (RFC 3551 §4.5.14).
    case pcmu = "PCMU"
    /// G.711, A-law.
    case pcma = "PCMA"
    /// Keys of a telephone (RFC 4733), on the clock of the first packet of its source; told by ``RoomEvent/telephoneEvent(id:_:)``.
    case telephoneEvent = "telephone-event"
    /// RFC 7741.
    case vp8 = "VP8"
    /// RFC 6184, constrained baseline, packetization mode 1.
    case h264 = "H264"
  }

  /// An encoding and the number that stands for it.
  public struct Format: Sendable, Hashable {
    /// How it is encoded.
    public var encoding: Encoding
    /// 0…127, but not 64…95 where RTCP comes to the same port (RFC 5761 §4).
    public var payloadType: Int

    /// A format.
    public init(_ encoding: Encoding, payloadType: Int) {
      self.encoding = encoding
      self.payloadType = payloadType
    }
  }

  /// One stream in each direction.
  public struct Media: Sendable, Hashable {
    /// Sound or picture.
    public var kind: MediaKind
    /// The first is what is sent, where there is a choice. A payload type stands for one format in all media of a transport.
    public var formats: [Format]
    /// The peer brings something in.
    public var sends: Bool
    /// The peer is sent something.
    public var receives: Bool

    /// A stream in each direction, or in one.
    public init(_ kind: MediaKind, _ formats: [Format], sends: Bool = true, receives: Bool = true) {
      self.kind = kind
      self.formats = formats
      self.sends = sends
      self.receives = receives
    }
  }

  /// Keys of both sides, as the values of `a=crypto` (RFC 4568 §9.1): each by which that side sends. Both name one suite.
  public struct Crypto: Sendable, Hashable {
    /// By which this engine sends: ``PlainTransport/makeCrypto(_:tag:)``.
    public var local: String
    /// By which the peer sends.
    public var remote: String

    /// Keys of both sides.
    public init(local: String, remote: String) {
      self.local = local
      self.remote = remote
    }
  }

  /// Suites of SRTP (RFC 4568 §6.2, RFC 7714 §14.2).
  public enum Suite: String, Sendable, Hashable, CaseIterable {
    case aes128CMHMACSHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    case aes128CMHMACSHA1_32 = "AES_CM_128_HMAC_SHA1_32"
    case aeadAES128GCM = "AEAD_AES_128_GCM"
    case aeadAES256GCM = "AEAD_AES_256_GCM"
  }

  /// Makes the value of an `a=crypto` attribute with a fresh key.
  ///
  /// - Parameters:
  ///   - suite: how packets are protected, and so how long the key is.
  ///   - tag: what an answer refers to: the one of the offer that is answered.
  public static func makeCrypto(_ suite: Suite = .aes128CMHMACSHA1_80, tag: Int = 1) -> String {
    var random = SystemRandomNumberGenerator()
    let wire = CryptoSuite(rawValue: suite.rawValue)!
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    return CryptoAttribute(
      tag: UInt32(max(0, min(999_999_999, tag))), suite: wire, masterKey: bytes(wire.keyByteCount), masterSalt: bytes(wire.saltByteCount)
    ).value
  }

  /// How a peer is reached and trusted; fixed for its life.
  public struct Configuration: Sendable, Hashable {
    /// Where the peer takes RTP: `192.0.2.7:40000`, `[2001:db8::7]:40000`. `nil` where ``latching`` finds it out.
    public var remote: String?
    /// Where it takes RTCP, without ``multiplexesRTCP``; `nil` for the port above that of RTP (RFC 3550 §11).
    public var remoteRTCP: String?
    /// Whether, and when, the address that packets come from is believed.
    public var latching: Latching
    /// RTP and RTCP share a port (RFC 5761).
    public var multiplexesRTCP: Bool
    /// `nil` sends and takes RTP in clear: for a network that is trusted, and no other.
    public var crypto: Crypto?
    /// At most one sound and one picture.
    public var media: [Media]
    /// The local address to listen on; `nil` for all of both families.
    public var localAddress: String?
    /// The port; zero takes a free one, an even one where RTCP has the next.
    public var localPort: Int
    /// After so long without a packet the participant has left; `nil` for never. At least a second.
    public var silenceLimit: Duration?

    /// A configuration.
    public init(
      remote: String? = nil, remoteRTCP: String? = nil, latching: Latching = .never, multiplexesRTCP: Bool = true, crypto: Crypto? = nil,
      media: [Media], localAddress: String? = nil, localPort: Int = 0, silenceLimit: Duration? = nil
    ) {
      self.remote = remote
      self.remoteRTCP = remoteRTCP
      self.latching = latching
      self.multiplexesRTCP = multiplexesRTCP
      self.crypto = crypto
      self.media = media
      self.localAddress = localAddress
      self.localPort = localPort
      self.silenceLimit = silenceLimit
    }
  }
}

/// A key of a telephone, or another tone, that came as an event (RFC 4733).
public struct TelephoneEvent: Sendable, Hashable {
  /// In which publication.
  public let publication: PublicationID
  /// Which one (RFC 4733 §3.2).
  public let code: Int
  /// The tone is over; before that it is told once that it begins.
  public let isEnd: Bool
  /// How long it has lasted; zero at its beginning.
  public let duration: Duration
  /// How loud it is to be heard, in dBm0: 0…−63.
  public let level: Int

  /// The key, if it is one: `0`…`9`, `*`, `#`, `A`…`D`.
  public var key: Character? {
    0..<16 ~= code ? Array("0123456789*#ABCD")[code] : nil
  }
}

// MARK: - As the engine is told

/// A configuration that has been looked at.
struct PlainPlan {
  struct Section {
    var kind: MediaKind
    var formats: [NegotiatedFormat]
    var sends: Bool
    var receives: Bool
    /// What the mixture is encoded as.
    var mixFormat: MediaFormat { formats.first { $0.format == .opus || $0.format == .pcmu || $0.format == .pcma }?.format ?? .opus }
  }

  var remote: SocketAddress?
  var remoteReports: SocketAddress?
  var local: SocketAddress?
  var localPort: UInt16
  var keys = SRTPKeyingMaterial.clear
  var latching = SourceLatching.never
  var multiplexesRTCP: Bool
  var sections: [Section] = []
  var silenceLimit: TimeDelta?

  init(_ configuration: PlainTransport.Configuration) throws(RoomError) {
    multiplexesRTCP = configuration.multiplexesRTCP
    remote = try Self.address(configuration.remote)
    remoteReports = try Self.address(configuration.remoteRTCP)
    switch configuration.latching {
    case .never:
      guard remote != nil else { throw Self.invalid("without latching the peer's address must be told") }
    case .first: latching = .first
    case .authenticated:
      guard configuration.crypto != nil else { throw Self.invalid("in clear RTP nothing is authenticated") }
      latching = .authenticated
    }
    guard let port = UInt16(exactly: configuration.localPort), multiplexesRTCP || port < .max else {
      throw Self.invalid("\(configuration.localPort) is no port")
    }
    localPort = port
    if let text = configuration.localAddress {
      guard let address = SocketAddress(host: text, port: port) else { throw Self.invalid("\(text) is no IP address") }
      local = address
    }
    if let crypto = configuration.crypto { keys = try Self.keys(crypto) }
    if let limit = configuration.silenceLimit {
      silenceLimit = TimeDelta(nanoseconds: max(1_000_000_000, min(limit.clampedNanoseconds, 86_400_000_000_000)))
    }
    try takeMedia(configuration.media)
  }

  private mutating func takeMedia(_ media: [PlainTransport.Media]) throws(RoomError) {
    var payloadTypes: Set<UInt8> = []
    for part in media {
      guard !sections.contains(where: { $0.kind == part.kind }) else { throw Self.invalid("there are two media of one kind") }
      var formats: [NegotiatedFormat] = []
      for format in part.formats {
        guard let number = UInt8(exactly: format.payloadType), number < 128, !multiplexesRTCP || !(64...95).contains(number),
          payloadTypes.insert(number).inserted
        else { throw Self.invalid("the payload type \(format.payloadType) cannot stand for \(format.encoding.rawValue)") }
        guard format.encoding.mediaFormat.kind == part.kind.wire else {
          throw Self.invalid("\(format.encoding.rawValue) is not \(part.kind.rawValue)")
        }
        formats.append(
          NegotiatedFormat(
            format: format.encoding.mediaFormat, payloadType: PayloadType(number),
            feedback: part.kind == .video ? [.pictureLossIndication, .fullIntraRequest] : []))
      }
      guard formats.contains(where: { $0.format != .telephoneEvent }) else {
        throw Self.invalid("there is no format for \(part.kind.rawValue)")
      }
      sections.append(Section(kind: part.kind, formats: formats, sends: part.sends, receives: part.receives))
    }
    guard !sections.isEmpty else { throw Self.invalid("there is neither sound nor picture") }
  }

  private static func address(_ text: String?) throws(RoomError) -> SocketAddress? {
    guard let text else { return nil }
    guard let address = SocketAddress(text), address.port > 0, !address.isUnspecified else {
      throw invalid("\(text) is no address with a port")
    }
    return address
  }

  private static func keys(_ crypto: PlainTransport.Crypto) throws(RoomError) -> SRTPKeyingMaterial {
    let (ours, theirs): (CryptoAttribute, CryptoAttribute)
    // The reason names no byte of the key.
    do { ours = try CryptoAttribute(parsing: crypto.local) } catch { throw invalid("the local key: \(error)") }
    do { theirs = try CryptoAttribute(parsing: crypto.remote) } catch { throw invalid("the remote key: \(error)") }
    guard ours.suite == theirs.suite else { throw invalid("the two keys are of different suites") }
    guard ours.masterKey != theirs.masterKey else { throw invalid("both sides would send with one key") }
    return SRTPKeyingMaterial(
      profile: SRTPProfile(ours.suite), sendMasterKey: ours.masterKey, sendMasterSalt: ours.masterSalt,
      receiveMasterKey: theirs.masterKey, receiveMasterSalt: theirs.masterSalt)
  }

  private static func invalid(_ reason: String) -> RoomError { RoomError(code: .invalidTransport, reason: reason) }
}

extension PlainTransport.Encoding {
  var mediaFormat: MediaFormat {
    switch self {
    case .opus: .opus
    case .pcmu: .pcmu
    case .pcma: .pcma
    case .telephoneEvent: .telephoneEvent
    case .vp8: .vp8
    case .h264: .h264ConstrainedBaseline
    }
  }
}

extension SRTPProfile {
  init(_ suite: CryptoSuite) {
    switch suite {
    case .aes128CMHMACSHA1_80: self = .aes128CMHMACSHA1_80
    case .aes128CMHMACSHA1_32: self = .aes128CMHMACSHA1_32
    case .aeadAES128GCM: self = .aeadAES128GCM
    case .aeadAES256GCM: self = .aeadAES256GCM
    }
  }
}

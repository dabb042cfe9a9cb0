// What shards say to one another: sixteen bytes for each packet, and a few words about streams.

import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

/// One message on the lane between two shards. *Home* is the shard that a publication's link lives on; the others with subscribers of it are
/// *outposts*.
struct RelayMessage: BitwiseCopyable, Sendable {
  enum Kind: UInt8, BitwiseCopyable, Sendable {
    // From home to an outpost.
    /// A packet is lent. Its slot holds the bytes, and a ``Packet`` behind them.
    case packet
    /// The same, of a packet that came a while ago: for those who join.
    case history
    /// A stream has begun, or its clock has moved. The lent slot holds a ``RelayedStream``.
    case stream
    /// A stream is over.
    case streamEnded
    /// A publication is gone, or was never there.
    case publicationEnded
    // From an outpost to home.
    /// Somebody here receives a publication now.
    case subscribe
    /// Nobody here receives it any more.
    case unsubscribe
    /// Somebody here cannot go on without a key frame.
    case keyframeWanted
    /// These encodings are watched here.
    case demand
    /// Of this publication only packets that say they are at least so loud need be lent: the reader hears silence without them.
    case loudnessWanted
    // From any shard to every other.
    /// How short of packet memory it is: mirrors keep its packets, too.
    case scarce
    // From a shard to a media worker, and back.
    /// A slot wants its mixture.
    case listen
    /// It wants it no longer.
    case unlisten
    /// From here on a slot carries this one of the worker's publications.
    case follow
  }

  /// A ``PacketHandle`` or a ``PublicationKey``, as the kind says.
  private var subject: UInt64
  /// The stream's place at home, or which encoding of the publication.
  var stream: Int32
  var kind: Kind
  private var detail: UInt8
  private var ageMilliseconds: UInt16 = 0

  private init(_ kind: Kind, subject: UInt64, stream: Int32 = -1, detail: UInt8 = 0) {
    self.kind = kind
    self.subject = subject
    self.stream = stream
    self.detail = detail
  }

  static func packet(_ handle: PacketHandle, stream: Int32) -> RelayMessage {
    RelayMessage(.packet, subject: unsafe unsafeBitCast(handle, to: UInt64.self), stream: stream)
  }

  /// - Parameters:
  ///   - age: how long ago it came, to a millisecond.
  ///   - isLast: nothing of the history follows.
  static func history(_ handle: PacketHandle, stream: Int32, age: TimeDelta, isLast: Bool) -> RelayMessage {
    var message = RelayMessage(.history, subject: unsafe unsafeBitCast(handle, to: UInt64.self), stream: stream, detail: isLast ? 1 : 0)
    message.ageMilliseconds = UInt16(clamping: age.milliseconds)
    return message
  }

  static func stream(_ handle: PacketHandle, stream: Int32) -> RelayMessage {
    RelayMessage(.stream, subject: unsafe unsafeBitCast(handle, to: UInt64.self), stream: stream)
  }

  static func streamEnded(_ stream: Int32) -> RelayMessage { RelayMessage(.streamEnded, subject: 0, stream: stream) }

  /// One of the kinds that are about a publication.
  static func about(_ publication: PublicationKey, _ kind: Kind) -> RelayMessage {
    RelayMessage(kind, subject: publication.rawValue)
  }

  static func keyframeWanted(_ publication: PublicationKey, encoding: Int, for reason: KeyframeRequester.Reason) -> RelayMessage {
    RelayMessage(.keyframeWanted, subject: publication.rawValue, stream: Int32(encoding), detail: reason.rawValue)
  }

  static func demand(_ publication: PublicationKey, encodings: UInt8) -> RelayMessage {
    RelayMessage(.demand, subject: publication.rawValue, detail: encodings)
  }

  /// - Parameter level: minus decibels (RFC 6464 §3); 127 wants everything.
  static func loudnessWanted(_ publication: PublicationKey, level: UInt8) -> RelayMessage {
    RelayMessage(.loudnessWanted, subject: publication.rawValue, detail: level)
  }

  static func scarce(_ scarcity: Scarcity) -> RelayMessage { RelayMessage(.scarce, subject: 0, detail: scarcity.rawValue) }
  static func listen(_ slot: SlotKey) -> RelayMessage { RelayMessage(.listen, subject: slot.rawValue) }
  static func unlisten(_ slot: SlotKey) -> RelayMessage { RelayMessage(.unlisten, subject: slot.rawValue) }

  /// - Parameter number: of the publication; its shard is the worker's.
  static func follow(_ slot: SlotKey, number: Int32) -> RelayMessage { RelayMessage(.follow, subject: slot.rawValue, stream: number) }

  var slot: SlotKey { SlotKey(subject) }
  var level: UInt8 { detail }

  /// Whether this word makes an earlier one needless that was not said yet: it is about the same matter, and who hears the later alone
  /// comes to the same.
  func supersedes(_ earlier: RelayMessage) -> Bool {
    switch (kind, earlier.kind) {
    // What stood at a place ends by itself when something else is described there.
    case (.stream, .stream), (.stream, .streamEnded), (.streamEnded, .stream), (.streamEnded, .streamEnded): stream == earlier.stream
    case (.subscribe, .unsubscribe), (.unsubscribe, .subscribe): subject == earlier.subject
    case (.keyframeWanted, .keyframeWanted): subject == earlier.subject && stream == earlier.stream
    case (.packet, _): false
    default: kind == earlier.kind && subject == earlier.subject
    }
  }

  /// The lent slot.
  var handle: PacketHandle { unsafe unsafeBitCast(subject, to: PacketHandle.self) }
  var publication: PublicationKey { PublicationKey(subject) }
  var encodings: UInt8 { detail }
  var age: TimeDelta { .milliseconds(Int64(ageMilliseconds)) }
  var scarcity: Scarcity { Scarcity(rawValue: detail) ?? .plenty }
  var isLast: Bool { detail != 0 }
  var reason: KeyframeRequester.Reason { KeyframeRequester.Reason(rawValue: detail) ?? .pictureLoss }
}

/// A stream as its home describes it to the outposts.
struct RelayedStream {
  var publication: PublicationKey
  var encoding: Int
  /// Tells it from every other stream that has had its place at home.
  var serial: UInt32
  var ssrc: SSRC
  var kind: MediaKind
  var format: MediaFormat
  var timelineOffset: UInt32?
  var extensions: ExtensionMap
  var clock: SenderReportClock
  var publisherClock: PublisherClock
}

// Sound that the application plays into a room: announcements from files, and whatever it pushes.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRuntime
import EnfiladeWire

/// Why something cannot be played, or was not played to its end.
public struct PlaybackError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is. More may come.
  public struct Code: Hashable, Sendable {
    let name: String
    /// The file cannot be read.
    public static let unreadable = Code(name: "unreadable")
    /// The bytes are neither a WAV file nor an Ogg Opus file, or break its rules.
    public static let malformed = Code(name: "malformed")
    /// The file holds what is not played: another codec, more than two channels, packets too large for a datagram.
    public static let unsupported = Code(name: "unsupported")
    /// What was asked for is not possible: a rate or a number of channels that is not played.
    public static let invalidFormat = Code(name: "invalidFormat")
    /// As much is played as may be.
    public static let limitReached = Code(name: "limitReached")
    /// This engine has no threads that mix.
    public static let unavailable = Code(name: "unavailable")
    /// It was taken out of the room: ``Room/remove(_:blocking:_:by:)``.
    public static let removed = Code(name: "removed")
    /// The room was closed.
    public static let closed = Code(name: "closed")
    /// It is over: nothing more can be pushed.
    public static let ended = Code(name: "ended")
    /// The task that pushed was cancelled.
    public static let cancelled = Code(name: "cancelled")
  }

  /// What kind of error it is, for a program.
  public let code: Code
  /// What went wrong, for a person.
  public let reason: String
  /// The code's name and the reason.
  public var description: String { "\(code.name): \(reason)" }
}

/// What is played: a file of either kind that is played, told apart by its first bytes.
///
/// - WAV (RIFF): linear PCM of 16, 24 or 32 bits or floating point of 32 or 64, one or two channels, 4 to 384 kHz. It is brought to 48 kHz and
///   encoded as Opus.
/// - Ogg Opus (RFC 7845): one or two channels. Its packets are sent as they are, without being decoded; so nobody has measured how loud they are,
///   and they carry no audio level. A file that asks for a gain is decoded and encoded anew.
public struct PlaybackSource: Sendable {
  let bytes: SoundFile.Bytes

  /// A file by its path. It is read piece by piece while it is played; changing it meanwhile changes what is heard.
  public static func file(_ path: String) -> PlaybackSource { PlaybackSource(bytes: .path(path)) }
  /// A file's bytes.
  public static func bytes(_ bytes: [UInt8]) -> PlaybackSource { PlaybackSource(bytes: .memory(bytes)) }
}

/// What has become of something that is played.
public struct PlaybackStatistics: Sendable, Hashable {
  /// How much was played, without pauses.
  public let played: Duration
  /// How much waits to be played.
  public let buffered: Duration
  /// Packets that were sent or mixed; none is made while nobody listens.
  public let packets: UInt64
  /// Times that nothing was left to play before the end was said. Silence follows, and it goes on when 40 ms have come.
  public let underruns: UInt64
  /// How much time was over before the machine came to it. What is played is late by that, and not cut.
  public let skipped: Duration
}

/// Something that is played into a room: a publication like any other, of a participant of its own. Forwarded and mixed subscribers hear it, it can
/// be muted (``Room/setMuted(_:_:mayUnmute:by:)``) and removed (``Room/remove(_:blocking:_:by:)``), and it takes no seat.
///
/// Letting go of it does not end it.
public final class Playback: Sendable {
  /// The participant that it is to the room.
  public let participant: ParticipantID
  /// What the others receive.
  public let publication: PublicationID
  /// How long it is, where its file says so: a WAV file does, as a rule.
  public let duration: Duration?
  let line: PlaybackLine
  let ending: Task<PlaybackLine.Outcome, Never>

  init(
    participant: ParticipantID, line: PlaybackLine, duration: Duration?, ending: Task<PlaybackLine.Outcome, Never>
  ) {
    self.participant = participant
    publication = PublicationID(rawValue: line.key.rawValue)
    self.duration = duration
    self.line = line
    self.ending = ending
  }

  /// How much was played by now; up to 20 ms old.
  public var progress: Duration { statistics.played }

  /// What has become of it by now.
  public var statistics: PlaybackStatistics {
    let statistics = line.statistics
    return PlaybackStatistics(
      played: .samples(statistics.playedSamples), buffered: .samples(line.waitingCount), packets: statistics.packets,
      underruns: statistics.underruns, skipped: .samples(statistics.skippedSamples))
  }

  /// It is over, and its publication is gone.
  public var isOver: Bool { line.outcome != nil }

  /// Ends it: it goes silent within 20 ms. Returns when its publication is gone, some 200 ms later, when everybody's buffers have played its end.
  public func stop() async {
    line.stop()
    _ = await ending.value
  }

  /// Waits until it has been played, or was stopped, and its publication is gone.
  ///
  /// - Throws: ``PlaybackError`` where its file is not what it said, or with ``PlaybackError/Code/removed`` or ``PlaybackError/Code/closed``.
  public func finished() async throws(PlaybackError) {
    if let error = PlaybackError(await ending.value) { throw error }
  }
}

/// Something that the application pushes into a room as samples.
public struct PushedPlayback: Sendable {
  /// What it is to the room.
  public let playback: Playback
  /// Samples in a second for each channel, as they are pushed.
  public let sampleRate: Int
  /// One or two.
  public let channelCount: Int
  private let pusher: SamplePusher

  init(playback: Playback, sampleRate: Int, channelCount: Int) {
    self.playback = playback
    self.sampleRate = sampleRate
    self.channelCount = channelCount
    pusher = SamplePusher(line: playback.line, sampleRate: sampleRate, channelCount: channelCount)
  }

  /// Plays samples behind those that were pushed before. Suspends while as much waits as may wait, so a producer goes at the speed at which it is
  /// played; what is pushed from several tasks at once is played in any order.
  ///
  /// - Parameter samples: in −1…1; left and right side by side where there are two channels. What is not a number is silence.
  /// - Throws: ``PlaybackError/Code/invalidFormat`` when there is not one sample for every channel, ``PlaybackError/Code/ended``,
  ///   ``PlaybackError/Code/removed``, ``PlaybackError/Code/closed``, ``PlaybackError/Code/cancelled``.
  public func push(_ samples: [Float]) async throws(PlaybackError) {
    guard samples.count % channelCount == 0 else {
      throw PlaybackError(code: .invalidFormat, reason: "\(samples.count) samples are not the same number for \(channelCount) channels")
    }
    guard await pusher.push(samples) else {
      if let outcome = playback.line.outcome {
        throw PlaybackError(outcome) ?? PlaybackError(code: .ended, reason: "what was played is over")
      }
      throw Task.isCancelled
        ? PlaybackError(code: .cancelled, reason: "the task that pushed was cancelled")
        : PlaybackError(code: .ended, reason: "the end was said")
    }
  }

  /// Says that nothing more comes. What waits is played; ``Playback/finished()`` waits for that.
  public func finish() async { await pusher.finish() }
}

/// Keeps what is pushed in order, and its filter.
private actor SamplePusher {
  private let line: PlaybackLine
  private let channelCount: Int
  private var converter: RateConverter
  private var isEnded = false

  init(line: PlaybackLine, sampleRate: Int, channelCount: Int) {
    self.line = line
    self.channelCount = channelCount
    converter = RateConverter(from: sampleRate, channelCount: channelCount)
  }

  func push(_ samples: [Float]) async -> Bool {
    guard !isEnded else { return false }
    let clean = samples.map { $0.isFinite ? max(-1, min(1, $0)) : 0 }
    return await line.bring(converter.convert(clean), channelCount: channelCount)
  }

  func finish() async {
    guard !isEnded else { return }
    isEnded = true
    _ = await line.bring(converter.finish(), channelCount: channelCount)
    line.end()
  }
}

extension PlaybackError {
  init?(_ outcome: PlaybackLine.Outcome) {
    switch outcome {
    case .played, .stopped: return nil
    case .removed: self.init(code: .removed, reason: "it was taken out of the room")
    case .roomClosed: self.init(code: .closed, reason: "the room was closed")
    case .refused: self.init(code: .limitReached, reason: "one thread plays \(Limits.playbackCount) at the same time, and not more")
    case .failed(let failure): self.init(failure)
    }
  }

  init(_ failure: PlaybackFailure) {
    switch failure {
    case .unreadable(let error): self.init(code: .unreadable, reason: "\(error)")
    case .codec(let error): self.init(code: .malformed, reason: "a packet cannot be decoded: \(error)")
    case .format(.unknownFormat): self.init(code: .malformed, reason: "it is neither a WAV file nor an Ogg stream")
    case .format(.truncated): self.init(code: .malformed, reason: "it ends before its sound begins")
    case .format(.malformed(let reason)): self.init(code: .malformed, reason: reason)
    case .format(.unsupported(let reason)): self.init(code: .unsupported, reason: "\(reason) cannot be played")
    }
  }
}

extension Duration {
  /// So many samples at 48 kHz.
  static func samples(_ count: Int64) -> Duration { .microseconds(count * 125 / 6) }
}

// Taps: what is said in a room, or by one participant, as samples for the application: to write it down, to analyse it, to record it.

import EnfiladeEngine
import EnfiladeRuntime
import EnfiladeWire

/// Twenty milliseconds of sound.
public struct TappedSound: Sendable {
  /// When it begins, on one line of time for all taps of a room. While nobody speaks time goes on and nothing comes.
  public let mediaTime: Duration
  /// In −1…1 at 48 kHz; left and right side by side where there are two.
  public let samples: [Float]
  /// One or two.
  public let channelCount: Int
  /// Whose voices are in it: the publications that are heard. Empty for silence.
  public let speakers: [PublicationID]
  /// Blocks lost right before this one, because the application took too long.
  public let missed: Int
}

/// What a tap has to say.
public enum TapElement: Sendable {
  case sound(TappedSound)
  /// What is tapped was muted in the room: nothing of it comes after this, not even what was said before and waited. Or it was unmuted.
  case muted(Bool)
}

/// Why a tap has ended.
public enum TapEnding: String, Sendable, Hashable, Codable {
  /// ``SoundTap/stop()`` was called.
  case stopped
  /// The publication has ended: its participant has left, may not publish it any more, or encrypts it now.
  case publicationEnded
  /// The room was closed.
  case roomClosed
}

/// What is said in a room, or by one participant, from the moment it was asked for. Who iterates too slowly loses the oldest blocks, and is told
/// how many; the room never waits. One iteration at a time.
public struct SoundTap: AsyncSequence, Sendable {
  /// One element.
  public typealias Element = TapElement
  /// It never fails; it ends, and ``ending`` says why.
  public typealias Failure = Never

  let line: TapLine
  let channelCount: Int
  let state: RoomState

  /// Why it has ended; `nil` while it has not.
  public var ending: TapEnding? {
    switch line.outcome {
    case nil: nil
    case .stopped: .stopped
    case .publicationEnded: .publicationEnded
    case .roomClosed: .roomClosed
    }
  }

  /// Blocks of 20 ms that were lost so far.
  public var missedCount: Int { line.missedCount }

  /// Ends the tap. Letting go of it does not.
  public func stop() async { await state.stopTap(line.recorder, .stopped) }

  /// An iterator.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(line: line, channelCount: channelCount) }

  /// Gives one block after another.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let line: TapLine
    let channelCount: Int

    /// The next element; `nil` after the last.
    public mutating func next() async -> TapElement? {
      switch await line.next() {
      case nil: nil
      case .muted(let isMuted): .muted(isMuted)
      case .sound(let packet, let missed):
        .sound(
          TappedSound(
            mediaTime: .samples(packet.time), samples: packet.samples, channelCount: channelCount,
            speakers: packet.speakers.map { PublicationID(rawValue: $0.rawValue) }, missed: missed))
      }
    }
  }
}

extension RoomState {
  /// How often a room is tapped at the same time.
  private static let tapLimit = 16

  /// A tap on the mixture, or on one publication.
  func tap(_ publication: PublicationID?, buffering: Duration) throws(RoomError) -> SoundTap {
    guard !isClosed else { throw RoomError(code: .closed, reason: "the room \(name) is closed") }
    let key = publication.map { PublicationKey($0.rawValue) }
    var isMuted = false
    if let key {
      guard let found = locate(key), members[found.member].sources[found.source].kind == .audio,
        members[found.member].sources[found.source].isLive
      else { throw RoomError(code: .unknownPublication, reason: "nobody in the room \(name) publishes a sound of that name") }
      let source = members[found.member].sources[found.source]
      guard !source.description.isEncrypted else {
        throw RoomError(code: .encrypted, reason: "what is encrypted between participants is handed to nobody")
      }
      isMuted = source.wantsGateClosed
    }
    try openMix()
    guard let mix, mix.taps.count < Self.tapLimit else {
      throw RoomError(code: .limitReached, reason: "the room \(name) is tapped \(Self.tapLimit) times, and not more")
    }
    let recorder = RecorderID(core.runtime.makeIdentifier())
    let capacity = Int(max(0, min(5_000_000_000, buffering.clampedNanoseconds)) / 20_000_000)
    guard let line = core.runtime.tap(recorder, at: mix.worker, capacity: capacity) else {
      throw RoomError(code: .limitReached, reason: "the thread that mixes the room \(name) is tapped as often as it can be")
    }
    self.mix?.taps[recorder] = RoomMix.Tap(line: line, publication: key)
    if let key {
      mix.worker.post(.addTap(recorder, key, mix.id), isUrgent: true)
      if isMuted { mute(recorder, line, true, mix) }
    } else {
      mix.worker.post(.addRecorder(recorder, mix.id, .samples), isUrgent: true)
    }
    noteRecording()
    return SoundTap(line: line, channelCount: mix.channelCount, state: self)
  }

  func stopTap(_ recorder: RecorderID, _ outcome: TapLine.Outcome) {
    guard let mix, mix.taps[recorder] != nil else { return }
    self.mix?.taps[recorder] = nil
    mix.worker.post(.removeRecorder(recorder), isUrgent: true)
    core.runtime.endTap(recorder, outcome)
    noteRecording()
  }

  /// A publication was muted or unmuted: its taps are told, and have nothing of it any more.
  func muteTaps(of key: PublicationKey, _ isMuted: Bool) {
    guard let mix else { return }
    for (recorder, tap) in mix.taps where tap.publication == key { mute(recorder, tap.line, isMuted, mix) }
  }

  private func mute(_ recorder: RecorderID, _ line: TapLine, _ isMuted: Bool, _ mix: RoomMix) {
    mix.worker.post(.setTapMuted(recorder, isMuted), isUrgent: true)
    line.setMuted(isMuted)
  }

  /// What is not in the room any more is not tapped either.
  func endTaps(of keys: Set<PublicationKey>) {
    guard let mix else { return }
    for (recorder, tap) in mix.taps {
      if let key = tap.publication, keys.contains(key) { stopTap(recorder, isClosed ? .roomClosed : .publicationEnded) }
    }
  }
}

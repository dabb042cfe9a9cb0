// What is played into a room, in the control plane: a participant without a link, whose one publication lives on the media worker.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRuntime
import EnfiladeWire

extension RoomState {
  /// What one room plays at the same time.
  private static let playbackLimit = 16
  /// Bits per second of what is encoded here, by the number of channels.
  private static let bitrates = [1: 48_000, 2: 96_000]

  // MARK: Beginning

  /// Plays a file.
  func play(_ source: PlaybackSource, as name: String, identity: String?) throws(PlaybackError) -> Playback {
    let worker = try playbackWorker()
    let file: SoundFile
    do { file = try SoundFile(source.bytes) } catch { throw PlaybackError(error) }
    let form: Player.Form =
      file.isDecoded ? .samples(Self.encoder(file.channelCount)) : .packets(channelCount: file.channelCount)
    // Half a second ahead of what is heard: reading a file takes no longer.
    let line = core.runtime.openPlayback(on: worker, form: form, capacity: Limits.mixSampleRate / 2)
    let playback = admit(line, as: name, identity: identity, duration: file.sampleCount.map { .samples($0) })
    Task { await Self.feed(line, from: file) }
    return playback
  }

  /// Plays what is pushed.
  func play(
    sampleRate: Int, channelCount: Int, as name: String, identity: String?, buffering: Duration
  ) throws(PlaybackError) -> PushedPlayback {
    guard WAVReader.sampleRates.contains(sampleRate), 1...2 ~= channelCount else {
      throw PlaybackError(code: .invalidFormat, reason: "\(channelCount) channels of \(sampleRate) samples in a second are not played")
    }
    let worker = try playbackWorker()
    let capacity = Int(max(0, min(2_000_000_000, buffering.clampedNanoseconds)) * 48 / 1_000_000)
    let line = core.runtime.openPlayback(
      on: worker, form: .samples(Self.encoder(channelCount)), capacity: max(3 * Limits.mixTickSampleCount, capacity))
    let playback = admit(line, as: name, identity: identity, duration: nil)
    return PushedPlayback(playback: playback, sampleRate: sampleRate, channelCount: channelCount)
  }

  private static func encoder(_ channelCount: Int) -> EncoderSettings {
    EncoderSettings(bitrate: bitrates[channelCount] ?? 48_000, channelCount: channelCount, isGeneral: true)
  }

  private func playbackWorker() throws(PlaybackError) -> MediaWorker {
    guard !isClosed else { throw PlaybackError(code: .closed, reason: "the room \(name) is closed") }
    guard members.count(where: { $0.playback != nil }) < Self.playbackLimit else {
      throw PlaybackError(code: .limitReached, reason: "the room \(name) plays \(Self.playbackLimit) at the same time, and not more")
    }
    guard let worker = core.runtime.worker(for: mixID) else {
      throw PlaybackError(code: .unavailable, reason: "this engine has no threads that mix")
    }
    return worker
  }

  /// Makes a participant of it, and tells everybody.
  private func admit(_ line: PlaybackLine, as name: String, identity: String?, duration: Duration?) -> Playback {
    let knocker = Knocker(
      id: core.makeParticipantID(), name: name, identity: identity, role: Role(name: "playback", permissions: .publishAudio))
    var member = Member(
      knocker, policy: .nobody, link: LinkID(core.runtime.makeIdentifier()), shard: members.last?.shard ?? core.runtime.shards[0],
      sessionID: 0)
    var source = Member.Source(key: line.key, mid: "0", kind: .audio)
    source.description.purpose = .playback
    source.codec = "opus"
    member.playback = line
    member.connection = .connected
    member.sources = [source]
    members.append(member)
    hub.send(.participantJoined(id: member.id, name: member.name))
    hub.send(.publicationStarted(member.publication(source)))
    fillSlots()
    let id = member.id
    let ending = Task {
      let outcome = await line.ending()
      await self.remove(id, reason: .left)
      return outcome
    }
    return Playback(participant: id, line: line, duration: duration, ending: ending)
  }

  /// Brings a file's pieces as fast as they are played.
  private nonisolated static func feed(_ line: PlaybackLine, from file: SoundFile) async {
    do throws(PlaybackFailure) {
      while let piece = try file.next() {
        let isTaken: Bool
        switch piece {
        case .samples(let samples): isTaken = await line.bring(samples, channelCount: file.channelCount)
        case .packets(let packets): isTaken = await line.bring(packets)
        }
        guard isTaken else { return }
      }
      line.end()
    } catch {
      // What was good of it is not cut short: the failure is told when that has been heard.
      line.fail(error)
    }
  }
}

extension PlaybackLine.Outcome {
  /// What has become of something that was taken out of its room, unless it was over before.
  init(_ reason: LeaveReason) {
    switch reason {
    case .roomClosed: self = .roomClosed
    case .left, .connectionFailed, .removed, .replaced: self = .removed
    }
  }
}

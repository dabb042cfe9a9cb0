// One source for the application, whoever else is heard: all that it says, decoded on the mixture's line of time.

package import EnfiladeRTP
package import EnfiladeWire

/// Decodes one source in ticks of 20 ms. Times are samples at 48 kHz since the mixture's epoch. While nothing comes there is no tick.
package struct SourceTap: ~Copyable {
  package let channelCount: Int
  private let codecs: any AudioCodecFactory
  /// One, once a packet has come that can be decoded.
  private var players = UniqueArray<SourcePlayout>()
  private var codec: Codec?
  private var timestamps = TimestampUnwrapper()
  private var nextTick: Int64 = 0
  private var isTicking = false
  private var isMuted = false
  /// What the last tick said.
  package private(set) var samples: UniqueArray<Float>
  /// How loud that is, in decibels as in RFC 6464 §3.
  package private(set) var level: Float = -127
  /// Packets of codecs that nothing here can decode.
  package private(set) var unsupportedCount: UInt64 = 0

  package init(channelCount: Int, codecs: any AudioCodecFactory) {
    self.channelCount = channelCount
    self.codecs = codecs
    samples = UniqueArray(repeating: 0, count: Limits.mixTickSampleCount * channelCount)
  }

  // MARK: Look

  /// When ``handleTimeout(at:)`` wants to be called; `nil` while there is nothing to say.
  package var nextTime: Int64? { isTicking ? nextTick * Int64(Limits.mixTickSampleCount) : nil }

  // MARK: Handle

  package mutating func handlePacket(
    _ payload: RawSpan, codec: Codec, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp, isRedundant: Bool, at now: Int64
  ) {
    guard !isMuted, payload.byteCount > 0 else { return }
    guard codec == .opus || codec == .pcmu || codec == .pcma, prepare(codec) else {
      unsupportedCount &+= 1
      return
    }
    let time = timestamps.unwrap(timestamp).ticks * Int64(Limits.mixSampleRate / codec.clockRate)
    players[0].handlePacket(payload, sequence: sequence.rawValue, timestamp: time, arrival: now, isRedundant: isRedundant)
    guard !isTicking else { return }
    isTicking = true
    nextTick = max(nextTick, now / Int64(Limits.mixTickSampleCount) + 1)
  }

  private mutating func prepare(_ wanted: Codec) -> Bool {
    guard codec != wanted || players.isEmpty else { return true }
    do throws(AudioCodecError) {
      let decoder = try codecs.makeDecoder(wanted, channelCount: channelCount)
      players.removeAll()
      players.append(SourcePlayout(decoder: decoder, channelCount: channelCount))
      codec = wanted
      timestamps = TimestampUnwrapper()
      return true
    } catch {
      return false
    }
  }

  // MARK: Verbs

  /// Its packets begin anew, with other numbers.
  package mutating func restart() {
    timestamps = TimestampUnwrapper()
    if !players.isEmpty { players[0].restart() }
  }

  /// Nothing of it is given any more, not even what has come before; or again.
  package mutating func setMuted(_ isMuted: Bool) {
    self.isMuted = isMuted
    guard isMuted else { return }
    restart()
    isTicking = false
  }

  // MARK: Time

  /// The moment ``nextTime`` has come.
  ///
  /// - Returns: where on the line the ``samples`` begin; `nil` when there is nothing to hear.
  package mutating func handleTimeout(at now: Int64) -> Int64? {
    let tick = Int64(Limits.mixTickSampleCount)
    guard isTicking, nextTick * tick <= now else { return nil }
    // What lies more than a tick back is over, as it is for the mixture.
    nextTick = max(nextTick, now / tick - 1)
    let time = nextTick * tick
    let isHeard = Self.pull(&players, into: &samples, at: time)
    level = isHeard ? players[0].level : -127
    nextTick += 1
    isTicking = players[0].isActive
    return isHeard ? time : nil
  }

  private static func pull(_ players: inout UniqueArray<SourcePlayout>, into samples: inout UniqueArray<Float>, at now: Int64) -> Bool {
    var samples = samples.mutableSpan
    return players[0].pull(into: &samples, at: now)
  }
}

// What the control plane asks of a media worker, and what the worker has to say.

package import EnfiladeMixing
import EnfiladeWire

/// A room's mixture.
package struct MixerID: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// Somebody who takes the mixture as packets, and has no link.
package struct RecorderID: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// As what a recorder takes the mixture.
package enum RecordedForm: Sendable, Hashable {
  /// Opus packets.
  case packets
  /// Samples, channels side by side.
  case samples
}

/// A verb for a media worker.
package enum MixCommand: Sendable {
  case open(MixerID, AudioMixer.Configuration)
  case close(MixerID)
  /// A publication is to be heard; `owner` is who does not hear it: himself.
  case addSource(PublicationKey, owner: UInt64, MixerID)
  case removeSource(PublicationKey, MixerID)
  /// Whose a slot is, and what it takes: Opus or G.711. It hears something once its shard has been told to listen.
  case addListener(SlotKey, owner: UInt64, MixerID, MediaFormat = .opus)
  case removeListener(SlotKey)
  /// How loud a publication is to one slot's listener: 1 as it is, 0 not at all.
  case setGain(Float, PublicationKey, SlotKey)
  /// Where a publication stands between left, −1, and right, 1.
  case setPlacement(Float, PublicationKey, MixerID)
  case addRecorder(RecorderID, MixerID, RecordedForm)
  case removeRecorder(RecorderID)
  /// One source's samples, whoever else is heard. Taken back as a recorder is.
  case addTap(RecorderID, PublicationKey, MixerID)
  /// A tap gives nothing, not even what has come; or again.
  case setTapMuted(RecorderID, Bool)
  /// About something that is played into a room. Its key names the worker.
  case playback(PublicationKey, PlaybackCommand)
}

/// A verb for something that is played.
package enum PlaybackCommand: Sendable {
  /// - Parameter capacity: how much may wait, in samples at 48 kHz for each channel.
  case open(Player.Form, capacity: Int)
  /// More of it: at 48 kHz, channels side by side.
  case samples([Float])
  case packets([FilePacket])
  /// No more comes.
  case end
  /// What waits is not played any more; it ends within 20 ms, and the silence behind it.
  case stop
  /// Nothing of it is sent, while time goes on.
  case setMuted(Bool)
  /// It is gone, at once.
  case close
}

/// What a media worker has to say.
package enum MixEvent: Sendable {
  /// Who is heard, and who is the dominant speaker.
  case speakersChanged(MixerID, [PublicationKey], dominant: PublicationKey?)
  /// The worker came late too often, or has caught up: how much less it does than was configured, in steps.
  case effortChanged(step: Int)
}

/// A tick of a mixture for somebody without a link.
package struct RecordedPacket: Sendable {
  package var recorder: RecorderID
  /// At 48 kHz (RFC 7587 §4.1).
  package var timestamp: UInt32
  /// The same on the mixture's whole line, in samples at 48 kHz since the worker began.
  package var time: Int64 = 0
  /// Empty for who takes samples.
  package var payload: [UInt8] = []
  /// Empty for who takes packets.
  package var samples: [Float] = []
  /// Whose voices are in the samples.
  package var speakers: [PublicationKey] = []

  package init(recorder: RecorderID, timestamp: UInt32) {
    self.recorder = recorder
    self.timestamp = timestamp
  }
}

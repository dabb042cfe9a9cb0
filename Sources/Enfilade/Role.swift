// What a participant may do: plain values that an application gives, and may change at any time.

/// What a participant may do in a room.
public struct Permissions: OptionSet, Sendable, Hashable, Codable {
  /// One bit for each permission.
  public let rawValue: UInt16
  /// Takes the bits of permissions that were stored.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Its sound may be received by others.
  public static let publishAudio = Permissions(rawValue: 1 << 0)
  /// Its pictures may be received by others.
  public static let publishVideo = Permissions(rawValue: 1 << 1)
  /// Its screen, and the sound of it, may be received by others.
  public static let publishScreen = Permissions(rawValue: 1 << 2)
  /// It may receive others.
  public static let subscribe = Permissions(rawValue: 1 << 3)
  /// It may admit, mute, remove, lock and close, where an application acts in its name; and it needs nobody's leave to come in.
  public static let moderate = Permissions(rawValue: 1 << 4)
  /// It takes no seat, and nobody receives what it publishes.
  public static let hidden = Permissions(rawValue: 1 << 5)
  /// It records, and needs nobody's leave to come in. The others should be told: ``RoomEvent/recordingChanged(isRecorded:)``.
  public static let recorder = Permissions(rawValue: 1 << 6)

  /// Everything that is about media of one's own and of others.
  public static let everyday: Permissions = [.publishAudio, .publishVideo, .publishScreen, .subscribe]
}

/// What a participant is in a room.
public struct Role: Sendable, Hashable, Codable {
  /// A name for people and logs; the engine compares nothing with it.
  public var name: String
  /// What it may do.
  public var permissions: Permissions
  /// Its presence opens a room that waits for a host, and its leaving may lock or close one.
  public var isHost: Bool

  /// A role.
  public init(name: String, permissions: Permissions, isHost: Bool = false) {
    self.name = name
    self.permissions = permissions
    self.isHost = isHost
  }

  /// May do everything, and is waited for.
  public static let host = Role(name: "host", permissions: [.everyday, .moderate], isHost: true)
  /// May do everything but decide about others.
  public static let member = Role(name: "member", permissions: .everyday)
  /// May only receive.
  public static let viewer = Role(name: "viewer", permissions: .subscribe)
  /// May only publish.
  public static let publisher = Role(name: "publisher", permissions: [.publishAudio, .publishVideo, .publishScreen])
  /// Receives, takes no seat, and is announced as recording.
  public static let recorder = Role(name: "recorder", permissions: [.subscribe, .hidden, .recorder])

  /// Whether it needs nobody's leave to come in.
  var isAboveTheDoor: Bool { isHost || !permissions.isDisjoint(with: [.moderate, .recorder]) }
}

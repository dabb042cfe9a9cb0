// Why a sound file cannot be played.

/// What is wrong with the bytes of a sound file.
package enum SoundFileError: Error, Hashable, Sendable {
  /// Neither a WAV file nor an Ogg stream.
  case unknownFormat
  /// It says that it is of its kind, and is not.
  case malformed(String)
  /// It is, and holds what is not played.
  case unsupported(String)
  /// It ends before its sound begins.
  case truncated
}

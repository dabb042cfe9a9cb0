// Values that may lie in rings, histories and messages: plain bits, which the compiler does not infer for package types.

extension Instant: BitwiseCopyable {}
extension TimeDelta: BitwiseCopyable {}
extension NTPTimestamp: BitwiseCopyable {}
extension WallClock: BitwiseCopyable {}
extension SequenceNumber: BitwiseCopyable {}
extension ExtendedSequenceNumber: BitwiseCopyable {}
extension RTPTimestamp: BitwiseCopyable {}
extension MediaTime: BitwiseCopyable {}
extension SSRC: BitwiseCopyable {}
extension PayloadType: BitwiseCopyable {}
extension MediaKind: BitwiseCopyable {}
extension Bitrate: BitwiseCopyable {}
extension DataSize: BitwiseCopyable {}

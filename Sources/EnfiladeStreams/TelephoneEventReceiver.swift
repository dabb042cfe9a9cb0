// Packets of tones made into tones (RFC 4733 §2.5.1): each begins once and ends once, however often its packets come.
//
//            first packet of a timestamp                  packet with E, or something later
//     none ─────────────────────────────▶ sounding ───────────────────────────────────────────▶ over

package import EnfiladeRTP
package import EnfiladeWire

/// What has become of one source's tones.
package struct TelephoneEventReceiver: Sendable {
  /// A tone that has begun, or has ended.
  package struct Report: Hashable, Sendable {
    package var code: UInt8
    /// Minus dBm0.
    package var volume: UInt8
    package var isEnd: Bool
    /// In ticks of the RTP clock, over all segments: how long it has lasted.
    package var duration: Int
  }

  /// What one packet tells: an end that was lost, a beginning, an end, in this order.
  package struct Reports: Hashable, Sendable {
    package var lateEnd: Report?
    package var begin: Report?
    package var end: Report?
    package init() {}
  }

  /// How much older than the newest tone a late packet can be, in ticks: 87 s of the fastest clock.
  private static let lateness = 1 << 22

  private struct Tone {
    var code: UInt8
    var volume: UInt8
    /// Of the segment that is sounding.
    var timestamp: RTPTimestamp
    /// Of that segment.
    var duration: Int
    /// Of the segments before it (§2.5.1.3).
    var before = 0
    var isOver = false

    func report(isEnd: Bool) -> Report { Report(code: code, volume: volume, isEnd: isEnd, duration: before + duration) }
  }

  /// The last tone there was, also when it is over: what comes of it again is known by its timestamp.
  private var tone: Tone?

  package init() {}

  /// Whether a tone is sounding whose end has not come.
  package var isSounding: Bool { tone.map { !$0.isOver } ?? false }

  /// Takes a packet of a tone.
  ///
  /// - Parameters:
  ///   - timestamp: the packet's: when the tone, or its segment, began.
  ///   - marker: the packet says that it begins a tone.
  package mutating func handle(_ event: TelephoneEvent, timestamp: RTPTimestamp, marker: Bool) -> Reports {
    var reports = Reports()
    if var current = tone {
      let distance = Int(Int32(bitPattern: timestamp.rawValue &- current.timestamp.rawValue))
      // What is older than the newest tone came too late to be told in its place. Beyond that the clock has gone round since.
      if distance < 0, distance > -Self.lateness { return reports }
      let isNextSegment = !current.isOver && !marker && event.code == current.code && distance > 0 && distance == current.duration
      if distance == 0 || isNextSegment {
        guard !current.isOver else { return reports }
        if isNextSegment {
          current.before += current.duration
          current.timestamp = timestamp
          current.duration = 0
        }
        current.duration = max(current.duration, Int(event.duration))
        current.isOver = event.isEnd
        tone = current
        if event.isEnd { reports.end = current.report(isEnd: true) }
        return reports
      }
      if !current.isOver { reports.lateEnd = current.report(isEnd: true) }
    }
    let begun = Tone(
      code: event.code, volume: event.volume, timestamp: timestamp, duration: Int(event.duration), isOver: event.isEnd)
    tone = begun
    reports.begin = Report(code: event.code, volume: event.volume, isEnd: false, duration: 0)
    if event.isEnd { reports.end = begun.report(isEnd: true) }
    return reports
  }

  /// Takes note that sound came: a tone whose end was lost, three times over (§2.5.1.4), is over when sound goes on `patience` ticks behind it.
  package mutating func handleSound(timestamp: RTPTimestamp, patience: Int) -> Report? {
    guard var current = tone, !current.isOver else { return nil }
    let distance = Int(Int32(bitPattern: timestamp.rawValue &- current.timestamp.rawValue))
    guard distance > current.duration + patience else { return nil }
    current.isOver = true
    tone = current
    return current.report(isEnd: true)
  }
}

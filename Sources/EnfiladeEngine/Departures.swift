// What leaves on the link that is being written: numbered as it is written, and told to its congestion control together.

import EnfiladeCongestion
import EnfiladeWire

/// The packets of one link between two looks at the clock. Off for links without congestion control, at the price of a comparison.
struct Departures: ~Copyable {
  private(set) var isOn = false
  /// What is written now is a probe's padding, whatever it looks like.
  var isPadding = false
  /// The peer gives its feedback by stream.
  private(set) var isByStream = false
  /// The number that the next packet gets.
  private(set) var number = ExtendedSequenceNumber(0)
  /// Since the last time they were told.
  private(set) var runs = UniqueArray<SentRun>(minimumCapacity: EgressStage.jobCapacity)
  /// The newest run while it lasts.
  private var run = SentRun(packetCount: 0, byteCount: 0, purpose: .video)
  private(set) var first = ExtendedSequenceNumber(0)
  /// All that was written, that of sections without numbers included.
  private(set) var byteCount = 0
  private(set) var packetCount = 0
  /// Sound and repair among them.
  private(set) var reservedByteCount = 0
  /// Packets that have no number, because their section has none.
  private(set) var unnumberedByteCount = 0

  init() {}

  var wireNumber: UInt16 { UInt16(truncatingIfNeeded: number.rawValue) }

  mutating func begin(at number: ExtendedSequenceNumber, isByStream: Bool) {
    isOn = true
    self.isByStream = isByStream
    self.number = number
    restart()
  }

  mutating func end() { isOn = false }

  /// A packet was written.
  @inline(__always)
  mutating func note(byteCount bytes: Int, purpose: PacketPurpose, isNumbered: Bool) {
    byteCount += bytes
    packetCount += 1
    guard isNumbered else { return noteUnnumbered(bytes, purpose) }
    number = number + 1
    if bytes == run.byteCount, Self.isSame(purpose, run.purpose) {
      run.packetCount += 1
    } else {
      endRun()
      run = SentRun(packetCount: 1, byteCount: bytes, purpose: purpose)
    }
  }

  /// Comparing through `Equatable` would be a call into another module for each packet.
  @inline(__always)
  private static func isSame(_ a: PacketPurpose, _ b: PacketPurpose) -> Bool {
    switch (a, b) {
    case (.audio, .audio), (.retransmission, .retransmission), (.video, .video), (.padding, .padding): true
    default: false
    }
  }

  private mutating func noteUnnumbered(_ bytes: Int, _ purpose: PacketPurpose) {
    unnumberedByteCount += bytes
    noteReserved(bytes, purpose)
  }

  private mutating func noteReserved(_ bytes: Int, _ purpose: PacketPurpose) {
    switch purpose {
    case .audio, .retransmission: reservedByteCount += bytes
    case .video, .padding: break
    }
  }

  /// Completes ``runs`` by what was written last.
  mutating func endRun() {
    guard run.packetCount > 0 else { return }
    noteReserved(run.packetCount * run.byteCount, run.purpose)
    runs.append(run)
    run.packetCount = 0
    run.byteCount = 0
  }

  /// What was noted has been told.
  mutating func restart() {
    runs.removeAll(keepingCapacity: true)
    run.packetCount = 0
    run.byteCount = 0
    first = number
    byteCount = 0
    packetCount = 0
    reservedByteCount = 0
    unnumberedByteCount = 0
  }
}

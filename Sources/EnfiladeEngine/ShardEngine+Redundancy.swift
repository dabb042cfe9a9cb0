// RED for Opus (RFC 2198): passed on to those who have it, taken off for those who do not, and made for those who lose packets.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
package import EnfiladeWire

extension ShardEngine {
  /// How a packet's payload goes to one stream.
  enum RedundancyForm {
    /// As it came.
    case asIs
    /// The primary block alone.
    case primary
    /// As it came, but for the format inside, which the subscriber has under another number.
    case renamed
    /// With earlier packets in front.
    case made
  }

  /// What becomes of the payload of a record's packet of sound; video is always as it came. Takes what it looks at, because a record that is
  /// handed around would be copied for every packet.
  func audioForm(of packet: Int, for stream: Int, payloadType: PayloadType, isRetransmission: Bool) -> RedundancyForm {
    switch packets[packet].format {
    case .red:
      if outbound[stream].payloadTypes.stripsRedundancy { return .primary }
      return outbound[stream].payloadTypes.payloadType(for: .opus) == packets[packet].redundancy?.payloadType ? .asIs : .renamed
    case .opus:
      let isMade = !isRetransmission && payloadType != outbound[stream].payloadTypes.payloadType(for: .opus)
      return isMade ? .made : .asIs
    default: return .asIs
    }
  }

  /// A subscriber has reported how much it loses, in 256ths: whoever loses enough is sent RED for a while, if it takes it.
  mutating func noteAudioLoss(_ fractionLost: UInt8, of stream: Int, at now: Instant) {
    guard outbound[stream].kind == .audio, configuration.redundancy.isForLossy else { return }
    if fractionLost >= Limits.redundancyLossFraction {
      outbound[stream].redundantUntil = now + Limits.redundancyHold
      let distance = fractionLost >= Limits.redundancyHighLossFraction ? 2 : 1
      outbound[stream].redundancyDistance = UInt8(clamping: min(configuration.redundancy.distance, distance))
    } else if now >= outbound[stream].redundantUntil {
      outbound[stream].redundancyDistance = 0
    }
  }

  // MARK: Making

  /// Makes a record that was just decided redundant, if there is something to put in front.
  mutating func addRedundancy(to record: Int) {
    let stream = Int(records[record].stream)
    let packet = Int(records[record].packet)
    guard packets[packet].format == .opus, !records[record].sent.isFiller, !outbound[stream].payloadTypes.stripsRedundancy,
      let payloadType = outbound[stream].payloadTypes.payloadType(for: .red)
    else { return }
    let plan = redundancyPlan(for: packet, of: stream)
    guard plan.blockCount > 0 else { return }
    records[record].payloadType = payloadType
    records[record].payloadByteCount += UInt16(plan.byteCount)
  }

  /// Which earlier packets go in front of one. The same within a turn: nothing leaves the history while packets are written.
  private func redundancyPlan(for packet: Int, of stream: Int) -> RedundancyPlan {
    let source = Int(packets[packet].inbound)
    let primary = RedundancySource(
      sequence: packets[packet].sequence, timestamp: packets[packet].view.timestamp, byteCount: packets[packet].view.payloadByteCount)
    return RedundancyPlan(primary: primary, distance: Int(outbound[stream].redundancyDistance)) { sequence in
      guard let earlier = earlierOpus(sequence, of: source) else { return nil }
      return RedundancySource(sequence: sequence, timestamp: earlier.view.timestamp, byteCount: earlier.view.payloadByteCount)
    }
  }

  private func earlierOpus(_ sequence: ExtendedSequenceNumber, of source: Int) -> Packet? {
    guard inbound.contains(source), let entry = inbound[source].history.find(sequence), entry.metadata.format == .opus else { return nil }
    return remake(entry, of: source)
  }

  /// Puts earlier packets in front of a job's payload, behind its header. `false` when it does not fit.
  func makeRedundant(_ job: inout ProtectJob, _ record: EgressRecord) -> Bool {
    let stream = Int(record.stream)
    let packet = Int(record.packet)
    let plan = redundancyPlan(for: packet, of: stream)
    let headerByteCount = Int(job.headerByteCount)
    let total = plan.byteCount + Int(job.payloadByteCount)
    guard let inner = outbound[stream].payloadTypes.payloadType(for: .opus), headerByteCount + total + 64 <= Limits.slotByteCount else {
      return false
    }
    // Sound: the stage has room for a whole slot, and all of this fits.
    let room = unsafe MutableRawSpan(_unsafeStart: job.destination + headerByteCount, byteCount: plan.byteCount)
    var writer = ByteWriter(room)
    guard plan.writeHeaders(payloadType: inner, timestamp: packets[packet].view.timestamp, into: &writer) else { return false }
    var place = unsafe job.destination + headerByteCount + writer.count
    for index in 0..<plan.blockCount {
      let block = plan.blocks[index]
      guard let earlier = earlierOpus(block.sequence, of: Int(packets[packet].inbound)),
        let slot = unsafe slab.pointer(to: earlier.handle)
      else { return false }
      // Sound: the history's reference keeps the slot, and the plan counted these bytes.
      unsafe place.copyMemory(from: slot + earlier.start + earlier.view.payloadOffset, byteCount: Int(block.byteCount))
      unsafe place += Int(block.byteCount)
    }
    // Sound: as above.
    unsafe place.copyMemory(from: job.payload, byteCount: Int(job.payloadByteCount))
    unsafe job.payload = UnsafeRawPointer(job.destination + headerByteCount)
    job.payloadByteCount = UInt16(total)
    return true
  }

  /// Gives the blocks of a redundant payload the number under which the subscriber has their format.
  func rename(_ job: inout ProtectJob, _ record: EgressRecord) {
    guard let inner = outbound[Int(record.stream)].payloadTypes.payloadType(for: .opus),
      let before = packets[Int(record.packet)].redundancy?.payloadType
    else { return }
    let headerByteCount = Int(job.headerByteCount)
    let byteCount = Int(job.payloadByteCount)
    // Sound: the stage has room for a whole slot, and the caller has seen that the packet fits.
    unsafe (job.destination + headerByteCount).copyMemory(from: job.payload, byteCount: byteCount)
    unsafe job.payload = UnsafeRawPointer(job.destination + headerByteCount)
    var payload = unsafe MutableRawSpan(_unsafeStart: job.destination + headerByteCount, byteCount: byteCount)
    var offset = 0
    while offset < byteCount {
      let first = payload.bytes.loadUInt8(at: offset)
      if first & 0x7F == before.rawValue { payload.storeUInt8(first & 0x80 | inner.rawValue, at: offset) }
      guard first & 0x80 != 0 else { return }
      offset += 4
    }
  }
}

/// What a shard does about RED.
package struct RedundancyPolicy: Hashable, Sendable {
  /// How many earlier packets are put in front of one at most; zero makes none.
  package var distance: Int
  /// Made for those who report loss, rather than for all who take it: it costs as much again as the sound itself.
  package var isForLossy: Bool

  package init(distance: Int = 1, isForLossy: Bool = true) {
    self.distance = max(0, min(RedundancyPlan.maximumDistance, distance))
    self.isForLossy = isForLossy && distance > 0
  }
}

/// Where the primary block of a redundant payload is.
package struct PrimaryBlock: Hashable, Sendable, BitwiseCopyable {
  package var offset: UInt16
  package var byteCount: UInt16
  package var payloadType: PayloadType

  /// `nil` for a payload that has none; see ``RedundantPayload/primary(of:)``.
  init?(_ payload: RawSpan) {
    guard let block = RedundantPayload.primary(of: payload) else { return nil }
    offset = block.offset
    byteCount = block.byteCount
    payloadType = block.payloadType
  }
}

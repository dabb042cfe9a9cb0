// The packet's way through the forwarding of a publication, as the engine drives it.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

extension ForwardingWorld {
  mutating func deliver() {
    let due = takeDue()
    for (index, serial, packet) in due {
      // What is left of a source that was replaced is not forwarded.
      guard encodings[index].state.serial == serial else {
        cutOff.insert(Self.identity(packet.truth))
        continue
      }
      arrive(packet, at: index)
    }
  }

  private mutating func arrive(_ packet: SourcePacket, at index: Int) {
    let sequence = encodings[index].unwrapper.unwrap(SequenceNumber(packet.sequence))
    guard encodings[index].stored[sequence.rawValue] == nil else { return }
    guard case .success(let view) = RTPPacketView.parse(packet.bytes.rawBytes) else { return problems.append("a packet does not parse") }
    let extensions = RTPExtensions(view, in: packet.bytes.rawBytes, map: MediaSource.extensions)
    var stored = StoredPacket(bytes: packet.bytes, view: view, extensions: extensions, sequence: sequence, truth: packet.truth, frame: nil)
    read(&stored, at: index)
    encodings[index].stored[sequence.rawValue] = stored
    encodings[index].newest = max(encodings[index].newest, sequence.rawValue)
    encodings[index].stored[sequence.rawValue - 1000] = nil
    if stored.frame?.flags.contains(.startsKeyPicture) == true { encodings[index].requester.handleKeyframe(at: instant) }
    let rest = stored.frame?.flags.contains(.carriesStructure) == true ? reread(index, around: sequence) : []
    for subscriber in 0..<subscribers.count where now >= subscribers[subscriber].joinsAt {
      for waiting in rest where waiting.sequence < sequence { offerNow(waiting, of: index, to: subscriber) }
      offerNow(stored, of: index, to: subscriber)
      for waiting in rest where waiting.sequence > sequence { offerNow(waiting, of: index, to: subscriber) }
    }
  }

  private mutating func read(_ stored: inout StoredPacket, at index: Int) {
    guard stored.view.payloadByteCount > 0 else {
      stored.frame = FrameInfo(flags: [])
      return
    }
    let result = encodings[index].state.handlePacket(
      payload: stored.view.payload(in: stored.bytes.rawBytes), extensions: stored.extensions, in: stored.bytes.rawBytes,
      sequence: stored.sequence, timestamp: stored.view.timestamp, at: instant)
    switch result {
    case .success(let frame): stored.frame = frame
    // Behind the newest key picture the structure may still come.
    case .failure(.structureUnknown) where encodings[index].state.keyframeSpan.map({ stored.sequence > $0.start }) ?? true: break
    case .failure:
      stored.frame = FrameInfo(flags: [])
      stored.isLeftOut = true
      cutOff.insert(Self.identity(stored.truth))
    }
  }

  /// A structure has come: what came before it, and refers to it, is read now; what refers to one before it will not be.
  private mutating func reread(_ index: Int, around structure: ExtendedSequenceNumber) -> [StoredPacket] {
    var found: [StoredPacket] = []
    for number in encodings[index].stored.keys.sorted() where encodings[index].stored[number]?.frame == nil {
      guard var stored = encodings[index].stored[number] else { continue }
      if stored.sequence > structure {
        read(&stored, at: index)
      } else {
        stored.frame = FrameInfo(flags: [])
        stored.isLeftOut = true
        cutOff.insert(Self.identity(stored.truth))
      }
      guard stored.frame != nil else { continue }
      encodings[index].stored[number] = stored
      found.append(stored)
    }
    return found
  }

  /// Offers what has just come, unless it is left to the replay that runs.
  private mutating func offerNow(_ stored: StoredPacket, of index: Int, to subscriber: Int) {
    if let replay = subscribers[subscriber].replay, replay.serial == encodings[index].state.serial, stored.sequence.rawValue > replay.last {
      return
    }
    offer(stored, of: index, to: subscriber)
  }

  private mutating func offer(_ stored: StoredPacket, of index: Int, to subscriber: Int) {
    let before = subscribers[subscriber].forwarder.serial
    offerAlone(stored, of: index, to: subscriber)
    guard subscribers[subscriber].forwarder.serial != before, subscribers[subscriber].forwarder.serial != 0 else { return }
    // The beginning was overtaken, perhaps: what came before it is offered now.
    var next = stored.sequence.rawValue + 1
    while next <= encodings[index].newest {
      if let later = encodings[index].stored[next] { offer(later, of: index, to: subscriber) }
      next += 1
    }
  }

  private mutating func offerAlone(_ stored: StoredPacket, of index: Int, to subscriber: Int) {
    guard let frame = stored.frame else { return }
    let packet = ForwardPacket(
      frame: frame, sequence: stored.sequence, timestamp: stored.view.timestamp, marker: stored.view.marker,
      isEmpty: stored.view.payloadByteCount == 0 || stored.isLeftOut)
    let at = instant
    var sent = SentPacket.placeholder
    switch Self.decide(packet, encodings, index, &subscribers[subscriber].forwarder, at: at, into: &sent) {
    case .forward(let output), .begin(let output), .fill(let output):
      let copy = OutgoingCopy(
        of: stored, sent: sent, output: output, codec: options.description.codec,
        structure: encodings[index].state.details.reader.structureBits)
      if subscribers[subscriber].byOutput.updateValue(copy, forKey: output.rawValue) != nil {
        problems.append("\(now): output number \(output.rawValue) twice")
      }
      subscribers[subscriber].copies.append(copy)
      subscribers[subscriber].map.insert(output, from: sent)
    case .drop(let reason):
      subscribers[subscriber].dropCounts[reason, default: 0] += 1
    }
  }

  // MARK: Out of the history

  /// Begins to serve a subscriber that waits for a key picture from what is stored, where the engine would.
  mutating func startReplay(of index: Int, for subscriber: Int) -> Bool {
    guard let span = encodings[index].state.keyframeSpan, encodings[index].stored[span.start.rawValue] != nil,
      instant - span.startedAt <= Limits.replayAge, Self.canReplay(span, encodings, index, subscribers, subscriber, at: instant)
    else { return false }
    subscribers[subscriber].replay = WorldReplay(
      encoding: index, serial: encodings[index].state.serial, span: span, last: span.start.rawValue - 1)
    subscribers[subscriber].replayCount += 1
    return true
  }

  private static func canReplay(
    _ span: KeyframeSpan, _ encodings: borrowing UniqueArray<WorldEncoding>, _ index: Int,
    _ subscribers: borrowing UniqueArray<WorldSubscriber>, _ subscriber: Int, at now: Instant
  ) -> Bool {
    subscribers[subscriber].forwarder.canReplay(span, of: encodings[index].state, at: now)
  }

  /// Goes on with the replays, some packets a millisecond, until the subscriber has all that came or wants something else.
  mutating func replay() {
    for subscriber in 0..<subscribers.count {
      guard let running = subscribers[subscriber].replay else { continue }
      let index = running.encoding
      let isWanted = subscribers[subscriber].forwarder.wanted?.serial == running.serial
      let isSent = subscribers[subscriber].forwarder.serial == running.serial
      guard encodings[index].state.serial == running.serial, running.isAtStart ? isWanted : isSent else {
        subscribers[subscriber].replay = nil
        subscribers[subscriber].forwarder.renewWish()
        continue
      }
      for _ in 0..<1 + Int(random.next() % 3) where subscribers[subscriber].replay != nil { replayOne(for: subscriber) }
    }
  }

  private mutating func replayOne(for subscriber: Int) {
    guard var running = subscribers[subscriber].replay else { return }
    let index = running.encoding
    let isFirst = running.isAtStart
    var next = running.last + 1
    while next <= encodings[index].newest, encodings[index].stored[next] == nil { next += 1 }
    guard next <= encodings[index].newest, let stored = encodings[index].stored[next] else {
      subscribers[subscriber].replay = nil
      return
    }
    running.last = next
    subscribers[subscriber].replay = running
    // What could not be read comes when its structure does.
    guard stored.frame != nil else { return }
    if isFirst { subscribers[subscriber].forwarder.setReplayedArrival(running.span.startedAt) }
    offerAlone(stored, of: index, to: subscriber)
    subscribers[subscriber].forwarder.setReplayedArrival(nil)
    guard subscribers[subscriber].forwarder.serial == running.serial else {
      subscribers[subscriber].replay = nil
      return requestKey(index)
    }
    let span = encodings[index].state.keyframeSpan ?? running.span
    subscribers[subscriber].forwarder.noteReplayed(
      arrived: span.arrival(of: stored.view.timestamp, clockRate: 90_000, before: instant), at: instant)
  }

  private static func decide(
    _ packet: ForwardPacket, _ encodings: borrowing UniqueArray<WorldEncoding>, _ index: Int, _ forwarder: inout Forwarder, at now: Instant,
    into sent: inout SentPacket
  ) -> ForwardVerdict {
    forwarder.decide(packet, of: encodings[index].state, at: now, into: &sent)
  }

  /// A subscriber asks for something again: it must be what was sent.
  mutating func checkRepair() {
    for index in 0..<subscribers.count {
      guard let newest = subscribers[index].map.newestSent else { continue }
      let asked = newest - Int(random.next() % UInt64(Limits.sentPacketCount))
      guard asked.rawValue >= 0, let first = subscribers[index].byOutput[asked.rawValue] else { continue }
      guard let wide = subscribers[index].map.widen(asked.wire), wide == asked, let sent = subscribers[index].map.find(wide) else {
        problems.append("\(now): \(asked.rawValue) was sent and cannot be found")
        continue
      }
      guard let (stored, structure) = find(sent) else { continue }
      if OutgoingCopy(of: stored, sent: sent, output: wide, codec: options.description.codec, structure: structure) != first {
        problems.append("\(now): \(asked.rawValue) was repaired with other bytes")
      }
    }
  }

  private func find(_ sent: SentPacket) -> (StoredPacket, DependencyStructureBits?)? {
    for index in 0..<encodings.count where UInt16(truncatingIfNeeded: encodings[index].state.serial) == sent.generation {
      for (number, stored) in encodings[index].stored where UInt32(truncatingIfNeeded: number) == sent.inputLow {
        return (stored, encodings[index].state.details.reader.structureBits)
      }
    }
    // Without its encoding a source that is gone has its packets, but no structure.
    guard !sent.flags.contains(.bringsStructure) else { return nil }
    return retired[UInt32(sent.generation)]?.first { UInt32(truncatingIfNeeded: $0.key) == sent.inputLow }.map { ($0.value, nil) }
  }
}

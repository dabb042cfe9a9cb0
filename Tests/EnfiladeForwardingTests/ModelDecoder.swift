// A receiver written from the specifications and from what the encoder says is true; it shares nothing with the forwarder. It reads a whole
// stream in the order of its sequence numbers, and lists everything that no sender of one continuous stream would do.

import EnfiladeRTP
import EnfiladeWire

struct ModelDecoder {
  /// Frames of which a packet never reached the forwarder.
  let lostForEver: Set<UInt64>
  /// Frames of sources that were replaced before all of it had arrived.
  let cutOff: Set<UInt64>
  let description: Description
  private(set) var problems: [String] = []
  private(set) var decodedFrameCount = 0
  /// Which sources followed one another.
  private(set) var sources: [UInt32] = []
  /// The highest layer of each picture, by capture time.
  private(set) var shown: [(captureMilliseconds: UInt32, source: UInt32, spatialID: UInt8, temporalID: UInt8)] = []

  private struct Frame {
    var truth: FrameTruth
    var copies: [OutgoingCopy]
    var wide: [Int64]
    var timestamp: Int64
    var isComplete: Bool { copies.count == Int(truth.packetCount) }
    var identity: UInt64 { UInt64(truth.source) << 32 | UInt64(truth.frame) }
  }

  init(lostForEver: Set<UInt64>, cutOff: Set<UInt64>, description: Description) {
    self.cutOff = cutOff
    self.lostForEver = lostForEver
    self.description = description
  }

  mutating func read(_ copies: [OutgoingCopy]) {
    let stream = inOrder(copies)
    let frames = assemble(stream)
    checkGaps(stream, frames)
    checkReferences(frames)
    checkPictures(frames)
    checkTime(frames)
    switch description {
    case .vp8: checkVP8(frames)
    case .vp9Flexible, .vp9Group: checkVP9(frames)
    case .vp8Dependency, .vp9Dependency, .av1Dependency, .h264Dependency: checkDependency(frames)
    case .h264, .h264FrameMarking: break
    }
  }

  // MARK: Packets and frames

  private mutating func inOrder(_ copies: [OutgoingCopy]) -> [(wide: Int64, copy: OutgoingCopy)] {
    var newest: Int64?
    var stream: [(wide: Int64, copy: OutgoingCopy)] = []
    for copy in copies {
      let wide = newest.map { $0 + Int64(Int16(bitPattern: copy.sequence &- UInt16(truncatingIfNeeded: $0))) } ?? Int64(copy.sequence)
      newest = max(newest ?? wide, wide)
      stream.append((wide, copy))
    }
    return stream.sorted { $0.wide < $1.wide }
  }

  private mutating func assemble(_ stream: [(wide: Int64, copy: OutgoingCopy)]) -> [Frame] {
    var frames: [Frame] = []
    var places: [UInt64: Int] = [:]
    var time: (wide: Int64, wire: UInt32)?
    for (wide, copy) in stream where !copy.isFiller {
      let truth = FrameTruth(trailerOf: copy.payload)
      let identity = UInt64(truth.source) << 32 | UInt64(truth.frame)
      let timestamp = time.map { $0.wide + Int64(Int32(bitPattern: copy.timestamp &- $0.wire)) } ?? Int64(copy.timestamp)
      time = (timestamp, copy.timestamp)
      if let place = places[identity] {
        if place != frames.count - 1 { problems.append("frame \(truth.frame) of \(truth.source) is torn apart") }
        if let last = frames[place].copies.last, FrameTruth(trailerOf: last.payload).packetIndex >= truth.packetIndex {
          problems.append("frame \(truth.frame) of \(truth.source) is out of order")
        }
        if frames[place].timestamp != timestamp { problems.append("frame \(truth.frame) of \(truth.source) has two times") }
        frames[place].copies.append(copy)
        frames[place].wide.append(wide)
      } else {
        places[identity] = frames.count
        frames.append(Frame(truth: truth, copies: [copy], wide: [wide], timestamp: timestamp))
      }
    }
    return frames
  }

  /// Where numbers are missing, a packet must have been lost on the way in; in the world nothing else makes a gap once all has arrived.
  private mutating func checkGaps(_ stream: [(wide: Int64, copy: OutgoingCopy)], _ frames: [Frame]) {
    guard lostForEver.isEmpty, cutOff.isEmpty, let last = stream.last else { return }
    var previous: Int64?
    for (wide, _) in stream where last.wide - wide > 200 {
      if let previous, wide != previous + 1 { problems.append("numbers \(previous + 1)..<\(wide) are missing") }
      previous = wide
    }
  }

  // MARK: Decoding

  private mutating func checkReferences(_ frames: [Frame]) {
    var decoded: Set<UInt64> = []
    var excused = lostForEver.union(cutOff)
    for (position, frame) in frames.enumerated() {
      if sources.last != frame.truth.source {
        sources.append(frame.truth.source)
        if !frame.truth.isKeyPicture { problems.append("a stretch begins with a frame that is no key frame") }
      }
      guard frame.isComplete else {
        // Cut off by a switch, lost on the way in, or still on its way.
        let isLastOfStretch = !frames[(position + 1)...].contains { $0.truth.source == frame.truth.source } || isCut(frames, position)
        if !excused.contains(frame.identity), !isLastOfStretch, position < frames.count - 40 {
          problems.append(
            "frame \(frame.truth.frame) of \(frame.truth.source) has \(frame.copies.count) of \(frame.truth.packetCount) packets")
        }
        excused.insert(frame.identity)
        continue
      }
      let missing = frame.truth.references.map { UInt64(frame.truth.source) << 32 | UInt64($0) }.filter { !decoded.contains($0) }
      guard missing.isEmpty else {
        if missing.contains(where: { !excused.contains($0) }), position < frames.count - 40 {
          problems.append("frame \(frame.truth.frame) of \(frame.truth.source) lacks \(missing.map { $0 & 0xFFFF_FFFF })")
        }
        excused.insert(frame.identity)
        continue
      }
      decoded.insert(frame.identity)
      decodedFrameCount += 1
    }
  }

  /// Whether the frame is the last before a key picture, so that nobody waits for the rest of it.
  private func isCut(_ frames: [Frame], _ position: Int) -> Bool {
    guard position + 1 < frames.count else { return true }
    let next = frames[position + 1].truth
    let this = frames[position].truth
    return next.isKeyPicture && (next.source != this.source || next.captureMilliseconds != this.captureMilliseconds)
  }

  // MARK: Pictures

  private mutating func checkPictures(_ frames: [Frame]) {
    var position = 0
    while position < frames.count {
      var end = position + 1
      while end < frames.count, frames[end].timestamp == frames[position].timestamp { end += 1 }
      let picture = frames[position..<end]
      position = end
      let first = picture.first!.truth
      if picture.contains(where: { $0.truth.captureMilliseconds != first.captureMilliseconds || $0.truth.source != first.source }) {
        problems.append("pictures of \(first.captureMilliseconds) ms and others share a time")
      }
      let layers = picture.map(\.truth.spatialID)
      if layers != layers.sorted() { problems.append("layers \(layers) of one picture") }
      let top = picture.last!.truth
      shown.append((first.captureMilliseconds, first.source, top.spatialID, top.temporalID))
      guard picture.allSatisfy(\.isComplete) else { continue }
      let markers = picture.flatMap { $0.copies.map(\.marker) }
      // Another source takes over, or the same one after a pause.
      let isCutOff =
        end < frames.count
        && (frames[end].truth.source != first.source
          || frames[end].truth.isKeyPicture && frames[end].truth.captureMilliseconds > first.captureMilliseconds + 100)
      if markers.dropLast().contains(true) || markers.last == false && !isCutOff && end < frames.count - 40 {
        let cause = picture.contains { lostForEver.contains($0.identity) } || !lostForEver.isEmpty || !cutOff.isEmpty
        if !cause { problems.append("markers \(markers) in the picture of \(first.captureMilliseconds) ms, layers \(layers)") }
      }
    }
  }

  /// Media time goes forward, and stays with the time of capture.
  private mutating func checkTime(_ frames: [Frame]) {
    guard let first = frames.first else { return }
    var last = Int64.min
    for frame in frames {
      if frame.timestamp < last { problems.append("time goes back at frame \(frame.truth.frame) of \(frame.truth.source)") }
      last = frame.timestamp
      let media = (frame.timestamp - first.timestamp) / 90
      let captured = Int64(frame.truth.captureMilliseconds) - Int64(first.truth.captureMilliseconds)
      if abs(media - captured) > 75 {
        return problems.append("at \(captured) ms of capture media time is \(media) ms")
      }
    }
  }

  // MARK: Running numbers

  /// RFC 7741 §4.2: PictureID counts frames, TL0PICIDX those of the lowest layer, KEYIDX key frames.
  private mutating func checkVP8(_ frames: [Frame]) {
    var last: (picture: Int, tl0: Int, key: Int, lastWide: Int64)?
    for frame in frames {
      for copy in frame.copies {
        let payload = copy.payload
        let picture = Int(payload[2] & 0x7F) << 8 | Int(payload[3])
        let (tl0, key) = (Int(payload[4]), Int(payload[5] & 31))
        let isFirst = copy == frame.copies.first
        if let last, isFirst, frame.wide[0] == last.lastWide + 1 {
          // Nothing is between them, so the counters go on by one.
          // A publisher's encoder that starts anew may leave a little room in front of its key frame, which needs nothing before it.
          let ahead = (picture - last.picture) & 0x7FFF
          if ahead != 1, !(frame.truth.isKeyPicture && (1...3).contains(ahead)) {
            problems.append("picture id \(picture) after \(last.picture)")
          }
          let step = frame.truth.temporalID == 0 ? 1 : 0
          if ahead == 1, tl0 != (last.tl0 + step) & 0xFF {
            problems.append("TL0PICIDX \(tl0) after \(last.tl0), TID \(frame.truth.temporalID)")
          }
          let keyStep = frame.truth.isKeyPicture ? 1 : 0
          if key != (last.key + keyStep) & 31 { problems.append("KEYIDX \(key) after \(last.key)") }
        } else if let last, isFirst {
          let ahead = (picture - last.picture) & 0x7FFF
          if ahead == 0 || ahead > 200 { problems.append("picture id \(picture) after \(last.picture), with a gap") }
        } else if let last, picture != last.picture || tl0 != last.tl0 || key != last.key {
          problems.append("frame \(frame.truth.frame) has two picture ids")
        }
        last = (picture, tl0, key, frame.wide.last!)
      }
    }
  }

  /// RFC 9628 §4.2: references are distances of picture ids; ids advance, and go on by one where another source begins.
  private mutating func checkVP9(_ frames: [Frame]) {
    var pictures: [Int: (frames: [UInt8: UInt32], source: UInt32)] = [:]
    var last: (picture: Int, tl0: Int, source: UInt32, timestamp: Int64)?
    for frame in frames {
      let payload = frame.copies[0].payload
      let picture = Int(payload[1] & 0x7F) << 8 | Int(payload[2])
      let isFlexible = payload[0] & 0x10 != 0
      let tl0 = isFlexible ? 0 : Int(payload[4])
      for copy in frame.copies where Int(copy.payload[1] & 0x7F) << 8 | Int(copy.payload[2]) != picture {
        problems.append("frame \(frame.truth.frame) has two picture ids")
      }
      if let last, last.timestamp != frame.timestamp {
        let ahead = (picture - last.picture) & 0x7FFF
        if ahead == 0 || ahead > 200 { problems.append("picture id \(picture) after \(last.picture)") }
        if last.source != frame.truth.source, ahead != 1 { problems.append("picture id \(picture) begins a stretch after \(last.picture)") }
        if !isFlexible {
          let step = (tl0 - last.tl0) & 0xFF
          // In front of a key picture the count is free; behind it every picture of the lowest layer counts.
          let isBehind = frame.truth.temporalID == 0 && !frame.truth.isKeyPicture
          if isBehind ? step == 0 || step > 60 : step > 60 { problems.append("TL0PICIDX \(tl0) after \(last.tl0)") }
        }
      } else if let last, picture != last.picture {
        problems.append("layers of one picture have ids \(last.picture) and \(picture)")
      }
      last = (picture, tl0, frame.truth.source, frame.timestamp)
      if pictures[picture]?.source != frame.truth.source { pictures[picture] = ([:], frame.truth.source) }
      pictures[picture]?.frames[frame.truth.spatialID] = frame.truth.frame
      guard isFlexible, payload[0] & 0x40 != 0 else { continue }
      var offset = 4
      var told: Set<UInt32> = []
      var isKnown = true
      while true {
        let byte = payload[offset]
        offset += 1
        let reference = (picture - Int(byte >> 1)) & 0x7FFF
        if let found = pictures[reference], found.source == frame.truth.source, let name = found.frames[frame.truth.spatialID] {
          told.insert(name)
        } else {
          isKnown = false
        }
        if byte & 1 == 0 { break }
      }
      let true_ = Set(frame.truth.references)
      if isKnown, !told.isSubset(of: true_) { problems.append("frame \(frame.truth.frame) points at \(told), not \(true_)") }
    }
  }

  /// Appendix A of the AV1 RTP payload format: references are distances of frame numbers, and the chain of what is sent is whole.
  private mutating func checkDependency(_ frames: [Frame]) {
    var reader = DependencyDescriptorReader()
    var numbers: [UInt16: (frame: UInt32, source: UInt32)] = [:]
    var complete: Set<UInt16> = []
    var active: UInt32 = 0
    var last: (number: UInt16, source: UInt32)?
    for (position, frame) in frames.enumerated() {
      var number: UInt16?
      for copy in frame.copies {
        guard case .success(let descriptor) = reader.read(copy.dependency.rawBytes) else {
          if frame.isComplete, lostForEver.isEmpty, cutOff.isEmpty {
            problems.append("frame \(frame.truth.frame) has a descriptor that cannot be read")
          }
          continue
        }
        if let number, number != descriptor.header.frameNumber { problems.append("frame \(frame.truth.frame) has two numbers") }
        let isFirst = number == nil
        number = descriptor.header.frameNumber
        if descriptor.carriesStructure, descriptor.activeDecodeTargets == reader.structure?.allDecodeTargets,
          (reader.structure?.decodeTargetCount ?? 0) > 1, frame.truth.spatialID == 0, copy.dependency.count > 3,
          copy.dependency[3] & 0x40 == 0
        {
          problems.append("a structure comes without its active decode targets")
        }
        if let mask = descriptor.activeDecodeTargets { active = mask }
        guard isFirst else { continue }
        let now = descriptor.header.frameNumber
        if let last {
          let ahead = now &- last.number
          if ahead == 0 || ahead > 3000 { problems.append("frame number \(now) after \(last.number)") }
          if last.source != frame.truth.source, ahead != 1 { problems.append("frame number \(now) begins a stretch after \(last.number)") }
        }
        last = (now, frame.truth.source)
        numbers[now] = (frame.truth.frame, frame.truth.source)
        let told = Set(
          (0..<Int(descriptor.frame.frameDifferenceCount)).compactMap { numbers[now &- descriptor.frame.frameDifferences[$0]]?.frame })
        if !told.isSubset(of: Set(frame.truth.references)) {
          problems.append("frame \(frame.truth.frame) points at \(told), not \(frame.truth.references)")
        }
        if position < frames.count - 40 { checkChains(descriptor, reader, active, complete, frame) }
      }
      if frame.isComplete, let number { complete.insert(number) }
      // Numbers come round; what is far back is not meant any more.
      if let number { complete.remove(number &+ 0x8000) }
    }
  }

  private mutating func checkChains(
    _ descriptor: DependencyDescriptor, _ reader: DependencyDescriptorReader, _ active: UInt32, _ complete: Set<UInt16>, _ frame: Frame
  ) {
    guard let structure = reader.structure, structure.chainCount > 0, lostForEver.isEmpty, cutOff.isEmpty else { return }
    let isTold = (0..<structure.decodeTargetCount).contains {
      active >> UInt32($0) & 1 != 0 && descriptor.frame.indication(for: $0) != .notPresent
    }
    if !isTold, !frame.truth.isKeyPicture {
      problems.append("frame \(frame.truth.frame) belongs to no decode target that is said to be sent")
    }
    for target in 0..<structure.decodeTargetCount where active >> UInt32(target) & 1 != 0 {
      let difference = descriptor.frame.chainDifferences[Int(structure.protectingChains[target])]
      guard difference != 0, !complete.contains(descriptor.header.frameNumber &- UInt16(difference)) else { continue }
      return problems.append(
        "chain of target \(target) is broken at frame \(frame.truth.frame) of \(frame.truth.source), \(difference) back; active \(active)")
    }
  }
}

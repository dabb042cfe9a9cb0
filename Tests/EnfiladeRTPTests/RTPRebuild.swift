// What must hold for any bytes taken as RTP. The fuzzer and the ordinary tests call the same function.

import EnfiladeRTP
import EnfiladeWire

/// Every kind under the identifier that is its number plus one.
let everyExtension: ExtensionMap = {
  var map = ExtensionMap()
  for kind in ExtensionKind.allCases { map[kind] = kind.rawValue + 1 }
  return map
}()

/// Reads `bytes` as RTP and writes its header again, as a forwarder to a receiver with the same identifiers would; `nil` when `bytes` are
/// not RTP.
func rebuildRTPHeader(_ bytes: RawSpan, form allowsMixed: Bool) -> [UInt8]? {
  guard case .success(let view) = RTPPacketView.parse(bytes) else { return nil }
  let extensions = RTPExtensions(view, in: bytes, map: everyExtension)
  let header = OutgoingHeader(
    ssrc: view.ssrc, timestamp: view.timestamp, sequenceNumber: view.sequenceNumber, payloadType: view.payloadType, marker: view.marker,
    transportSequenceNumber: extensions.transportSequenceNumber(in: bytes),
    absoluteSendTime: extensions.absoluteSendTime(in: bytes))
  let plan = ExtensionPlan(map: everyExtension, allowsMixed: allowsMixed, copied: ExtensionKinds(rawValue: .max))
  var storage = [UInt8](repeating: 0xA5, count: RTPHeaderWriter.maximumByteCount)
  var span = storage.mutableSpan
  // Sound: UInt8 has no padding, and every bit pattern is one.
  var destination = unsafe span.mutableBytes
  guard let length = RTPHeaderWriter.write(header, plan: plan, copying: extensions, from: bytes, into: &destination) else { return [] }
  return Array(storage[..<length])
}

/// `nil` when all is well, else what is not. A header that was understood and written again is understood the same, and writing is
/// stable from the first time on. Payloads are shown to every reader, which must bear them and keep inside them.
func violation(ofRTP bytes: RawSpan) -> String? {
  guard case .success(let view) = RTPPacketView.parse(bytes) else { return nil }
  if view.packetByteCount != bytes.byteCount { return "\(view) is not \(bytes.byteCount) long" }
  let fixed = RTPFixedHeader.parse(bytes)
  if fixed?.ssrc != view.ssrc || fixed?.sequenceNumber != view.sequenceNumber || fixed?.payloadType != view.payloadType {
    return "the cheap header says \(String(describing: fixed))"
  }
  for index in 0..<view.csrcCount where view.csrc(at: index, in: bytes) == nil { return "source \(index) of \(view.csrcCount) is missing" }

  for allowsMixed in [true, false] {
    guard let once = rebuildRTPHeader(bytes, form: allowsMixed), !once.isEmpty else { return "the header does not fit" }
    guard case .success(let again) = RTPPacketView.parse(once.rawBytes) else { return "\(once) is not RTP" }
    if again.headerByteCount != once.count || again.ssrc != view.ssrc || again.timestamp != view.timestamp || again.marker != view.marker
      || again.sequenceNumber != view.sequenceNumber || again.payloadType != view.payloadType
    {
      return "\(view) became \(again)"
    }
    if rebuildRTPHeader(once.rawBytes, form: allowsMixed) != once { return "\(once) is not stable" }
    let before = RTPExtensions(view, in: bytes, map: everyExtension)
    let after = RTPExtensions(again, in: once.rawBytes, map: everyExtension)
    for kind in ExtensionKind.allCases where ExtensionKinds.forwarded.contains(kind) {
      let old = before.data(of: kind, in: bytes)?.copyToArray()
      let new = after.data(of: kind, in: once.rawBytes)?.copyToArray()
      let isLeftOut = !allowsMixed && old.map { !(1...16).contains($0.count) } == true
      if new != (isLeftOut ? nil : old) { return "\(kind) was \(String(describing: old)) and became \(String(describing: new))" }
    }
    _ = before.audioLevel(in: bytes)
    _ = before.videoOrientation(in: bytes)
    _ = before.playoutDelay(in: bytes)
    _ = before.absoluteCaptureTime(in: bytes)
  }
  return violation(ofPayload: view.payload(in: bytes))
}

/// `nil` when all is well, else what is not.
func violation(ofPayload payload: RawSpan) -> String? {
  for codec in Codec.allCases { _ = Keyframe.isStart(codec, payload: payload) }
  if let descriptor = VP8Descriptor(payload), Int(descriptor.byteCount) >= payload.byteCount || descriptor.byteCount > 6 {
    return "\(descriptor) in \(payload.byteCount) bytes"
  }
  if let descriptor = VP9Descriptor(payload), Int(descriptor.byteCount) >= payload.byteCount {
    return "\(descriptor) in \(payload.byteCount) bytes"
  }
  if var redundancy = RedundantPayload(payload) {
    var count = 0
    var end = 0
    while let block = redundancy.next() {
      count += 1
      if end != 0, Int(block.offset) != end { return "\(block) does not follow \(end)" }
      end = Int(block.offset) + Int(block.byteCount)
      if end > payload.byteCount { return "\(block) in \(payload.byteCount) bytes" }
      if block.isPrimary != (count == redundancy.blockCount) { return "\(block) is number \(count) of \(redundancy.blockCount)" }
    }
    if count != redundancy.blockCount || end != payload.byteCount { return "\(count) blocks to \(end) in \(payload.byteCount) bytes" }
  }
  // As a key frame's descriptor, as a later frame's, and as the one after it.
  var dependencies = DependencyDescriptorReader()
  for start in 0...min(2, payload.byteCount) {
    let before = dependencies.structure
    if case .failure = dependencies.read(payload.extracting(start..<payload.byteCount)), dependencies.structure != before {
      return "a descriptor that was refused changed the structure"
    }
    if let structure = dependencies.structure, structure.templates.isEmpty { return "a structure without templates" }
  }
  if let original = RetransmissionPayload.originalPayload(payload), original.byteCount + 2 != payload.byteCount {
    return "a retransmission of \(original.byteCount) in \(payload.byteCount) bytes"
  }
  return nil
}

// What must hold of any bytes at all. The tests and the fuzz target ask the same.

import EnfiladeSDP
import EnfiladeWire

/// Why the reader and the writer of descriptions disagree about these bytes; `nil` when they do not.
func violation(ofSDP bytes: [UInt8]) -> String? {
  // Of a fragment in which nothing was understood there is nothing to write.
  if let fragment = try? TrickleFragment(parsing: bytes), fragment != TrickleFragment() {
    guard (try? TrickleFragment(parsing: fragment.text)) == fragment else { return "A fragment is not read as it was written." }
  }
  guard let description = try? SessionDescription(parsing: bytes) else { return nil }
  guard description.isWritable else { return "A description is not read as it was written." }
  for container in [description as any AttributeContainer] + description.sections.map({ $0 as any AttributeContainer }) {
    for attribute in container.lines.compactMap(\.attribute) {
      if let type = attributeTypes[String(attribute.name)], !isStable(type, attribute.value ?? "") {
        return "a=\(attribute.name):\(attribute.value ?? "") is not read as it was written."
      }
    }
  }
  guard let offer = try? Offer(description) else { return nil }
  do {
    let answer = try AnswerPolicy.answer(offer)
    let read = try Answer(answer, offerSectionCount: offer.sections.count)
    guard zip(read.sections, offer.sections).allSatisfy({ $0.kind == $1.kind && $0.mid == $1.mid }) else {
      return "An answer does not fit."
    }
    return nil
  } catch {
    return "An offer that was read is not answered: \(error)"
  }
}

private let everyAttributeType: [any SDPAttributeValue.Type] = [
  SDPAttribute.RTPMap.self, SDPAttribute.FMTP.self, SDPAttribute.RTCPFeedback.self, SDPAttribute.MID.self, SDPAttribute.Group.self,
  SDPAttribute.RID.self, SDPAttribute.Simulcast.self, SDPAttribute.ExtMap.self, SDPAttribute.Source.self, SDPAttribute.SourceGroup.self,
  SDPAttribute.MSID.self, SDPAttribute.MSIDSemantic.self, SDPAttribute.Setup.self, SDPAttribute.Fingerprint.self,
  SDPAttribute.ICEUfrag.self, SDPAttribute.ICEPassword.self, SDPAttribute.ICEOptions.self, SDPAttribute.Candidate.self,
  SDPAttribute.RTCP.self, SDPAttribute.SCTPPort.self, SDPAttribute.MaxMessageSize.self, SDPAttribute.PacketTime.self,
  SDPAttribute.MaxPacketTime.self,
]

private let attributeTypes = Dictionary(uniqueKeysWithValues: everyAttributeType.map { ($0.name, $0) })

/// Whether a value of that type, if it is one, is read as it was written.
private func isStable<Value: SDPAttributeValue>(_: Value.Type, _ text: Substring) -> Bool {
  guard let value = Value(parsing: text) else { return true }
  return Value(parsing: value.text[...]) == value
}

// The invariant that the fuzz target and the tests hold STUN messages against: what was read, built again, reads the same.

import EnfiladeSTUN
import EnfiladeWire

/// What `bytes` violate, or `nil`. Bytes that are no message violate nothing.
func violation(ofSTUN bytes: RawSpan) -> String? {
  guard let view = STUNMessageView.parse(bytes).message else { return nil }
  // Looks at arbitrary messages must not trap; whatever they say is right.
  let key = STUNKey(password: bytes)
  _ = view.hasValidFingerprint(in: bytes)
  _ = view.hasValidMessageIntegrity(in: bytes, key: key)
  _ = view.receiverUfragKey(in: bytes)
  _ = view.senderUfrag(in: bytes)

  // A fingerprint that was not there adds eight bytes, and must not push the message over the limit.
  guard view.hasFingerprint || bytes.byteCount + 8 <= Limits.datagramByteCount else { return nil }
  guard let once = rebuild(bytes, view) else { return "what was read does not fit in a datagram" }
  guard let again = STUNMessageView.parse(once.rawBytes).message else { return "what was built does not read" }
  guard again.messageClass == view.messageClass, again.method == view.method, again.transactionID == view.transactionID,
    again.username == view.username, again.priority == view.priority, again.role == view.role, again.useCandidate == view.useCandidate,
    again.errorCode == view.errorCode, again.xorMappedAddress == view.xorMappedAddress, again.mappedAddress == view.mappedAddress,
    again.unknownRequiredCount == view.unknownRequiredCount, again.hasMessageIntegrity == view.hasMessageIntegrity
  else { return "what was built reads differently" }
  guard again.hasValidFingerprint(in: once.rawBytes) else { return "the new fingerprint does not fit" }
  guard rebuild(once.rawBytes, again) == once else { return "building twice is not stable" }

  let refusal = [UInt8].writing(capacity: 128) {
    STUNComposer.bindingError(.unknownAttribute, to: view, in: bytes, key: key, into: &$0)
  }
  return refusal == nil ? "a refusal is longer than 128 bytes" : nil
}

/// Writes every attribute but FINGERPRINT as it stands, with zero padding, and a new fingerprint; `nil` when that does not fit.
private func rebuild(_ bytes: RawSpan, _ view: STUNMessageView) -> [UInt8]? {
  var storage = [UInt8](repeating: 0, count: Limits.datagramByteCount)
  var span = storage.mutableSpan
  var writer = ByteWriter(span.mutableBytes)
  let message = STUNComposer(view.messageClass, view.method, transactionID: view.transactionID, into: &writer)
  var cursor = STUNAttributeCursor(bytes)
  while let attribute = cursor.next() {
    if attribute.type != .fingerprint { message.attribute(attribute.type, attribute.value.slice(of: bytes), into: &writer) }
  }
  message.finish(key: nil, into: &writer)
  let (count, overflowed) = (writer.count, writer.overflowed)
  return overflowed ? nil : Array(storage.prefix(count))
}

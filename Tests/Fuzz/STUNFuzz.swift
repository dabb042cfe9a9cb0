// modules: EnfiladeWire EnfiladeSTUN
// Fuzz target of the STUN parser. A message that parses must parse the same after it was built from what was read.

#if canImport(EnfiladeSTUN)
  import EnfiladeSTUN
  import EnfiladeWire
#endif

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: data, count: count))
  guard case .message(let view) = STUNMessageView.parse(bytes.rawBytes) else { return 0 }
  let key = STUNKey(password: bytes.rawBytes)
  _ = view.hasValidFingerprint(in: bytes.rawBytes)
  _ = view.hasValidMessageIntegrity(in: bytes.rawBytes, key: key)
  _ = view.receiverUfragKey(in: bytes.rawBytes)
  _ = view.senderUfrag(in: bytes.rawBytes)
  let once = rebuild(bytes, view)
  guard case .message(let again) = STUNMessageView.parse(once.rawBytes) else { fatalError("What was built does not parse.") }
  precondition(again.messageClass == view.messageClass && again.method == view.method && again.transactionID == view.transactionID)
  precondition(again.username == view.username && again.role == view.role && again.priority == view.priority)
  precondition(again.useCandidate == view.useCandidate && again.errorCode == view.errorCode)
  precondition(again.xorMappedAddress == view.xorMappedAddress && again.mappedAddress == view.mappedAddress)
  precondition(again.unknownRequiredCount == view.unknownRequiredCount && again.hasMessageIntegrity == view.hasMessageIntegrity)
  precondition(again.hasValidFingerprint(in: once.rawBytes))
  precondition(rebuild(once, again) == once)
  // A refusal of anything at all stays small.
  let refusal = [UInt8].writing(capacity: 128) {
    STUNComposer.bindingError(.unknownAttribute, to: view, in: bytes.rawBytes, key: key, into: &$0)
  }
  precondition(refusal != nil)
  return 0
}

private func rebuild(_ bytes: [UInt8], _ view: STUNMessageView) -> [UInt8] {
  let rebuilt = [UInt8].writing(capacity: 2048) { writer in
    let message = STUNComposer(view.messageClass, view.method, transactionID: view.transactionID, into: &writer)
    var cursor = STUNAttributeCursor(bytes.rawBytes)
    while let attribute = cursor.next() {
      if attribute.type != .fingerprint { message.attribute(attribute.type, attribute.value.slice(of: bytes.rawBytes), into: &writer) }
    }
    message.finish(key: nil, into: &writer)
  }
  guard let rebuilt else { fatalError("What was read does not fit in a datagram.") }
  return rebuilt
}

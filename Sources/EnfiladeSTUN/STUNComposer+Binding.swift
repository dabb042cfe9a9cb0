// The messages that ICE exchanges: binding requests, indications and their responses (RFC 8489 §3, RFC 8445 §7).

package import EnfiladeWire

extension STUNComposer {
  /// A connectivity or consent check (RFC 8445 §7.2.2, RFC 7675 §5.1).
  package static func bindingRequest(
    _ transactionID: STUNTransactionID, receiverUfrag: RawSpan, senderUfrag: RawSpan, priority: UInt32, role: STUNRole,
    useCandidate: Bool, key: STUNKey, into writer: inout ByteWriter
  ) {
    let message = STUNComposer(.request, transactionID: transactionID, into: &writer)
    message.username(receiver: receiverUfrag, sender: senderUfrag, into: &writer)
    message.priority(priority, into: &writer)
    message.role(role, into: &writer)
    if useCandidate { message.useCandidate(into: &writer) }
    message.finish(key: key, into: &writer)
  }

  /// A keepalive (RFC 8445 §11): no integrity, nobody answers.
  package static func bindingIndication(_ transactionID: STUNTransactionID, into writer: inout ByteWriter) {
    let message = STUNComposer(.indication, transactionID: transactionID, into: &writer)
    message.finish(key: nil, into: &writer)
  }

  /// The answer to a good check; at most 76 bytes.
  package static func bindingSuccess(
    _ transactionID: STUNTransactionID, mappedAddress: SocketAddress, key: STUNKey, into writer: inout ByteWriter
  ) {
    let message = STUNComposer(.successResponse, transactionID: transactionID, into: &writer)
    message.xorMappedAddress(mappedAddress, into: &writer)
    message.finish(key: key, into: &writer)
  }

  /// A refusal. `key` is `nil` when the request was not authenticated (RFC 8489 §9.1.3). With 420 it names what was not known.
  package static func bindingError(
    _ code: STUNErrorCode, to request: STUNMessageView, in bytes: RawSpan, key: STUNKey?, into writer: inout ByteWriter
  ) {
    let message = STUNComposer(.errorResponse, transactionID: request.transactionID, into: &writer)
    message.errorCode(code, into: &writer)
    if code == .unknownAttribute { message.unknownAttributes(of: request, in: bytes, into: &writer) }
    message.finish(key: key, into: &writer)
  }
}

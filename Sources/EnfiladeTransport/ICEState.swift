// The states of an ICE agent and what moves them (RFC 8445 §6.1, W3C WebRTC §5.6.4 RTCIceTransportState).

/// Where an agent stands.
///
/// ```
///                 nomination
///   new ──check──▶ checking ──nomination──▶ connected ◀─consent/nomination─┐
///    ▲  └──────────────┼──────────────────────▶ │  └──silence──▶ disconnected
///    │                 │ expiry                 │                 │     │ loss
///    └────restart─── failed ◀───────────────────┴─────expiry──────┘     ▼
///                                                                    checking
///   every state ──close──▶ closed
/// ```
package enum ICEState: UInt8, Hashable, Sendable, CaseIterable {
  /// No authenticated check yet.
  case new
  /// Checks pass, none has nominated a pair.
  case checking
  /// A pair is selected and its peer was heard of lately.
  case connected
  /// A pair is selected, and silent for ``Limits/iceSilenceTimeout``.
  case disconnected
  /// Consent is lost, or no pair was nominated in time. Only a restart leads out (RFC 7675 §5.1).
  case failed
  case closed
}

/// What moves an agent.
package enum ICEEvent: UInt8, Hashable, Sendable, CaseIterable {
  /// An authenticated check on a pair that is not the selected one.
  case check
  /// An authenticated check on the selected pair, or an answer to ours.
  case consent
  /// A pair was nominated.
  case nomination
  /// The selected pair was silent for ``Limits/iceSilenceTimeout``.
  case silence
  /// The selected pair's consent ended while new credentials wait for their first nomination.
  case loss
  /// Consent ended, or no pair was nominated in time, and nothing is left to wait for.
  case expiry
  case restart
  case close
}

extension ICEState {
  /// The next state. An event that means nothing in a state leaves it alone.
  package func after(_ event: ICEEvent) -> ICEState {
    switch (self, event) {
    case (.closed, _), (_, .close): .closed
    case (.failed, .restart): .new
    case (.failed, _): .failed
    case (.new, .check): .checking
    case (_, .nomination): .connected
    case (.disconnected, .consent): .connected
    case (.connected, .silence): .disconnected
    case (.connected, .loss), (.disconnected, .loss): .checking
    case (_, .expiry): .failed
    default: self
    }
  }
}

// What forwarders decide is told to the application, a few decisions at a time, and never from the path of packets.

import EnfiladeForwarding
import EnfiladeWire

extension ShardEngine {
  /// How soon a slot's next decisions are told after its last: what comes together is told together.
  static var decisionInterval: TimeDelta { .milliseconds(200) }

  /// Tells what the forwarder of a picture has decided since it was last told, if it is time. Asked for where layers are chosen and a source
  /// ends, and with each report, so that nothing is told later than that.
  mutating func tellDecisions(of stream: Int, at now: Instant) {
    let total = outbound[stream].forwarder.log.totalCount
    guard total != outbound[stream].toldDecisionCount, outbound[stream].kind == .video else { return }
    guard now >= outbound[stream].nextDecisionsAt else { return endQuiet(of: outbound[stream].link, at: now) }
    let count = total - outbound[stream].toldDecisionCount
    let entries = outbound[stream].forwarder.log.last(Int(min(count, UInt64(DecisionLog.capacity))))
    outbound[stream].toldDecisionCount = total
    outbound[stream].nextDecisionsAt = now + Self.decisionInterval
    events.append(.layersDecided(outbound[stream].key, entries, missed: Int(count) - entries.count, at: now))
  }

  /// The same for all pictures that a link is sent.
  mutating func tellDecisions(ofLink link: Int, at now: Instant) {
    for position in 0..<links[link].outbound.count { tellDecisions(of: Int(links[link].outbound[position]), at: now) }
  }
}

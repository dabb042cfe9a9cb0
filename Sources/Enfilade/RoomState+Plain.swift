// Members without ICE in the control plane: their sockets, their sections, and what they press.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeIO
import EnfiladeRTP
import EnfiladeRuntime
import EnfiladeTransport
import EnfiladeWire

extension RoomState {
  /// The sockets of a plain member: one, or a pair.
  struct PlainSockets {
    var media: (number: UInt32, address: SocketAddress)
    var reports: (number: UInt32, address: SocketAddress)?
    var numbers: [UInt32] { [media.number] + (reports.map { [$0.number] } ?? []) }
  }

  func join(
    _ knocker: Knocker, policy: SubscriptionPolicy, over configuration: PlainTransport.Configuration
  ) async throws(RoomError) -> PlainTransport {
    let plan = try PlainPlan(configuration)
    let participant = try await join(knocker, policy: policy)
    do throws(RoomError) {
      let sockets = try connect(participant.id, plan)
      return PlainTransport(
        participant: participant, port: Int(sockets.media.address.port),
        rtcpPort: Int((sockets.reports ?? sockets.media).address.port))
    } catch {
      await remove(participant.id, reason: .left)
      throw error
    }
  }

  /// Opens a member's port, and tells its shard what comes there.
  private func connect(_ id: ParticipantID, _ plan: PlainPlan) throws(RoomError) -> PlainSockets {
    guard let index = members.firstIndex(where: { $0.id == id }) else {
      throw RoomError(code: .left, reason: "the participant has left the room")
    }
    let shard = members[index].shard
    let sockets = try open(plan, on: shard)
    members[index].plainSockets = sockets.numbers
    var media = MediaConfiguration()
    for (position, section) in plan.sections.enumerated() {
      let mid = String(position)
      if section.sends {
        var source = Member.Source(
          key: PublicationKey(number: core.runtime.makeIdentifier(), shard: UInt8(shard.index)), mid: mid, kind: section.kind)
        source.isPermitted = source.isPermitted(by: members[index].role.permissions)
        members[index].sources.append(source)
        media.receive.append(
          ReceiveSection(
            publication: source.key, mid: Array(mid.utf8), kind: section.kind.wire, formats: section.formats, extensions: ExtensionMap()))
      }
      if section.receives, members[index].policy != .nobody {
        var slot = core.makeSlot(mid: mid, kind: section.kind)
        slot.mixFormat = section.mixFormat
        members[index].slots.append(slot)
        media.send.append(
          SendSection(
            slot: slot.key, mid: Array(mid.utf8), kind: section.kind.wire, formats: section.formats, extensions: ExtensionMap(),
            allowsMixedExtensions: false, source: slot.source, retransmissionSource: nil))
      }
    }
    let member = members[index]
    core.register(member.link, publications: member.sources.map(\.key), slots: member.slots.map(\.key), room: self)
    shard.post(
      .addPlainLink(
        member.link,
        PlainLinkConfiguration(
          socket: sockets.media.number, reportSocket: sockets.reports?.number, remote: plan.remote, remoteReports: plan.remoteReports,
          latching: plan.latching, keys: plan.keys, silenceLimit: plan.silenceLimit)))
    shard.post(.configure(member.link, media))
    for position in member.sources.indices { refreshGate(id, position) }
    setTargets(of: member)
    if member.slots.contains(where: { $0.kind == .audio }) { try setAudioMode(.mixed, of: id) }
    fillSlots()
    return sockets
  }

  /// Pairs of ports that are tried before it is said that there is none.
  private static let pairAttempts = 32

  private func open(_ plan: PlainPlan, on shard: Shard) throws(RoomError) -> PlainSockets {
    guard !plan.multiplexesRTCP else { return PlainSockets(media: try open(plan, port: plan.localPort, on: shard)) }
    // RFC 3550 §11: an even port for RTP, and the next for RTCP.
    var failure = RoomError(code: .unavailable, reason: "there is no pair of free ports")
    for _ in 0..<(plan.localPort == 0 ? Self.pairAttempts : 1) {
      let media = try open(plan, port: plan.localPort, on: shard)
      if media.address.port % 2 == 0 || plan.localPort != 0 {
        do throws(RoomError) {
          return PlainSockets(media: media, reports: try open(plan, port: media.address.port + 1, on: shard))
        } catch { failure = error }
      }
      shard.closeSocket(media.number)
    }
    throw failure
  }

  /// Every local address of both families, unless one was named; where there is no IPv6 at all, of the one there is.
  private func open(_ plan: PlainPlan, port: UInt16, on shard: Shard) throws(RoomError) -> (number: UInt32, address: SocketAddress) {
    var addresses = [SocketAddress(ipv6High: 0, low: 0, port: port), SocketAddress(ipv4: 0, port: port)]
    if var address = plan.local {
      address.port = port
      addresses = [address]
    }
    var reason = "the shard is too busy"
    for address in addresses {
      do throws(IOError) {
        if let opened = try shard.openSocket(bindingTo: address, isDualStack: plan.local == nil) { return opened }
        break
      } catch {
        reason = "\(error)"
        guard error.isFamilyUnavailable else { break }
      }
    }
    throw RoomError(code: .unavailable, reason: "UDP port \(port): \(reason)")
  }

  func announceTone(_ key: PublicationKey, code: UInt8, volume: UInt8, isEnd: Bool, duration: TimeDelta) {
    guard let (index, _) = locate(key) else { return }
    let event = TelephoneEvent(
      publication: PublicationID(rawValue: key.rawValue), code: Int(code), isEnd: isEnd,
      duration: .nanoseconds(duration.nanoseconds), level: -Int(volume))
    hub.send(.telephoneEvent(id: members[index].id, event))
  }
}

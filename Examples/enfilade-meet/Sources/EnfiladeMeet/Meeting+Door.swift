// Who comes in: at once, after waiting in front of the door, or not at all.

import Enfilade
import Logging

/// Somebody who wants to come in.
struct Arrival: Sendable {
  let name: DisplayName
  let entrance: Entrance
  var role: Role
  /// Who it is, for removing and keeping out.
  let identity: String?
  let subscribing: SubscriptionPolicy
}

/// Somebody who waits in front of the door, and asks from time to time what has been decided.
struct Visitor: Sendable {
  enum Outcome: Sendable {
    case waiting
    case admitted(ParticipantID)
    case refused(RoomError)
  }

  let knock: Knock
  let token: Token
  var outcome: Outcome = .waiting
  var lastAskedAt: ContinuousClock.Instant
}

extension Meeting {
  /// Why somebody cannot get in.
  enum Refusal: Error {
    /// The meeting has ended in this very moment; there will be a new one of the same name.
    case retired
    case engine(RoomError)
  }

  /// What becomes of who arrives.
  enum Admission: Sendable {
    case entered(Member)
    /// The name and the token to ask with.
    case waiting(ParticipantID, Token)
  }

  /// Lets somebody in, or lets them wait.
  ///
  /// - Throws: `Refusal`.
  func receive(_ arrival: Arrival) async throws(Refusal) -> Admission {
    guard !isRetired else { throw .retired }
    do {
      // Who comes by WHIP or WHEP cannot wait: there is nobody to be told.
      guard arrival.entrance == .page else {
        let participant = try await room.join(
          name: arrival.name.description, identity: arrival.identity, role: arrival.role, subscribing: arrival.subscribing)
        return .entered(try await add(participant, arrival))
      }
      let knock = try await room.knock(
        name: arrival.name.description, identity: arrival.identity, role: arrival.role, subscribing: arrival.subscribing)
      guard knock.isWaiting else { return .entered(try await add(try await knock.participant(), arrival)) }
      let token = Token()
      visitors[knock.id] = Visitor(knock: knock, token: token, lastAskedAt: .now)
      Task { await self.attend(knock, arrival) }
      return .waiting(knock.id, token)
    } catch let error as RoomError {
      throw .engine(error)
    } catch {
      throw .retired
    }
  }

  /// Waits for the decision about a visitor.
  private func attend(_ knock: Knock, _ arrival: Arrival) async {
    do {
      let member = try await add(try await knock.participant(), arrival)
      visitors[knock.id]?.outcome = .admitted(member.id)
    } catch let error as RoomError {
      visitors[knock.id]?.outcome = .refused(error)
    } catch {
      visitors[knock.id] = nil
    }
    for doorbell in doorbells.values { doorbell.yield() }
  }

  private func add(_ participant: Participant, _ arrival: Arrival) async throws -> Member {
    guard !isRetired else {
      await participant.leave()
      throw Refusal.retired
    }
    let member = Member(participant: participant, entrance: arrival.entrance, role: arrival.role, token: Token())
    members.append(member)
    emptySince = nil
    write(.participantJoined(member.state))
    logger.info(
      "joined", metadata: ["room": "\(room.name)", "participant": "\(participant.id)", "role": "\(arrival.role.name)"])
    return member
  }

  /// What has been decided about a visitor, after waiting for it a while.
  func decision(about id: String, token: Substring?, within patience: Duration) async throws(Problem) -> (Visitor.Outcome, Member?) {
    let deadline = ContinuousClock.now + patience
    let (bell, key) = openDoorbell()
    defer { doorbells[key] = nil }
    let alarm = Task { [weak self] in
      try? await Task.sleep(until: deadline)
      await self?.ringDoorbell(key)
    }
    defer { alarm.cancel() }
    var iterator = bell.makeAsyncIterator()
    while true {
      guard let (visitorID, visitor) = visitors.first(where: { $0.key.rawValue == id }) else { throw .unknownKnock }
      guard let token, visitor.token.matches(token) else { throw .wrongToken }
      visitors[visitorID]?.lastAskedAt = .now
      switch visitor.outcome {
      case .waiting:
        if ContinuousClock.now >= deadline { return (.waiting, nil) }
      case .admitted(let id):
        visitors[visitorID] = nil
        guard let member = members.first(where: { $0.id == id }) else { throw .unknownKnock }
        return (visitor.outcome, member)
      case .refused:
        visitors[visitorID] = nil
        return (visitor.outcome, nil)
      }
      _ = await iterator.next()
    }
  }

  private func openDoorbell() -> (AsyncStream<Void>, Int) {
    let (bell, ringer) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let key = nextBell
    nextBell += 1
    doorbells[key] = ringer
    return (bell, key)
  }

  private func ringDoorbell(_ key: Int) { doorbells[key]?.yield() }

  /// Goes away from the door.
  func withdraw(_ id: String, token: Substring?) async throws(Problem) {
    guard let visitor = visitors.first(where: { $0.key.rawValue == id })?.value else { throw .unknownKnock }
    guard let token, visitor.token.matches(token) else { throw .wrongToken }
    await visitor.knock.withdraw()
  }

  /// Forgets visitors who do not ask any more.
  func tidyDoor(at now: ContinuousClock.Instant) async {
    for (id, visitor) in visitors where now - visitor.lastAskedAt >= options.absence {
      visitors[id] = nil
      await visitor.knock.withdraw()
      if case .admitted(let participant) = visitor.outcome { await remove(participant, reason: "absent") }
    }
  }

  /// Whether the first who comes becomes the host: true once, until the seat is given back.
  func takeHostSeat() -> Bool {
    guard !isHosted else { return false }
    isHosted = true
    return true
  }

  /// Who had the seat did not get in: it is for the next.
  func giveBackHostSeat() { isHosted = false }
}

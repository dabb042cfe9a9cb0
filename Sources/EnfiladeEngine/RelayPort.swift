// The lane to one other shard, seen from this side: what goes out, what comes in, and the slots that are away from home.
//
//     this shard ── outbox: messages ──▶ peer        this shard ◀── inbox: messages ── peer
//     this shard ◀── returned: our slots ── peer      this shard ── homeward: its slots ──▶ peer

import DequeModule
import EnfiladeWire

/// One side of the lane between two shards. Packets are dropped when the lane is full; words about streams wait for room, because what they
/// say stays true.
struct RelayPort: ~Copyable {
  /// The shard at the other end.
  let peer: UInt8
  /// At the other end is a media worker.
  let isWorker: Bool
  /// The peer's slots, to read while they are lent.
  let window: PacketSlab.Window
  private var outbox: SPSCRing<RelayMessage>.Producer
  private var inbox: SPSCRing<RelayMessage>.Consumer
  private var homeward: SPSCRing<PacketHandle>.Producer
  private var returned: SPSCRing<PacketHandle>.Consumer
  /// Words that found the lane full, in order. A later word about the same matter takes the place of an earlier one, so there are never more
  /// than matters: one for each stream, and a few for each publication.
  private var backlog = Deque<RelayMessage>()
  /// Slots that go home when there is room on the ring.
  private var waitingHomeward = Deque<PacketHandle>()
  /// How many holders each of the peer's slots has here: the history, and the turn once for everybody who asks for it again.
  private var holders: UniqueArray<UInt16>
  /// Which of our streams mirrors the peer's stream at that place, or −1.
  private var mirrors = UniqueArray<Int32>()
  /// How short of memory the peer is, whose packets are kept here.
  var peerScarcity = Scarcity.plenty
  private var hasStaged = false
  private var hasHomeward = false
  /// Something was published since the peer was last woken.
  private(set) var wantsWaking = false

  init(
    peer: UInt8, isWorker: Bool = false, window: PacketSlab.Window, outbox: consuming SPSCRing<RelayMessage>.Producer,
    inbox: consuming SPSCRing<RelayMessage>.Consumer, homeward: consuming SPSCRing<PacketHandle>.Producer,
    returned: consuming SPSCRing<PacketHandle>.Consumer
  ) {
    self.peer = peer
    self.isWorker = isWorker
    self.window = window
    self.outbox = outbox
    self.inbox = inbox
    self.homeward = homeward
    self.returned = returned
    holders = UniqueArray(repeating: 0, count: window.slotCount)
  }

  // MARK: Messages

  /// Puts a packet on the lane; `false` when there is no room. The peer sees it at the next ``publish()``.
  mutating func stage(_ message: RelayMessage) -> Bool {
    guard backlog.isEmpty, outbox.stage(message) else { return false }
    hasStaged = true
    return true
  }

  /// Puts a word on the lane, now or as soon as there is room.
  ///
  /// - Returns: the waiting word that this one supersedes and that will not be said; who said it has its slot back.
  mutating func say(_ message: RelayMessage) -> RelayMessage? {
    guard !stage(message) else { return nil }
    let superseded = backlog.firstIndex { message.supersedes($0) }.map { backlog.remove(at: $0) }
    backlog.append(message)
    return superseded
  }

  /// Shows the peer everything that was staged.
  mutating func publish() {
    while let first = backlog.first, outbox.stage(first) {
      backlog.removeFirst()
      hasStaged = true
    }
    while let first = waitingHomeward.first, homeward.stage(first) {
      waitingHomeward.removeFirst()
      hasHomeward = true
    }
    if hasHomeward {
      homeward.publish()
      hasHomeward = false
    }
    guard hasStaged else { return }
    outbox.publish()
    hasStaged = false
    wantsWaking = true
  }

  /// How many words wait for room on the lane.
  var backlogCount: Int { backlog.count }
  /// Something waits for room on the lane.
  var isBehind: Bool { !backlog.isEmpty || !waitingHomeward.isEmpty }

  /// The next message of the peer.
  mutating func next() -> RelayMessage? { inbox.pop() }

  /// Whether the peer has said something that was not taken yet.
  mutating func hasNews() -> Bool { inbox.availableCount() > 0 }

  mutating func takeWaking() -> Bool {
    defer { wantsWaking = false }
    return wantsWaking
  }

  // MARK: The peer's slots

  /// A slot has come on loan, and is held once more. Home counts each loan, and one is enough for all holders here: another that comes while
  /// the first lasts goes back at once. That happens when this shard has let a publication go and taken it up again before home heard of it.
  mutating func borrow(_ handle: PacketHandle) {
    if holders[Int(handle.index)] > 0 { sendHome(handle) }
    holders[Int(handle.index)] += 1
  }

  mutating func retain(_ handle: PacketHandle) { holders[Int(handle.index)] += 1 }

  /// Gives up one hold; the last one sends the slot home.
  mutating func release(_ handle: PacketHandle) {
    holders[Int(handle.index)] -= 1
    if holders[Int(handle.index)] == 0 { sendHome(handle) }
  }

  private mutating func sendHome(_ handle: PacketHandle) {
    // The ring has a place for every slot of the peer; only those lent twice can make it overflow.
    guard waitingHomeward.isEmpty, homeward.stage(handle) else { return waitingHomeward.append(handle) }
    hasHomeward = true
  }

  /// One of our own slots that has come home.
  mutating func nextReturned() -> PacketHandle? { returned.pop() }

  // MARK: Streams

  /// Our stream that mirrors the peer's at `place`, or `nil`.
  func mirror(of place: Int32) -> Int? {
    guard place >= 0, Int(place) < mirrors.count, mirrors[Int(place)] >= 0 else { return nil }
    return Int(mirrors[Int(place)])
  }

  mutating func setMirror(_ stream: Int?, of place: Int32) {
    guard place >= 0 else { return }
    while mirrors.count <= Int(place) { mirrors.append(-1) }
    mirrors[Int(place)] = stream.map(Int32.init) ?? -1
  }
}

// The ring's index protocol as a step machine, for the exhaustive check in SPSCRingModelTests.

/// What the model may do wrong on purpose, to show that the check would notice.
enum SPSCRingVariant: CaseIterable, Sendable {
  case correct
  /// The tail is stored before the slot is written.
  case publishBeforeWrite
  /// The tail's store is relaxed: it may overtake the slot's write.
  case relaxedTailStore
  /// The tail's load is relaxed: the slot's read may overtake it.
  case relaxedTailLoad
  /// The head is stored before the slot is read.
  case releaseBeforeRead
  /// The producer's test for a full ring is one too late.
  case fullTestOffByOne
}

/// Both threads, their private copies, their store buffers and the shared memory at one moment. Every atomic step of
/// `SPSCRing` is one transition here; stores first wait in the thread's buffer, from which they reach memory in any order that
/// their release flags allow.
struct SPSCRingModel: Hashable {
  enum Location: Hashable { case head, tail, slot(Int) }
  struct Store: Hashable {
    var location: Location
    var value: Int
    var isRelease: Bool
  }
  enum ProducerStep: Hashable { case test, load, write, publish, done }
  enum ConsumerStep: Hashable { case test, load, read, publish, done }

  // Parameters, equal in all states of one run.
  let capacity: Int
  let modulus: Int
  let total: Int
  let variant: SPSCRingVariant

  // Shared memory.
  var head: Int
  var tail: Int
  var slots: [Int]

  // Producer.
  var producerStep = ProducerStep.test
  var written = 0
  var producerTail: Int
  var knownHead: Int
  var producerStores: [Store] = []

  // Consumer.
  var consumerStep = ConsumerStep.test
  var read = 0
  var consumerHead: Int
  var knownTail: Int
  var prefetched: Int?
  var consumerStores: [Store] = []

  /// What went wrong, if anything.
  var violation: String?

  init(capacity: Int, modulus: Int, start: Int, total: Int, variant: SPSCRingVariant) {
    self.capacity = capacity
    self.modulus = modulus
    self.total = total
    self.variant = variant
    head = start
    tail = start
    slots = Array(repeating: -1, count: capacity)
    producerTail = start
    knownHead = start
    consumerHead = start
    knownTail = start
  }

  var isFinal: Bool {
    producerStep == .done && consumerStep == .done && producerStores.isEmpty && consumerStores.isEmpty
  }

  private func distance(_ a: Int, _ b: Int) -> Int { (a - b + modulus) % modulus }
  private var fullDistance: Int { variant == .fullTestOffByOne ? capacity + 1 : capacity }

  /// Every state that one step of one thread, or one store reaching memory, leads to.
  func successors() -> [SPSCRingModel] {
    var result: [SPSCRingModel] = []
    producerSuccessors(&result)
    consumerSuccessors(&result)
    for index in producerStores.indices where Self.mayReachMemory(producerStores, index) {
      var next = self
      next.commit(next.producerStores.remove(at: index))
      result.append(next)
    }
    for index in consumerStores.indices where Self.mayReachMemory(consumerStores, index) {
      var next = self
      next.commit(next.consumerStores.remove(at: index))
      result.append(next)
    }
    return result
  }

  private static func mayReachMemory(_ stores: [Store], _ index: Int) -> Bool {
    if stores[index].isRelease { return index == 0 }
    return !stores[..<index].contains { $0.location == stores[index].location }
  }

  private mutating func commit(_ store: Store) {
    switch store.location {
    case .head: head = store.value
    case .tail: tail = store.value
    case .slot(let index): slots[index] = store.value
    }
  }

  private func producerSuccessors(_ result: inout [SPSCRingModel]) {
    var next = self
    switch producerStep {
    case .done: return
    case .test:
      if written == total {
        next.producerStep = .done
      } else {
        next.producerStep = distance(producerTail, knownHead) >= fullDistance ? .load : .write
      }
    case .load:
      next.knownHead = head
      next.producerStep = distance(producerTail, head) >= fullDistance ? .test : .write
    case .write:
      if variant == .publishBeforeWrite {
        next.producerStores.append(Store(location: .tail, value: (producerTail + 1) % modulus, isRelease: true))
      }
      next.producerStores.append(Store(location: .slot(producerTail % capacity), value: written, isRelease: false))
      next.producerTail = (producerTail + 1) % modulus
      next.written += 1
      next.producerStep = .publish
      // Staging: another element may be written before the tail is stored.
      if next.written < total, variant != .publishBeforeWrite, next.distance(next.producerTail, next.knownHead) < fullDistance {
        var staged = next
        staged.producerStep = .write
        result.append(staged)
      }
    case .publish:
      if variant != .publishBeforeWrite {
        next.producerStores.append(Store(location: .tail, value: producerTail, isRelease: variant != .relaxedTailStore))
      }
      next.producerStep = .test
    }
    result.append(next)
  }

  private func consumerSuccessors(_ result: inout [SPSCRingModel]) {
    var next = self
    switch consumerStep {
    case .done: return
    case .test:
      if read == total {
        next.consumerStep = .done
      } else {
        next.consumerStep = consumerHead == knownTail ? .load : .read
      }
    case .load:
      if variant == .relaxedTailLoad, prefetched == nil {
        var early = self
        early.prefetched = slots[consumerHead % capacity]
        result.append(early)
      }
      next.knownTail = tail
      next.consumerStep = tail == consumerHead ? .test : .read
    case .read:
      if variant == .releaseBeforeRead, !consumerStores.contains(where: { $0.location == .head }), head == consumerHead {
        next.consumerStores.append(Store(location: .head, value: (consumerHead + 1) % modulus, isRelease: true))
        result.append(next)
        return
      }
      let value = prefetched ?? slots[consumerHead % capacity]
      next.prefetched = nil
      if value != read { next.violation = "read \(value) where \(read) was due" }
      next.read += 1
      next.consumerHead = (consumerHead + 1) % modulus
      next.consumerStep = .publish
      // A batch: another element that is known to be there may be read before the head is stored.
      if variant != .releaseBeforeRead, next.consumerHead != next.knownTail {
        var batched = next
        batched.consumerStep = .read
        result.append(batched)
      }
    case .publish:
      if variant != .releaseBeforeRead {
        next.consumerStores.append(Store(location: .head, value: consumerHead, isRelease: true))
      }
      next.consumerStep = .test
    }
    result.append(next)
  }
}

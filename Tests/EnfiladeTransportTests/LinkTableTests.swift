// The link table against a dictionary, and against who would like to overload it.

import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite struct LinkTableTests {
  /// One of a few hundred addresses, so that keys meet again.
  private func address(_ random: inout SeededRandom) -> SocketAddress {
    let (a, b) = (random.next() % 16, UInt16(random.next() % 16))
    return random.next() % 2 == 0
      ? SocketAddress(ipv4: 0x0A00_0000 | UInt32(a), port: 5000 + b)
      : SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: a, port: 5000 + b, scope: UInt32(random.next() % 2))
  }

  @Test("The table agrees with a dictionary, whatever is done to it", arguments: 1...20 as ClosedRange<UInt64>)
  func model(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let capacity = 1 + Int(random.next() % 64)
    var table = AddressTable(capacity: capacity, seed: HashSeed(using: &random))
    var model: [SocketAddress: Int32] = [:]
    for step in 0..<3_000 {
      let key = address(&random)
      let index = Int32(random.next() % 8)
      switch random.next() % 8 {
      case 0..<4:
        let expected: LinkTable.Insertion
        if let old = model[key] {
          expected = .replaced(old)
        } else {
          expected = model.count == capacity ? .full : .inserted
        }
        let result = table.insert(LinkKey(key), index)
        #expect(result == expected)
        if expected != .full { model[key] = index }
      case 4..<7:
        let result = table.remove(LinkKey(key))
        #expect(result == model.removeValue(forKey: key))
      default:
        let result = table.remove(LinkKey(key), onlyIf: index)
        #expect(result == (model[key] == index ? index : nil))
        if model[key] == index { model[key] = nil }
      }
      let count = table.count
      #expect(count == model.count)
      // Each step moves entries; now and then all must still be found.
      if step % 50 == 0 {
        for (key, value) in model {
          let found = table.find(key)
          #expect(found == value)
        }
      }
      let probe = address(&random)
      let found = table.find(probe)
      #expect(found == model[probe])
    }
  }

  @Test("Addresses that differ in port, family or scope, and a ufrag of the same bits, are different keys")
  func distinctKeys() throws {
    let key = UfragKey(([0, 0, 0, 0, 127, 0, 0, 1] as [UInt8]).rawBytes)
    let ufrag = try #require(key)
    let keys = [
      LinkKey(SocketAddress(ipv4: 0x7F00_0001, port: 0)), LinkKey(SocketAddress(ipv4: 0x7F00_0001, port: 1)),
      LinkKey(SocketAddress(ipv6High: 0, low: 0x7F00_0001, port: 0)),
      LinkKey(SocketAddress(ipv6High: 0, low: 0x7F00_0001, port: 0, scope: 1)),
      LinkKey(SocketAddress(ipv6High: 1, low: 0x7F00_0001, port: 0)), LinkKey(ufrag),
    ]
    var table = LinkTable(capacity: 8, seed: HashSeed(1, 2))
    for (index, key) in keys.enumerated() {
      let result = table.insert(key, Int32(index))
      #expect(result == .inserted)
    }
    for (index, key) in keys.enumerated() {
      let found = table.find(key)
      #expect(found == Int32(index))
    }
  }

  @Test("The empty slot's filler is an ordinary key")
  func placeholderKey() {
    var table = AddressTable(capacity: 4, seed: HashSeed(0, 0))
    let nobody = SocketAddress(ipv4: 0, port: 0)
    let before = table.find(nobody)
    #expect(before == nil)
    table.insert(LinkKey(nobody), 3)
    let after = table.find(nobody)
    #expect(after == 3)
    let removed = table.remove(LinkKey(nobody))
    #expect(removed == 3)
  }

  @Test("A table of one key works, and is full with it")
  func smallest() {
    var table = UfragTable(capacity: 1, seed: HashSeed(3, 4))
    var random = SeededRandom(seed: 1)
    guard let a = ICECredentials.make(using: &random).ufragKey, let b = ICECredentials.make(using: &random).ufragKey else { return }
    let (first, second, third) = (table.insert(LinkKey(a), 1), table.insert(LinkKey(b), 2), table.insert(LinkKey(a), 3))
    #expect(first == .inserted && second == .full && third == .replaced(1))
    let missing = table.find(b)
    #expect(missing == nil)
  }

  @Test("Keys that fall into one place under one seed part under another: the hash is keyed")
  func floodingNeedsTheSeed() {
    // Pick, with the seed known, addresses whose lowest hash bits are equal: what an attacker would do.
    func home(_ address: SocketAddress, _ seed: HashSeed) -> UInt64 { LinkKey(address).hash(seed) & 1023 }
    let known = HashSeed(1, 2)
    var aimed: [SocketAddress] = []
    var candidate: UInt32 = 0
    while aimed.count < 64 {
      let address = SocketAddress(ipv4: candidate, port: 5000)
      if home(address, known) == 0 { aimed.append(address) }
      candidate += 1
    }
    let elsewhere = Set(aimed.map { home($0, HashSeed(3, 4)) })
    #expect(elsewhere.count > 48)
  }
}

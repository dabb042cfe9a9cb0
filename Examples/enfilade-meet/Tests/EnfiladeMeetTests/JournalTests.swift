// The journal: what a stream that broke off is told when it comes back.

import Enfilade
import EnfiladeMeet
import Testing

private let ada = ParticipantID(rawValue: "ada")
private let bela = ParticipantID(rawValue: "bela")

private func note(_ text: String, to audience: ParticipantID? = nil) -> Signal {
  audience.map { .goodbye(reason: text, to: $0) } ?? .participantLeft(ParticipantID(rawValue: text), reason: "left")
}

@Test("A reader is told everything after its cursor that is for everybody or for itself")
func audience() {
  var journal = Journal(epoch: "e")
  journal.append(note("1"))
  journal.append(note("2", to: ada))
  journal.append(note("3", to: bela))
  journal.append(note("4"))
  #expect(journal.signals(after: 0, for: ada)?.map(\.number) == [1, 2, 4])
  #expect(journal.signals(after: 0, for: bela)?.map(\.number) == [1, 3, 4])
  #expect(journal.signals(after: 3, for: ada)?.map(\.number) == [4])
  #expect(journal.signals(after: 4, for: ada)?.isEmpty == true)
}

@Test("A cursor that lies before what is kept, or after what has happened, gives nothing but the wish for a snapshot")
func outOfReach() {
  var journal = Journal(epoch: "e")
  #expect(journal.signals(after: 0, for: ada)?.isEmpty == true)
  #expect(journal.signals(after: 1, for: ada) == nil)
  for number in 1...(3 * Journal.capacity) { journal.append(note("\(number)")) }
  #expect(journal.lastNumber == 3 * Journal.capacity)
  #expect(journal.signals(after: 0, for: ada) == nil)
  let recent = journal.signals(after: journal.lastNumber - 100, for: ada)
  #expect(recent?.count == 100)
  #expect(recent?.last?.number == journal.lastNumber)
  #expect(recent?.last?.signal.data == note("\(journal.lastNumber)").data)
}

@Test("The journal never keeps more than its capacity", arguments: [1, Journal.capacity, Journal.capacity + 1, 2 * Journal.capacity + 7])
func bounded(count: Int) throws {
  var journal = Journal(epoch: "e")
  for number in 1...count { journal.append(note("\(number)")) }
  let oldest = try #require((0...count).first { journal.signals(after: $0, for: ada) != nil })
  #expect(count - oldest <= Journal.capacity)
  #expect(journal.signals(after: oldest, for: ada)?.first?.signal.data == note("\(oldest + 1)").data)
}

@Test(
  "Only an id of this journal, and of something that has happened, names a place in it",
  arguments: [
    ("e-2", 2), ("e-0", 0), ("e-3", nil), ("f-2", nil), ("e--1", nil), ("2", nil), ("", nil), ("e-2-2", nil),
    ("e-99999999999999999999", nil),
  ] as [(String, Int?)])
func identifiers(id: String, number: Int?) {
  var journal = Journal(epoch: "e")
  journal.append(note("1"))
  journal.append(note("2"))
  #expect(journal.number(ofID: id) == number)
  #expect(journal.id(of: 2) == "e-2")
}

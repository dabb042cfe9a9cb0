// Everything that can be refused is refused with a kind and a reason, and leaves what was there as it was.

import Enfilade
import EnfiladeIO
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Testing

@Suite("Errors")
struct ErrorTests {
  /// What starting an engine throws.
  private static func failure(_ configuration: Engine.Configuration) async -> EngineError? {
    do {
      let engine = try await Engine(configuration)
      await engine.shutdown()
      return nil
    } catch { return error }
  }

  /// What answering throws.
  private static func failure(_ participant: Participant, _ offer: String) async -> NegotiationError? {
    do {
      _ = try await participant.answer(offer: offer)
      return nil
    } catch { return error }
  }

  @Test("A port that is taken is a socket error that names it")
  func portTaken() async throws {
    let taken = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0))
    let port = Int(taken.localAddress.port)
    let error = await Self.failure(.init(udpPort: port, bindAddress: "127.0.0.1"))
    #expect(error?.code == .socket)
    #expect(error?.reason.contains(String(port)) == true)
    // The second shard's port is taken: the first one's is given back.
    if port > 1025 {
      let error = await Self.failure(.init(udpPort: port - 1, bindAddress: "127.0.0.1", shards: 2))
      #expect(error?.code == .socket)
      _ = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: UInt16(port - 1)))
    }
  }

  @Test(
    "Ports and numbers of shards that cannot be are refused",
    arguments: [(-1, 1), (65_536, 1), (70_000, 1), (65_535, 2), (5000, 0), (5000, 256), (5000, -3)])
  func impossiblePorts(port: Int, shards: Int) async {
    let error = await Self.failure(.init(udpPort: port, bindAddress: "127.0.0.1", shards: shards))
    #expect(error?.code == .socket)
  }

  @Test(
    "An announced address that is none is refused by name",
    arguments: ["-", "example.org", "300.1.1.1", "203.0.113.7:99999", "1.2.3", "::g"])
  func badAnnouncedAddress(text: String) async {
    let error = await Self.failure(.init(udpPort: 0, announcedAddresses: ["203.0.113.7", text], bindAddress: "127.0.0.1"))
    #expect(error?.code == .invalidAddress)
    #expect(text.isEmpty || error?.reason.contains(text) == true)
  }

  @Test("An address to listen on that is none, or is not this machine's, is refused")
  func badBindAddress() async {
    #expect(await Self.failure(.init(udpPort: 0, bindAddress: "localhost"))?.code == .invalidAddress)
    #expect(await Self.failure(.init(udpPort: 0, bindAddress: "192.0.2.1"))?.code == .socket)
  }

  @Test("After shutdown there are no rooms, and nothing answers")
  func afterShutdown() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("a")
    let guest = try await room.join(name: "guest")
    _ = try await guest.answer(offer: try Recorded.chromium)
    await engine.shutdown()
    do {
      _ = try await engine.room("a")
      Issue.record("a room after shutdown")
    } catch { #expect(error.code == .shutDown) }
    do {
      _ = try await room.join(name: "late")
      Issue.record("a participant after shutdown")
    } catch { #expect(error.code == .closed) }
    #expect(await Self.failure(guest, try Recorded.chromium)?.code == .left)
    #expect(await engine.rooms.isEmpty)
  }

  @Test(
    "A text that is no session description is malformed, with a reason",
    arguments: [
      "", "v=0", "hello", "v=1\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "\0\0\0", "v=0\r\ns=-\r\n",
      String(repeating: "a", count: 1 << 20),
    ])
  func malformed(text: String) async throws {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    let error = await Self.failure(guest, text)
    #expect(error?.code == .malformed)
    #expect(error?.reason.isEmpty == false)
    // It may try again.
    #expect(await Self.failure(guest, try Recorded.chromium) == nil)
    await engine.shutdown()
  }

  @Test(
    "An offer that cannot be answered is unsupported, with a reason",
    arguments: ["a=group:BUNDLE", "a=fingerprint:", "a=ice-ufrag:", "a=ice-pwd:", "a=rtcp-mux"])
  func unsupported(missing: String) async throws {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    let error = await Self.failure(guest, try Recorded.chromium.droppingLines(missing))
    #expect(error?.code == .unsupported)
    #expect(error?.reason.isEmpty == false)
    await engine.shutdown()
  }

  @Test("A certificate hash that nobody should trust is unsupported")
  func weakFingerprint() async throws {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    let weak = try Recorded.chromium.components(separatedBy: "\r\n").map { line in
      line.hasPrefix("a=fingerprint:") ? "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB" : line
    }.joined(separator: "\r\n")
    #expect(await Self.failure(guest, weak)?.code == .unsupported)
    await engine.shutdown()
  }

  @Test("Who has left is answered no more")
  func afterLeave() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("a")
    let guest = try await room.join(name: "guest")
    _ = try await guest.answer(offer: try Recorded.chromium)
    await guest.leave()
    #expect(await Self.failure(guest, try Recorded.chromium)?.code == .left)
    do {
      _ = try await guest.restartICE(fragment: "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n")
      Issue.record("a restart after leaving")
    } catch { #expect(error.code == .left) }
    #expect(await room.participants.isEmpty)
    #expect(await guest.publications.isEmpty)
    await guest.leave()
    await engine.shutdown()
  }

  @Test("Another certificate in a later offer is a conflict, and the session stays what it was")
  func otherFingerprint() async throws {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    let offer = try Recorded.chromium
    let first = try await guest.answer(offer: offer)
    let print = try #require(offer.values("a=fingerprint:sha-256 ").first)
    let other = "00" + print.dropFirst(2) == print ? "01" + print.dropFirst(2) : "00" + print.dropFirst(2)
    let error = await Self.failure(guest, offer.replacingOccurrences(of: print, with: other))
    #expect(error?.code == .conflicting)
    let again = try await guest.answer(offer: offer)
    #expect(again.values("a=ice-ufrag:").first == first.values("a=ice-ufrag:").first)
    #expect(again.values("a=ssrc:") == first.values("a=ssrc:"))
    await engine.shutdown()
  }

  @Test("A restart by fragment needs a negotiation before it and credentials in it")
  func fragmentErrors() async throws {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    func code(_ text: String) async -> NegotiationError.Code? {
      do {
        _ = try await guest.restartICE(fragment: text)
        return nil
      } catch { return error.code }
    }
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    #expect(await code(fragment) == .conflicting)
    _ = try await guest.answer(offer: try Recorded.chromium)
    #expect(await code("a=mid:0\r\n") == .malformed)
    #expect(await code("a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n") == .malformed)
    #expect(await code("\u{1}") == .malformed)
    #expect(await code(fragment) == nil)
    await engine.shutdown()
  }
}

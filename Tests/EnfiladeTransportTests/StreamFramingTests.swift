// RFC 4571 §2: cutting datagrams out of a stream, however it was cut up on the way.

import EnfiladeTransport
import EnfiladeWire
import Foundation
import Testing

@Suite("Framing of datagrams on a stream")
struct StreamFramingTests {
  @Test("A datagram stands behind its length, big-endian")
  func frames() {
    // RFC 4571 §2: LENGTH 3, three bytes; LENGTH 0, a null packet; LENGTH 1, one byte.
    let bytes: [UInt8] = [0, 3, 0xA1, 0xA2, 0xA3, 0, 0, 0, 1, 0xB1]
    #expect(StreamFraming.next(in: bytes.rawBytes, at: 0) == .frame(2..<5))
    #expect(StreamFraming.next(in: bytes.rawBytes, at: 5) == .frame(7..<7))
    #expect(StreamFraming.next(in: bytes.rawBytes, at: 7) == .frame(9..<10))
    #expect(StreamFraming.next(in: bytes.rawBytes, at: 10) == .incomplete)
  }

  @Test("Truncated at every length, a frame is incomplete and nothing else")
  func truncated() {
    let frame: [UInt8] = [0x05, 0xDC] + [UInt8](repeating: 7, count: 1500)
    for length in 0..<frame.count {
      #expect(StreamFraming.next(in: Array(frame.prefix(length)).rawBytes, at: 0) == .incomplete)
    }
    #expect(StreamFraming.next(in: frame.rawBytes, at: 0) == .frame(2..<1502))
  }

  @Test("A length is taken up to the largest datagram, and not beyond", arguments: [1499, 1500, 1501, 32_768, 65_535])
  func lengths(count: Int) {
    let header = [UInt8(count >> 8), UInt8(count & 255)]
    let step = StreamFraming.next(in: header.rawBytes, at: 0)
    #expect(step == (count <= Limits.datagramByteCount ? .incomplete : .tooLong(byteCount: count)))
  }

  @Test("Places beyond the end hold nothing")
  func beyond() {
    #expect(StreamFraming.next(in: [UInt8]().rawBytes, at: 0) == .incomplete)
    #expect(StreamFraming.next(in: [0, 1, 2].rawBytes, at: 4) == .incomplete)
    #expect(StreamFraming.next(in: [0, 1, 2].rawBytes, at: -1) == .incomplete)
  }

  @Test("However a stream is cut up, the same datagrams come out of it", arguments: 0..<20 as Range<UInt64>)
  func reassembly(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var table = StreamTable()
    let number = try table.admit()
    var sent: [[UInt8]] = []
    var stream: [UInt8] = []
    for _ in 0..<200 {
      let count = Int(random.next() % 4 == 0 ? random.next() % 4 : random.next() % 1501)
      let datagram = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      stream += [UInt8(count >> 8), UInt8(count & 255)] + datagram
      if count > 0 { sent.append(datagram) }
    }
    var received: [[UInt8]] = []
    var offset = 0
    while offset < stream.count {
      let limit = random.next() % 3 == 0 ? 3 : 5000
      let count = min(stream.count - offset, 1 + Int(random.next() % UInt64(limit)))
      received += table.take(stream[offset..<offset + count], from: number)
      offset += count
    }
    #expect(received == sent)
    #expect(table.isBroken(number) == false)
    #expect(table.counters.datagramsIn == UInt64(sent.count))
  }
}

@Suite("Streams the fuzzer found")
struct StreamCorpusTests {
  @Test("However a stream of the corpus is cut up, the same comes out of it")
  func corpus() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fuzz/Corpus/stream").standardized
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    #expect(files.count >= 4)
    for file in files {
      let bytes = [UInt8](try Data(contentsOf: file))
      for seed in 0..<8 as Range<UInt8> {
        #expect(violation(ofStream: [seed] + bytes.dropFirst()) == nil, "\(file.lastPathComponent)")
      }
    }
  }
}

extension StreamTable {
  static var peer: SocketAddress { SocketAddress(ipv4: 0xC000_0201, port: 40_000) }

  /// Takes a connection in that nothing stands against.
  mutating func admit(from source: SocketAddress = peer, at now: Instant = .zero) throws -> Int {
    let admission = handleConnection(from: source, at: now)
    guard case .taken(let number, evicting: nil) = admission else { throw Refusal(admission: admission) }
    return number
  }

  struct Refusal: Error { let admission: Admission }

  /// Lets bytes come over a connection; the datagrams in them.
  mutating func take(_ bytes: some Collection<UInt8>, from number: Int) -> [[UInt8]] {
    let buffer = beginReceive(number)
    precondition(bytes.count <= buffer.count)
    buffer.copyBytes(from: bytes)
    handleReceived(number, byteCount: bytes.count)
    var datagrams: [[UInt8]] = []
    while let datagram = pollReceived() {
      datagrams.append([UInt8](UnsafeRawBufferPointer(start: datagram.base, count: datagram.byteCount)))
    }
    return datagrams
  }

  /// Has datagrams of one size sent as one run.
  mutating func send(_ datagrams: [[UInt8]], to address: SocketAddress, isUrgent: Bool = false, at now: Instant) {
    var bytes = datagrams.flatMap(\.self)
    bytes.withUnsafeMutableBytes { buffer in
      var datagram = OutgoingDatagram(
        base: buffer.baseAddress!, byteCount: buffer.count, segmentByteCount: datagrams.count > 1 ? datagrams[0].count : 0, to: address)
      datagram.isUrgent = isUrgent
      send(datagram, at: now)
    }
  }

  /// Lets the network take up to so many bytes of a connection.
  mutating func carry(_ byteCount: Int = .max, of number: Int, at now: Instant) -> [UInt8] {
    let taken = withPendingBytes(of: number) { bytes in bytes.withUnsafeBytes { [UInt8]($0.prefix(byteCount)) } }
    handleSent(number, byteCount: taken.count, at: now)
    return taken
  }
}

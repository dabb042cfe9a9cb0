// Those who speak and listen by plain RTP: a socket each, one thread that sends and drains, and one that waits for what is forwarded.

import Foundation
import Glibc
import Synchronization

/// What went out and came in during the window.
struct MixTraffic: Codable {
  var seconds = 0.0
  var sentCount = 0
  var receivedCount = 0
  /// Of those whose voices are forwarded, publisher to listener.
  var latency: [Double] = []
}

/// Everybody's sockets.
final class MixLoad {
  /// Two voices' packets, in turns.
  private let voices: [[[UInt8]]]
  private let sockets: [Int32]
  /// Where everybody takes packets.
  let ports: [Int]

  /// Opens a socket for each.
  init(count: Int) throws {
    voices = try [110.0, 190].map(MixBench.voice)
    var sockets: [Int32] = []
    var ports: [Int] = []
    for _ in 0..<count {
      let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      guard descriptor >= 0 else { throw ServerFailure(description: "no more sockets: \(errno)") }
      sockets.append(descriptor)
      var address = Self.loopback(port: 0)
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
        }
      }
      guard isBound else { throw ServerFailure(description: "no port: \(errno)") }
      ports.append(Int(UInt16(bigEndian: address.sin_port)))
    }
    self.sockets = sockets
    self.ports = ports
  }

  deinit { for descriptor in sockets { close(descriptor) } }

  private static func loopback(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// Nanoseconds of the clock that only goes forward.
  private static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// How far the clock of the day, by which the kernel stamps arrivals, is ahead.
  private static var clockDifference: UInt64 {
    var day = timespec()
    let before = now
    clock_gettime(CLOCK_REALTIME, &day)
    let after = now
    return UInt64(day.tv_sec) * 1_000_000_000 + UInt64(day.tv_nsec) - (before + after) / 2
  }

  // MARK: The window

  /// Speaks for a while, and counts from `warmUp` seconds on.
  func run(
    _ parties: [MixParty], to destinations: [Int], warmUp: Double, seconds: Double, begins: () -> Void, ends: () -> Void
  ) -> MixTraffic {
    let addresses = destinations.map(Self.loopback)
    let speakers = parties.indices.filter { parties[$0].speaks }
    let probes = Probes(parties.indices.filter { !parties[$0].isMixed && !parties[$0].speaks }.map { sockets[$0] })
    let drained = parties.indices.filter { parties[$0].isMixed || parties[$0].speaks }.map { sockets[$0] }
    let start = Self.now
    let first = start + UInt64(warmUp * 1e9)
    let end = first + UInt64(seconds * 1e9)
    // Janus sends to nobody by RTP from whom nothing came. One packet of silence; Enfilade drops it.
    for party in parties.indices where !parties[party].speaks {
      send(0, party, from: sockets[party], to: addresses[party], isStamped: false, payload: [0xF8, 0xFF, 0xFE])
    }
    var traffic = MixTraffic()
    var turns = [Int](repeating: 0, count: speakers.count)
    var step = start
    var hasBegun = false
    while step < end {
      step += 1_000_000
      if !hasBegun, step >= first {
        hasBegun = true
        traffic = MixTraffic()
        probes.clear()
        begins()
      }
      Self.sleep(until: step)
      for (position, party) in speakers.enumerated() {
        // Spread over the 20 ms, as people are.
        let phase = UInt64(position) * 20_000_000 / UInt64(speakers.count)
        guard start + phase + UInt64(turns[position]) * 20_000_000 <= step else { continue }
        send(turns[position], position, from: sockets[party], to: addresses[party], isStamped: !parties[party].isMixed)
        turns[position] += 1
        traffic.sentCount += 1
      }
      if (step - start) / 1_000_000 % 10 == 0 { traffic.receivedCount += drain(drained) }
    }
    ends()
    let waited = probes.stop()
    traffic.seconds = seconds
    traffic.receivedCount += waited.count
    traffic.latency = waited
    return traffic
  }

  private static func sleep(until moment: UInt64) {
    var time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
    while clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &time, nil) == EINTR {}
  }

  private func send(_ turn: Int, _ number: Int, from descriptor: Int32, to address: sockaddr_in, isStamped: Bool, payload: [UInt8]? = nil) {
    let sequence = UInt16(truncatingIfNeeded: turn)
    let stamp = UInt32(truncatingIfNeeded: turn * 960)
    var packet: [UInt8] = [0x80, (turn == 0 ? 0x80 : 0) | 111]
    packet += withUnsafeBytes(of: sequence.bigEndian, Array.init)
    packet += withUnsafeBytes(of: stamp.bigEndian, Array.init)
    packet += withUnsafeBytes(of: UInt32(0x1000_0000 + number).bigEndian, Array.init)
    packet += payload ?? voices[number % 2][turn % MixBench.packetCount]
    // Nobody decodes what is forwarded here.
    if isStamped { packet.replaceSubrange(13..<21, with: withUnsafeBytes(of: Self.now, Array.init)) }
    var address = address
    let count = packet.count
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = sendto(descriptor, packet, count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// Counts RTP, and leaves reports out.
  private func drain(_ descriptors: [Int32]) -> Int {
    var count = 0
    withUnsafeTemporaryAllocation(byteCount: 2_048, alignment: 8) { buffer in
      for descriptor in descriptors {
        while true {
          let length = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
          guard length > 0 else { break }
          if length > 12, buffer[1] & 0x7F == 111 { count += 1 }
        }
      }
    }
    return count
  }

  /// A thread that waits for stamped packets.
  private final class Probes: Sendable {
    private struct State {
      var latencies: [Double] = []
      var isStopped = false
    }

    private let state = Mutex(State())
    private let isDone = DispatchSemaphore(value: 0)

    init(_ descriptors: [Int32]) {
      let thread = Thread { [self] in
        wait(for: descriptors)
        isDone.signal()
      }
      thread.start()
    }

    func clear() { state.withLock { $0.latencies.removeAll() } }

    /// The latencies in microseconds, sorted.
    func stop() -> [Double] {
      state.withLock { $0.isStopped = true }
      isDone.wait()
      return state.withLock { $0.latencies.sorted() }
    }

    /// A packet's latency ends where the kernel hands it to our socket (SO_TIMESTAMPNS): when this thread gets a processor is not the server's doing.
    private func wait(for descriptors: [Int32]) {
      var isOn: Int32 = 1
      for descriptor in descriptors {
        setsockopt(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &isOn, socklen_t(MemoryLayout<Int32>.size))
      }
      let difference = MixLoad.clockDifference
      var waiting = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      while !state.withLock({ $0.isStopped }) {
        guard poll(&waiting, nfds_t(waiting.count), 50) > 0 else { continue }
        for place in waiting where place.revents != 0 {
          while let (sent, came) = Self.receive(place.fd) {
            guard let sent, let came else { continue }
            let arrival = came &- difference
            state.withLock { $0.latencies.append(Double(arrival - min(arrival, sent)) / 1_000) }
          }
        }
      }
    }

    /// The next packet: when it was sent by the clock that only goes forward, if it is a stamped one, and when it came by the clock of the day.
    private static func receive(_ descriptor: Int32) -> (sent: UInt64?, came: UInt64?)? {
      withUnsafeTemporaryAllocation(byteCount: 2_048, alignment: 8) { packet in
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { control in
          var vector = iovec(iov_base: packet.baseAddress, iov_len: packet.count)
          let (length, controlLength) = withUnsafeMutablePointer(to: &vector) { vector in
            var message = msghdr()
            message.msg_iov = vector
            message.msg_iovlen = 1
            message.msg_control = control.baseAddress
            message.msg_controllen = control.count
            return (recvmsg(descriptor, &message, Int32(MSG_DONTWAIT)), message.msg_controllen)
          }
          guard length > 0 else { return nil }
          guard length >= 21, packet[1] & 0x7F == 111 else { return (nil, nil) }
          // One message of control: its length, SOL_SOCKET, SCM_TIMESTAMPNS, and seconds and nanoseconds (cmsg(3)).
          guard controlLength >= 32 else { return (nil, nil) }
          let seconds = control.load(fromByteOffset: 16, as: Int64.self)
          let nanoseconds = control.load(fromByteOffset: 24, as: Int64.self)
          return (packet.loadUnaligned(fromByteOffset: 13, as: UInt64.self), UInt64(seconds) * 1_000_000_000 + UInt64(nanoseconds))
        }
      }
    }
  }
}

// What an operator asks most: which addresses clients will be told, and what cannot work.

import EnfiladeIO
import EnfiladeWire

/// What a configuration will do on this machine, found out without starting an engine.
public struct Diagnosis: Sendable, Hashable {
  /// Something an operator should know.
  public struct Finding: Sendable, Hashable {
    /// How bad it is.
    public enum Severity: String, Sendable, Hashable, Codable {
      /// The engine does not start, or nobody reaches it.
      case error
      /// Some will not reach it, or it will be worse than it could be.
      case warning
    }
    /// How bad it is.
    public let severity: Severity
    /// What it is, and what helps, in a sentence.
    public let text: String
  }

  /// Where clients are told to send, `address:port`, best first; TCP comes last, as `address:port/tcp`. Ports that the system chooses are zero.
  public let candidates: [String]
  /// What will not work, the worst first.
  public let findings: [Finding]

  /// Whether an engine of this configuration would work.
  public var isSound: Bool { !findings.contains { $0.severity == .error } }
}

extension Engine {
  /// Looks what clients would be told, and tries the ports and buffers. It opens sockets and closes them again.
  ///
  /// - Returns: what was found; an engine that runs on the same ports makes them taken.
  public static func diagnose(_ configuration: Configuration) -> Diagnosis {
    var findings: [Diagnosis.Finding] = []
    func note(_ severity: Diagnosis.Finding.Severity, _ text: String) {
      let finding = Diagnosis.Finding(severity: severity, text: text)
      if !findings.contains(finding) { findings.append(finding) }
    }
    let bound = configuration.bindAddress.map { SocketAddress(host: $0, port: 0) }
    if let text = configuration.bindAddress, bound == .some(nil) {
      note(.error, "The address to listen on, \(text), is not an IP address.")
    }
    var addresses: [SocketAddress] = []
    do { addresses = try EngineCore.addresses(configuration, bound: bound ?? nil) } catch { note(.error, "\(error.reason).") }
    let shards = max(1, configuration.shards)
    if !(0...65_535).contains(configuration.udpPort) || configuration.udpPort + shards > 65_536 {
      note(.error, "The \(shards) ports from \(configuration.udpPort) on are not all between 0 and 65535.")
    } else {
      for port in ports(configuration) { examine(port: port, bound: bound ?? nil, note) }
    }
    if let tcpPort = configuration.tcpPort {
      if !(0...65_536 - min(65_536, shards)).contains(tcpPort) {
        note(.error, "The \(shards) TCP ports from \(tcpPort) on are not all between 0 and 65535.")
      } else {
        for port in ports(from: tcpPort, configuration) { examine(tcpPort: port, bound: bound ?? nil, note) }
      }
    } else {
      note(.warning, "TCP is off: clients behind firewalls that let no UDP through cannot join.")
    }
    examine(addresses, configuration, note)
    var candidates = addresses.flatMap { address in ports(configuration).map { address.with(port: $0).description } }
    if let tcpPort = configuration.tcpPort {
      candidates += addresses.flatMap { address in
        ports(from: tcpPort, configuration).map { port -> String in
          var candidate = address
          if tcpPort != configuration.udpPort { candidate.port = 0 }
          return candidate.with(port: port).description + "/tcp"
        }
      }
    }
    return Diagnosis(
      candidates: candidates.enumerated().filter { candidates.firstIndex(of: $0.element) == $0.offset }.map(\.element),
      findings: findings.filter { $0.severity == .error } + findings.filter { $0.severity == .warning })
  }

  private static func ports(_ configuration: Configuration) -> [UInt16] { ports(from: configuration.udpPort, configuration) }

  private static func ports(from first: Int, _ configuration: Configuration) -> [UInt16] {
    guard first != 0 else { return [0] }
    return (0..<max(1, configuration.shards)).compactMap { UInt16(exactly: first + $0) }
  }

  /// Every local address of both families, or the one to listen on.
  private static func places(_ port: UInt16, bound: SocketAddress?) -> [SocketAddress] {
    guard var bound else { return [SocketAddress(ipv6High: 0, low: 0, port: port), SocketAddress(ipv4: 0, port: port)] }
    bound.port = port
    return [bound]
  }

  private static func examine(tcpPort port: UInt16, bound: SocketAddress?, _ note: (Diagnosis.Finding.Severity, String) -> Void) {
    let addresses = places(port, bound: bound)
    for (position, address) in addresses.enumerated() {
      do throws(IOError) {
        _ = try StreamListener(bindingTo: address)
        return
      } catch {
        if error.isFamilyUnavailable, position + 1 < addresses.count { continue }
        return note(.error, text(of: error, port: "TCP port \(port)"))
      }
    }
  }

  private static func text(of error: IOError, port: String) -> String {
    if error.isAddressInUse { return "\(port) is taken: another process listens on it, or another engine." }
    if error.isAddressNotAvailable {
      return "The address to listen on is not one of this machine's; a public address before a NAT is announced instead."
    }
    if error.isPermissionDenied { return "\(port) needs a privilege that this process does not have; ports from 1024 on do not." }
    return "\(port) cannot be opened: \(error)."
  }

  private static func examine(port: UInt16, bound: SocketAddress?, _ note: (Diagnosis.Finding.Severity, String) -> Void) {
    let addresses = places(port, bound: bound)
    for (position, address) in addresses.enumerated() {
      do throws(IOError) {
        let socket = try UDPSocket(bindingTo: address)
        // The kernel counts its own upkeep, too, and tells twice what it was asked for.
        let least = UDPSocket.Options().receiveBufferByteCount
        if min(socket.receiveBufferByteCount, socket.sendBufferByteCount) < least {
          note(
            .warning,
            "The system gives UDP port \(port) \(socket.receiveBufferByteCount / 1024) KiB to receive and "
              + "\(socket.sendBufferByteCount / 1024) KiB to send, and bursts will be lost: set net.core.rmem_max and net.core.wmem_max "
              + "to \(least).")
        }
        return
      } catch {
        if error.isFamilyUnavailable, position + 1 < addresses.count { continue }
        note(.error, text(of: error, port: "UDP port \(port)"))
        return
      }
    }
  }

  private static func examine(
    _ addresses: [SocketAddress], _ configuration: Configuration, _ note: (Diagnosis.Finding.Severity, String) -> Void
  ) {
    let isAnnounced = !configuration.announcedAddresses.isEmpty
    if addresses.isEmpty { note(.error, "There is no address that clients could be told.") }
    for address in addresses where isAnnounced {
      if address.isUnspecified {
        note(.error, "\(address.host) is announced, which is no address that anybody can send to.")
      } else if address.reach == .loopback {
        // Offered beside the others on purpose: for a page on this machine.
        if configuration.includeLoopback { continue }
        note(.warning, "\(address.host) is announced, which every client takes for itself.")
      } else if address.reach == .local {
        note(.warning, "\(address.host) is announced, which is a private address: only clients of the same network reach it.")
      }
      if address.port != 0, configuration.shards > 1 {
        note(
          .warning,
          "\(address) is announced for all \(configuration.shards) threads, and each of them listens on a port of its own: announce the "
            + "address alone and forward all ports, or run one thread.")
      }
    }
    if !isAnnounced, !addresses.isEmpty, addresses.allSatisfy({ $0.reach != .global }) {
      note(
        .warning,
        "Clients are told \(addresses.map(\.host).joined(separator: ", ")) alone, which the Internet does not reach: announce the public "
          + "address of this machine or of its NAT.")
    }
    if Set(addresses.map(\.description)).count < addresses.count { note(.warning, "An address is announced twice.") }
  }
}

extension SocketAddress {
  /// How far an address reaches.
  enum Reach: Sendable, Hashable {
    case loopback
    case local
    case global
  }

  /// RFC 1122 §3.2.1.3, RFC 1918, RFC 3927, RFC 6598; RFC 4291 §2.4, RFC 4193.
  var reach: Reach {
    if isIPv6 {
      if high == 0, low == 1 { return .loopback }
      return high >> 57 == 0xFC >> 1 || high >> 54 == 0xFE80 >> 6 ? .local : .global
    }
    let address = UInt32(truncatingIfNeeded: low)
    if address >> 24 == 127 { return .loopback }
    let isLocal =
      address >> 24 == 10 || address >> 20 == 0xAC1 || address >> 16 == 0xC0A8 || address >> 16 == 0xA9FE || address >> 22 == 0x6440 >> 6
    return isLocal ? .local : .global
  }
}

// How media reaches this machine: the options that the server and the doctor have in common.

import ArgumentParser
import Enfilade
import Logging

/// The engine's part of the command line.
struct MediaOptions: ParsableArguments {
  @Option(help: "The UDP port for media, the first of as many as there are threads; 0 takes free ones.")
  var udpPort = 5000

  @Flag(inversion: .prefixedNo, help: "Take media over TCP, too, from clients whom UDP does not reach.")
  var tcp = true

  @Option(help: "The TCP port for media, the first of as many as there are threads; the number of the UDP port if not given.")
  var tcpPort: Int?

  @Option(name: .customLong("announce"), help: "A public address of this machine, for clients outside its network. May be repeated.")
  var announcedAddresses: [String] = []

  @Option(name: .customLong("bind"), help: "The local address for media; every one if not given.")
  var bindAddress: String?

  @Option(help: "How many threads carry media; one for each processor if not given.")
  var shards: Int?

  @Option(help: "How many participants more than the emptiest thread a room's thread may have before the room spreads to another.")
  var roomSpread = 10

  @Flag(inversion: .prefixedNo, help: "Keep each thread on a processor of its own.")
  var pin = true

  @Option(help: "How many microseconds packets may wait for company when a thread is busy; 0 for not at all.")
  var longestWait = 1000

  @Flag(inversion: .prefixedNo, help: "Send each participant no more than its downlink carries, as found from what its browser reports.")
  var controlCongestion = true

  @Flag(inversion: .prefixedNo, help: "Offer 127.0.0.1 to clients. On if HTTP is served there too.")
  var loopback: Bool?

  func validate() throws {
    guard tcp || tcpPort == nil else { throw ValidationError("A TCP port is given, and TCP is switched off.") }
  }

  /// Whether HTTP is served to this machine alone.
  static func isLocal(_ host: String) -> Bool { ["127.0.0.1", "localhost", "::1"].contains(host) }

  func configuration(isLocal: Bool, logger: Logger) -> Engine.Configuration {
    Engine.Configuration(
      udpPort: udpPort, tcpPort: tcp ? tcpPort ?? udpPort : nil, announcedAddresses: announcedAddresses, bindAddress: bindAddress,
      shards: shards, pinsThreads: pin, roomSpread: roomSpread, longestWait: .microseconds(longestWait),
      controlsCongestion: controlCongestion, includeLoopback: loopback ?? isLocal, logger: logger)
  }
}

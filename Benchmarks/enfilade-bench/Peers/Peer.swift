// The servers that are compared, and how each is started for the same work.

import EnfiladeLoad
import Foundation

/// One server program.
enum Peer: String, CaseIterable, Codable, Sendable {
  case enfilade
  case janus
  case pion

  var title: String {
    switch self {
    case .enfilade: "Enfilade"
    case .janus: "Janus"
    case .pion: "Pion"
    }
  }

  var signaling: SignalingKind {
    switch self {
    case .enfilade: .enfilade
    case .janus: .janus
    case .pion: .pion
    }
  }

  /// Why it cannot be measured here; `nil` when it can.
  func absence(_ paths: PeerPaths) -> String? {
    func missing(_ path: String) -> Bool { !FileManager.default.fileExists(atPath: path) }
    switch self {
    case .enfilade:
      return missing(paths.enfilade) ? "no \(paths.enfilade); build Examples/enfilade-meet in release" : nil
    case .janus:
      if missing(paths.janus) { return "no \(paths.janus); install the package janus" }
      if missing(paths.janusPreload) { return "no \(paths.janusPreload); make -C Benchmarks/janus" }
      return JanusFolder.modules == nil ? "no plugins of Janus under /usr/lib" : nil
    case .pion:
      return missing(paths.pion) ? "no \(paths.pion); run Benchmarks/run-peers, which builds it" : nil
    }
  }

  /// Starts it on loopback with its HTTP interface on `port`; `folder` is empty and its own.
  func start(_ paths: PeerPaths, port: Int, folder: URL) throws -> (process: ServerProcess, base: URL) {
    func url(_ path: String) throws -> URL {
      guard let url = URL(string: "http://127.0.0.1:\(port)\(path)") else { throw ServerFailure(description: "bad port \(port)") }
      return url
    }
    switch self {
    case .enfilade:
      var arguments = [
        "--http-port", "\(port)", "--udp-port", "0", "--bind", "127.0.0.1", "--loopback", "--log-level", "warning",
        "--participants-per-room", "5000",
      ]
      if let shards = paths.enfiladeShards { arguments += ["--shards", "\(shards)"] }
      let process = try ServerProcess(paths.enfilade, arguments, folder: folder, ready: try url("/rooms/load"))
      return (process, try url(""))
    case .janus:
      let configuration = try JanusFolder.write(to: folder, port: port, eventLoops: paths.janusEventLoops)
      let process = try ServerProcess(
        paths.janus, ["--configs-folder=\(configuration.path)", "--config=\(configuration.path)/janus.jcfg", "--disable-colors"],
        environment: ["LD_PRELOAD": paths.janusPreload], folder: folder, ready: try url("/janus/info"))
      return (process, try url("/janus"))
    case .pion:
      let process = try ServerProcess(paths.pion, ["-http", "127.0.0.1:\(port)"], folder: folder, ready: try url("/"))
      return (process, try url(""))
    }
  }
}

/// Where the programs are, and what they are told.
struct PeerPaths: Sendable {
  var enfilade: String
  /// `nil` for what it takes by itself.
  var enfiladeShards: Int?
  var janus: String
  var janusPreload: String
  var janusEventLoops: Int
  var pion: String
}

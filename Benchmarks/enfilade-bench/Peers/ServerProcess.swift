// A server that runs as a process of its own, for one measurement.

import EnfiladeLoad
import Foundation
import Glibc

/// Why a server did not come up.
struct ServerFailure: Error, CustomStringConvertible {
  var description: String
}

/// A running server, stopped when it is let go of.
final class ServerProcess {
  private let process = Process()
  /// What it has written, to say why it failed.
  private let log: URL
  var identifier: Int32 { process.processIdentifier }

  /// As long as a loaded machine may take to start one.
  private static let patience: TimeInterval = 15

  /// Starts it, and waits until it answers at `ready`.
  convenience init(_ executable: String, _ arguments: [String], environment: [String: String] = [:], folder: URL, ready: URL) throws {
    try self.init(executable, arguments, environment: environment, folder: folder) { ServerProbe.waits(for: ready, until: $0) }
  }

  /// Starts it, and waits until it has written a file, whole.
  convenience init(_ executable: String, _ arguments: [String], folder: URL, writes file: URL) throws {
    try self.init(executable, arguments, environment: [:], folder: folder) { deadline in
      while !FileManager.default.fileExists(atPath: file.path) {
        guard Date() < deadline else { return false }
        Thread.sleep(forTimeInterval: 0.02)
      }
      return true
    }
  }

  private init(
    _ executable: String, _ arguments: [String], environment: [String: String], folder: URL, isReady: (Date) -> Bool
  ) throws {
    log = folder.appendingPathComponent("server.log")
    guard FileManager.default.createFile(atPath: log.path, contents: nil) else {
      throw ServerFailure(description: "cannot write \(log.path)")
    }
    let output = try FileHandle(forWritingTo: log)
    // Ends with us, however we end.
    let guardian = "/usr/bin/setpriv"
    if FileManager.default.isExecutableFile(atPath: guardian) {
      process.executableURL = URL(fileURLWithPath: guardian)
      process.arguments = ["--pdeathsig", "TERM", executable] + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: executable)
      process.arguments = arguments
    }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.currentDirectoryURL = folder
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
    guard isReady(Date(timeIntervalSinceNow: Self.patience)), process.isRunning else {
      stop()
      throw ServerFailure(description: "\(executable) did not start: \(lastWords)")
    }
  }

  deinit { stop() }

  /// The end of its log.
  var lastWords: String {
    let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").suffix(3).joined(separator: " | ")
  }

  func stop() {
    guard process.isRunning else { return }
    process.terminate()
    let deadline = Date(timeIntervalSinceNow: 3)
    while process.isRunning, Date() < deadline { Thread.sleep(forTimeInterval: 0.02) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }
}

// What a process has used, as the operating system says.

import Foundation
import Glibc

/// Processor time and memory of a process at one moment.
struct ProcessUsage: Codable, Sendable {
  /// Of all threads, those that have ended too (proc(5), `stat`: utime, stime), in steps of a hundredth of a second.
  var userSeconds: Double
  var systemSeconds: Double
  /// The same sum to the nanosecond (`task/*/schedstat`), of the threads that live.
  var runSeconds: Double?
  /// VmRSS.
  var residentByteCount: Int

  /// `nil` when the process is gone.
  init?(of process: Int32) {
    let folder = "/proc/\(process)"
    guard let stat = try? String(contentsOfFile: "\(folder)/stat", encoding: .utf8),
      let status = try? String(contentsOfFile: "\(folder)/status", encoding: .utf8),
      // The command's name may hold spaces and brackets; the fields go on behind the last one.
      let bracket = stat.lastIndex(of: ")")
    else { return nil }
    let fields = stat[stat.index(after: bracket)...].split(separator: " ")
    // utime and stime are fields 14 and 15; the first here is field 3.
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
    let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
    userSeconds = user / ticksPerSecond
    systemSeconds = system / ticksPerSecond
    let resident = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?.split(separator: " ").dropFirst().first
    residentByteCount = resident.flatMap { Int($0) }.map { $0 * 1024 } ?? 0
    runSeconds = Self.runSeconds(of: folder)
  }

  private static func runSeconds(of folder: String) -> Double? {
    guard let threads = try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/task") else { return nil }
    var nanoseconds: UInt64 = 0
    var readCount = 0
    for thread in threads {
      guard let text = try? String(contentsOfFile: "\(folder)/task/\(thread)/schedstat", encoding: .utf8),
        let first = text.split(separator: " ").first, let value = UInt64(first)
      else { continue }
      nanoseconds += value
      readCount += 1
    }
    return readCount == 0 ? nil : Double(nanoseconds) * 1e-9
  }

  /// User and system time since an earlier moment; to the nanosecond where the kernel tells and no thread has ended in between.
  func processorSeconds(since earlier: ProcessUsage) -> Double {
    let coarse = userSeconds + systemSeconds - earlier.userSeconds - earlier.systemSeconds
    guard let now = runSeconds, let before = earlier.runSeconds, abs(now - before - coarse) < 0.05 + coarse * 0.05 else { return coarse }
    return now - before
  }
}

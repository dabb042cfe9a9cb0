// `enfilade-meet doctor`: what clients will be told, and what cannot work, before anything is started.

import ArgumentParser
import Enfilade
import Logging

/// Looks at this machine as the server would use it, and says what it sees. It serves nothing.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Says where clients will be told to send, and what will not work.",
    discussion: """
      It takes the options of the server that are about media, tries the ports and closes them again; a server that runs on them makes them \
      taken. Exit code 0: it will work. 1: it will not, or, with --strict, not for everybody. 64: an option is wrong.
      """)

  @OptionGroup var media: MediaOptions

  @Option(help: "The address on which HTTP will be served: on this machine's own, loopback addresses are offered, too.")
  var host = "127.0.0.1"

  @Flag(help: "Count what will not work for everybody as what will not work.")
  var strict = false

  func run() async throws {
    let configuration = media.configuration(isLocal: MediaOptions.isLocal(host), logger: Logger(label: "enfilade-meet"))
    let diagnosis = Engine.diagnose(configuration)
    print(diagnosis.candidates.isEmpty ? "Clients are told no address." : "Clients are told to send to:")
    for candidate in diagnosis.candidates { print("  \(candidate)") }
    for finding in diagnosis.findings { print("\(finding.severity.rawValue): \(finding.text)") }
    guard diagnosis.isSound else {
      print("It will not work.")
      throw ExitCode(1)
    }
    print(diagnosis.findings.isEmpty ? "Nothing is wrong." : "It will work, but perhaps not for everybody.")
    if strict, !diagnosis.findings.isEmpty { throw ExitCode(1) }
  }
}

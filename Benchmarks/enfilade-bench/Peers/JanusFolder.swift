// A folder of configuration for Janus: one plugin, one transport, loopback only.

import Foundation

/// Writes what Janus reads at its start.
enum JanusFolder {
  /// Where Debian keeps plugins and transports; `nil` when they are not there.
  static var modules: String? {
    let libraries = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib")) ?? []
    return libraries.sorted().map { "/usr/lib/\($0)/janus" }.first { FileManager.default.fileExists(atPath: "\($0)/plugins") }
  }

  /// The folder with the configuration.
  ///
  /// - Parameters:
  ///   - eventLoops: threads that carry the media of all handles; 0 gives each handle one of its own.
  ///   - plugin: the one that is loaded.
  ///   - settings: what is in the section `general` of its configuration.
  static func write(
    to folder: URL, port: Int, eventLoops: Int, plugin: String = "videoroom", settings: [String] = []
  ) throws -> URL {
    guard let modules else { throw ServerFailure(description: "no plugins of Janus under /usr/lib") }
    let configuration = folder.appendingPathComponent("configuration")
    // Linked one by one, so that nothing else is loaded.
    for (kind, name) in [("plugins", "libjanus_\(plugin).so"), ("transports", "libjanus_http.so")] {
      let place = folder.appendingPathComponent(kind)
      try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
      try FileManager.default.createSymbolicLink(
        atPath: place.appendingPathComponent(name).path, withDestinationPath: "\(modules)/\(kind)/\(name)")
    }
    try FileManager.default.createDirectory(at: configuration, withIntermediateDirectories: true)
    // A lite agent, as the others are. Sessions do not end because nobody asks for events while media is measured.
    let main = """
      general: {
        configs_folder = "\(configuration.path)"
        plugins_folder = "\(folder.path)/plugins"
        transports_folder = "\(folder.path)/transports"
        events_folder = "\(folder.path)/none"
        loggers_folder = "\(folder.path)/none"
        session_timeout = 0
        debug_level = 2
        event_loops = \(eventLoops)
      }
      nat: {
        ice_lite = true
        ice_enforce_list = "lo"
      }
      media: {}
      events: { broadcast = false }
      """
    let transport = """
      general: {
        json = "compact"
        base_path = "/janus"
        http = true
        port = \(port)
        ip = "127.0.0.1"
        https = false
      }
      admin: { admin_http = false, admin_https = false }
      """
    let rooms = "general: {\n\(settings.map { "  \($0)\n" }.joined())}\n"
    for (name, text) in [("janus.jcfg", main), ("janus.transport.http.jcfg", transport), ("janus.plugin.\(plugin).jcfg", rooms)] {
      try text.write(to: configuration.appendingPathComponent(name), atomically: false, encoding: .utf8)
    }
    return configuration
  }
}

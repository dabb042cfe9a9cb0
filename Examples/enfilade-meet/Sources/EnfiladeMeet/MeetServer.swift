// The signaling server, put together.

package import Enfilade
package import Hummingbird
package import Logging
import NIOCore

/// Builds the HTTP application around an engine.
package enum MeetServer {
  /// The application: the page, the rooms, WHIP and WHEP.
  ///
  /// - Parameters:
  ///   - engine: carries the media.
  ///   - options: limits and times.
  ///   - host: the address to listen on.
  ///   - port: the TCP port to listen on; 0 takes any free one.
  ///   - onReady: told the port once connections are accepted.
  /// - Throws: an error of Foundation's if the page's files are not beside the program.
  package static func application(
    engine: Engine, options: MeetOptions = .init(), host: String = "127.0.0.1", port: Int = 8080, logger: Logger,
    onReady: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws -> some ApplicationProtocol {
    let meetings = Meetings(engine: engine, options: options, logger: logger)
    let router = Router(context: BasicRequestContext.self)
    let resources =
      ParticipantResources(meetings: meetings).resources
      + SessionResources(meetings: meetings, role: .publisher).resources
      + SessionResources(meetings: meetings, role: .viewer).resources
      + (try PageResources().resources)
    for resource in resources { resource.add(to: router) }
    var quieter = logger
    quieter.logLevel = max(logger.logLevel, .notice)
    return Application(
      router: router,
      configuration: .init(address: .hostname(host, port: port), serverName: "enfilade-meet"),
      services: [meetings],
      onServerRunning: { channel in onReady(channel.localAddress?.port ?? port) },
      logger: quieter)
  }
}

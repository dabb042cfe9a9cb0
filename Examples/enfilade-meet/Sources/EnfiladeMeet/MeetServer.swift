// The signaling server, put together.

import Enfilade
package import Hummingbird
import HummingbirdTLS
package import Logging
import NIOCore
package import NIOSSL

/// Builds the HTTP application around an engine.
package enum MeetServer {
  /// The application: the page, the rooms, WHIP and WHEP, and what operators look at.
  ///
  /// - Parameters:
  ///   - meetings: the rooms.
  ///   - host: the address to listen on.
  ///   - port: the TCP port to listen on; 0 takes any free one.
  ///   - tls: the certificate and its key; `nil` serves in clear, behind a proxy or on this machine.
  ///   - onReady: told the port once connections are accepted.
  /// - Throws: an error of Foundation's if the page's files are not beside the program, of NIOSSL's if the certificate is of no use.
  package static func application(
    meetings: Meetings, host: String = "127.0.0.1", port: Int = 8080, tls: TLSConfiguration? = nil, logger: Logger,
    onReady: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws -> some ApplicationProtocol {
    let router = Router(context: MeetContext.self)
    let resources =
      RoomResources(meetings: meetings).resources
      + ParticipantResources(meetings: meetings).resources
      + SessionResources(meetings: meetings, entrance: .whip).resources
      + SessionResources(meetings: meetings, entrance: .whep).resources
      + OperatorResources(meetings: meetings).resources
      + RecordingResource(meetings: meetings).resources
      + (try PageResources().resources)
    for resource in resources { resource.add(to: router, isSecure: tls != nil) }
    var quieter = logger
    quieter.logLevel = max(logger.logLevel, .notice)
    return Application(
      router: router,
      server: try tls.map { try .tls(.http1(), tlsConfiguration: $0) } ?? .http1(),
      configuration: .init(address: .hostname(host, port: port), serverName: "enfilade-meet"),
      services: [meetings],
      onServerRunning: { channel in onReady(channel.localAddress?.port ?? port) },
      logger: quieter)
  }

  /// The certificate and its key, from PEM files.
  package static func tls(certificate: String, key: String) throws -> TLSConfiguration {
    let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
    configuration.minimumTLSVersion = .tlsv12
    return configuration
  }
}

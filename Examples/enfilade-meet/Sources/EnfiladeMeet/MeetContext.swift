// What a handler knows of a request beyond the request itself: the path's parameters, and from where it comes.

import Hummingbird
import NIOCore

/// The context of every request.
struct MeetContext: RequestContext, RemoteAddressRequestContext {
  var coreContext: CoreRequestContextStorage
  let remoteAddress: SocketAddress?

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    remoteAddress = source.channel.remoteAddress
  }

  /// The client's IP address in text, without the port; the same for all where there is none, as in tests without a network.
  var clientAddress: String { remoteAddress?.ipAddress ?? "local" }

  /// Whether the request comes from this machine.
  ///
  /// A proxy on this machine makes everybody look so: then the token is what counts.
  var isFromLoopback: Bool {
    guard let address = remoteAddress?.ipAddress else { return remoteAddress == nil }
    return address == "::1" || address.hasPrefix("127.") || address.hasPrefix("::ffff:127.")
  }
}

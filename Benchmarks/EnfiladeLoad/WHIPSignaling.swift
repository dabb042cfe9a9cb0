// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an offer is posted, the answer comes back, the resource is deleted at the end.

import Foundation

/// A server with two endpoints.
final class WHIPSignaling: Signaling {
  private let http = HTTPDoor()
  private let base: URL
  private let publishPath: String
  private let subscribePath: String
  private var resources: [URL] = []

  init(base: URL, publishPath: String, subscribePath: String, room: String) {
    self.base = base
    self.publishPath = publishPath.replacingOccurrences(of: "{room}", with: room)
    self.subscribePath = subscribePath.replacingOccurrences(of: "{room}", with: room)
  }

  func publish(_ client: LoadClient) throws(LoadError) { try join(client, publishPath) }
  func subscribe(_ client: LoadClient) throws(LoadError) { try join(client, subscribePath) }
  func keepAlive() throws(LoadError) {}

  private func join(_ client: LoadClient, _ path: String) throws(LoadError) {
    guard let url = URL(string: path, relativeTo: base) else { throw .badOption("'\(path)' is no path") }
    let response = try http.request("POST", url, contentType: "application/sdp", body: Data(try client.makeOffer().utf8))
    guard response.status == 201 else { throw .signaling("POST \(path): \(response.status) \(response.text.prefix(300))") }
    // A resource without a name cannot be deleted, and would be left behind (RFC 9725 §4.2).
    guard let location = response.location, let resource = URL(string: location, relativeTo: url) else {
      throw .signaling("POST \(path): no Location")
    }
    resources.append(resource)
    try client.take(answer: response.text)
  }

  func leaveAll() -> Int {
    var refusedCount = 0
    for resource in resources {
      let response = try? http.request("DELETE", resource)
      if response.map({ !(200..<300).contains($0.status) }) ?? true { refusedCount += 1 }
    }
    resources.removeAll()
    return refusedCount
  }
}

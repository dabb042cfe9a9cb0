// Plain HTTP requests, one at a time.

package import Foundation
import FoundationNetworking
import Synchronization

/// An HTTP client that waits for its answers.
package final class HTTPDoor {
  package struct Response {
    package var status: Int
    package var body: Data
    var location: String?

    var text: String { String(decoding: body, as: UTF8.self) }
  }

  /// A server on this machine that has not answered by then does not answer.
  private static let timeout: TimeInterval = 15

  private let session: URLSession

  package init() {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = Self.timeout
    configuration.timeoutIntervalForResource = Self.timeout
    session = URLSession(configuration: configuration)
  }

  deinit { session.invalidateAndCancel() }

  package func request(_ method: String, _ url: URL, contentType: String? = nil, body: Data? = nil) throws(LoadError) -> Response {
    var request = URLRequest(url: url)
    request.httpMethod = method
    request.httpBody = body
    if let contentType { request.setValue(contentType, forHTTPHeaderField: "Content-Type") }
    let box = ResultBox()
    let done = DispatchSemaphore(value: 0)
    let task = session.dataTask(with: request) { data, response, error in
      let http = response as? HTTPURLResponse
      box.set(
        http.map { Response(status: $0.statusCode, body: data ?? Data(), location: $0.value(forHTTPHeaderField: "Location")) },
        error.map { "\($0.localizedDescription)" })
      done.signal()
    }
    task.resume()
    guard done.wait(timeout: .now() + Self.timeout + 1) == .success else {
      task.cancel()
      throw .signaling("\(method) \(url): no answer")
    }
    let (response, problem) = box.get()
    guard let response else { throw .signaling("\(method) \(url): \(problem ?? "no answer")") }
    return response
  }

  /// Carries an answer from the session's thread to the waiting one.
  private final class ResultBox: Sendable {
    private let value = Mutex<(Response?, String?)>((nil, nil))
    func set(_ response: Response?, _ problem: String?) { value.withLock { $0 = (response, problem) } }
    func get() -> (Response?, String?) { value.withLock { $0 } }
  }
}

extension HTTPDoor.Response: Sendable {}

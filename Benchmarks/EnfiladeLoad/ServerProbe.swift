// Whether a server has come up.

package import Foundation

/// Asks until somebody answers.
package enum ServerProbe {
  /// Whether anything speaks HTTP at `url` before `deadline`; any status is an answer.
  package static func waits(for url: URL, until deadline: Date) -> Bool {
    let http = HTTPDoor()
    while Date() < deadline {
      if (try? http.request("GET", url)) != nil { return true }
      Thread.sleep(forTimeInterval: 0.05)
    }
    return false
  }
}

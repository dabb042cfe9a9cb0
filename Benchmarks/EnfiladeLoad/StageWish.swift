// What a member of a load has room for: places for pictures in groups of one size, and for voices.

package import Foundation

/// The places of a member's stage, as `enfilade-meet` takes them.
package struct StageWish: Hashable, Sendable {
  /// Neighbouring places of one size.
  package struct Group: Hashable, Sendable {
    package var count: Int
    package var width: Int
    package var height: Int
  }

  package var groups: [Group]
  package var voices: Int

  /// Nine pictures of ordinary and sixteen of the smallest size, and the three loudest.
  package static let gallery = StageWish(
    groups: [Group(count: 9, width: 640, height: 360), Group(count: 16, width: 320, height: 180)], voices: 3)

  package init(groups: [Group], voices: Int) {
    self.groups = groups
    self.voices = voices
  }

  /// Reads `9x640x360,16x320x180`; `nil` when it says something else.
  package init?(parsing text: String, voices: Int) {
    var groups: [Group] = []
    for part in text.split(separator: ",") {
      let numbers = part.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
      guard numbers.count == 3, (1...64).contains(numbers[0]), numbers.dropFirst().allSatisfy((1...65_535).contains) else { return nil }
      groups.append(Group(count: numbers[0], width: numbers[1], height: numbers[2]))
    }
    guard (0...64).contains(voices), groups.reduce(0, { $0 + $1.count }) <= 64 else { return nil }
    self.init(groups: groups, voices: voices)
  }

  package var pictureCount: Int { groups.reduce(0) { $0 + $1.count } }

  /// The body of the request.
  package var json: Data {
    let pictures = groups.map { "{\"width\":\($0.width),\"height\":\($0.height),\"count\":\($0.count)}" }.joined(separator: ",")
    return Data("{\"pictures\":[\(pictures)],\"voices\":\(voices)}".utf8)
  }
}

// An SFU's view of a publisher: encodings of fixed rates, of which one is forwarded.

import EnfiladeCongestion
import EnfiladeWire

struct LayeredSource {
  struct Frame {
    var byteCount: Int
    var isKey: Bool
    var layer: Int
  }
  let kilobits: [Double]
  let isScalable: Bool
  private(set) var current = 0
  private(set) var demand: Bitrate?
  private(set) var changes: [FlowResult.LayerChange] = []
  init(kilobits: [Double], isScalable: Bool, start: Double) {
    self.kilobits = kilobits
    self.isScalable = isScalable
  }
  var nextDeadline: Double { .infinity }
  mutating func update(target: Bitrate, isKeyFrameWanted: Bool, at now: Double) {}
  mutating func frames(framesPerSecond: Double, noise: Double, keyFrameFactor: Double) -> Frame? {
    Frame(byteCount: Int(kilobits[current] * 1000 / framesPerSecond / 8 * noise), isKey: false, layer: current)
  }
}

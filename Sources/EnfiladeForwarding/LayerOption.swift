// What a publication can be had for.

package import EnfiladeWire

/// One quality of a publication and what forwarding it costs.
package struct LayerOption: Hashable, Sendable, BitwiseCopyable {
  package var spatial: UInt8
  package var temporal: UInt8
  /// As measured: everything that is forwarded at this layer, so for SVC the layers below are in it.
  package var bitrate: Bitrate
  package var width: UInt16
  package var height: UInt16
  package var framesPerSecond: UInt8
  /// Which encoding of the publication.
  package var encoding: UInt8
  /// Pixels of a picture, or a guess by rank where nobody knows.
  package var pixelCount: Int32

  package init(
    spatial: UInt8, temporal: UInt8, bitrate: Bitrate, width: UInt16, height: UInt16, framesPerSecond: UInt8, encoding: UInt8 = 0
  ) {
    self.spatial = spatial
    self.temporal = temporal
    self.bitrate = bitrate
    self.width = width
    self.height = height
    self.framesPerSecond = framesPerSecond
    self.encoding = encoding
    // A publisher may claim more pixels than 31 bits count.
    pixelCount = Int32(clamping: Int(width) * Int(height))
  }

  /// What a forwarder is told of it.
  package var allotment: LayerAllotment { .layer(encoding: encoding, spatialID: spatial, temporalID: temporal) }

  /// Pixels each second.
  package var pixelRate: Double { Double(pixelCount) * Double(framesPerSecond) }
}

/// The qualities of one publication, worst first. At most three spatial layers of four temporal ones.
package struct LayerOptions: Sendable, BitwiseCopyable {
  package static let capacity = 12

  private var options: InlineArray<12, LayerOption>
  package private(set) var count = 0

  package init() {
    options = InlineArray(
      repeating: LayerOption(spatial: 0, temporal: 0, bitrate: .zero, width: 0, height: 0, framesPerSecond: 0))
  }

  package init(_ some: [LayerOption]) {
    self.init()
    for option in some { append(option) }
  }

  package subscript(index: Int) -> LayerOption { options[index] }

  /// Where what was given before stands now, or −1.
  package func index(of allotment: LayerAllotment) -> Int {
    for index in 0..<count where options[index].allotment == allotment { return index }
    return -1
  }

  package mutating func removeAll() { count = 0 }

  /// Adds the next better quality; what is beyond the capacity is left out, as the best that nobody can name.
  package mutating func append(_ option: LayerOption) {
    guard count < Self.capacity else { return }
    options[count] = option
    count += 1
  }
}

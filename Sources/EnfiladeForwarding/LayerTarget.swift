// What a subscription wants and may have, in pixels and frames, never in layer numbers.

package import EnfiladeWire

/// What an allocator gives a subscription from moment to moment.
package enum LayerAllotment: Hashable, Sendable, BitwiseCopyable {
  /// Nothing is shared out: wish and budget decide alone.
  case open
  /// Not decided yet: the least there is.
  case least
  case nothing
  /// This layer; ``topTemporalID`` stands for all frames of the spatial layer. When it is not there, what was sent goes on.
  case layer(encoding: UInt8, spatialID: UInt8, temporalID: UInt8)

  package static var topTemporalID: UInt8 { .max }
}

/// A subscriber's wishes and means.
package struct LayerTarget: Hashable, Sendable {
  /// The largest picture that is of use. Compared by area, so that a turned picture counts the same.
  package var maximumWidth: UInt16
  package var maximumHeight: UInt16
  /// Frames per second that are of use.
  package var maximumFrameRate: Float
  /// What frame rate a larger picture may cost: below this, a smaller picture is better.
  package var minimumFrameRate: Float
  /// What the stream may take, until an allocator says so from moment to moment.
  package var budget: Bitrate
  package var isPaused: Bool
  package var allotment = LayerAllotment.open
  /// What the picture is to the one who looks at it, when a downlink is shared out.
  package var role = SubscriptionRole.gallery

  package init(
    maximumWidth: UInt16 = .max, maximumHeight: UInt16 = .max, maximumFrameRate: Float = .infinity, minimumFrameRate: Float = 7,
    budget: Bitrate = .bitsPerSecond(.max), isPaused: Bool = false
  ) {
    self.maximumWidth = maximumWidth
    self.maximumHeight = maximumHeight
    self.maximumFrameRate = maximumFrameRate
    self.minimumFrameRate = minimumFrameRate
    self.budget = budget
    self.isPaused = isPaused
  }

  package var maximumPixelCount: Int { Int(maximumWidth) * Int(maximumHeight) }
}

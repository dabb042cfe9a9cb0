// Filters that find what lies between samples.

/// The ideal interpolator, cut off by a window so that it ends.
enum WindowedSinc {
  /// Taps for positions between samples, position after position: position `p` of `positionCount` lies `p / positionCount` behind the sample
  /// in the middle, that is at `tapCount / 2 - 1`.
  static func bank(positionCount: Int, tapCount: Int, cutoff: Double = 0.92) -> [Float] {
    var bank: [Float] = []
    for position in 0...positionCount {
      let fraction = Double(position) / Double(positionCount)
      let taps = (0..<tapCount).map { value(at: Double($0 - (tapCount / 2 - 1)) - fraction, tapCount: tapCount, cutoff: cutoff) }
      // Unity at zero frequency, whatever the position, so that a constant stays one.
      let sum = taps.reduce(0, +)
      bank += taps.map { Float($0 / sum) }
    }
    return bank
  }

  /// Taps that make `factor` samples of one, the newest sample last.
  static func interpolator(factor: Int, tapCount: Int) -> [Float] {
    Array(bank(positionCount: factor, tapCount: tapCount, cutoff: 0.95).prefix(factor * tapCount))
  }

  /// Taps of the low pass in front of leaving out all but every `factor`th sample, the newest last.
  static func decimator(factor: Int, tapCount: Int) -> [Float] {
    let middle = Double(tapCount - 1) / 2
    // The passband ends where the window's transition has room up to the new half rate.
    let cutoff = 0.9 / Double(factor)
    let taps = (0..<tapCount).map { value(at: Double($0) - middle, tapCount: tapCount, cutoff: cutoff) }
    let sum = taps.reduce(0, +)
    return taps.map { Float($0 / sum) }
  }

  private static func value(at x: Double, tapCount: Int, cutoff: Double) -> Double {
    let half = Double(tapCount) / 2
    guard abs(x) < half else { return 0 }
    let phase = Double.pi * x * cutoff
    let sinc = abs(phase) < 1e-9 ? 1 : sine(phase) / phase
    // Blackman's window.
    let w = Double.pi * x / half
    return sinc * (0.42 + 0.5 * cosine(w) + 0.08 * cosine(2 * w))
  }

  /// The series of the sine after the argument has been brought to −π…π: exact to 10⁻¹² there, and asked only when tables are made.
  static func sine(_ x: Double) -> Double {
    let turn = 2 * Double.pi
    let reduced = x - (x / turn).rounded() * turn
    var term = reduced
    var sum = reduced
    for n in 1...14 {
      term *= -reduced * reduced / Double(2 * n * (2 * n + 1))
      sum += term
    }
    return sum
  }

  static func cosine(_ x: Double) -> Double { sine(x + Double.pi / 2) }
}

// The loops over samples: what a mixer spends its time in. Eight at a time where the order of adding does not matter.

/// Arithmetic over runs of samples.
enum SampleKernels {
  /// Adds `source` times `gain` to `target`, as far as both go.
  static func add(_ source: Span<Float>, gain: Float, to target: inout MutableSpan<Float>) {
    let count = min(source.count, target.count)
    // Sound: both have `count` elements and stay where they are inside the closures.
    unsafe source.withUnsafeBufferPointer { source in
      unsafe target.withUnsafeMutableBufferPointer { target in
        for index in 0..<count { unsafe target[index] += source[index] * gain }
      }
    }
  }

  /// Adds `source` to `target`, the gain of each channel going in a straight line from one pair to the other over the whole run.
  static func add(
    _ source: Span<Float>, from first: SIMD2<Float>, to last: SIMD2<Float>, channelCount: Int, to target: inout MutableSpan<Float>
  ) {
    if first == last, channelCount == 1 || first.x == first.y { return add(source, gain: first.x, to: &target) }
    let sampleCount = min(source.count, target.count) / channelCount
    guard sampleCount > 0 else { return }
    let step = (last - first) / Float(sampleCount)
    for index in 0..<sampleCount {
      let gain = first + step * Float(index + 1)
      target[index * channelCount] += source[index * channelCount] * gain.x
      if channelCount == 2 { target[index * 2 + 1] += source[index * 2 + 1] * gain.y }
    }
  }

  /// The largest magnitude.
  static func peak(_ samples: Span<Float>) -> Float {
    // Sound: eight elements for each vector, loaded at their own alignment.
    unsafe samples.withUnsafeBufferPointer { samples in
      // Without their signs, numbers are in the order of their bits.
      var largest = SIMD8<Int32>(repeating: 0)
      let vectorCount = samples.count / 8
      let base = unsafe UnsafeRawPointer(samples.baseAddress)
      for index in 0..<vectorCount {
        let magnitudes = unsafe base!.loadUnaligned(fromByteOffset: index &* 32, as: SIMD8<Int32>.self) & 0x7FFF_FFFF
        largest.replace(with: magnitudes, where: magnitudes .> largest)
      }
      var result = Float(bitPattern: UInt32(bitPattern: largest.max()))
      for index in vectorCount * 8..<samples.count { result = unsafe max(result, abs(samples[index])) }
      return result
    }
  }

  /// The sum of squares.
  static func energy(_ samples: Span<Float>) -> Float {
    // Sound: as above.
    unsafe samples.withUnsafeBufferPointer { samples in
      var sum = SIMD8<Float>(repeating: 0)
      let vectorCount = samples.count / 8
      let base = unsafe UnsafeRawPointer(samples.baseAddress)
      for index in 0..<vectorCount {
        let values = unsafe base!.loadUnaligned(fromByteOffset: index &* 32, as: SIMD8<Float>.self)
        sum += values * values
      }
      var result = self.sum(sum)
      for index in vectorCount * 8..<samples.count { unsafe result += samples[index] * samples[index] }
      return result
    }
  }

  /// The sum of the products of two runs of the same length, a multiple of eight.
  static func dot(_ one: Span<Float>, _ other: Span<Float>) -> Float {
    precondition(one.count == other.count && one.count.isMultiple(of: 8), "runs of eights, as long as one another")
    // Sound: as above, and both have as many.
    return unsafe one.withUnsafeBufferPointer { one in
      unsafe other.withUnsafeBufferPointer { other in
        var sum = SIMD8<Float>(repeating: 0)
        let (first, second) = unsafe (UnsafeRawPointer(one.baseAddress), UnsafeRawPointer(other.baseAddress))
        for index in 0..<one.count / 8 {
          let left = unsafe first!.loadUnaligned(fromByteOffset: index &* 32, as: SIMD8<Float>.self)
          let right = unsafe second!.loadUnaligned(fromByteOffset: index &* 32, as: SIMD8<Float>.self)
          sum += left * right
        }
        return self.sum(sum)
      }
    }
  }

  /// The sum of the elements, halves first: one after the other, each would wait for the one before.
  static func sum(_ values: SIMD16<Float>) -> Float { sum(values.lowHalf + values.highHalf) }

  static func sum(_ values: SIMD8<Float>) -> Float {
    let four = values.lowHalf + values.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
  }

  /// How loud a run is, in decibels of the largest sine's power and its 3 dB more: 0 is a full-scale square wave (RFC 6464 §3). At least −127.
  static func level(_ samples: Span<Float>) -> Float {
    guard samples.count > 0 else { return -127 }
    return level(meanSquare: energy(samples) / Float(samples.count))
  }

  static func level(meanSquare: Float) -> Float {
    guard meanSquare > 2e-13, meanSquare.isFinite else { return -127 }
    return max(-127, 10 * Logarithm.log10(meanSquare))
  }
}

/// The logarithm, which the standard library leaves to others: exact to a hundredth of a decibel, which is all a level needs.
enum Logarithm {
  /// The decimal logarithm of a positive, normal number.
  static func log10(_ value: Float) -> Float {
    // m in √½…√2, and the series of artanh in (m − 1)/(m + 1), whose fourth term is below 10⁻⁶ there.
    var exponent = Float(value.exponent)
    var significand = value.significand
    if significand > 1.414_213_6 {
      significand *= 0.5
      exponent += 1
    }
    let z = (significand - 1) / (significand + 1)
    let square = z * z
    let natural = 2 * z * (1 + square * (1 / 3 + square * (1 / 5 + square / 7)))
    return exponent * 0.301_029_99 + natural * 0.434_294_48
  }
}

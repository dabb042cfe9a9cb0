// The two transcendental functions that are needed, so that nothing here depends on a C library and every platform gives the same bits.

enum Numerics {
  /// ln x for x > 0, to about 1e-12: x = m·2^e with m in [√½, √2), and ln m = 2 artanh((m−1)/(m+1)).
  static func logarithm(_ x: Double) -> Double {
    guard x > 0 else { return -.infinity }
    guard x.isFinite else { return x }
    var exponent = Double(x.exponent)
    var mantissa = x.significand
    if mantissa > 1.414_213_562_373_095 {
      mantissa /= 2
      exponent += 1
    }
    let z = (mantissa - 1) / (mantissa + 1)
    let square = z * z
    // |z| < 0.172, so the eighth term is below 1e-13.
    var sum = 0.0
    var odd = 17.0
    while odd > 0 {
      sum = sum * square + 1 / odd
      odd -= 2
    }
    return 2 * z * sum + exponent * 0.693_147_180_559_945_3
  }

  /// e^x, to about 1e-12 of itself: x = k·ln 2 + r with |r| ≤ ln 2 / 2.
  static func exponential(_ x: Double) -> Double {
    guard x < 700 else { return .infinity }
    guard x > -700 else { return 0 }
    let k = (x / 0.693_147_180_559_945_3).rounded()
    let r = x - k * 0.693_147_180_559_945_3
    var sum = 1.0
    var term = 13.0
    while term > 0 {
      sum = 1 + sum * r / term
      term -= 1
    }
    return sum * Double(sign: .plus, exponent: Int(k), significand: 1)
  }
}

// How much a session or a section wants (RFC 8866 §5.8, RFC 3890 for TIAS).

package import EnfiladeWire

/// The value of a `b=` line.
package struct Bandwidth: Hashable, Sendable {
  /// `AS` (kilobits per second with the headers), `TIAS` (bits per second without), `CT`, `RS`, `RR`.
  package var type: String
  /// In the unit of the type.
  package var amount: UInt64

  package init(type: String, amount: UInt64) {
    self.type = type
    self.amount = amount
  }

  package init?(parsing value: Substring) {
    let (type, amountText) = value.cut(at: UInt8(ascii: ":"))
    guard type.isToken, let amount = amountText?.decimal(UInt64.self) else { return nil }
    self.type = String(type)
    self.amount = amount
  }

  package var text: String { "\(type):\(amount)" }

  /// The bound on media, when the type states one.
  package var bitrate: Bitrate? {
    switch type {
    case "AS":
      let (bits, overflow) = amount.multipliedReportingOverflow(by: 1_000)
      return overflow ? nil : Int64(exactly: bits).map { Bitrate(bitsPerSecond: $0) }
    case "TIAS": return Int64(exactly: amount).map { Bitrate(bitsPerSecond: $0) }
    default: return nil
    }
  }
}

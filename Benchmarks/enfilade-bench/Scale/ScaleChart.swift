// The curve of `scale` as a picture: subscribers to the right on a logarithmic scale, nanoseconds per packet upwards.

import Foundation

/// Draws points as SVG, a line for each number of shards and a dashed one for the floor.
struct ScaleChart {
  private static let width = 720.0
  private static let height = 420.0
  private static let left = 70.0
  private static let right = 150.0
  private static let top = 40.0
  private static let bottom = 50.0
  private static let colours = ["#1b6ca8", "#c8553d", "#3f8f5f", "#8a5aa3", "#b8860b", "#4d4d4d"]

  private let points: [ScalePoint]
  private let title: String
  private let highest: Double

  init(_ points: [ScalePoint], title: String) {
    self.points = points
    self.title = title
    let most = points.map { max($0.nanosecondsPerPacket, $0.floorNanosecondsPerPacket) }.max() ?? 1
    highest = (most / 50).rounded(.up) * 50
  }

  var svg: String {
    var lines = [
      #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \#(Int(Self.width)) \#(Int(Self.height))" font-family="sans-serif" font-size="12">"#,
      #"<rect width="100%" height="100%" fill="white"/>"#,
      #"<text x="\#(Self.left)" y="22" font-size="14">Cost of a forwarded packet, \#(title)</text>"#,
    ]
    lines += axes
    let shardCounts = Set(points.map(\.shards)).sorted()
    for (position, shards) in shardCounts.enumerated() {
      let colour = Self.colours[position % Self.colours.count]
      let row = points.filter { $0.shards == shards }
      lines.append(curve(row, colour, isDashed: false) { $0.nanosecondsPerPacket })
      for point in row {
        lines.append(circle(point, colour))
      }
      lines.append(label("\(shards) shard\(shards == 1 ? "" : "s")", row.last, colour) { $0.nanosecondsPerPacket })
    }
    let floor = points.filter { $0.shards == shardCounts.first }
    lines.append(curve(floor, "#999999", isDashed: true) { $0.floorNanosecondsPerPacket })
    lines.append(label("floor", floor.last, "#777777") { $0.floorNanosecondsPerPacket })
    lines.append("</svg>")
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: -

  private func x(_ subscribers: Int) -> Double {
    let counts = points.map(\.subscribers)
    let least = log(Double(counts.min() ?? 1))
    let most = log(Double(counts.max() ?? 1))
    let share = most > least ? (log(Double(subscribers)) - least) / (most - least) : 0.5
    return Self.left + share * (Self.width - Self.left - Self.right)
  }

  private func y(_ nanoseconds: Double) -> Double {
    Self.height - Self.bottom - nanoseconds / highest * (Self.height - Self.top - Self.bottom)
  }

  private func text(_ value: Double) -> String { String(format: "%.1f", value) }

  private var axes: [String] {
    var lines: [String] = []
    let end = Self.width - Self.right
    for step in 0...5 {
      let value = highest * Double(step) / 5
      lines.append(#"<line x1="\#(Self.left)" x2="\#(end)" y1="\#(text(y(value)))" y2="\#(text(y(value)))" stroke="gainsboro"/>"#)
      lines.append(#"<text x="\#(Self.left - 8)" y="\#(text(y(value) + 4))" text-anchor="end">\#(Int(value)) ns</text>"#)
    }
    for count in Set(points.map(\.subscribers)).sorted() {
      lines.append(#"<text x="\#(text(x(count)))" y="\#(Self.height - Self.bottom + 18)" text-anchor="middle">\#(count)</text>"#)
    }
    lines.append(
      #"<text x="\#((Self.left + end) / 2)" y="\#(Self.height - 10)" text-anchor="middle">subscribers of one stream</text>"#)
    return lines
  }

  private func curve(_ row: [ScalePoint], _ colour: String, isDashed: Bool, _ value: (ScalePoint) -> Double) -> String {
    let path = row.map { "\(text(x($0.subscribers))),\(text(y(value($0))))" }.joined(separator: " ")
    let dashes = isDashed ? #" stroke-dasharray="5 4""# : ""
    return #"<polyline points="\#(path)" fill="none" stroke="\#(colour)" stroke-width="2"\#(dashes)/>"#
  }

  private func circle(_ point: ScalePoint, _ colour: String) -> String {
    #"<circle cx="\#(text(x(point.subscribers)))" cy="\#(text(y(point.nanosecondsPerPacket)))" r="3" fill="\#(colour)"/>"#
  }

  private func label(_ name: String, _ point: ScalePoint?, _ colour: String, _ value: (ScalePoint) -> Double) -> String {
    guard let point else { return "" }
    return #"<text x="\#(text(x(point.subscribers) + 10))" y="\#(text(y(value(point)) + 4))" fill="\#(colour)">\#(name)</text>"#
  }
}

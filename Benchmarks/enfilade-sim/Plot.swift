// A result as a picture: rates above, delay below, layers under it.

import EnfiladeSimulation
import Foundation

/// Draws one result as SVG.
struct Plot {
  private static let width = 1000.0
  private static let left = 70.0
  private static let rateHeight = 320.0
  private static let delayHeight = 160.0
  private static let layerHeight = 60.0
  private static let colors = ["#1f6fb4", "#d95f02", "#2a9d5c", "#8e44ad", "#b8860b", "#c0392b", "#16808a", "#7f6a50"]

  private let result: SimulationResult

  init(_ result: SimulationResult) { self.result = result }

  private var end: Double { result.scenario.durationSeconds }
  private func x(_ seconds: Double) -> Double { Self.left + seconds / end * (Self.width - Self.left - 20) }

  var svg: String {
    let hasLayers = result.flows.contains { !$0.layerChanges.isEmpty }
    let height = 60 + Self.rateHeight + 40 + Self.delayHeight + (hasLayers ? 30 + Self.layerHeight : 0) + 50
    var out = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.width))" height="\(Int(height))" font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>
      <text x="\(Self.left)" y="24" font-size="16">\(escape(result.scenario.title)), seed \(result.seed)</text>

      """
    out += rates(top: 50)
    out += delays(top: 50 + Self.rateHeight + 40)
    if hasLayers { out += layers(top: 50 + Self.rateHeight + 40 + Self.delayHeight + 30) }
    out += legend(y: height - 14)
    return out + "</svg>\n"
  }

  // MARK: Panels

  private func rates(top: Double) -> String {
    let media = result.flows.flatMap(\.samples)
    let used = Set(result.scenario.flows.flatMap(\.forward))
    let capacityPeak =
      used.map { link in
        stride(from: 0, to: end, by: 0.5).map { result.scenario.links[link].capacity.average(from: $0, to: $0 + 0.5) }.max() ?? 0
      }.max() ?? 0
    let peak = max(media.map { max($0.sent, $0.delivered) }.max() ?? 0, capacityPeak) * 1.05
    func y(_ rate: Double) -> Double { top + Self.rateHeight * (1 - min(rate, peak) / max(peak, 1)) }
    var out = axes(top: top, height: Self.rateHeight, peak: peak / 1000, unit: "kbit/s")
    for link in used.sorted() {
      // A trace can change every millisecond: what is drawn are averages of half a second.
      let points = stride(from: 0, to: end, by: 0.5).flatMap { time -> [(Double, Double)] in
        let rate = y(result.scenario.links[link].capacity.average(from: time, to: min(end, time + 0.5)))
        return [(x(time), rate), (x(min(end, time + 0.5)), rate)]
      }
      out += line(points, "#999999", width: 2, dash: link == 0 ? nil : "6 4")
    }
    for (index, flow) in result.flows.enumerated() {
      let color = Self.colors[index % Self.colors.count]
      if flow.samples.contains(where: { $0.target > 0 }) {
        out += line(smooth(flow) { $0.sent }.map { (x($0), y($1)) }, color, width: 1, dash: nil, opacity: 0.45)
        out += line(flow.samples.filter { $0.target > 0 }.map { (x($0.seconds), y($0.target)) }, color, width: 1.8, dash: nil)
      } else {
        out += line(smooth(flow) { $0.delivered }.map { (x($0), y($1)) }, color, width: 1, dash: "3 3")
      }
    }
    return out
  }

  private func delays(top: Double) -> String {
    let peak = max(50, result.flows.flatMap(\.samples).map(\.delayMilliseconds).max() ?? 0) * 1.05
    var out = axes(top: top, height: Self.delayHeight, peak: peak, unit: "ms")
    for (index, flow) in result.flows.enumerated() where !flow.delays.isEmpty {
      let points = flow.samples.map { (x($0.seconds), top + Self.delayHeight * (1 - $0.delayMilliseconds / peak)) }
      out += line(points, Self.colors[index % Self.colors.count], width: 1, dash: nil)
    }
    return out
  }

  private func layers(top: Double) -> String {
    let peak = Double(result.flows.flatMap(\.layerChanges).map(\.layer).max() ?? 0) + 0.5
    var out = axes(top: top, height: Self.layerHeight, peak: peak, unit: "layer")
    for (index, flow) in result.flows.enumerated() {
      var points: [(Double, Double)] = []
      for sample in flow.samples where sample.layer >= 0 {
        points.append((x(sample.seconds), top + Self.layerHeight * (1 - Double(sample.layer) / peak)))
      }
      out += line(points, Self.colors[index % Self.colors.count], width: 1.8, dash: nil)
    }
    return out
  }

  private func legend(y: Double) -> String {
    var out = "<text x=\"\(Self.left)\" y=\"\(y)\" fill=\"#999999\">capacity</text>\n"
    var position = Self.left + 80
    for (index, flow) in result.flows.enumerated() {
      out += "<text x=\"\(position)\" y=\"\(y)\" fill=\"\(Self.colors[index % Self.colors.count])\">\(escape(flow.name))</text>\n"
      position += 30 + 7.5 * Double(flow.name.count)
    }
    return out + "<text x=\"\(position + 20)\" y=\"\(y)\" fill=\"#444\">bold: target; pale: sent; below: longest delay in 0.1 s</text>\n"
  }

  // MARK: Strokes

  private func smooth(_ flow: FlowResult, _ value: (FlowSample) -> Double) -> [(Double, Double)] {
    let samples = flow.samples
    return samples.indices.filter { $0 % 5 == 4 }.map { index in
      (samples[index].seconds, (index - 4...index).reduce(0) { $0 + value(samples[$1]) } / 5)
    }
  }

  private func axes(top: Double, height: Double, peak: Double, unit: String) -> String {
    var out =
      "<rect x=\"\(Self.left)\" y=\"\(top)\" width=\"\(Self.width - Self.left - 20)\" height=\"\(height)\" fill=\"none\" stroke=\"#ccc\"/>\n"
    for step in 0...4 {
      let y = top + height * (1 - Double(step) / 4)
      out += "<line x1=\"\(Self.left)\" x2=\"\(Self.width - 20)\" y1=\"\(y)\" y2=\"\(y)\" stroke=\"#eee\"/>\n"
      out += "<text x=\"\(Self.left - 6)\" y=\"\(y + 4)\" text-anchor=\"end\">\(String(format: "%.0f", peak * Double(step) / 4))</text>\n"
    }
    out += "<text x=\"\(Self.left)\" y=\"\(top - 6)\" fill=\"#444\">\(unit)</text>\n"
    for step in 0...10 {
      let seconds = end * Double(step) / 10
      out +=
        "<text x=\"\(x(seconds))\" y=\"\(top + height + 14)\" text-anchor=\"middle\" fill=\"#666\">\(String(format: "%.0f", seconds)) s</text>\n"
    }
    return out
  }

  private func line(_ points: [(Double, Double)], _ color: String, width: Double, dash: String?, opacity: Double = 1) -> String {
    guard points.count > 1 else { return "" }
    let path = points.map { String(format: "%.1f,%.1f", $0.0, $0.1) }.joined(separator: " ")
    let dashes = dash.map { " stroke-dasharray=\"\($0)\"" } ?? ""
    return
      "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"\(width)\" stroke-opacity=\"\(opacity)\"\(dashes)/>\n"
  }

  private func escape(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }
}

// The picture of the layers, held against every import line.

import Foundation
import Testing

@Suite("Architecture")
struct ArchitectureTests {
  private static let byName = Dictionary(uniqueKeysWithValues: layers.map { ($0.name, $0) })
  private static let allDoors = layers.reduce(into: Set<String>()) { $0.formUnion($1.doors) }
  private static let machine: Set<String> = ["Foundation", "FoundationEssentials", "Glibc", "Dispatch", "Synchronization", "_Concurrency"]

  @Test("The table names exactly the folders in Sources")
  func tableIsComplete() {
    #expect(SourceTree.folders(in: "Sources") == Set(layers.map(\.name)))
  }

  @Test("The table names exactly the C modules in CLibs")
  func doorsAreComplete() {
    #expect(SourceTree.folders(in: "CLibs") == Self.allDoors.union(closedDoors))
  }

  @Test("Arrows only point down")
  func arrowsPointDown() {
    for (row, layer) in layers.enumerated() {
      let below = Set(layers[(row + 1)...].map(\.name))
      #expect(layer.arrows.isSubset(of: below), "\(layer.name) points up or beside itself")
    }
  }

  @Test("Below the double line nothing opens a door, and only EnfiladeWire speaks of memory order")
  func pureLayers() {
    for layer in layers where layer.isPure {
      #expect(layer.doors.isEmpty)
      let allowed: Set<String> = layer.name == "EnfiladeWire" ? ["Synchronization"] : []
      #expect(layer.outside.intersection(Self.machine).isSubset(of: allowed), "\(layer.name)")
      for arrow in layer.arrows { #expect(Self.byName[arrow]?.isPure == true, "\(layer.name) → \(arrow)") }
    }
  }

  @Test("Each C library has one door")
  func oneDoorEach() {
    for door in Self.allDoors { #expect(layers.count { $0.doors.contains(door) } == 1, "\(door)") }
    #expect(Self.allDoors.isDisjoint(with: closedDoors))
  }

  @Test("Every import line is an arrow of the table", arguments: layers.map(\.name))
  func imports(name: String) throws {
    let layer = try #require(Self.byName[name])
    let allowed = layer.arrows.union(layer.doors).union(layer.outside)
    let files = SourceTree.files(below: "Sources/\(name)")
    #expect(!files.isEmpty)
    for file in files {
      let forbidden = SourceTree.imports(of: file).subtracting(allowed).sorted()
      #expect(forbidden.isEmpty, "\(file) imports \(forbidden.joined(separator: ", "))")
    }
  }

  @Test("A test imports its module, what lies below it, and the tools of testing")
  func testImports() throws {
    for folder in SourceTree.folders(in: "Tests") {
      let allowed: Set<String>
      if let tool = testTools[folder] {
        allowed = tool
      } else if folder == "CLibsTests" {
        allowed = testOutside.union(Self.allDoors).union(closedDoors)
      } else if folder.hasSuffix("Tests"), let layer = Self.byName[String(folder.dropLast("Tests".count))] {
        allowed = Self.reach(layer).union([layer.name]).union(testOutside)
      } else {
        allowed = testOutside
      }
      for file in SourceTree.files(below: "Tests/\(folder)") where folder != "Fuzz" {
        let forbidden = SourceTree.imports(of: file).subtracting(allowed).sorted()
        #expect(forbidden.isEmpty, "\(file) imports \(forbidden.joined(separator: ", "))")
      }
    }
  }

  /// In Swift 6.3 `@inlinable` on a member of a plain `package` type does nothing, and nothing says so: no body crosses the module's
  /// border, and generic code runs unspecialized. The type has to be `@usableFromInline` as well.
  @Test(
    "A type with inlinable members is itself usable from inline",
    arguments: ["EnfiladeWire", "EnfiladeStreams", "EnfiladeRTP", "EnfiladeTransport", "EnfiladeForwarding"])
  func inlinableTypes(module: String) {
    let files = SourceTree.files(below: "Sources/\(module)")
    var needed: Set<String> = []
    var declared: [String: Bool] = [:]
    for file in files {
      var enclosing: [(name: String, indentation: Int)] = []
      var attributes = ""
      for line in SourceTree.lines(of: file) {
        let text = line.drop { $0 == " " }
        if text.isEmpty || text.hasPrefix("//") { continue }
        let indentation = line.count - text.count
        while let last = enclosing.last, indentation <= last.indentation { enclosing.removeLast() }
        let words = (attributes + text).split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "@" || $0 == ".") }.map(String.init)
        if text.hasPrefix("@"), !words.contains(where: { ["package", "struct", "func", "var", "init"].contains($0) }) {
          attributes += text + " "
          continue
        }
        attributes = ""
        if words.contains("@inlinable") { needed.formUnion(enclosing.map(\.name)) }
        guard let kind = words.firstIndex(where: { ["struct", "enum", "class", "extension"].contains($0) }), kind + 1 < words.count,
          text.hasSuffix("{"), !words.contains("func")
        else { continue }
        let name = words[kind + 1].split(separator: ".").last.map(String.init) ?? ""
        enclosing.append((name, indentation))
        if words[kind] != "extension" { declared[name] = words.contains("@usableFromInline") || words.contains("public") }
      }
    }
    #expect(!needed.isEmpty)
    for name in needed.sorted() where declared[name] == false { Issue.record("\(name) has inlinable members that cannot be inlined") }
  }

  @Test("The thread sanitizer's list knows whoever holds a Mutex, whose hand-over it does not see")
  func mutexesAreListed() {
    let list = SourceTree.lines(of: "Tests/tsan.supp").joined(separator: "\n")
    for layer in layers {
      for file in SourceTree.files(below: "Sources/\(layer.name)") {
        guard SourceTree.lines(of: file).contains(where: { $0.contains("Mutex(") || $0.contains("Mutex<") }) else { continue }
        // A mangled name: the module and the type, each behind its length.
        let type = file.split(separator: "/").last?.split(separator: ".").first.map(String.init) ?? file
        #expect(list.contains("\(layer.name)\(type.count)\(type)"), "\(file)")
      }
    }
  }

  @Test("No source file puts work off")
  func nothingPutOff() {
    // Spelt in two halves, because this file is searched too.
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
    for folder in ["Sources", "CLibs", "Tests", "Examples", "Benchmarks"] {
      for file in SourceTree.files(below: folder, extensions: ["swift", "c", "h", "js", "html", "css", "py", "sh", "go"]) {
        for (number, line) in SourceTree.lines(of: file).enumerated() where marks.contains(where: line.contains) {
          Issue.record("\(file):\(number + 1) puts work off: \(line)")
        }
      }
    }
  }

  @Test(
    "An import line is read whatever stands around the module's name",
    arguments: [
      ("import A", "A"), ("package import A", "A"), ("  @preconcurrency import A", "A"), ("@_exported public import A.B", "A"),
      ("import struct A.B", "A"), ("internal import func A.b // why", "A"), ("// import A", nil), ("let important = 1", nil),
      ("imported A", nil), ("", nil), ("@Test(\"Every import counts\")", nil),
    ] as [(String, String?)])
  func importLine(line: String, module: String?) {
    #expect(SourceTree.importedModule(in: line[...]) == module)
  }

  /// Everything below a layer.
  private static func reach(_ layer: Layer) -> Set<String> {
    var result = layer.arrows
    for arrow in layer.arrows { if let next = byName[arrow] { result.formUnion(reach(next)) } }
    return result
  }
}

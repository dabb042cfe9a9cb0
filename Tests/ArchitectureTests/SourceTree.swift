// Reads the package's own source files.

import Foundation

/// The package as it lies on disk, found from this file's own path.
enum SourceTree {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The names of the folders directly in `folder`.
  static func folders(in folder: String) -> Set<String> {
    let url = root.appendingPathComponent(folder)
    let entries = (try? FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: [.isDirectoryKey])) ?? []
    return Set(entries.filter { $0.hasDirectoryPath && !$0.lastPathComponent.hasPrefix(".") }.map(\.lastPathComponent))
  }

  /// Every file below `folder` with one of these extensions, as a path from the root, sorted. Build folders and hidden ones are left
  /// out, and so are documentation catalogs, whose listings are no part of their module.
  static func files(below folder: String, extensions: Set<String> = ["swift"]) -> [String] {
    let url = root.appendingPathComponent(folder)
    guard let walk = FileManager.default.enumerator(at: url, includingPropertiesForKeys: nil, options: [.skipsHiddenFiles]) else {
      return []
    }
    var result: [String] = []
    for case let file as URL in walk where extensions.contains(file.pathExtension) {
      let path = file.standardizedFileURL.path
      guard path.hasPrefix(root.path + "/"), !path.contains("/node_modules/"), !path.contains(".docc/") else { continue }
      result.append(String(path.dropFirst(root.path.count + 1)))
    }
    return result.sorted()
  }

  static func lines(of path: String) -> [Substring] {
    let text = (try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)) ?? ""
    return text.split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The module that a line imports, or `nil`: attributes, an access level and a kind (`import struct A.B`) may stand around it.
  static func importedModule(in line: Substring) -> String? {
    var words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ";" })[...]
    while let word = words.first,
      (word.hasPrefix("@") && !word.contains("\"")) || ["public", "package", "internal", "fileprivate", "private"].contains(word)
    {
      words.removeFirst()
    }
    guard words.popFirst() == "import", var name = words.popFirst() else { return nil }
    if ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"].contains(name) {
      guard let next = words.popFirst() else { return nil }
      name = next
    }
    return name.split(separator: ".").first.map(String.init)
  }

  /// Everything a file imports.
  static func imports(of path: String) -> Set<String> { Set(lines(of: path).compactMap(importedModule)) }
}

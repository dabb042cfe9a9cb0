// The meeting page: its files are read once at start and served from memory.

import Foundation
import HTTPTypes
import Hummingbird

/// The page's files.
struct PageResources {
  private struct File {
    let name: String
    let type: String
    let bytes: ByteBuffer
    let entityTag: String
  }

  private let files: [File]

  /// What the page may do: load from here, talk to here, use camera and microphone, be framed by nobody.
  private static let pageHeaders: HTTPFields = [
    .contentSecurityPolicy:
      "default-src 'self'; script-src 'self'; worker-src 'self'; img-src 'self' data:; media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    .permissionsPolicy: "camera=(self), microphone=(self), display-capture=(self)",
    .crossOriginOpenerPolicy: "same-origin",
  ]

  private static let types = [
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml",
  ]

  /// Reads the files.
  ///
  /// - Throws: an error of Foundation's if the resources are not beside the program.
  init() throws {
    let folder = Bundle.module.bundleURL.appending(path: "Page")
    files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).compactMap { url in
      guard let type = Self.types[url.pathExtension] else { return nil }
      let data = try Data(contentsOf: url)
      return File(name: url.lastPathComponent, type: type, bytes: ByteBuffer(bytes: data), entityTag: "\"\(Self.fingerprint(of: data))\"")
    }
    guard files.contains(where: { $0.name == "index.html" }) else { throw CocoaError(.fileNoSuchFile) }
  }

  var resources: [Resource] {
    let index = files.filter { $0.name == "index.html" }
    let others = files.filter { $0.name != "index.html" }
    return index.flatMap { [resource("/", $0), resource("/r/:room", $0)] } + others.map { resource("/page/\($0.name)", $0) }
  }

  private func resource(_ path: String, _ file: File) -> Resource {
    let handler: Resource.Handler = { request, context in
      if context.parameters.get("room") != nil { _ = try context.roomName }
      var headers = Self.pageHeaders
      headers[.eTag] = file.entityTag
      headers[.cacheControl] = "no-cache"
      if request.headers[.ifNoneMatch] == file.entityTag { return Response(status: .notModified, headers: headers) }
      headers[.contentType] = file.type
      return Response(status: .ok, headers: headers, body: .init(byteBuffer: file.bytes))
    }
    let head: Resource.Handler = { request, context in
      var response = try await handler(request, context)
      response.body = .init()
      return response
    }
    return Resource(path: RouterPath(path), methods: [(.get, handler), (.head, head)])
  }

  /// FNV-1a, enough to notice that a file has changed.
  private static func fingerprint(of data: Data) -> String {
    String(data.reduce(into: UInt64(0xcbf2_9ce4_8422_2325)) { hash, byte in hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }, radix: 16)
  }
}

extension HTTPField.Name {
  static let permissionsPolicy = HTTPField.Name("Permissions-Policy")!
  static let crossOriginOpenerPolicy = HTTPField.Name("Cross-Origin-Opener-Policy")!
}

// The text body of a request: of the right media type, of bounded size, in UTF-8.

import HTTPTypes
import Hummingbird
import NIOCore

extension Request {
  /// The longest body that is read.
  ///
  /// As long as a session description may be for the engine: a browser that offers every codec it knows writes up to 9 KiB for an m-line.
  static let bodyLimitByteCount = 256 * 1024

  /// The media type that the request states, in lower case and without parameters.
  var mediaType: String? { headers[.contentType]?.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased() }

  /// Reads the body.
  ///
  /// - Parameter mediaType: the only media type that is accepted here, in lower case.
  /// - Throws: `Problem` 415 for another media type, 413 for a longer body, 400 for text that is not UTF-8.
  func text(mediaType: String) async throws -> String { try await text(mediaTypes: [mediaType]) }

  /// The same, where several media types are accepted.
  func text(mediaTypes: [String]) async throws -> String {
    guard let mediaType, mediaTypes.contains(mediaType) else {
      let field: HTTPField.Name = method == .patch ? .acceptPatch : method == .put ? .accept : .acceptPost
      let accepted: HTTPFields = [field: mediaTypes.joined(separator: ", ")]
      let wanted = mediaTypes.joined(separator: " or ")
      throw Problem(.unsupportedMediaType, "The body must be \(wanted), and Content-Type must say so.", headers: accepted)
    }
    let tooLarge = Problem(.contentTooLarge, "The body is longer than \(Self.bodyLimitByteCount) bytes.")
    if let length = headers[.contentLength].flatMap({ Int($0) }), length > Self.bodyLimitByteCount { throw tooLarge }
    let buffer: ByteBuffer
    do {
      buffer = try await body.collect(upTo: Self.bodyLimitByteCount)
    } catch is NIOTooManyBytesError {
      throw tooLarge
    }
    guard let text = String(validating: buffer.readableBytesView, as: UTF8.self) else {
      throw Problem(.badRequest, "The body is not UTF-8 text.")
    }
    return text
  }

  /// The token from `Authorization: Bearer …` (RFC 6750 §2.1) or, where no header can be set, from `?token=…`.
  var token: Substring? {
    if let field = headers[.authorization] {
      let parts = field.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
      return parts[1]
    }
    return uri.queryParameters["token"]
  }
}

extension HTTPField.Name {
  // RFC 5789 §3.1 and the W3C's Linked Data Platform §7.1
  static let acceptPatch = HTTPField.Name("Accept-Patch")!
  static let acceptPost = HTTPField.Name("Accept-Post")!
}

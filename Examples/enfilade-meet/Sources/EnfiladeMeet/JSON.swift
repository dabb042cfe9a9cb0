// JSON with a stable order of members, so that the same state always reads the same.

import Foundation
import Hummingbird

enum JSON {
  static func string(_ value: some Encodable) -> String {
    String(buffer: buffer(value))
  }

  static func buffer(_ value: some Encodable) -> ByteBuffer {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return ByteBuffer(bytes: try encoder.encode(value))
    } catch {
      // Every value encoded here is made of strings, booleans and whole numbers, which cannot fail.
      preconditionFailure("A signaling value could not be encoded: \(error)")
    }
  }

  static func decode<Value: Decodable>(_ type: Value.Type, from text: String) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(text.utf8))
    } catch {
      throw Problem(.badRequest, "The body is not the JSON object that is expected here.")
    }
  }
}

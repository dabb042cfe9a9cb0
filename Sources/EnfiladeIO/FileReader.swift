// Reading a file from beginning to end.

import Glibc

/// A file that is read once. Sendable: the descriptor never changes, and the system keeps the place in the file.
package final class FileReader: Sendable {
  private let descriptor: Int32

  /// - Throws: ``IOError`` where it cannot be opened, or is no ordinary file, which might never end.
  package init(path: String) throws(IOError) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw IOError(.openFile, code: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let code = errno
      close(descriptor)
      throw IOError(.openFile, code: code)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw IOError(.openFile, code: EINVAL)
    }
  }

  deinit { close(descriptor) }

  /// The next bytes; none at the end.
  package func read(upTo count: Int) throws(IOError) -> [UInt8] {
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      var result = Glibc.read(descriptor, buffer.baseAddress, count)
      while result < 0, errno == EINTR { result = Glibc.read(descriptor, buffer.baseAddress, count) }
      if result < 0 { failure = errno }
      written = max(0, result)
    }
    guard failure == 0 else { throw IOError(.readFile, code: failure) }
    return bytes
  }
}

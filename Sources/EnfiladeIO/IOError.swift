// What the operating system refused, and while we did what.

import Glibc

/// A refused system call of the control plane. The data path reports verdicts instead.
package struct IOError: Error, Hashable, CustomStringConvertible {
  /// What was being done.
  package enum Operation: String, Hashable, Sendable {
    case openSocket
    case bind
    case listen
    case connect
    case readLocalAddress
    case reusePort
    case createPoller
    case watch
    case wait
    case createWakeUp
    case createThread
    case enumerateInterfaces
    case readRandom
    case openFile
    case readFile
  }

  package var operation: Operation
  /// The system's error number.
  package var code: Int32

  package init(_ operation: Operation, code: Int32) {
    self.operation = operation
    self.code = code
  }

  /// Somebody else has the port.
  package var isAddressInUse: Bool { code == EADDRINUSE }
  /// The address is not one of this machine's.
  package var isAddressNotAvailable: Bool { code == EADDRNOTAVAIL }
  /// The machine has no addresses of that family.
  package var isFamilyUnavailable: Bool { code == EAFNOSUPPORT || code == EADDRNOTAVAIL }
  /// The port needs a privilege that this process does not have.
  package var isPermissionDenied: Bool { code == EACCES || code == EPERM }

  package var description: String {
    let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { storage -> String in
      guard let start = storage.baseAddress, strerror_r(code, start, storage.count) == 0 else { return "error" }
      return String(cString: start)
    }
    return "\(operation.rawValue): \(text) (\(code))"
  }
}

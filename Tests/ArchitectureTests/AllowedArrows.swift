// The layers of docs/ARCHITECTURE.md as a table. To add an arrow, add it here, and say in the document why.

/// One target of the library and all it may import.
struct Layer: Sendable {
  var name: String
  /// Below the double line: no C, no clock, no socket, no thread.
  var isPure: Bool
  /// Modules of this package.
  var arrows: Set<String>
  /// The C library that this target, and no other, opens the door to.
  var doors: Set<String> = []
  /// Modules of the toolchain and of other packages.
  var outside: Set<String> = []
}

/// From the top down: an arrow may only point to a later row.
let layers: [Layer] = [
  Layer(
    name: "Enfilade", isPure: false,
    // IO for the addresses to announce, SRTP for the name of a protector that is not to be had.
    arrows: [
      "EnfiladeRuntime", "EnfiladeIO", "EnfiladeSRTP", "EnfiladeEngine", "EnfiladeMixing", "EnfiladeForwarding", "EnfiladeTransport",
      "EnfiladeSTUN", "EnfiladeSDP", "EnfiladeRTP", "EnfiladeWire",
    ],
    outside: ["Logging", "Synchronization"]),
  Layer(
    name: "EnfiladeRuntime", isPure: false,
    arrows: [
      "EnfiladeIO", "EnfiladeDTLS", "EnfiladeSRTP", "EnfiladeOpus", "EnfiladeEngine", "EnfiladeMixing", "EnfiladeForwarding",
      "EnfiladeTransport", "EnfiladeStreams", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeSTUN", "EnfiladeWire",
    ],
    outside: ["Synchronization"]),

  // The doors to the machine.
  Layer(name: "EnfiladeIO", isPure: false, arrows: ["EnfiladeWire"], doors: ["CEnfiladeShims"], outside: ["Glibc", "Synchronization"]),
  Layer(name: "EnfiladeDTLS", isPure: false, arrows: ["EnfiladeTransport", "EnfiladeWire"], doors: ["COpenSSL"], outside: ["Glibc"]),
  Layer(
    name: "EnfiladeSRTP", isPure: false, arrows: ["EnfiladeTransport", "EnfiladeWire"], doors: ["CSRTP", "CIPsecMB"], outside: ["Glibc"]),
  Layer(name: "EnfiladeOpus", isPure: false, arrows: ["EnfiladeMixing", "EnfiladeRTP", "EnfiladeWire"], doors: ["COpus"]),

  // Below the double line.
  Layer(
    name: "EnfiladeSimulation", isPure: true, arrows: ["EnfiladeForwarding", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeWire"]),
  Layer(
    name: "EnfiladeEngine", isPure: true,
    arrows: [
      "EnfiladeForwarding", "EnfiladeMixing", "EnfiladeTransport", "EnfiladeStreams", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeSTUN",
      "EnfiladeWire",
      // Of the shims only the hint to fetch a cache line: it opens no door, because nothing can be observed of it.
    ], outside: ["CEnfiladeShims", "DequeModule"]),
  // Forwarding for the one algorithm that says who the dominant speaker is.
  Layer(name: "EnfiladeMixing", isPure: true, arrows: ["EnfiladeForwarding", "EnfiladeRTP", "EnfiladeWire"]),
  Layer(name: "EnfiladeForwarding", isPure: true, arrows: ["EnfiladeStreams", "EnfiladeRTP", "EnfiladeWire"]),
  Layer(name: "EnfiladeTransport", isPure: true, arrows: ["EnfiladeSTUN", "EnfiladeRTP", "EnfiladeWire"]),
  Layer(name: "EnfiladeStreams", isPure: true, arrows: ["EnfiladeRTP", "EnfiladeWire"]),
  Layer(name: "EnfiladeCongestion", isPure: true, arrows: ["EnfiladeRTP", "EnfiladeWire"]),
  Layer(name: "EnfiladeRTP", isPure: true, arrows: ["EnfiladeWire"]),
  Layer(name: "EnfiladeSDP", isPure: true, arrows: ["EnfiladeWire"]),
  Layer(name: "EnfiladeSTUN", isPure: true, arrows: ["EnfiladeWire"]),
  // The one place below the line that may speak of memory order: the lane between shards.
  Layer(name: "EnfiladeWire", isPure: true, arrows: [], outside: ["Synchronization"]),
]

/// C libraries whose door has not been built yet: nobody may import them.
let closedDoors: Set<String> = ["CVPX", "CYUV"]

/// What a test may import besides the module under test and what lies below it.
let testOutside: Set<String> = [
  "Testing", "Foundation", "Glibc", "Synchronization", "EnfiladeTestSupport", "enfilade_impair",
]

/// Targets of the test side under Tests/ that are no tests, and what they may import.
let testTools: [String: Set<String>] = [
  "EnfiladeTestSupport": [
    "EnfiladeEngine", "EnfiladeMixing", "EnfiladeCongestion", "EnfiladeTransport", "EnfiladeRTP", "EnfiladeSTUN", "EnfiladeSDP",
    "EnfiladeWire", "EnfiladeIO", "EnfiladeDTLS", "EnfiladeSRTP",
    "Foundation", "Glibc", "Synchronization",
  ],
  "EnfiladeLoadTests": ["EnfiladeLoad", "EnfiladeTransport", "EnfiladeSDP", "EnfiladeRTP", "EnfiladeWire", "Testing"],
  "enfilade-impair": ["EnfiladeWire", "EnfiladeIO", "ArgumentParser", "Foundation", "Glibc"],
]

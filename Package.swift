// swift-tools-version: 6.2
// Enfilade: a media-mixing SFU engine library.
//
// The targets stand in the order in which a packet would meet them, from the wire up. Arrows only point down;
// `Tests/ArchitectureTests` holds every `import` against the table of allowed arrows.

import Foundation
import PackageDescription

/// The x86-64 fast path needs Intel's multi-buffer library; elsewhere, or where it is not installed, libsrtp2 does all the work.
let hasIPsecMB: Bool = {
  #if arch(x86_64)
    let wanted = Context.environment["ENFILADE_WITHOUT_IPSEC_MB"] == nil
    return wanted && FileManager.default.fileExists(atPath: "/usr/include/intel-ipsec-mb.h")
  #else
    return false
  #endif
}()

/// CI turns warnings into errors; a dependent's build never does.
let warningsAsErrors: [SwiftSetting] = Context.environment["ENFILADE_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)]

let everywhere: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableExperimentalFeature("Lifetimes"),
  ] + warningsAsErrors

/// Below the double line: no C, no clock, no socket, no task, and every unsafe expression signed.
let pure: [SwiftSetting] = everywhere + [.strictMemorySafety()]

let ipsecMBTargets: [Target] =
  hasIPsecMB ? [.systemLibrary(name: "CIPsecMB", path: "CLibs/CIPsecMB", providers: [.apt(["libipsec-mb-dev"])])] : []
let ipsecMBDependency: [Target.Dependency] = hasIPsecMB ? ["CIPsecMB"] : []
let ipsecMBSetting: [SwiftSetting] = hasIPsecMB ? [.define("ENFILADE_IPSEC_MB")] : []

let package = Package(
  name: "enfilade",
  products: [
    .library(name: "Enfilade", targets: ["Enfilade"]),
    .library(name: "EnfiladeSimulation", targets: ["EnfiladeSimulation"]),
    .executable(name: "enfilade-sim", targets: ["enfilade-sim"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.3.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
  ],
  targets: [
    // MARK: C libraries, one door each
    .target(name: "CEnfiladeShims", path: "CLibs/CEnfiladeShims"),
    .systemLibrary(name: "COpenSSL", path: "CLibs/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSRTP", path: "CLibs/CSRTP", pkgConfig: "libsrtp2", providers: [.apt(["libsrtp2-dev"])]),
    .systemLibrary(name: "COpus", path: "CLibs/COpus", pkgConfig: "opus", providers: [.apt(["libopus-dev"])]),
    .systemLibrary(name: "CVPX", path: "CLibs/CVPX", pkgConfig: "vpx", providers: [.apt(["libvpx-dev"])]),
    .systemLibrary(name: "CYUV", path: "CLibs/CYUV", providers: [.apt(["libyuv-dev"])]),

    // MARK: Pure Swift, below the double line
    .target(name: "EnfiladeWire", dependencies: [], swiftSettings: pure),
    .target(name: "EnfiladeSTUN", dependencies: ["EnfiladeWire"], swiftSettings: pure),
    .target(name: "EnfiladeSDP", dependencies: ["EnfiladeWire"], swiftSettings: pure),
    .target(name: "EnfiladeRTP", dependencies: ["EnfiladeWire"], swiftSettings: pure),
    .target(name: "EnfiladeCongestion", dependencies: ["EnfiladeRTP", "EnfiladeWire"], swiftSettings: pure),
    .target(name: "EnfiladeStreams", dependencies: ["EnfiladeRTP", "EnfiladeWire"], swiftSettings: pure),
    .target(name: "EnfiladeTransport", dependencies: ["EnfiladeSTUN", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: pure),
    .target(name: "EnfiladeMixing", dependencies: ["EnfiladeForwarding", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: pure),
    .target(
      name: "EnfiladeForwarding", dependencies: ["EnfiladeStreams", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: pure),
    .target(
      name: "EnfiladeEngine",
      dependencies: [
        "CEnfiladeShims", "EnfiladeForwarding", "EnfiladeMixing", "EnfiladeTransport", "EnfiladeStreams", "EnfiladeCongestion",
        "EnfiladeRTP", "EnfiladeSTUN",
        "EnfiladeWire",
        .product(name: "DequeModule", package: "swift-collections"),
      ], swiftSettings: pure),

    // MARK: The doors to the machine, above the double line
    .target(name: "EnfiladeIO", dependencies: ["CEnfiladeShims", "EnfiladeWire"], swiftSettings: everywhere),
    .target(name: "EnfiladeDTLS", dependencies: ["COpenSSL", "EnfiladeTransport", "EnfiladeWire"], swiftSettings: everywhere),
    .target(
      name: "EnfiladeSRTP", dependencies: ["CSRTP", "EnfiladeTransport", "EnfiladeWire"] + ipsecMBDependency,
      swiftSettings: everywhere + ipsecMBSetting),
    .target(
      name: "EnfiladeOpus", dependencies: ["COpus", "EnfiladeMixing", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: everywhere),
    .target(
      name: "EnfiladeRuntime",
      dependencies: [
        "EnfiladeOpus", "EnfiladeMixing", "EnfiladeEngine", "EnfiladeForwarding", "EnfiladeTransport", "EnfiladeStreams",
        "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeSTUN", "EnfiladeWire", "EnfiladeIO", "EnfiladeDTLS", "EnfiladeSRTP",
      ], swiftSettings: everywhere),

    // MARK: The public face
    .target(
      name: "Enfilade",
      dependencies: [
        "EnfiladeRuntime", "EnfiladeEngine", "EnfiladeMixing", "EnfiladeForwarding", "EnfiladeTransport", "EnfiladeRTP", "EnfiladeSTUN",
        "EnfiladeSDP",
        "EnfiladeIO", "EnfiladeSRTP", "EnfiladeWire", .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: everywhere),

    // MARK: The laboratory
    .target(
      name: "EnfiladeSimulation", dependencies: ["EnfiladeForwarding", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeWire"],
      swiftSettings: pure),
    .executableTarget(
      name: "enfilade-sim",
      dependencies: [
        "EnfiladeSimulation", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeWire",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks/enfilade-sim", swiftSettings: everywhere),

    // MARK: Tools of the test side
    .target(
      name: "EnfiladeTestSupport",
      dependencies: [
        "EnfiladeEngine", "EnfiladeMixing", "EnfiladeTransport", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeSTUN", "EnfiladeSDP",
        "EnfiladeWire", "EnfiladeIO", "EnfiladeDTLS", "EnfiladeSRTP",
      ], path: "Tests/EnfiladeTestSupport", swiftSettings: everywhere),
    .executableTarget(
      name: "enfilade-impair",
      dependencies: ["EnfiladeWire", "EnfiladeIO", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Tests/enfilade-impair", swiftSettings: everywhere),

    // MARK: Benchmarks
    .target(name: "CAllocationCounter", path: "Benchmarks/CAllocationCounter"),
    .target(
      name: "EnfiladeLoad",
      dependencies: [
        "EnfiladeTransport", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeSTUN", "EnfiladeSDP", "EnfiladeWire", "EnfiladeIO",
        "EnfiladeDTLS", "EnfiladeSRTP",
      ], path: "Benchmarks/EnfiladeLoad", swiftSettings: everywhere),
    .executableTarget(
      name: "enfilade-load",
      dependencies: [
        "EnfiladeLoad", "EnfiladeTransport", "EnfiladeWire", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Benchmarks/enfilade-load", swiftSettings: everywhere),
    .executableTarget(
      name: "enfilade-bench",
      dependencies: [
        "Enfilade", "EnfiladeLoad", "EnfiladeRuntime", "EnfiladeOpus", "EnfiladeMixing", "EnfiladeEngine", "EnfiladeTransport",
        "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeSTUN", "EnfiladeWire", "EnfiladeIO", "EnfiladeSRTP", "CAllocationCounter",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Benchmarks/enfilade-bench", swiftSettings: everywhere),

    // MARK: Tests
    .testTarget(name: "ArchitectureTests", swiftSettings: everywhere),
    .testTarget(
      name: "CLibsTests", dependencies: ["COpenSSL", "CSRTP", "COpus", "CVPX", "CYUV", "CEnfiladeShims"] + ipsecMBDependency,
      swiftSettings: everywhere + ipsecMBSetting),
    .testTarget(name: "EnfiladeWireTests", dependencies: ["EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(name: "EnfiladeSTUNTests", dependencies: ["EnfiladeSTUN", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeSDPTests", dependencies: ["EnfiladeSDP", "EnfiladeWire"], resources: [.copy("Fixtures")], swiftSettings: everywhere),
    .testTarget(name: "EnfiladeRTPTests", dependencies: ["EnfiladeRTP", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeCongestionTests", dependencies: ["EnfiladeCongestion", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeSimulationTests",
      dependencies: ["EnfiladeSimulation", "EnfiladeForwarding", "EnfiladeCongestion", "EnfiladeRTP", "EnfiladeWire"],
      swiftSettings: everywhere),
    .testTarget(name: "EnfiladeMixingTests", dependencies: ["EnfiladeMixing", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeOpusTests", dependencies: ["EnfiladeOpus", "EnfiladeMixing", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(name: "EnfiladeStreamsTests", dependencies: ["EnfiladeStreams", "EnfiladeRTP", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeTransportTests", dependencies: ["EnfiladeTransport", "EnfiladeSTUN", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeForwardingTests", dependencies: ["EnfiladeForwarding", "EnfiladeStreams", "EnfiladeRTP", "EnfiladeWire"],
      swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeEngineTests",
      dependencies: [
        "EnfiladeTestSupport", "EnfiladeEngine", "EnfiladeMixing", "EnfiladeCongestion", "EnfiladeForwarding", "EnfiladeTransport",
        "EnfiladeStreams",
        "EnfiladeSTUN", "EnfiladeRTP", "EnfiladeWire",
      ], swiftSettings: everywhere),
    .testTarget(name: "EnfiladeIOTests", dependencies: ["EnfiladeIO", "EnfiladeWire", "enfilade-impair"], swiftSettings: everywhere),
    .testTarget(name: "EnfiladeDTLSTests", dependencies: ["EnfiladeDTLS", "EnfiladeTransport", "EnfiladeWire"], swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeSRTPTests", dependencies: ["EnfiladeSRTP", "EnfiladeTransport", "EnfiladeWire"],
      swiftSettings: everywhere + ipsecMBSetting),
    .testTarget(
      name: "EnfiladeLoadTests", dependencies: ["EnfiladeLoad", "EnfiladeTransport", "EnfiladeSDP", "EnfiladeRTP", "EnfiladeWire"],
      swiftSettings: everywhere),
    .testTarget(
      name: "EnfiladeTests",
      dependencies: [
        "Enfilade", "EnfiladeTestSupport", "EnfiladeRuntime", "EnfiladeOpus", "EnfiladeMixing", "EnfiladeEngine", "EnfiladeDTLS",
        "EnfiladeSRTP", "EnfiladeSTUN",
        "EnfiladeTransport", "EnfiladeRTP", "EnfiladeSDP", "EnfiladeIO", "EnfiladeWire",
      ], swiftSettings: everywhere),
  ] + ipsecMBTargets,
  swiftLanguageModes: [.v6]
)

// What the sanitizers look at is optimized, in all or where sound is worked out, but has its assertions.
if let optimized = Context.environment["ENFILADE_OPTIMIZED"] {
  for target in package.targets where target.type == .regular {
    guard optimized != "sound" || ["EnfiladeMixing", "EnfiladeOpus"].contains(target.name) else { continue }
    target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-O", "-assert-config", "Debug"])]
  }
}

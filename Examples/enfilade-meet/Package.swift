// swift-tools-version: 6.2
// enfilade-meet: the example signaling server of Enfilade with its meeting page.
//
// A package of its own, so that whoever links Enfilade never compiles an HTTP server.

import PackageDescription

/// CI turns warnings into errors.
let warningsAsErrors: [SwiftSetting] = Context.environment["ENFILADE_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)]

let settings: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ] + warningsAsErrors

let package = Package(
  name: "enfilade-meet",
  products: [
    .executable(name: "enfilade-meet", targets: ["enfilade-meet"])
  ],
  dependencies: [
    // Named, because the checkout may have any directory name.
    .package(name: "enfilade", path: "../.."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.3.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.0"),
  ],
  targets: [
    .target(
      name: "EnfiladeMeet",
      dependencies: [
        .product(name: "Enfilade", package: "enfilade"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [.copy("Page")],
      swiftSettings: settings),
    .executableTarget(
      name: "enfilade-meet",
      dependencies: [
        "EnfiladeMeet",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Enfilade", package: "enfilade"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "EnfiladeMeetTests",
      dependencies: [
        "EnfiladeMeet",
        .product(name: "Enfilade", package: "enfilade"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "HummingbirdTesting", package: "hummingbird"),
      ],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)

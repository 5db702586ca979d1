// swift-tools-version:5.9
// KeepwellFFI.xcframework and Sources/KeepwellCore are made by ./make-xcframework, on a Mac.
import PackageDescription

let package = Package(
    name: "Keepwell",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "Keepwell", targets: ["Keepwell"])],
    targets: [
        .binaryTarget(name: "KeepwellFFI", path: "KeepwellFFI.xcframework"),
        .target(name: "KeepwellCore", dependencies: ["KeepwellFFI"]),
        .target(name: "Keepwell", dependencies: ["KeepwellCore"]),
    ]
)

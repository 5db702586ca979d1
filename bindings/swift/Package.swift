// swift-tools-version:5.9
// On a Mac ./make-xcframework makes KeepwellFFI.xcframework and Sources/KeepwellCore; for Linux ./install makes a copy of
// this package with both.
import PackageDescription

#if os(Linux)
    let ffi = Target.systemLibrary(name: "KeepwellFFI")
    let library = "\(Context.packageDirectory)/lib"
    let settings: [LinkerSetting] = [.unsafeFlags(["-L\(library)", "-Xlinker", "-rpath=\(library)"])]
#else
    let ffi = Target.binaryTarget(name: "KeepwellFFI", path: "KeepwellFFI.xcframework")
    let settings: [LinkerSetting] = [.linkedFramework("Security"), .linkedFramework("CoreFoundation")]
#endif

let package = Package(
    name: "Keepwell",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "Keepwell", targets: ["Keepwell"])],
    targets: [
        ffi,
        .target(name: "KeepwellCore", dependencies: ["KeepwellFFI"], linkerSettings: settings),
        .target(name: "Keepwell", dependencies: ["KeepwellCore"]),
    ]
)

// What calls cost, in microseconds, as lines "NAME MICROSECONDS". Argument: an empty folder.

import Foundation
import Keepwell

func patient(_ id: Int) -> String {
    let note = String(repeating: "x", count: 1_900)
    return #"{"resourceType":"Patient","id":"p\#(id)","name":[{"family":"Example","text":"\#(note)"}]}"#
}

func median(_ name: String, _ rounds: Int, _ call: (Int) throws -> Void) rethrows {
    var times: [UInt64] = []
    for round in 0..<(rounds * 2) {
        let begun = DispatchTime.now().uptimeNanoseconds
        try call(round)
        if round >= rounds { times.append(DispatchTime.now().uptimeNanoseconds - begun) }
    }
    print(name, Double(times.sorted()[rounds / 2]) / 1_000)
}

@main
struct CallCost {
    static func main() async throws {
        let folder = CommandLine.arguments[1]
        let options = StoreOptions(directory: "\(folder)/\(getpid())", app: "bench", device: "bench", keychain: .memory)
        let store = try await Store.create(options: options)
        let session = try store.session(user: "bench")
        for id in 0..<100 { _ = try session.update(resourceType: "Patient", id: "p\(id)", body: patient(id)) }
        let long = "Patient?_id=" + String(repeating: String(repeating: "y", count: 64) + ",", count: 31) + "z"
        try median("read", 5_000) { _ = try session.read(resourceType: "Patient", id: "p\($0 % 100)") }
        try median("hand-over", 5_000) { _ in _ = try session.searchBundle(url: long) }
        try median("page", 500) { _ in _ = try session.searchBundle(url: "Patient?_count=100") }
        try median("records", 500) { _ in _ = try session.search(url: "Patient?_count=100") }
    }
}

// Twenty lines: an encrypted store, a patient, a search. Run with an empty folder as its argument.

import Keepwell

@main
struct QuickStart {
    static func main() async throws {
        // On Apple's platforms: .host(keychain: AppleKeychain(service: "...")), and StoreDirectory.prepared("records").
        let folder = CommandLine.arguments[1]
        let keys = KeychainChoice.file(directory: folder + "/keys")
        let options = StoreOptions(directory: folder + "/records", app: "ward", device: "tablet 3", keychain: keys)
        let store = try await Store.create(options: options, passcode: "482916")
        let session = try store.session(user: "dr.jones")
        let body = #"{"resourceType":"Patient","name":[{"family":"Example"}]}"#
        let saved = try await session.work { try $0.create(resourceType: "Patient", body: body) }
        print("saved version \(saved.version) of Patient/\(saved.id)")
        for try await found in session.matches("Patient?name=example") { print(found.body) }
        try await store.vault().lock()
    }
}

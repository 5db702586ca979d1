// A patient's timeline: visits and measurements, newest first, typed, and followed while others write. Run with an empty
// folder as its argument, and it plays a visit and stops; with a file of Bundles or NDJSON and the id of a patient as well,
// and it shows the timeline of that one.

import Foundation
import Keepwell

struct Coding: Codable { var text: String? }

struct Observation: Resource {
    static let resourceType = "Observation"
    var id: String?
    var status = "final"
    var code: Coding
    var subject: Subject
    var effectiveDateTime: String?
    var valueQuantity: Quantity?

    struct Subject: Codable { var reference: String }
    struct Quantity: Codable {
        var value: Decimal?
        var unit: String?
    }
}

struct Encounter: Resource {
    static let resourceType = "Encounter"
    var id: String?
    var period: Period

    struct Period: Codable { var start: String }
}

/// One line of a timeline.
struct Moment {
    let at: String
    let what: String
}

func timeline(_ session: Session, patient: String) async throws -> [Moment] {
    var moments: [Moment] = []
    for try await seen in session.matches(Encounter.self, "Encounter?patient=\(patient)") {
        moments.append(Moment(at: seen.period.start, what: "visit"))
    }
    for try await seen in session.matches(Observation.self, "Observation?patient=\(patient)&_sort=-date") {
        guard let at = seen.effectiveDateTime, let value = seen.valueQuantity?.value else { continue }
        moments.append(Moment(at: at, what: "\(seen.code.text ?? "?"): \(value) \(seen.valueQuantity?.unit ?? "")"))
    }
    return moments.sorted { $0.at > $1.at }
}

func draw(_ moments: [Moment]) {
    print("-- \(moments.count) moments")
    for moment in moments { print(moment.at, moment.what) }
}

func measured(_ what: String, _ value: Decimal, _ unit: String, at: String) -> Observation {
    Observation(
        code: Coding(text: what), subject: .init(reference: "Patient/p"), effectiveDateTime: at,
        valueQuantity: .init(value: value, unit: unit))
}

@main
struct PatientTimeline {
    static func main() async throws {
        let folder = CommandLine.arguments[1]
        let keys = KeychainChoice.file(directory: folder + "/keys")
        let options = StoreOptions(directory: folder + "/records", app: "ward", device: "tablet 3", keychain: keys)
        let store = try await Store.create(options: options)
        let session = try store.session(user: "dr.jones")
        if CommandLine.arguments.count > 3 {
            let (file, skipping) = (CommandLine.arguments[2], ImportOptions(skipRefused: true))
            for try await step in session.importing(file, options: skipping) {
                if case .done(let report) = step { print("\(report.created) resources, \(report.refused) refused") }
            }
            draw(try await timeline(session, patient: CommandLine.arguments[3]))
            return try await store.vault().lock()
        }
        _ = try await session.work {
            _ = try $0.update(resourceType: "Patient", id: "p", body: #"{"resourceType":"Patient","id":"p"}"#)
            let visit = #"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"#
                + #""subject":{"reference":"Patient/p"},"period":{"start":"2026-11-22T08:00:00Z"}}"#
            return try $0.create(resourceType: "Encounter", body: visit)
        }
        try await session.save(measured("Body weight", 71.5, "kg", at: "2026-11-22T08:05:00Z"))

        // The screen: drawn again with each change of what it shows.
        let screen = Task {
            var drawn = 0
            for try await _ in session.watch("Observation?patient=p") {
                let moments = try await timeline(session, patient: "p")
                draw(moments)
                drawn = moments.count
                if drawn == 3 { break }
            }
            return drawn
        }
        try await session.save(measured("Heart rate", 72, "/min", at: "2026-11-22T08:07:00Z"))
        guard try await screen.value == 3 else { fatalError("the timeline misses something") }
        try await store.vault().lock()
    }
}

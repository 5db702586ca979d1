// The journey of bindings/journey.md in Swift. Arguments: an empty folder, two invitations; address, authorities and a token
// of a plain FHIR server; a newer pin set of the server that invited. At the end it asks whoever runs it for an order to wipe, with a line "wipe".

import Foundation
import Keepwell

let passcode = "correct horse"
let phrase = "a passphrase of some length"

struct Broken: Error { let what: String }

func check(_ condition: Bool, _ what: String) throws {
    if !condition { throw Broken(what: what) }
}

func refused(_ code: Int32, _ actor: Actor, _ call: () async throws -> Void) async throws {
    do {
        try await call()
    } catch let error as KeepwellError {
        return try check(error.code == code && error.actor == actor, "\(error) instead of \(code)")
    }
    throw Broken(what: "nothing refused instead of \(code)")
}

func patient(_ id: String, _ active: Bool) -> String {
    #"{"resourceType":"Patient","id":"\#(id)","active":\#(active)}"#
}

let linked = #"{"resourceType":"Bundle","type":"collection","entry":["#
    + #"{"fullUrl":"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967","resource":{"resourceType":"Patient","id":"linked"}},"#
    + #"{"resource":{"resourceType":"Basic","id":"links","code":{"text":"x"},"#
    + #""subject":{"reference":"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967"}}}]}"#

func flag(_ word: String) -> String {
    #"{"resourceType":"Flag","id":"f","status":"active","code":{"text":"\#(word)"},"subject":{"reference":"Patient/p1"}}"#
}

struct Patient: Resource {
    static let resourceType = "Patient"
    var id: String?
    var gender: String?
    var active: Bool?
}

final class MemoryKeychain: HostKeychain, @unchecked Sendable {
    private let lock = NSLock()
    private var secrets: [String: Data] = [:]

    func get(name: String) throws -> Data? { lock.withLock { secrets[name] } }
    func set(name: String, secret: Data) throws { lock.withLock { secrets[name] = secret } }
    func remove(name: String) throws { _ = lock.withLock { secrets.removeValue(forKey: name) } }
    func names() throws -> [String] { lock.withLock { Array(secrets.keys) } }
    func forget() { lock.withLock { secrets = [:] } }
}

final class Log: Logger, @unchecked Sendable {
    private let lock = NSLock()
    private var lines: [Int32] = []

    func log(level: LogLevel, code: Int32, line: String) throws { lock.withLock { lines.append(code) } }
    var last: Int32? { lock.withLock { lines.last } }
}

final class Tokens: TokenProvider, @unchecked Sendable {
    private let lock = NSLock()
    private var left: [String]
    private var refusals: [Bool] = []

    init(_ tokens: String...) { left = tokens }
    func token(isRefused: Bool) throws -> String {
        try lock.withLock {
            refusals.append(isRefused)
            if left.isEmpty { throw Broken(what: "nobody is signed in") }
            return left.removeFirst()
        }
    }
    var asked: [Bool] { lock.withLock { refusals } }
}

final class Commits: ChangeListener, @unchecked Sendable {
    private let lock = NSLock()
    private var changes: [Change] = []

    func changed(changes: [Change]) throws { lock.withLock { self.changes += changes } }
    func ended() throws {}
    var seen: [Change] { lock.withLock { changes } }
}

final class Throwing: ProgressListener, @unchecked Sendable {
    func progress(done: Int64, bytes: Int64, totalBytes: Int64?) throws { throw Broken(what: "of the app") }
}

final class Cancelling: ProgressListener, @unchecked Sendable {
    private let session: Session

    init(_ session: Session) { self.session = session }
    func progress(done: Int64, bytes: Int64, totalBytes: Int64?) throws { session.cancelImports() }
}

final class Guard: BackupGuard, @unchecked Sendable {
    private let lock = NSLock()
    private var directories: Set<String> = []

    func exclude(directory: String) throws { _ = lock.withLock { directories.insert(directory) } }
    func isExcluded(directory: String) throws -> Bool { lock.withLock { directories.contains(directory) } }
    var count: Int { lock.withLock { directories.count } }
}

func options(_ folder: String, _ name: String, _ keychain: KeychainChoice, _ guarded: BackupGuard? = nil) -> StoreOptions {
    StoreOptions(
        directory: "\(folder)/\(name)", app: "journey", device: "tablet 1", keychain: keychain, memorySecurity: false,
        backupGuard: guarded)
}

/// Opens, locks and rotates, and loses the keychain.
func keys(_ folder: String, _ choice: KeychainChoice) async throws {
    let guarded = Guard()
    let made = try await Store.create(options: options(folder, "store", choice, guarded), passcode: passcode)
    try check(made.directory().hasSuffix("store"), "the directory")
    let vault = made.vault()
    let ended = try made.session(user: "dr.jones")
    try await vault.lock()
    try check(made.state() == .locked, "it is locked")
    try await refused(201, .person) { _ = try ended.read(resourceType: "Patient", id: "p") }
    try await refused(205, .person) { try await vault.unlock(passcode: "wrong") }
    try await vault.unlock(passcode: passcode)
    let excluded = try await vault.excludeFromBackups()
    try check(excluded && guarded.count > 0, "the app keeps it out of backups")
    let session = try made.session(user: "dr.jones")
    try await refused(205, .person) { try await vault.setPasscode(session: session, passcode: "wrong", new: "other") }
    try await vault.setPasscode(session: session, passcode: passcode, new: "other")
    try await vault.removePasscode(session: session, passcode: "other")
    try await vault.setPasscode(session: session, passcode: nil, new: passcode)
    try await vault.setRecovery(session: session, passcode: passcode, passphrase: phrase)
    try await vault.rotateKey(session: session, passcode: passcode)
    try await vault.rotateDatabaseKey(session: session, passcode: passcode)
    try await vault.suspend()
    try await vault.resume(passcode: passcode)
    try await vault.lock()
}

/// The keychain lost everything: the passphrase opens.
func recovered(_ folder: String, _ choice: KeychainChoice) async throws -> Store {
    do {
        let lost = try await Store.open(options: options(folder, "store", choice))
        try await refused(211, .person) { try await lost.vault().unlock(passcode: passcode) }
    }
    return try await Store.recover(options: options(folder, "store", choice), passphrase: phrase, passcode: passcode)
}

func first<S: AsyncSequence>(_ sequence: S) async throws -> S.Element? {
    for try await element in sequence { return element }
    return nil
}

/// A keychain that refuses, throws what it must not, or calls the library.
final class Meddler: HostKeychain, @unchecked Sendable {
    let secrets = MemoryKeychain()
    var told: [Int32] = []
    var meddle: () throws -> Void = {}

    func get(name: String) throws -> Data? {
        do { try meddle() } catch let error as KeepwellError { told.append(error.code) }
        return try secrets.get(name: name)
    }
    func set(name: String, secret: Data) throws { try secrets.set(name: name, secret: secret) }
    func remove(name: String) throws { try secrets.remove(name: name) }
    func names() throws -> [String] { try secrets.names() }
}

/// What apps get wrong: a code, never a crash.
func mistakes(_ folder: String) async throws {
    let meddler = Meddler()
    let store = try await Store.create(options: options(folder, "mistakes", .host(keychain: meddler)))
    let (vault, session) = (store.vault(), try store.session(user: "dr.jones"))
    try await refused(117, .caller) { _ = try session.history(resourceType: "Patient", count: -1) }
    try await refused(117, .caller) { _ = try session.read(resourceType: "Patient\0", id: "p") }
    let deep = String(repeating: "[", count: 1_000_000)
    try await refused(108, .caller) { _ = try session.create(resourceType: "Patient", body: deep) }
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
            group.addTask { try await refused(101, .caller) { _ = try session.read(resourceType: "Patient", id: "p") } }
        }
        try await group.waitForAll()
    }
    try await vault.lock()
    let faults: [(Error, Int32)] = [
        (KeychainFault.Locked, 201), (KeychainFault.Unavailable, 214),
        (KeychainFault.Invalidated, 212), (Broken(what: "of the app"), 217),
    ]
    for (fault, code) in faults {
        meddler.meddle = { throw fault }
        try await refused(code, .person) { try await vault.unlock() }
    }
    meddler.meddle = { _ = try store.session(user: "dr.jones") }
    try await vault.unlock()
    try check(!meddler.told.isEmpty && meddler.told.allSatisfy { $0 == 917 }, "a callback that calls the library")
    let ended = try store.session(user: "dr.jones")
    ended.end()
    try await refused(912, .keepwell) { _ = try ended.read(resourceType: "Patient", id: "p") }
    try await vault.erase()
    try await refused(225, .person) { _ = try session.read(resourceType: "Patient", id: "p") }
}

func records(_ folder: String, _ store: Store) async throws {
    let commits = Commits()
    let subscription = try store.listen(listener: commits)
    let session = try store.session(user: "dr.jones")
    let watching = Task { try await first(session.watch("Patient?active=true")) }
    let feed = store.commits()
    let committing = Task { try await first(feed) }
    _ = try await session.work { try $0.update(resourceType: "Patient", id: "p", body: patient("p", true), ifAbsent: true) }
    try check(try await watching.value?.kind == .added, "the live query tells")
    try check(try await committing.value?.id == "p", "the feed tells")
    let patched = try session.patch(
        resourceType: "Patient", id: "p", format: .merge, patch: #"{"active":false}"#, ifMatch: 1)
    try check(patched.version == 2, "patched")
    try await refused(103, .caller) {
        _ = try session.patch(resourceType: "Patient", id: "p", format: .merge, patch: "{}", ifMatch: 1)
    }
    let old = try session.vread(resourceType: "Patient", id: "p", version: 1)
    try check(old.contains("true") && session.read(resourceType: "Patient", id: "p").contains("false"), "versions")
    let body = #"{"resourceType":"Patient","gender":"female"}"#
    let made = try session.create(resourceType: "Patient", body: body, ifNoneExist: "gender=female")
    try check(made.operation == .create, "created")
    do {
        _ = try session.create(resourceType: "Patient", body: #"{"resourceType":"Patient","birthDate":"soon"}"#)
        throw Broken(what: "an invalid date was taken")
    } catch KeepwellError.Caller(let code, _, let outcome) {
        try check(code == 109 && outcome.contains("birthDate") && !outcome.contains("soon"), "the place, not the value")
    }
    try check(session.history(resourceType: "Patient", id: "p", count: 1).bundle.contains("history"), "history")
    let bundle = #"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":\#(patient("b", true)),"#
        + #""request":{"method":"PUT","url":"Patient/b"}}]}"#
    try check(try await session.bundle(body: bundle).contains("transaction-response"), "a transaction")
    try check(try await session.matches("Patient?_count=1").reduce(0) { count, _ in count + 1 } == 3, "pages")
    try check(session.searchBundle(url: "Patient?active=true").contains("searchset"), "a Bundle")
    try await refused(301, .caller) { _ = try session.search(url: "Patient?colour=red") }
    let lenient = try session.search(url: "Patient?colour=red", lenient: true)
    try check(lenient.outcome?.contains("colour") == true, "lenient")
    try check(!session.explainSearch(url: "Patient?active=true").isEmpty, "explained")
    try session.addSearchParameter(
        definition: #"{"resourceType":"SearchParameter","url":"http://example.org/p","name":"p","status":"active","#
            + #""description":"d","code":"deceased-flag","base":["Patient"],"type":"token","#
            + #""expression":"Patient.deceased.ofType(boolean)"}"#)

    // Types of the app in and out.
    var typed = try await session.read(Patient.self, id: made.id)
    try check(typed.gender == "female", "decoded")
    typed.active = true
    try check(try await session.save(typed, ifMatch: 1).version == 2, "encoded")
    try check(try await first(session.matches(Patient.self, "Patient?gender=female"))?.active == true, "found")

    let live = try await session.live(url: "Patient?gender=female").next(timeoutMs: 0)
    try check(live.first?.id == made.id, "what is found now is told")
    try check(try await store.changes().next(timeoutMs: 0).isEmpty, "nothing commits")
    _ = try session.delete(resourceType: "Patient", id: made.id)
    try await refused(102, .caller) { _ = try session.read(resourceType: "Patient", id: made.id) }
    try await session.purge(resourceType: "Patient", id: made.id, reason: "asked for", passcode: passcode)
    let gone = try await session.purgePatient(id: "b", reason: "asked for", passcode: passcode)
    try check(gone == 1, "purged")
    try await files(folder, session)
    try check(store.changesAfter(sequence: 0, limit: 10).count == 10, "the change log")
    session.end()
    subscription.end()
    try check(commits.seen.contains { $0.id == "p" && $0.operation == .create }, "the listener heard")
    let again = try await Store.restore(
        options: options(folder, "restored", .memory), archive: "\(folder)/archive", passphrase: phrase)
    let body2 = try again.session(user: "dr.jones").read(resourceType: "Patient", id: "p")
    try check(body2.contains("false"), "restored")
    try await again.vault().erase()
    try check(again.state() == .erased, "erased")
}

func files(_ folder: String, _ session: Session) async throws {
    let lines = (0..<250).map { patient("i\($0)", true) + "\n" }.joined() + "{}\n"
    try lines.write(toFile: "\(folder)/patients.ndjson", atomically: true, encoding: .utf8)
    var told = 0
    var report: ImportReport?
    for try await step in session.importing("\(folder)/patients.ndjson", options: ImportOptions(skipRefused: true)) {
        switch step {
        case .progress: told += 1
        case .done(let done): report = done
        }
    }
    try check(told > 0 && report?.created == 250 && report?.refusals.first?.record == 251, "imported")
    let same = try await session.importFile(
        path: "\(folder)/patients.ndjson", options: ImportOptions(skipRefused: true))
    try check(same.unchanged == 250, "the same again")
    let again = try await session.importText(
        name: "again", data: patient("i0", true), options: ImportOptions(), progress: Throwing())
    try check(again.unchanged == 1, "a listener throws")
    let links = try await session.importText(name: "linked", data: linked, options: ImportOptions())
    try check(links.linksKept == 1, "a link stays as it was")

    let many = (0..<100_000).map { patient("m\($0)", true) + "\n" }.joined()
    try many.write(toFile: "\(folder)/many.ndjson", atomically: true, encoding: .utf8)
    try await refused(119, .caller) {
        _ = try await session.importFile(
            path: "\(folder)/many.ndjson", options: ImportOptions(), progress: Cancelling(session))
    }
    try check(session.stats().resources < 100_000, "cancelled")

    let photo = Data((0..<100_000).map { UInt8($0 % 251) })
    let attachments = try session.attachments()
    let added = try attachments.add(contentType: "image/png", content: photo)
    try check(try await attachments.read(resourceType: "Binary", id: added.id) == photo, "the photo")
    let saved = try await attachments.save(resourceType: "Binary", id: added.id, path: "\(folder)/photo.png")
    try check(saved == 100_000, "saved")
    let copy = try await attachments.addFile(contentType: "image/png", path: "\(folder)/photo.png")
    try check(copy.id != added.id, "attached from a file")

    let audit = try session.audit()
    try check(audit.page(count: 5).events.first?.contains("AuditEvent") == true, "the trail")
    let verified = try await audit.verify()
    try check(verified.isSound && verified.isAuditWhole && verified.attachments == 1, "verified")
    let exported = try await session.exportFile(path: "\(folder)/out.ndjson", passcode: passcode)
    try check(exported > 250, "exported")
    try await session.archiveFile(path: "\(folder)/archive", passcode: passcode, passphrase: phrase)
    try check(session.stats().resources > 250, "counted")
}

func device(_ folder: String, _ name: String, _ invitation: String) async throws -> (Store, Sync) {
    let store = try await Store.create(options: options(folder, name, .memory))
    let sync = try store.sync(user: name)
    try await refused(417, .operator) { _ = try await sync.round() }
    try await refused(470, .operator) { _ = try await sync.enrol(invitation: "no invitation", name: name) }
    try check(try await sync.enrol(invitation: invitation, name: name) == sync.status().device, "enrolled")
    return (store, sync)
}

func conflict(_ one: Session, _ two: Session, _ syncs: (Sync, Sync), mine: String, theirs: String) async throws -> Conflict {
    _ = try one.update(resourceType: "Flag", id: "f", body: flag(theirs))
    _ = try two.update(resourceType: "Flag", id: "f", body: flag(mine))
    _ = try await syncs.0.round()
    _ = try await syncs.1.round()
    let found = try syncs.1.conflicts()
    try check(found.count == 1, "one conflict and not \(found.count)")
    return found[0]
}

func synchronise(_ folder: String, _ invitations: [String], _ pins: String) async throws {
    let (storeOne, syncOne) = try await device(folder, "one", invitations[0])
    let (storeTwo, syncTwo) = try await device(folder, "two", invitations[1])
    let (one, two) = (try storeOne.session(user: "one"), try storeTwo.session(user: "two"))
    let syncs = (syncOne, syncTwo)
    try syncOne.setLocalTypes(resourceTypes: ["Basic"])
    _ = try one.update(resourceType: "Patient", id: "p1", body: patient("p1", true))
    _ = try one.update(resourceType: "Flag", id: "f", body: flag("first"))
    var report: SyncReport?
    for try await step in syncOne.rounds() { if case .done(let done) = step { report = done } }
    try check(report?.sent == 2, "sent")
    try check(try await syncTwo.round().received == 2, "received")
    try await refused(452, .operator) { _ = try await syncTwo.installPins(document: "no pins") }
    try check(try await syncTwo.installPins(document: pins), "newer pins came by file")
    try check(try await !syncTwo.installPins(document: pins), "and are known")

    let found = try await conflict(one, two, syncs, mine: "dog", theirs: "cat")
    let details = found.details()
    try check(details.kind == .conflict && details.mine!.contains("dog") && details.theirs!.contains("cat"), "both sides")
    try await found.takeMine()
    try await refused(421, .operator) { try await found.takeMine() }
    _ = try await syncTwo.round()
    _ = try await syncOne.round()
    try check(one.read(resourceType: "Flag", id: "f").contains("dog"), "the decision is everybody's")
    try await conflict(one, two, syncs, mine: "rat", theirs: "cow").keepTheirs()
    try check(two.read(resourceType: "Flag", id: "f").contains("cow"), "theirs stays")
    try await conflict(one, two, syncs, mine: "hen", theirs: "fox").takeEdited(content: flag("hen and fox"))
    _ = try await syncTwo.round()
    _ = try await syncOne.round()
    try await conflict(one, two, syncs, mine: "yes", theirs: "no").deleteResource()
    _ = try await syncTwo.round()
    _ = try await syncOne.round()
    try await refused(102, .caller) { _ = try one.read(resourceType: "Flag", id: "f") }

    let photo = Data((0..<45_000).map { UInt8($0 % 251) })
    let document = try one.create(
        resourceType: "DocumentReference",
        body: #"{"resourceType":"DocumentReference","status":"current","subject":{"reference":"Patient/p1"},"#
            + #""content":[{"attachment":{"contentType":"image/png","data":"\#(photo.base64EncodedString())"}}]}"#)
    _ = try await syncOne.round()
    _ = try await syncTwo.round()
    let came = try await two.attachments().read(resourceType: "DocumentReference", id: document.id)
    try check(came == photo, "the photo came along")

    syncOne.setPolicy(metered: true)
    let commits = storeTwo.commits()
    let coming = Task { try await first(commits) }
    try syncOne.start()
    try syncTwo.start()
    _ = try one.update(resourceType: "Flag", id: "f", body: flag("by itself"))
    syncTwo.nudge()
    try check(try await coming.value?.id == "f" && syncOne.status().isRunning, "sync goes on by itself")
    try await syncOne.stop()
    try await syncTwo.stop()
    syncOne.cancel()
    let list = #"{"resourceType":"List","id":"l","status":"current","mode":"working"}"#
    _ = try one.update(resourceType: "List", id: "l", body: list)
    try check(try await syncOne.round().kept == 1, "of no scope")
    print("wipe")
    fflush(nil)
    try check(readLine() == "ordered", "whoever runs this has ordered it")
    try await refused(423, .operator) { _ = try await syncTwo.round() }
    try check(storeTwo.state() == .erased, "wiped")
}

func plain(_ folder: String, _ address: String, _ authorities: String, _ token: String) async throws {
    let store = try await Store.create(options: options(folder, "plain", .memory))
    let sync = try store.sync(user: "dr.jones")
    let sorted = FhirServer(address: address, authorities: authorities, searches: ["Patient?_sort=name"])
    try await refused(117, .caller) { try sync.enrolFhir(server: sorted) }
    try sync.enrolFhir(server: FhirServer(address: address, authorities: authorities, searches: ["Patient"]))
    try check(sync.status().fhirServer == address, "attached")
    let session = try store.session(user: "dr.jones")
    _ = try session.update(resourceType: "Patient", id: "plain", body: patient("plain", true))
    try check(try await sync.round().problem == 425, "there is no token")
    let tokens = Tokens("keepwell_old", token)
    sync.setTokenProvider(provider: tokens)
    let report = try await sync.round()
    try check(report.sent == 1 && report.problem == nil, "sent with a token")
    try check(tokens.asked == [false, true], "asked when there was none, and when one was refused")
    _ = try session.update(resourceType: "Patient", id: "plain", body: patient("plain", false))
    sync.setTokenProvider(provider: Tokens())
    try check(try await sync.round().problem == 448, "a provider that throws")
    sync.setTokenProvider(provider: nil)
    let known = FhirServer(
        address: address, authorities: authorities, searches: ["Patient"], token: token, writes: .consented)
    try sync.enrolFhir(server: known)
    try check(try await sync.round().problem == nil && sync.status().pending == 0, "a token that is kept")
    try await store.vault().erase()
}

func errors(_ log: Log) async throws {
    let codes = errorCodes()
    for row in codes {
        let actor: Actor =
            switch row.code / 100 {
            case 1, 3: .caller
            case 2: .person
            case 4, 5: .operator
            default: .keepwell
            }
        try await refused(row.code, actor) { try rehearseError(code: row.code) }
        try check(log.last == row.code, "the logger is told")
    }
    print("\(codes.count) codes were thrown as exceptions")
}

@main
struct Journey {
    static func main() async throws {
        let folder = CommandLine.arguments[1]
        let log = Log()
        setLogger(logger: log)
        try await errors(log)
        let keychain = MemoryKeychain()
        let choice = KeychainChoice.host(keychain: keychain)
        try await keys(folder, choice)
        keychain.forget()
        let store = try await recovered(folder, choice)
        try await records(folder, store)
        try await store.vault().erase()
        try await mistakes(folder)
        let others = CommandLine.arguments.dropFirst(2).map { $0 }
        try await plain(folder, others[2], others[3], others[4])
        try await synchronise(folder, Array(others.prefix(2)), others[5])
        setLogger(logger: nil)
        print("the journey held in Swift with \(version())")
    }
}

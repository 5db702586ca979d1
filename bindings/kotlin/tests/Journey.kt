// The journey of bindings/journey.md in Kotlin. Arguments: an empty folder, two invitations; address, authorities and a token
// of a plain FHIR server; a newer pin set of the server that invited. At the end it asks whoever runs it for an order to wipe, with a line "wipe".

import java.io.File
import java.util.Base64
import keepwell.*
import kotlin.system.exitProcess
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

const val PASSCODE = "correct horse"
const val PHRASE = "a passphrase of some length"

fun check(condition: Boolean, what: String) {
    if (!condition) throw AssertionError(what)
}

suspend fun refused(code: Int, actor: Actor, call: suspend () -> Unit) {
    try {
        call()
    } catch (error: KeepwellException) {
        check(error.code == code && error.actor == actor, "$error instead of $code")
        return
    }
    throw AssertionError("nothing refused instead of $code")
}

fun patient(id: String, active: Boolean) = """{"resourceType":"Patient","id":"$id","active":$active}"""

fun flag(word: String) =
    """{"resourceType":"Flag","id":"f","status":"active","code":{"text":"$word"},"subject":{"reference":"Patient/p1"}}"""

const val LINKED = """{"resourceType":"Bundle","type":"collection","entry":[
    {"fullUrl":"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967","resource":{"resourceType":"Patient","id":"linked"}},
    {"resource":{"resourceType":"Basic","id":"links","code":{"text":"x"},
    "subject":{"reference":"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967"}}}]}"""

class MemoryKeychain : HostKeychain {
    val secrets = mutableMapOf<String, ByteArray>()

    @Synchronized override fun get(name: String): ByteArray? = secrets[name]
    @Synchronized override fun set(name: String, secret: ByteArray) { secrets[name] = secret }
    @Synchronized override fun remove(name: String) { secrets.remove(name) }
    @Synchronized override fun names(): List<String> = secrets.keys.toList()
}

/** A keychain that refuses, throws what it must not, or calls the library. */
class Meddler : HostKeychain {
    val secrets = MemoryKeychain()
    val told = mutableListOf<Int>()
    var meddle: () -> Unit = {}

    @Synchronized override fun get(name: String): ByteArray? {
        try {
            meddle()
        } catch (error: KeepwellException) {
            told.add(error.code)
        }
        return secrets.get(name)
    }

    override fun set(name: String, secret: ByteArray) = secrets.set(name, secret)
    override fun remove(name: String) = secrets.remove(name)
    override fun names(): List<String> = secrets.names()
}

class Log : Logger {
    val lines = mutableListOf<Pair<LogLevel, Int>>()

    @Synchronized override fun log(level: LogLevel, code: Int, line: String) { lines.add(level to code) }
}

class Tokens(vararg tokens: String) : TokenProvider {
    val asked = mutableListOf<Boolean>()
    private val left = tokens.toMutableList()

    @Synchronized override fun token(isRefused: Boolean): String {
        asked.add(isRefused)
        return left.removeAt(0)
    }
}

class Commits : ChangeListener {
    val seen = mutableListOf<Change>()

    @Synchronized override fun changed(changes: List<Change>) { seen.addAll(changes) }
    override fun ended() {}
}

class Throwing : ProgressListener {
    override fun progress(done: Long, bytes: Long, totalBytes: Long?): Unit = throw IllegalStateException("of the app")
}

class Cancelling(val session: Session) : ProgressListener {
    override fun progress(done: Long, bytes: Long, totalBytes: Long?) = session.cancelImports()
}

class Guard : BackupGuard {
    val directories = mutableSetOf<String>()

    @Synchronized override fun exclude(directory: String) { directories.add(directory) }
    @Synchronized override fun isExcluded(directory: String): Boolean = directory in directories
}

fun options(folder: File, name: String, keychain: KeychainChoice, guard: BackupGuard? = null) =
    StoreOptions(File(folder, name).path, "journey", "tablet 1", keychain, memorySecurity = false, backupGuard = guard)

/** Opens, locks, recovers and rotates; leaves a store that its passcode opens. */
suspend fun keys(folder: File): Store {
    val keychain = MemoryKeychain()
    val choice = KeychainChoice.Host(keychain)
    val guard = Guard()
    val made = Store.create(options(folder, "store", choice, guard), PASSCODE)
    check(made.directory().endsWith("store") && keychain.secrets.isNotEmpty(), "the host's keychain has the secret")
    val vault = made.vault()
    val ended = made.session("dr.jones")
    vault.lock()
    check(made.state() == StoreState.LOCKED, "it is locked")
    refused(201, Actor.PERSON) { ended.read("Patient", "p") }
    refused(205, Actor.PERSON) { vault.unlock("wrong") }
    vault.unlock(PASSCODE)
    check(vault.excludeFromBackups() && guard.directories.isNotEmpty(), "the app keeps it out of backups")
    val session = made.session("dr.jones")
    refused(205, Actor.PERSON) { vault.setPasscode(session, "wrong", "other") }
    vault.setPasscode(session, PASSCODE, "other")
    vault.removePasscode(session, "other")
    vault.setPasscode(session, null, PASSCODE)
    vault.setRecovery(session, PASSCODE, PHRASE)
    vault.rotateKey(session, PASSCODE)
    vault.rotateDatabaseKey(session, PASSCODE)
    vault.suspend()
    vault.resume(PASSCODE)
    vault.lock()
    // The keychain loses everything: the passphrase opens.
    listOf(session, ended, vault, made).forEach { it.destroy() }
    keychain.secrets.clear()
    val lost = Store.open(options(folder, "store", choice))
    refused(211, Actor.PERSON) { lost.vault().unlock(PASSCODE) }
    lost.destroy()
    System.gc()
    return Store.recover(options(folder, "store", choice), PHRASE, PASSCODE)
}

/** What apps get wrong: a code or an exception of the language, never a crash. */
suspend fun mistakes(folder: File) {
    val meddler = Meddler()
    val store = Store.create(options(folder, "mistakes", KeychainChoice.Host(meddler)))
    val (vault, session) = store.vault() to store.session("dr.jones")
    refused(117, Actor.CALLER) { session.history("Patient", null, -1) }
    refused(117, Actor.CALLER) { session.read("Patient\u0000", "p") }
    refused(108, Actor.CALLER) { session.create("Patient", "[".repeat(1_000_000)) }
    try {
        session.create("Patient", "\ud800")
        throw AssertionError("half of a character was taken")
    } catch (_: java.nio.charset.CharacterCodingException) {
    }
    coroutineScope {
        repeat(8) { launch(Dispatchers.Default) { refused(101, Actor.CALLER) { session.read("Patient", "p") } } }
    }
    vault.lock()
    for ((fault, code) in listOf(
        KeychainFault.Locked() to 201, KeychainFault.Unavailable() to 214, KeychainFault.Invalidated() to 212,
        IllegalStateException("of the app") to 217)) {
        meddler.meddle = { throw fault }
        refused(code, Actor.PERSON) { vault.unlock() }
    }
    meddler.meddle = { store.session("dr.jones") }
    vault.unlock()
    check(meddler.told.isNotEmpty() && meddler.told.all { it == 917 }, "a callback that calls the library")
    val ended = store.session("dr.jones")
    ended.end()
    refused(912, Actor.KEEPWELL) { ended.read("Patient", "p") }
    ended.destroy()
    try {
        ended.read("Patient", "p")
        throw AssertionError("what is gone was used")
    } catch (_: IllegalStateException) {
    }
    vault.erase()
    refused(225, Actor.PERSON) { session.read("Patient", "p") }
}

suspend fun records(folder: File, store: Store) {
    val commits = Commits()
    val subscription = store.listen(commits)
    store.session("dr.jones") { session ->
        val watching = runBlocking {
            val first = async(Dispatchers.Default) { session.watch("Patient?active=true").first() }
            val commit = async(Dispatchers.Default) { store.commits().map { it.id }.first() }
            session.work { update("Patient", "p", patient("p", true), ifAbsent = true) }
            // Until the feed is open, nobody hears of a commit.
            var written = 0
            while (!commit.isCompleted) {
                session.work { update("Basic", "w", """{"resourceType":"Basic","id":"w","code":{"text":"${written++}"}}""") }
                delay(50)
            }
            withTimeout(60_000) { first.await() to commit.await() }
        }
        check(watching.first.kind == LiveKind.ADDED && watching.second in listOf("p", "w"), "the live query tells")
        check(session.patch("Patient", "p", PatchFormat.MERGE, """{"active":false}""", 1).version == 2L, "patched")
        refused(103, Actor.CALLER) { session.patch("Patient", "p", PatchFormat.MERGE, "{}", 1) }
        check("true" in session.vread("Patient", "p", 1) && "false" in session.read("Patient", "p"), "versions")
        val made = session.create("Patient", """{"resourceType":"Patient","gender":"female"}""", "gender=female")
        check(made.operation == Operation.CREATE, "created")
        try {
            session.create("Patient", """{"resourceType":"Patient","birthDate":"soon"}""")
            throw AssertionError("an invalid date was taken")
        } catch (error: KeepwellException.Caller) {
            check(error.code == 109 && "birthDate" in error.outcome && "soon" !in error.outcome, "the place, not the value")
        }
        check("history" in session.history("Patient", "p", 1).bundle, "history")
        val bundle = """{"resourceType":"Bundle","type":"transaction","entry":[{"resource":${patient("b", true)},
            "request":{"method":"PUT","url":"Patient/b"}}]}"""
        check("transaction-response" in session.bundle(bundle), "a transaction")
        check(session.matches("Patient?_count=1").toList().size == 3, "pages")
        check("searchset" in session.searchBundle("Patient?active=true"), "a Bundle")
        refused(301, Actor.CALLER) { session.search("Patient?colour=red") }
        check(session.search("Patient?colour=red", true).outcome!!.contains("colour"), "lenient")
        check(session.explainSearch("Patient?active=true").isNotEmpty(), "explained")
        session.addSearchParameter(
            """{"resourceType":"SearchParameter","url":"http://example.org/p","name":"p","status":"active","description":"d",
            "code":"deceased-flag","base":["Patient"],"type":"token","expression":"Patient.deceased.ofType(boolean)"}""",
        )
        session.live("Patient?gender=female").use { check(it.next(0).single().id == made.id, "what is found now is told") }
        store.changes().use { check(it.next(0).isEmpty(), "nothing commits") }
        session.delete("Patient", made.id)
        refused(102, Actor.CALLER) { session.read("Patient", made.id) }
        session.purge("Patient", made.id, "asked for", PASSCODE)
        check(session.purgePatient("b", "asked for", PASSCODE) == 1L, "purged")

        val lines = File(folder, "patients.ndjson")
        lines.writeText((0 until 250).joinToString("\n") { patient("i$it", true) } + "\n{}\n")
        val steps = session.importing(lines.path, ImportOptions(skipRefused = true)).toList()
        val report = (steps.last() as Step.Done).report
        check(steps.size > 1 && report.created == 250L && report.refusals.single().record == 251L, "imported: $steps")
        check(session.importFile(lines.path, ImportOptions(skipRefused = true)).unchanged == 250L, "the same again")
        check(session.importText("again", patient("i0", true), ImportOptions(), Throwing()).unchanged == 1L, "a listener throws")
        check(session.importText("linked", LINKED, ImportOptions()).linksKept == 1L, "a link stays as it was")

        val many = File(folder, "many.ndjson")
        many.writeText((0 until 100_000).joinToString("\n") { patient("m$it", true) })
        refused(119, Actor.CALLER) { session.importFile(many.path, ImportOptions(), Cancelling(session)) }
        check(session.stats().resources < 100_000, "cancelled")

        val photo = ByteArray(100_000) { (it % 251).toByte() }
        val attachments = session.attachments()
        val added = attachments.add("image/png", photo)
        check(attachments.read("Binary", added.id).contentEquals(photo), "the photo")
        val file = File(folder, "photo.png")
        check(attachments.save("Binary", added.id, file.path) == 100_000L, "saved")
        check(attachments.addFile("image/png", file.path).id != added.id, "attached from a file")

        val audit = session.audit()
        check("AuditEvent" in audit.page(5).events.first(), "the trail")
        check(audit.verify().let { it.isSound && it.isAuditWhole && it.attachments == 1L }, "verified")
        check(session.exportFile(File(folder, "out.ndjson").path, PASSCODE) > 250, "exported")
        session.archiveFile(File(folder, "archive").path, PASSCODE, PHRASE)
        check(session.stats().resources > 250 && store.changesAfter(0, 10).size == 10, "counted")
    }
    subscription.end()
    check(commits.seen.any { it.id == "p" && it.operation == Operation.CREATE }, "the listener heard")
    val restored = Store.restore(options(folder, "restored", KeychainChoice.Memory), File(folder, "archive").path, PHRASE)
    check(restored.session("dr.jones").read("Patient", "p").contains("false"), "restored")
    restored.vault().erase()
    check(restored.state() == StoreState.ERASED, "erased")
}

suspend fun device(folder: File, name: String, invitation: String): Pair<Store, Sync> {
    val store = Store.create(options(folder, name, KeychainChoice.Memory))
    val sync = store.sync(name)
    refused(417, Actor.OPERATOR) { sync.round() }
    refused(470, Actor.OPERATOR) { sync.enrol("no invitation", name) }
    check(sync.enrol(invitation, name) == sync.status().device, "enrolled")
    return store to sync
}

suspend fun conflict(one: Session, two: Session, syncs: Pair<Sync, Sync>, mine: String, theirs: String): Conflict {
    one.update("Flag", "f", flag(theirs))
    two.update("Flag", "f", flag(mine))
    syncs.first.round()
    syncs.second.round()
    return syncs.second.conflicts().single()
}

suspend fun sync(folder: File, invitations: List<String>, pins: String) {
    val (storeOne, syncOne) = device(folder, "one", invitations[0])
    val (storeTwo, syncTwo) = device(folder, "two", invitations[1])
    val (one, two) = storeOne.session("one") to storeTwo.session("two")
    val syncs = syncOne to syncTwo
    syncOne.setLocalTypes(listOf("Basic"))
    one.update("Patient", "p1", patient("p1", true))
    one.update("Flag", "f", flag("first"))
    check((syncOne.rounds().toList().last() as Step.Done).report.sent == 2L, "sent")
    check(syncTwo.round().received == 2L, "received")
    refused(452, Actor.OPERATOR) { syncTwo.installPins("no pins") }
    check(syncTwo.installPins(pins) && !syncTwo.installPins(pins), "newer pins came by file, once")

    val found = conflict(one, two, syncs, mine = "dog", theirs = "cat")
    val details = found.details()
    check(details.kind == ConflictKind.CONFLICT && "dog" in details.mine!! && "cat" in details.theirs!!, "both sides")
    found.takeMine()
    refused(421, Actor.OPERATOR) { found.takeMine() }
    syncTwo.round()
    syncOne.round()
    check("dog" in one.read("Flag", "f"), "the decision is everybody's")
    conflict(one, two, syncs, mine = "rat", theirs = "cow").keepTheirs()
    check("cow" in two.read("Flag", "f"), "theirs stays")
    conflict(one, two, syncs, mine = "hen", theirs = "fox").takeEdited(flag("hen and fox"))
    syncTwo.round()
    syncOne.round()
    conflict(one, two, syncs, mine = "yes", theirs = "no").deleteResource()
    syncTwo.round()
    syncOne.round()
    refused(102, Actor.CALLER) { one.read("Flag", "f") }

    val photo = ByteArray(45_000) { (it % 251).toByte() }
    val data = Base64.getEncoder().encodeToString(photo)
    val document = one.create(
        "DocumentReference",
        """{"resourceType":"DocumentReference","status":"current","subject":{"reference":"Patient/p1"},
        "content":[{"attachment":{"contentType":"image/png","data":"$data"}}]}""",
    )
    syncOne.round()
    syncTwo.round()
    check(two.attachments().read("DocumentReference", document.id).contentEquals(photo), "the photo came along")

    syncOne.setPolicy(metered = true)
    syncOne.start()
    syncTwo.start()
    val came = runBlocking {
        val change = async(Dispatchers.Default) { storeTwo.commits().take(1).toList() }
        var written = 0
        withTimeout(60_000) {
            while (!change.isCompleted) {
                one.update("Flag", "f", flag("by itself ${written++}"))
                syncTwo.nudge()
                delay(200)
            }
            change.await()
        }
    }
    check(came.single().id == "f" && syncOne.status().isRunning, "sync goes on by itself")
    syncOne.stop()
    syncTwo.stop()
    syncOne.cancel()
    one.update("List", "l", """{"resourceType":"List","id":"l","status":"current","mode":"working"}""")
    check(syncOne.round().kept == 1L, "of no scope")
    println("wipe")
    check(readln() == "ordered", "whoever runs this has ordered it")
    refused(423, Actor.OPERATOR) { syncTwo.round() }
    check(storeTwo.state() == StoreState.ERASED, "wiped")
}

suspend fun plain(folder: File, address: String, authorities: String, token: String) {
    val store = Store.create(options(folder, "plain", KeychainChoice.Memory))
    val sync = store.sync("dr.jones")
    val server = FhirServer(address, authorities, listOf("Patient"))
    refused(117, Actor.CALLER) { sync.enrolFhir(server.copy(searches = listOf("Patient?_sort=name"))) }
    refused(459, Actor.OPERATOR) { sync.enrolFhir(server.copy(address = "http://127.0.0.1/fhir")) }
    sync.enrolFhir(server)
    check(sync.status().fhirServer == address, "attached")
    val session = store.session("dr.jones")
    session.update("Patient", "plain", patient("plain", true))
    check(sync.round().problem == 425, "there is no token")
    val tokens = Tokens("keepwell_old", token)
    sync.setTokenProvider(tokens)
    check(sync.round().let { it.sent == 1L && it.problem == null }, "sent with a token")
    check(tokens.asked == listOf(false, true), "asked when there was none, and when one was refused")
    session.update("Patient", "plain", patient("plain", false))
    sync.setTokenProvider(Tokens())
    check(sync.round().problem == 448, "a provider that throws")
    sync.setTokenProvider(null)
    sync.enrolFhir(server.copy(token = token, writes = FhirWrites.CONSENTED))
    check(sync.round().problem == null && sync.status().pending == 0L, "a token that is kept")
    store.vault().erase()
}

suspend fun errors(log: Log) {
    val codes = errorCodes()
    for (row in codes) {
        val actor = when (row.code / 100) {
            1, 3 -> Actor.CALLER
            2 -> Actor.PERSON
            4, 5 -> Actor.OPERATOR
            else -> Actor.KEEPWELL
        }
        refused(row.code, actor) { rehearseError(row.code) }
        check(log.lines.last().second == row.code, "the logger is told")
    }
    println("${codes.size} codes were thrown as exceptions")
}

fun main(arguments: Array<String>): Unit = runBlocking {
    val folder = File(arguments[0])
    val log = Log()
    setLogger(log)
    errors(log)
    val store = keys(folder)
    records(folder, store)
    store.vault().erase()
    mistakes(folder)
    plain(folder, arguments[3], arguments[4], arguments[5])
    sync(folder, listOf(arguments[1], arguments[2]), arguments[6])
    setLogger(null)
    println("the journey held in Kotlin with ${version()}")
    exitProcess(0)
}

// What calls cost, in microseconds, as lines "NAME MICROSECONDS". Argument: an empty folder.

import keepwell.*
import kotlinx.coroutines.runBlocking

fun patient2k(id: Int) =
    """{"resourceType":"Patient","id":"p$id","name":[{"family":"Example","text":"${"x".repeat(1_900)}"}]}"""

fun median(name: String, rounds: Int, call: (Int) -> Unit) {
    repeat(rounds * 2) { call(it) }
    val times = LongArray(rounds) { val begun = System.nanoTime(); call(it); System.nanoTime() - begun }
    println("$name ${times.sorted()[rounds / 2] / 1_000.0}")
}

class CallCost {
    companion object {
        @JvmStatic
        fun main(arguments: Array<String>): Unit = runBlocking {
            val options = StoreOptions("${arguments[0]}/${ProcessHandle.current().pid()}", "bench", "bench", KeychainChoice.Memory)
            val store = Store.create(options)
            val session = store.session("bench")
            repeat(100) { session.update("Patient", "p$it", patient2k(it)) }
            val long = "Patient?_id=" + "y".repeat(64).plus(",").repeat(31) + "z"
            median("read", 5_000) { session.read("Patient", "p${it % 100}") }
            median("hand-over", 5_000) { session.searchBundle(long) }
            median("page", 500) { session.searchBundle("Patient?_count=100") }
            median("records", 500) { check(session.search("Patient?_count=100").entries.size == 100) }
        }
    }
}

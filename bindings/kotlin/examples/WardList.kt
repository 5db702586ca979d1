// A ward list that follows the store: who is in, with the newest heart rate, redrawn whenever something commits. Run
// with an empty folder as its argument, and it plays a morning and stops; with a file of Bundles or NDJSON as well, and it
// shows who is in there.

import keepwell.*
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.onStart
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking

/** One line of the list. */
data class Bed(val name: String, val pulse: String?)

/** What stands in a JSON text after a key. An app has a JSON library; this example brings none. */
fun String.field(key: String): String? =
    Regex("\"$key\"\\s*:\\s*(?:\"([^\"]*)\"|([0-9.]+))").find(this)?.groupValues?.drop(1)?.first { it.isNotEmpty() }

/** The list as it is now: one search for the patients, one each for their pulse. */
suspend fun beds(session: Session): List<Bed> = session.work {
    search("Patient?active:not=false&_sort=family&_count=20").entries.map { patient ->
        val newest = search("Observation?patient=${patient.id}&code=8867-4&_sort=-date&_count=1").entries.firstOrNull()
        Bed(patient.body.field("family") ?: "?", newest?.body?.field("value"))
    }
}

fun draw(beds: List<Bed>) = println(beds.joinToString("\n", "-- ward 3\n") { "${it.name.padEnd(16)} ${it.pulse ?: "-"}" })

/** An import with its progress; what cannot be stored is counted and left out. */
suspend fun import(session: Session, file: String) = session.importing(file, ImportOptions(skipRefused = true)).collect {
    if (it is Step.Done) println("${it.report.created} resources, ${it.report.refused} refused")
}

fun patient(id: String, family: String, active: Boolean = true) =
    """{"resourceType":"Patient","id":"$id","active":$active,"name":[{"family":"$family"}]}"""

fun pulse(patient: String, value: Int, minute: Int) =
    """{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},
    "subject":{"reference":"Patient/$patient"},"effectiveDateTime":"2026-11-22T08:${minute.toString().padStart(2, '0')}:00Z",
    "valueQuantity":{"value":$value}}"""

class WardList {
    companion object {
        @JvmStatic
        fun main(arguments: Array<String>): Unit = runBlocking {
            val keys = KeychainChoice.File("${arguments[0]}/keys")
            val store = Store.create(StoreOptions("${arguments[0]}/records", "ward", "tablet 3", keys))
            store.session("nurse.smith") { session ->
                if (arguments.size > 1) {
                    import(session, arguments[1])
                    draw(beds(session))
                    return@session
                }
                var shown = emptyList<Bed>()
                val screen = launch(Dispatchers.Default) {
                    // Several commits in a row are one redraw.
                    store.commits().map { }.onStart { emit(Unit) }.conflate().collect {
                        shown = beds(session)
                        draw(shown)
                    }
                }
                delay(300)
                session.work { update("Patient", "a", patient("a", "Adams")); update("Patient", "b", patient("b", "Brown")) }
                session.work { create("Observation", pulse("a", 72, 1)); create("Observation", pulse("b", 91, 2)) }
                session.work { create("Observation", pulse("b", 88, 9)); update("Patient", "a", patient("a", "Adams", false)) }
                while (shown != listOf(Bed("Brown", "88"))) delay(50)
                screen.cancel()
                println("${session.matches("Observation?patient=b").toList().size} pulses of Brown are kept")
            }
            store.vault().lock()
        }
    }
}

// Twenty lines: an encrypted store, a patient, a search. Run with an empty folder as its argument.

import keepwell.*
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking

class QuickStart {
    companion object {
        @JvmStatic
        fun main(arguments: Array<String>): Unit = runBlocking {
            // On Android: KeychainChoice.Host(KeystoreKeychain(context)), and storeDirectory(context).
            val keys = KeychainChoice.File("${arguments[0]}/keys")
            val store = Store.create(StoreOptions("${arguments[0]}/records", "ward", "tablet 3", keys), "482916")
            store.session("dr.jones") { session ->
                val saved = session.create("Patient", """{"resourceType":"Patient","name":[{"family":"Example"}]}""")
                println("saved version ${saved.version} of Patient/${saved.id}")
                session.matches("Patient?name=example").toList().forEach { println(it.body) }
            }
            store.vault().lock()
        }
    }
}

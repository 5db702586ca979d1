// The sources for Android against stand-ins for its SDK: what they ask of the platform, and what they make of its answers.
// Argument: an empty folder.

import android.content.Context
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.Keystore
import android.security.keystore.UserNotAuthenticatedException
import androidx.work.CoroutineWorker
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import java.io.File
import java.security.Security
import keepwell.*
import keepwell.android.HasSync
import keepwell.android.KeystoreKeychain
import keepwell.android.SyncWorker
import keepwell.android.storeDirectory
import kotlinx.coroutines.runBlocking

class App(folder: File) : Context(folder), HasSync {
    override var sync: Sync? = null
}

fun answers(fault: KeychainFault, call: () -> Unit) {
    try {
        call()
    } catch (answer: KeychainFault) {
        check(answer::class == fault::class, "$answer instead of $fault")
        return
    }
    throw AssertionError("nothing thrown instead of $fault")
}

fun keychain(app: App) {
    val keychain = KeystoreKeychain(app, "ward", unlockedDevice = true)
    check(keychain.get("a") == null && keychain.names().isEmpty(), "nothing is there yet")
    keychain.set("a", byteArrayOf(1, 2, 3))
    keychain.set("b", ByteArray(256))
    check(keychain.get("a")!!.contentEquals(byteArrayOf(1, 2, 3)) && keychain.get("b")!!.size == 256, "secrets come back")
    check(keychain.names().toSet() == setOf("a", "b"), "and are named")
    val (first, second) = Keystore.asked
    check(first.isStrongBox && !second.isStrongBox && Keystore.asked.size == 2, "the StrongBox first, then without, once")
    check(second.bits == 256 && second.isUnlockedDevice && second.alias == "keepwell:ward", "what was asked for")

    val kept = app.getSharedPreferences("keyring-ward", Context.MODE_PRIVATE)
    kept.edit().putString("c", kept.getString("a", null)).commit()
    answers(KeychainFault.Failed()) { keychain.get("c") } // of another name
    Keystore.refusal = { KeyPermanentlyInvalidatedException() }
    answers(KeychainFault.Invalidated()) { keychain.get("a") }
    Keystore.refusal = { UserNotAuthenticatedException() }
    answers(KeychainFault.Locked()) { keychain.get("a") }
    Keystore.refusal = { IllegalStateException() }
    answers(KeychainFault.Failed()) { keychain.set("d", ByteArray(1)) }
    Keystore.refusal = null
    app.isWritable("keyring-ward", false)
    answers(KeychainFault.Failed()) { keychain.set("a", ByteArray(1)) }
    answers(KeychainFault.Failed()) { keychain.remove("a") }
    app.isWritable("keyring-ward", true)
    keychain.remove("b")
    check(keychain.get("b") == null, "removed")
    Keystore.keys.clear()
    answers(KeychainFault.Invalidated()) { keychain.get("c") } // carried to another device
}

object Android {
    @JvmStatic
    fun main(arguments: Array<String>): Unit = runBlocking {
        Security.addProvider(Keystore())
        val app = App(File(arguments[0]))
        keychain(app)
        val choice = KeychainChoice.Host(KeystoreKeychain(app))
        val store = Store.create(StoreOptions(storeDirectory(app), "ward", "tablet 3", choice), "482916")
        check(File(arguments[0], "keepwell").isDirectory, "below noBackupFilesDir")
        store.vault().lock()
        store.vault().unlock("482916")

        SyncWorker.schedule(app)
        SyncWorker.schedule(app)
        check(WorkManager.scheduled.values.single().hours == 1L, "scheduled once")
        val worker = SyncWorker(app, WorkerParameters())
        check(worker.doWork() == CoroutineWorker.Result.SUCCESS, "there is nothing to sync while the store is locked")
        app.sync = store.sync("dr.jones")
        check(worker.doWork() == CoroutineWorker.Result.RETRY, "it is not enrolled: that is the operator's")
        println("the sources for Android do what they say")
    }
}

package keepwell

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ProducerScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.isActive

/** How long a feed is waited for at a time: whoever stops collecting is let go after it, in milliseconds. */
private const val WAIT_MS = 1_000L

/** The pages of a search, one after the other, as they are asked for. */
fun Session.pages(url: String, lenient: Boolean = false): Flow<SearchPage> = flow {
    var next: String? = url
    while (next != null) {
        val page = search(next, lenient)
        emit(page)
        next = page.next
    }
}.flowOn(Dispatchers.IO)

/** Everything that a search matches, page by page. */
fun Session.matches(url: String): Flow<SearchEntry> = flow {
    pages(url).collect { page -> page.entries.filter { it.mode == SearchMode.MATCH }.forEach { emit(it) } }
}

/** What a search finds as it changes; what it finds now comes first, as added. */
fun Session.watch(url: String): Flow<LiveChange> = flow {
    live(url).use { query ->
        while (currentCoroutineContext().isActive) query.next(WAIT_MS).forEach { emit(it) }
    }
}.flowOn(Dispatchers.IO)

/** Everything that commits from now on. It fails with code 117 when it fell too far behind. */
fun Store.commits(): Flow<Change> = flow {
    changes().use { feed ->
        while (currentCoroutineContext().isActive) feed.next(WAIT_MS).forEach { emit(it) }
    }
}.flowOn(Dispatchers.IO)

/** How something long goes on; the last one is done. */
sealed interface Step<out T> {
    /** So much is done, of [totalBytes] where that is known. */
    data class Progress(val done: Long, val bytes: Long, val totalBytes: Long?) : Step<Nothing>

    /** It is over. */
    data class Done<T>(val report: T) : Step<T>
}

/** An import of a file, with its progress. Whoever stops collecting ends the imports of this session. */
fun Session.importing(path: String, options: ImportOptions = ImportOptions()): Flow<Step<ImportReport>> =
    stepping(::cancelImports) { importFile(path, options, it) }

/** A round of sync, with its progress. Whoever stops collecting ends the round. */
fun Sync.rounds(): Flow<Step<SyncReport>> = stepping(::cancel) { round(it) }

private fun <T> stepping(stop: () -> Unit, work: suspend (ProgressListener) -> T): Flow<Step<T>> = channelFlow<Step<T>> {
    try {
        send(Step.Done(work(Telling(this))))
    } catch (stopped: CancellationException) {
        stop()
        throw stopped
    }
}.buffer(Channel.UNLIMITED)

private class Telling<T>(private val to: ProducerScope<Step<T>>) : ProgressListener {
    override fun progress(done: Long, bytes: Long, totalBytes: Long?) {
        to.trySend(Step.Progress(done, bytes, totalBytes))
    }
}

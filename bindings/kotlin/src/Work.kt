package keepwell

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * Reads, writes and searches off the main thread, several in one go:
 * `val body = session.work { update("Patient", id, json); read("Patient", id) }`.
 */
suspend fun <T> Session.work(block: Session.() -> T): T = withContext(Dispatchers.IO) { block() }

/** Begins a session, hands it to [block] off the main thread, and ends it. */
suspend fun <T> Store.session(user: String, block: suspend (Session) -> T): T = withContext(Dispatchers.IO) {
    session(user).use { session ->
        try {
            block(session)
        } finally {
            session.end()
        }
    }
}

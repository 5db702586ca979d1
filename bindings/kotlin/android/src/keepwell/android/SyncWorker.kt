package keepwell.android

import android.content.Context
import androidx.work.Constraints
import androidx.work.CoroutineWorker
import androidx.work.ExistingPeriodicWorkPolicy
import androidx.work.NetworkType
import androidx.work.PeriodicWorkRequestBuilder
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import java.util.concurrent.TimeUnit
import keepwell.Actor
import keepwell.KeepwellException
import keepwell.Sync
import keepwell.actor

/** An app whose store is open: the process has one store, and the worker does not open another. */
interface HasSync {
    /** Sync of the open store; none while it is locked. */
    val sync: Sync?
}

/** One round of sync from time to time, while there is a network. `SyncWorker.schedule(context)` begins it. */
class SyncWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    override suspend fun doWork(): Result {
        val sync = (applicationContext as? HasSync)?.sync ?: return Result.success()
        sync.setPolicy(background = true)
        return try {
            if (sync.round().problem == null) Result.success() else Result.retry()
        } catch (error: KeepwellException) {
            // The network and the server change by themselves; what a person has to do, no retry does.
            if (error.actor == Actor.OPERATOR) Result.retry() else Result.failure()
        }
    }

    companion object {
        fun schedule(context: Context) {
            val request = PeriodicWorkRequestBuilder<SyncWorker>(1, TimeUnit.HOURS)
                .setConstraints(Constraints.Builder().setRequiredNetworkType(NetworkType.CONNECTED).build())
                .build()
            WorkManager.getInstance(context)
                .enqueueUniquePeriodicWork("keepwell-sync", ExistingPeriodicWorkPolicy.KEEP, request)
        }
    }
}

package androidx.work

import android.content.Context
import java.util.concurrent.TimeUnit

class WorkerParameters
enum class NetworkType { CONNECTED }
enum class ExistingPeriodicWorkPolicy { KEEP }
class PeriodicWorkRequest(val worker: Class<*>, val hours: Long, val constraints: Constraints)

class Constraints(val network: NetworkType) {
    class Builder {
        private var network: NetworkType? = null

        fun setRequiredNetworkType(type: NetworkType) = apply { network = type }
        fun build() = Constraints(network!!)
    }
}

abstract class CoroutineWorker(context: Context, parameters: WorkerParameters) {
    val applicationContext: Context = context.applicationContext.also { check(parameters == parameters) }

    abstract suspend fun doWork(): Result

    enum class Result {
        SUCCESS, RETRY, FAILURE;

        companion object {
            fun success() = SUCCESS
            fun retry() = RETRY
            fun failure() = FAILURE
        }
    }
}

class RequestBuilder(private val worker: Class<*>, private val hours: Long) {
    private var constraints: Constraints? = null

    fun setConstraints(wanted: Constraints) = apply { constraints = wanted }
    fun build() = PeriodicWorkRequest(worker, hours, constraints!!)
}

inline fun <reified W : CoroutineWorker> PeriodicWorkRequestBuilder(every: Long, unit: TimeUnit) =
    RequestBuilder(W::class.java, unit.toHours(every))

object WorkManager {
    /** What was scheduled, by its name. */
    val scheduled = mutableMapOf<String, PeriodicWorkRequest>()

    fun getInstance(context: Context) = also { check(context == context) }

    fun enqueueUniquePeriodicWork(name: String, policy: ExistingPeriodicWorkPolicy, request: PeriodicWorkRequest) {
        check(policy == ExistingPeriodicWorkPolicy.KEEP)
        scheduled.putIfAbsent(name, request)
    }
}

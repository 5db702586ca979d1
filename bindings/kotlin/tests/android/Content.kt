// What of Android's SDK the sources in bindings/kotlin/android name, so that they are compiled and run without it: nothing
// here behaves as a device does.
package android.content

import java.io.File

interface SharedPreferences {
    val all: Map<String, *>
    fun getString(key: String, default: String?): String?
    fun edit(): Editor

    interface Editor {
        fun putString(key: String, value: String?): Editor
        fun remove(key: String): Editor
        fun commit(): Boolean
    }
}

open class Context(val noBackupFilesDir: File) {
    open val applicationContext: Context get() = this
    private val preferences = mutableMapOf<String, Preferences>()

    fun getSharedPreferences(name: String, mode: Int): SharedPreferences {
        check(mode == MODE_PRIVATE)
        return preferences.getOrPut(name) { Preferences() }
    }

    /** Whether preferences can be written to disk. */
    fun isWritable(name: String, isIt: Boolean) {
        preferences.getValue(name).isWritable = isIt
    }

    companion object {
        const val MODE_PRIVATE = 0
    }
}

private class Preferences : SharedPreferences, SharedPreferences.Editor {
    override val all = mutableMapOf<String, String?>()
    var isWritable = true

    override fun getString(key: String, default: String?) = all[key] ?: default
    override fun edit() = this
    override fun putString(key: String, value: String?) = apply { all[key] = value }
    override fun remove(key: String) = apply { all.remove(key) }
    override fun commit() = isWritable
}

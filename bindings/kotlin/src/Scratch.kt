package keepwell

/**
 * Bytes between the library's memory and a string. UniFFI's code, as keepwell-bindgen changes it, has one array for each
 * thread: so a long text takes fresh memory once and not twice.
 */
internal object Scratch {
    /** What a thread keeps, in bytes: more than a page of 100 resources. A longer text gets an array of its own. */
    private const val KEPT_MAX = 256 * 1024
    private val kept = ThreadLocal<ByteArray>()

    /** A text of [length] bytes of UTF-8, which [copy] puts in an array. Nothing of it stays there. */
    fun text(length: Int, copy: (ByteArray) -> Unit): String {
        var bytes = kept.get()
        if (bytes == null || bytes.size < length) {
            bytes = ByteArray(length)
            if (length <= KEPT_MAX) kept.set(bytes)
        }
        copy(bytes)
        return String(bytes, 0, length, Charsets.UTF_8).also { bytes.fill(0, 0, length) }
    }
}

package android.os

object Build {
    object VERSION {
        const val SDK_INT = 35
    }

    object VERSION_CODES {
        const val P = 28
    }
}

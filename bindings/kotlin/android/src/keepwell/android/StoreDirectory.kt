package keepwell.android

import android.content.Context
import java.io.File

/** Where a store lives: its own directory below `noBackupFilesDir`, which no backup and no device transfer takes. */
fun storeDirectory(context: Context, name: String = "keepwell"): String =
    File(context.noBackupFilesDir, name).path

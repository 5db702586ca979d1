package keepwell.android

import android.content.Context
import android.content.SharedPreferences
import android.os.Build
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import android.security.keystore.UserNotAuthenticatedException
import android.util.Base64
import java.security.KeyStore
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec
import keepwell.HostKeychain
import keepwell.KeychainFault

/**
 * The Android Keystore as a keychain: each secret is encrypted with an AES-256 key that never leaves the hardware, the
 * StrongBox where there is one, and is kept in preferences of its own, which backups leave out (res/xml). Keystore keys do
 * not migrate: what a backup or a device transfer carried away all the same opens nothing.
 *
 * @param unlockedDevice the key works only while the device is unlocked: sync in the background does not, then.
 */
class KeystoreKeychain(
    context: Context,
    private val service: String = "keepwell",
    private val unlockedDevice: Boolean = false,
) : HostKeychain {
    private val items: SharedPreferences = context.getSharedPreferences("keyring-$service", Context.MODE_PRIVATE)
    private val alias = "keepwell:$service"

    override fun get(name: String): ByteArray? {
        val kept = items.getString(name, null) ?: return null
        val sealed = Base64.decode(kept, Base64.NO_WRAP)
        return guarded {
            val key = key() ?: throw KeychainFault.Invalidated()
            val cipher = Cipher.getInstance(TRANSFORMATION)
            cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, sealed, 0, IV_BYTES))
            cipher.updateAAD(name.toByteArray())
            cipher.doFinal(sealed, IV_BYTES, sealed.size - IV_BYTES)
        }
    }

    override fun set(name: String, secret: ByteArray) = guarded {
        val cipher = Cipher.getInstance(TRANSFORMATION)
        cipher.init(Cipher.ENCRYPT_MODE, key() ?: newKey())
        cipher.updateAAD(name.toByteArray())
        val sealed = cipher.iv + cipher.doFinal(secret)
        // On disk before this returns: the store counts on it.
        if (!items.edit().putString(name, Base64.encodeToString(sealed, Base64.NO_WRAP)).commit()) {
            throw KeychainFault.Failed()
        }
    }

    override fun remove(name: String) {
        if (!items.edit().remove(name).commit()) throw KeychainFault.Failed()
    }

    override fun names(): List<String> = items.all.keys.toList()

    private fun keystore() = KeyStore.getInstance(KEYSTORE).apply { load(null) }

    private fun key(): SecretKey? = keystore().getKey(alias, null) as SecretKey?

    private fun newKey(): SecretKey = try {
        newKey(strongBox = Build.VERSION.SDK_INT >= Build.VERSION_CODES.P)
    } catch (none: StrongBoxUnavailableException) {
        newKey(strongBox = false)
    }

    private fun newKey(strongBox: Boolean): SecretKey {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(alias, purposes)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(256)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
            spec.setIsStrongBoxBacked(strongBox).setUnlockedDeviceRequired(unlockedDevice)
        }
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, KEYSTORE).run {
            init(spec.build())
            generateKey()
        }
    }

    private inline fun <T> guarded(work: () -> T): T = try {
        work()
    } catch (fault: KeychainFault) {
        throw fault
    } catch (gone: KeyPermanentlyInvalidatedException) {
        throw KeychainFault.Invalidated()
    } catch (locked: UserNotAuthenticatedException) {
        throw KeychainFault.Locked()
    } catch (other: Exception) {
        throw KeychainFault.Failed()
    }

    private companion object {
        const val KEYSTORE = "AndroidKeyStore"
        const val TRANSFORMATION = "AES/GCM/NoPadding"
        const val IV_BYTES = 12
        const val TAG_BITS = 128
    }
}

package android.security.keystore

import java.io.InputStream
import java.io.OutputStream
import java.security.InvalidKeyException
import java.security.Key
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.ProviderException
import java.security.SecureRandom
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.crypto.spec.SecretKeySpec

class StrongBoxUnavailableException : ProviderException()
class KeyPermanentlyInvalidatedException : InvalidKeyException()
class UserNotAuthenticatedException : InvalidKeyException()

object KeyProperties {
    const val PURPOSE_ENCRYPT = 1
    const val PURPOSE_DECRYPT = 2
    const val BLOCK_MODE_GCM = "GCM"
    const val ENCRYPTION_PADDING_NONE = "NoPadding"
    const val KEY_ALGORITHM_AES = "AES"
}

class KeyGenParameterSpec(val builder: Builder) : AlgorithmParameterSpec {
    class Builder(val alias: String, val purposes: Int) {
        var modes = ""
        var paddings = ""
        var bits = 0
        var isStrongBox = false
        var isUnlockedDevice = false

        fun setBlockModes(mode: String) = apply { modes = mode }
        fun setEncryptionPaddings(padding: String) = apply { paddings = padding }
        fun setKeySize(size: Int) = apply { bits = size }
        fun setIsStrongBoxBacked(isIt: Boolean) = apply { isStrongBox = isIt }
        fun setUnlockedDeviceRequired(isIt: Boolean) = apply { isUnlockedDevice = isIt }
        fun build() = KeyGenParameterSpec(this)
    }
}

/** The provider "AndroidKeyStore" with keys in memory, for [java.security.Security.addProvider]. */
class Keystore : Provider("AndroidKeyStore", "1", "keys in memory") {
    init {
        put("KeyStore.AndroidKeyStore", Store::class.java.name)
        put("KeyGenerator.AES", Generator::class.java.name)
    }

    companion object {
        val keys = mutableMapOf<String, SecretKey>()

        /** What was asked for, the last one last. */
        val asked = mutableListOf<KeyGenParameterSpec.Builder>()

        /** What a key that is asked for throws. */
        var refusal: (() -> Exception)? = null
    }

    class Store : KeyStoreSpi() {
        override fun engineLoad(stream: InputStream?, password: CharArray?) {}
        override fun engineGetKey(alias: String, password: CharArray?): Key? {
            refusal?.let { throw it() }
            return keys[alias]
        }

        override fun engineAliases(): Enumeration<String> = Collections.enumeration(keys.keys)
        override fun engineContainsAlias(alias: String) = alias in keys
        override fun engineSize() = keys.size
        override fun engineIsKeyEntry(alias: String) = alias in keys
        override fun engineDeleteEntry(alias: String) { keys.remove(alias) }
        override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null
        override fun engineGetCertificate(alias: String): Certificate? = null
        override fun engineGetCreationDate(alias: String): Date? = null
        override fun engineIsCertificateEntry(alias: String) = false
        override fun engineGetCertificateAlias(certificate: Certificate): String? = null
        override fun engineStore(stream: OutputStream?, password: CharArray?) = throw UnsupportedOperationException()
        override fun engineSetKeyEntry(alias: String, key: Key, password: CharArray?, chain: Array<Certificate>?) =
            throw UnsupportedOperationException()
        override fun engineSetKeyEntry(alias: String, key: ByteArray, chain: Array<Certificate>?) =
            throw UnsupportedOperationException()
        override fun engineSetCertificateEntry(alias: String, certificate: Certificate) =
            throw UnsupportedOperationException()
    }

    /** A device without a StrongBox. */
    class Generator : KeyGeneratorSpi() {
        private lateinit var wanted: KeyGenParameterSpec.Builder

        override fun engineInit(spec: AlgorithmParameterSpec, random: SecureRandom?) {
            wanted = (spec as KeyGenParameterSpec).builder
            asked.add(wanted)
        }

        override fun engineGenerateKey(): SecretKey {
            if (wanted.isStrongBox) throw StrongBoxUnavailableException()
            val bytes = ByteArray(wanted.bits / 8).also { SecureRandom().nextBytes(it) }
            return SecretKeySpec(bytes, "AES").also { keys[wanted.alias] = it }
        }

        override fun engineInit(random: SecureRandom?) = throw UnsupportedOperationException()
        override fun engineInit(size: Int, random: SecureRandom?) = throw UnsupportedOperationException()
    }
}

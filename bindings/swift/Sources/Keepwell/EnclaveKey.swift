#if canImport(Security)
    import Foundation
    import KeepwellCore
    import Security

    /// A key in the Secure Enclave, around the secrets of a keychain: what was copied from the keychain opens nothing
    /// without the chip of this device, which never gives the key away.
    struct EnclaveKey {
        let tag: String
        let accessGroup: String?
        let biometry: Bool

        private static let algorithm = SecKeyAlgorithm.eciesEncryptionCofactorVariableIVX963SHA256AESGCM

        /// The secret as only the chip opens it. The key is made if there is none.
        func wrap(_ secret: Data) throws -> Data {
            guard let key = SecKeyCopyPublicKey(try existing() ?? made()) else { throw KeychainFault.Failed }
            var error: Unmanaged<CFError>?
            let wrapped = SecKeyCreateEncryptedData(key, Self.algorithm, secret as CFData, &error)
            guard let wrapped else { throw fault(error) }
            return wrapped as Data
        }

        /// The secret again. Without its key it is gone for good: another face or finger was enrolled, or this is another
        /// device.
        func unwrap(_ wrapped: Data) throws -> Data {
            guard let key = try existing() else { throw KeychainFault.Invalidated }
            var error: Unmanaged<CFError>?
            let secret = SecKeyCreateDecryptedData(key, Self.algorithm, wrapped as CFData, &error)
            guard let secret else { throw fault(error) }
            return secret as Data
        }

        private func existing() throws -> SecKey? {
            var query = attributes
            query[kSecClass] = kSecClassKey
            query[kSecAttrKeyType] = kSecAttrKeyTypeECSECPrimeRandom
            query[kSecAttrTokenID] = kSecAttrTokenIDSecureEnclave
            query[kSecUseDataProtectionKeychain] = true
            query[kSecReturnRef] = true
            var found: CFTypeRef?
            switch SecItemCopyMatching(query as CFDictionary, &found) {
            case errSecSuccess: return (found as! SecKey)
            case errSecItemNotFound: return nil
            case let status: throw keychainFault(status)
            }
        }

        private func made() throws -> SecKey {
            var error: Unmanaged<CFError>?
            let accessible =
                biometry
                ? kSecAttrAccessibleWhenPasscodeSetThisDeviceOnly : kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            let flags: SecAccessControlCreateFlags = biometry ? [.privateKeyUsage, .biometryCurrentSet] : .privateKeyUsage
            guard let access = SecAccessControlCreateWithFlags(nil, accessible, flags, &error) else { throw fault(error) }
            var permanent = attributes
            permanent[kSecAttrIsPermanent] = true
            permanent[kSecAttrAccessControl] = access
            let wanted: [CFString: Any] = [
                kSecAttrKeyType: kSecAttrKeyTypeECSECPrimeRandom, kSecAttrKeySizeInBits: 256,
                kSecAttrTokenID: kSecAttrTokenIDSecureEnclave, kSecUseDataProtectionKeychain: true,
                kSecPrivateKeyAttrs: permanent,
            ]
            guard let key = SecKeyCreateRandomKey(wanted as CFDictionary, &error) else { throw fault(error) }
            return key
        }

        private var attributes: [CFString: Any] {
            var attributes: [CFString: Any] = [kSecAttrApplicationTag: Data(tag.utf8)]
            if let accessGroup { attributes[kSecAttrAccessGroup] = accessGroup }
            return attributes
        }

        private func fault(_ error: Unmanaged<CFError>?) -> KeychainFault {
            guard let error = error?.takeRetainedValue() else { return .Failed }
            // A prompt that was refused has a code of LocalAuthentication.
            if biometry && CFErrorGetDomain(error) as String == "com.apple.LocalAuthentication" { return .Locked }
            return keychainFault(OSStatus(truncatingIfNeeded: CFErrorGetCode(error)))
        }
    }
#endif

#if canImport(Security)
    import Foundation
    import KeepwellCore
    import Security

    /// The keychain of iOS and macOS: generic passwords that never leave this device.
    ///
    /// Items are `AfterFirstUnlockThisDeviceOnly`, so that a sync in the background can open the store. With `biometry` they
    /// are `WhenPasscodeSetThisDeviceOnly` and bound to the faces and fingers of now: enrolling another one destroys the key
    /// (212), and the recovery passphrase or the server brings the data back. With `enclave` secrets are encrypted by a key
    /// of the Secure Enclave before they become items; `biometry` binds that key then. Items that were set before are read
    /// as they are.
    public final class AppleKeychain: HostKeychain, @unchecked Sendable {
        private let service: String
        private let accessGroup: String?
        private let biometry: Bool
        private let enclave: Bool
        private let key: EnclaveKey
        /// What marks an item that the key was put around.
        private static let wrapped = Data("keepwell-enclave".utf8)

        public init(service: String, accessGroup: String? = nil, biometry: Bool = false, enclave: Bool = false) {
            self.service = service
            self.accessGroup = accessGroup
            self.biometry = biometry
            self.enclave = enclave
            key = EnclaveKey(tag: service + ".enclave", accessGroup: accessGroup, biometry: biometry)
        }

        public func get(name: String) throws -> Data? {
            var query = item(name)
            query[kSecReturnData] = true
            query[kSecReturnAttributes] = true
            query[kSecMatchLimit] = kSecMatchLimitOne
            var found: CFTypeRef?
            switch SecItemCopyMatching(query as CFDictionary, &found) {
            case errSecSuccess:
                guard let item = found as? [CFString: Any], let secret = item[kSecValueData] as? Data else {
                    throw KeychainFault.Failed
                }
                return try item[kSecAttrGeneric] as? Data == Self.wrapped ? key.unwrap(secret) : secret
            // Before the first unlock after a start an item that exists may seem not to.
            case errSecItemNotFound: return try isReadable() ? nil : { throw KeychainFault.Locked }()
            case let status: throw keychainFault(status)
            }
        }

        public func set(name: String, secret: Data) throws {
            var attributes = item(name)
            if enclave {
                attributes[kSecValueData] = try key.wrap(secret)
                attributes[kSecAttrGeneric] = Self.wrapped
            } else {
                attributes[kSecValueData] = secret
            }
            try remove(name: name)
            if biometry && !enclave {
                var error: Unmanaged<CFError>?
                let access = SecAccessControlCreateWithFlags(
                    nil, kSecAttrAccessibleWhenPasscodeSetThisDeviceOnly, .biometryCurrentSet, &error)
                guard let access else { throw KeychainFault.Unavailable }
                attributes[kSecAttrAccessControl] = access
            } else {
                attributes[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            }
            let status = SecItemAdd(attributes as CFDictionary, nil)
            if status != errSecSuccess { throw keychainFault(status) }
        }

        public func remove(name: String) throws {
            let status = SecItemDelete(item(name) as CFDictionary)
            if status != errSecSuccess && status != errSecItemNotFound { throw keychainFault(status) }
        }

        public func names() throws -> [String] {
            var query = item(nil)
            query[kSecReturnAttributes] = true
            query[kSecMatchLimit] = kSecMatchLimitAll
            var found: CFTypeRef?
            switch SecItemCopyMatching(query as CFDictionary, &found) {
            case errSecSuccess: return (found as? [[CFString: Any]] ?? []).compactMap { $0[kSecAttrAccount] as? String }
            case errSecItemNotFound: return []
            case let status: throw keychainFault(status)
            }
        }

        private func item(_ name: String?) -> [CFString: Any] {
            var item: [CFString: Any] = [
                kSecClass: kSecClassGenericPassword, kSecAttrService: service, kSecUseDataProtectionKeychain: true,
                kSecAttrSynchronizable: false,
            ]
            if let name { item[kSecAttrAccount] = name }
            if let accessGroup { item[kSecAttrAccessGroup] = accessGroup }
            return item
        }

        /// Whether protected items can be read: an item of our own tells.
        private func isReadable() throws -> Bool {
            var probe = item("keepwell-probe")
            probe[kSecAttrService] = service + ".probe"
            probe[kSecValueData] = Data([1])
            probe[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            let status = SecItemAdd(probe as CFDictionary, nil)
            return status == errSecSuccess || status == errSecDuplicateItem
        }
    }

    /// Why a keychain refuses, in the library's words.
    func keychainFault(_ status: OSStatus) -> KeychainFault {
        switch status {
        case errSecInteractionNotAllowed, errSecAuthFailed, errSecUserCanceled: .Locked
        case errSecNotAvailable, errSecMissingEntitlement: .Unavailable
        default: .Failed
        }
    }
#endif

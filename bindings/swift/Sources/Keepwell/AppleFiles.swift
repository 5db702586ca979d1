#if canImport(Darwin)
    import Foundation
    import KeepwellCore

    /// A directory of its own for a store: protected until the first unlock after a start, and left out of backups.
    public enum StoreDirectory {
        /// Why a directory cannot be used.
        public enum Fault: Error {
            /// The mark for backups could not be read back.
            case notExcludedFromBackup
            /// The class of protection could not be read back.
            case notProtected
        }

        /// Makes `Application Support/NAME` of this app, marks it, and reads the marks back. Call it at every start: a restore
        /// or an update may have taken them away.
        public static func prepared(_ name: String) throws -> String {
            let support = try FileManager.default.url(
                for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
            var folder = support.appendingPathComponent(name, isDirectory: true)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            var marks = URLResourceValues()
            marks.isExcludedFromBackup = true
            try folder.setResourceValues(marks)
            folder.removeAllCachedResourceValues()
            guard try folder.resourceValues(forKeys: [.isExcludedFromBackupKey]).isExcludedFromBackup == true else {
                throw Fault.notExcludedFromBackup
            }
            #if os(iOS)
                // The files that SQLite makes beside the database inherit it.
                let wanted = FileProtectionType.completeUntilFirstUserAuthentication
                try FileManager.default.setAttributes([.protectionKey: wanted], ofItemAtPath: folder.path)
                let set = try FileManager.default.attributesOfItem(atPath: folder.path)[.protectionKey]
                guard set as? FileProtectionType == wanted else { throw Fault.notProtected }
            #endif
            return folder.path
        }
    }
#endif

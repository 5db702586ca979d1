#if canImport(Darwin)
    import Foundation
    import KeepwellCore

    /// Sets `isExcludedFromBackup`, and reads it back: for `StoreOptions.backupGuard`, so that it is set at every open.
    public final class AppleBackupGuard: BackupGuard, @unchecked Sendable {
        public init() {}

        public func exclude(directory: String) throws {
            var folder = URL(fileURLWithPath: directory, isDirectory: true)
            var marks = URLResourceValues()
            marks.isExcludedFromBackup = true
            try folder.setResourceValues(marks)
        }

        public func isExcluded(directory: String) throws -> Bool {
            let folder = URL(fileURLWithPath: directory, isDirectory: true)
            return try folder.resourceValues(forKeys: [.isExcludedFromBackupKey]).isExcludedFromBackup == true
        }
    }

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
            let folder = support.appendingPathComponent(name, isDirectory: true)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let guarded = AppleBackupGuard()
            try guarded.exclude(directory: folder.path)
            guard try guarded.isExcluded(directory: folder.path) else { throw Fault.notExcludedFromBackup }
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

import Dispatch
import KeepwellCore

/// Calls that wait for the disk run here and not on Swift's few cooperative threads.
private let disk = DispatchQueue(label: "keepwell", qos: .userInitiated, attributes: .concurrent)

extension Session {
    /// Reads, writes and searches off the caller's thread, several in one go:
    /// `let body = try await session.work { try $0.update(...); return try $0.read(...) }`.
    public func work<T>(_ block: @escaping (Session) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            disk.async { continuation.resume(with: Result { try block(self) }) }
        }
    }
}

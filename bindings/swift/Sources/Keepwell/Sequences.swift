import KeepwellCore

/// How long a feed is waited for at a time, in milliseconds: whoever stops iterating is let go after it.
private let waitMs: Int64 = 1_000

/// Everything that a search matches, page by page as it is asked for.
public struct Matches: AsyncSequence {
    public typealias Element = SearchEntry
    let session: Session
    let url: String

    public struct AsyncIterator: AsyncIteratorProtocol {
        let session: Session
        var next: String?
        var entries: [SearchEntry] = []

        public mutating func next() async throws -> SearchEntry? {
            while entries.isEmpty {
                guard let url = next else { return nil }
                let page = try await session.work { try $0.search(url: url) }
                entries = page.entries.filter { $0.mode == .match }.reversed()
                next = page.next
            }
            return entries.popLast()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(session: session, next: url) }
}

/// What comes in groups from time to time, one by one, until whoever iterates stops.
public struct Feed<Element>: AsyncSequence {
    let open: () throws -> () async throws -> [Element]

    public struct AsyncIterator: AsyncIteratorProtocol {
        let open: () throws -> () async throws -> [Element]
        var more: (() async throws -> [Element])?
        var waiting: [Element] = []

        public mutating func next() async throws -> Element? {
            if more == nil { more = try open() }
            while waiting.isEmpty {
                if Task.isCancelled { return nil }
                waiting = try await more!().reversed()
            }
            return waiting.popLast()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(open: open) }
}

/// How something long goes on; the last one is done.
public enum Step<Report> {
    /// So much is done, of `totalBytes` where that is known.
    case progress(done: Int64, bytes: Int64, totalBytes: Int64?)
    /// It is over.
    case done(Report)
}

extension Session {
    /// Everything that a search matches, page by page as it is asked for.
    public func matches(_ url: String) -> Matches { Matches(session: self, url: url) }

    /// What a search finds as it changes; what it finds now comes first, as added.
    public func watch(_ url: String) -> Feed<LiveChange> {
        Feed {
            let query = try self.live(url: url)
            return { try await query.next(timeoutMs: waitMs) }
        }
    }

    /// An import of a file, with its progress. Whoever stops iterating ends the imports of this session.
    public func importing(_ path: String, options: ImportOptions = ImportOptions()) -> AsyncThrowingStream<Step<ImportReport>, Error> {
        steps(onStop: { self.cancelImports() }) {
            try await self.importFile(path: path, options: options, progress: $0)
        }
    }
}

extension Store {
    /// Everything that commits from now on. It fails with code 117 when it fell too far behind.
    public func commits() -> Feed<Change> {
        let feed = changes()
        return Feed { { try await feed.next(timeoutMs: waitMs) } }
    }
}

extension Sync {
    /// A round of sync, with its progress. Whoever stops iterating ends the round.
    public func rounds() -> AsyncThrowingStream<Step<SyncReport>, Error> {
        steps(onStop: { self.cancel() }) { try await self.round(progress: $0) }
    }
}

private func steps<Report>(
    onStop: @escaping () -> Void,
    _ work: @escaping (ProgressListener) async throws -> Report
) -> AsyncThrowingStream<Step<Report>, Error> {
    AsyncThrowingStream { continuation in
        continuation.onTermination = { if case .cancelled = $0 { onStop() } }
        Task {
            do {
                continuation.yield(.done(try await work(Telling { continuation.yield($0) })))
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }
}

private final class Telling<Report>: ProgressListener, @unchecked Sendable {
    private let tell: (Step<Report>) -> Void

    init(_ tell: @escaping (Step<Report>) -> Void) { self.tell = tell }

    func progress(done: Int64, bytes: Int64, totalBytes: Int64?) throws {
        tell(.progress(done: done, bytes: bytes, totalBytes: totalBytes))
    }
}

#if canImport(UIKit) && !os(watchOS)
    import KeepwellCore
    import UIKit

    /// Puts a store aside while its app is in the background, so that iOS does not end the app for holding a lock on a file
    /// (0xdead10cc), and resumes it when the app comes back. Keep it as long as the store.
    @MainActor
    public final class BackgroundSuspension {
        private let vault: Vault
        private var observers: [NSObjectProtocol] = []

        /// `failed` hears of a resume that needs the person: the idle time is over, or a passcode is set.
        public init(_ store: Store, failed: @escaping @Sendable (Error) -> Void) {
            vault = store.vault()
            let center = NotificationCenter.default
            observers = [
                center.addObserver(forName: UIApplication.didEnterBackgroundNotification, object: nil, queue: .main) {
                    [vault] _ in
                    // The task keeps the app alive until the last file is closed.
                    let task = UIApplication.shared.beginBackgroundTask()
                    Task { @MainActor in
                        try? await vault.suspend()
                        UIApplication.shared.endBackgroundTask(task)
                    }
                },
                center.addObserver(forName: UIApplication.willEnterForegroundNotification, object: nil, queue: .main) {
                    [vault] _ in
                    Task { do { try await vault.resume() } catch { failed(error) } }
                },
            ]
        }

        deinit { observers.forEach(NotificationCenter.default.removeObserver) }
    }
#endif

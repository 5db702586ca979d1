// The C++ face of keepwell.h: handles that free themselves, and exceptions instead of codes. C++17, header only.
#ifndef KEEPWELL_HPP
#define KEEPWELL_HPP

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "keepwell.h"

namespace keepwell {

/// What went wrong: a code of docs/error-codes.md, a text without patient data, and who can act.
class Error : public std::runtime_error {
public:
    /// Takes the error over.
    explicit Error(KeepwellError error)
        : std::runtime_error(text(keepwell_error_reason(error))),
          code_(keepwell_error_code(error)),
          actor_(keepwell_error_actor(error)),
          outcome_(text(keepwell_error_operation_outcome(error))) {
        keepwell_error_free(&error);
    }

    /// The stable code.
    int code() const noexcept { return code_; }
    /// Who can act.
    KeepwellActor actor() const noexcept { return actor_; }
    /// The error as a FHIR OperationOutcome in JSON; empty where it is no matter of FHIR.
    const std::string &operation_outcome() const noexcept { return outcome_; }

private:
    static std::string text(const char *words) { return words == nullptr ? std::string() : std::string(words); }

    int code_;
    KeepwellActor actor_;
    std::string outcome_;
};

namespace detail {

inline KeepwellText text(std::string_view words) { return KeepwellText{words.data(), words.size()}; }

template <typename Call>
void run(Call call) {
    KeepwellError error{0};
    if (call(&error) != 0) {
        throw Error(error);
    }
}

template <typename Call>
std::string fetch(Call call) {
    KeepwellBuffer buffer{nullptr, 0};
    run([&](KeepwellError *error) { return call(&buffer, error); });
    std::string taken = buffer.data == nullptr ? std::string() : std::string(buffer.data, buffer.length);
    keepwell_buffer_free(&buffer);
    return taken;
}

/// A handle that is freed once.
template <typename Handle, int32_t (*Free)(Handle)>
class Owned {
public:
    explicit Owned(Handle handle) noexcept : handle_(handle) {}
    Owned(Owned &&other) noexcept : handle_(std::exchange(other.handle_, Handle{0})) {}
    Owned &operator=(Owned &&other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;
    ~Owned() { Free(handle_); }

    Handle get() const noexcept { return handle_; }
    Handle release() noexcept { return std::exchange(handle_, Handle{0}); }

private:
    Handle handle_;
};

}  // namespace detail

/// What follows a store or a search.
class Feed {
public:
    explicit Feed(KeepwellFeed feed) noexcept : feed_(feed) {}

    /// What is next, as a JSON array; "[]" when the time passed.
    std::string next(std::chrono::milliseconds timeout) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_feed_next(feed_.get(), static_cast<uint64_t>(timeout.count()), out, error);
        });
    }

private:
    detail::Owned<KeepwellFeed, keepwell_feed_free> feed_;
};

/// A person at work.
class Session {
public:
    explicit Session(KeepwellSession session) noexcept : session_(session) {}

    /// create: the store chooses the id.
    KeepwellWritten create(std::string_view type, std::string_view body, std::string_view condition = {}) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_create(session_.get(), detail::text(type), detail::text(body), detail::text(condition),
                                   written, error);
        });
    }

    /// update, if `version` is the current one.
    KeepwellWritten update(std::string_view type, std::string_view id, std::string_view body,
                           uint64_t version = KEEPWELL_ANY_VERSION) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_update(session_.get(), detail::text(type), detail::text(id), detail::text(body), version,
                                   written, error);
        });
    }

    /// delete, if `version` is the current one.
    KeepwellWritten remove(std::string_view type, std::string_view id,
                           uint64_t version = KEEPWELL_ANY_VERSION) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_delete(session_.get(), detail::text(type), detail::text(id), version, written, error);
        });
    }

    /// read, or vread of one version.
    std::string read(std::string_view type, std::string_view id, uint64_t version = 0) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_read(session_.get(), detail::text(type), detail::text(id), version, out, error);
        });
    }

    /// One page of a search, as a Bundle.
    std::string search(std::string_view url, bool lenient = false) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_search(session_.get(), detail::text(url), lenient, out, error);
        });
    }

    /// A transaction or batch.
    std::string bundle(std::string_view body) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_bundle(session_.get(), detail::text(body), out, error);
        });
    }

    /// Imports a file; the report is a JSON object.
    std::string import_file(std::string_view path, uint32_t flags = 0) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_import_file(session_.get(), detail::text(path), flags, nullptr, nullptr, out, error);
        });
    }

    /// Follows a search.
    Feed observe(std::string_view url) const {
        KeepwellFeed feed{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_observe_search(session_.get(), detail::text(url), &feed, error);
        });
        return Feed(feed);
    }

    /// For calls of keepwell.h that have no method here.
    KeepwellSession handle() const noexcept { return session_.get(); }

private:
    template <typename Call>
    static KeepwellWritten write(Call call) {
        KeepwellWritten written{};
        detail::run([&](KeepwellError *error) { return call(&written, error); });
        return written;
    }

    detail::Owned<KeepwellSession, keepwell_session_free> session_;
};

/// Sync of one store.
class Sync {
public:
    /// Gives a bearer token; `refused`: the server has just refused the last one.
    using TokenProvider = std::function<std::string(bool refused)>;

    explicit Sync(KeepwellSync sync) noexcept : sync_(sync) {}
    Sync(Sync &&) noexcept = default;
    Sync &operator=(Sync &&other) noexcept {
        providers_.swap(other.providers_);
        sync_ = std::move(other.sync_);
        return *this;
    }

    /// Uses an invitation of the server's operator: from now on what is saved is sent.
    void enrol(std::string_view invitation, std::string_view name) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_enrol(sync_.get(), detail::text(invitation), detail::text(name), error);
        });
    }

    /// Takes newer pins of the server from a document that its operator has signed; whether they were not known before.
    bool install_pins(std::string_view document) const {
        bool is_new = false;
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_install_pins(sync_.get(), detail::text(document), &is_new, error);
        });
        return is_new;
    }

    /// Syncs with a plain FHIR server from now on.
    void enrol_fhir(const KeepwellFhirServer &server) const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_enrol_fhir(sync_.get(), &server, error); });
    }

    /// Asks `provider` for the tokens of a plain FHIR server from now on, by the rules of `KeepwellTokenProvider`; an
    /// empty one: nobody. What it throws is as if there were no token.
    void set_token_provider(TokenProvider provider) {
        // Another thread may be asking those before: they stay.
        providers_.push_back(std::make_unique<TokenProvider>(std::move(provider)));
        TokenProvider *asked = providers_.back().get();
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_set_token_provider(sync_.get(), *asked ? give_token : nullptr, asked, error);
        });
    }

    /// Sends what waits and fetches what is new; the report is a JSON object.
    std::string run() const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_sync_run(sync_.get(), nullptr, nullptr, out, error);
        });
    }

    /// Ends the round that another thread is in.
    void cancel() const { keepwell_sync_cancel(sync_.get()); }

    /// Syncs on a thread of its own from now on.
    void start() const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_start(sync_.get(), error); });
    }

    /// Ends what `start` began; throws what had ended it before.
    void stop() const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_stop(sync_.get(), error); });
    }

    /// How it stands, as a JSON object.
    std::string status() const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_sync_status(sync_.get(), out, error);
        });
    }

    /// The edits that lost and that a person has to look at, as a JSON array.
    std::string conflicts() const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_sync_conflicts(sync_.get(), out, error);
        });
    }

    /// Does what a person decided; `version` is that of the conflict as it was shown, 0 for null.
    void resolve(std::string_view conflict, uint64_t version, KeepwellResolution resolution,
                 std::string_view content = {}) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_resolve(sync_.get(), detail::text(conflict), version, resolution,
                                         detail::text(content), error);
        });
    }

    /// For calls of keepwell.h that have no method here.
    KeepwellSync handle() const noexcept { return sync_.get(); }

private:
    static int32_t give_token(void *context, bool refused, void (*give)(void *to, const char *token, size_t length),
                              void *to) noexcept {
        try {
            const std::string token = (*static_cast<TokenProvider *>(context))(refused);
            give(to, token.data(), token.size());
            return 0;
        } catch (...) {
            return 1;
        }
    }

    // They outlive the handle.
    std::vector<std::unique_ptr<TokenProvider>> providers_;
    detail::Owned<KeepwellSync, keepwell_sync_free> sync_;
};

/// A store on this device.
class Store {
public:
    /// Makes a new store and leaves it unlocked.
    static Store create(const KeepwellStoreOptions &options, std::string_view passcode = {}) {
        KeepwellStore store{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_store_create(&options, detail::text(passcode), &store, error);
        });
        return Store(store);
    }

    /// Takes hold of a store; it stays locked.
    static Store open(const KeepwellStoreOptions &options) {
        KeepwellStore store{0};
        detail::run([&](KeepwellError *error) { return keepwell_store_open(&options, &store, error); });
        return Store(store);
    }

    /// Opens a store whose keychain item or passcode is lost, and leaves it unlocked.
    static Store recover(const KeepwellStoreOptions &options, std::string_view passphrase,
                         std::string_view new_passcode = {}) {
        KeepwellStore store{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_store_recover(&options, detail::text(passphrase), detail::text(new_passcode), &store,
                                          error);
        });
        return Store(store);
    }

    /// Makes a store from an archive in a file, and leaves it unlocked.
    static Store restore(const KeepwellStoreOptions &options, std::string_view archive, std::string_view passphrase,
                         std::string_view new_passcode = {}) {
        KeepwellStore store{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_store_restore(&options, detail::text(archive), detail::text(passphrase),
                                          detail::text(new_passcode), &store, error);
        });
        return Store(store);
    }

    void unlock(std::string_view passcode = {}, bool adopt = false) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_store_unlock(store_.get(), detail::text(passcode), adopt, error);
        });
    }

    void lock() const {
        detail::run([&](KeepwellError *error) { return keepwell_store_lock(store_.get(), error); });
    }

    /// Destroys keys and files.
    void erase() {
        detail::run([&](KeepwellError *error) { return keepwell_store_erase(store_.get(), error); });
        store_.release();
    }

    /// Begins a session.
    Session session(std::string_view user, std::string_view app, std::string_view device) const {
        KeepwellSession session{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_session_begin(store_.get(), detail::text(user), detail::text(app), detail::text(device),
                                          &session, error);
        });
        return Session(session);
    }

    /// Takes hold of the sync of this store.
    Sync sync(std::string_view user, std::string_view app, std::string_view device) const {
        KeepwellSync sync{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_open(store_.get(), detail::text(user), detail::text(app), detail::text(device), &sync,
                                      error);
        });
        return Sync(sync);
    }

    /// For calls of keepwell.h that have no method here.
    KeepwellStore handle() const noexcept { return store_.get(); }

private:
    explicit Store(KeepwellStore store) noexcept : store_(store) {}

    detail::Owned<KeepwellStore, keepwell_store_free> store_;
};

/// Options for an app on a device, with the keychain of the platform. The texts must outlive the options.
inline KeepwellStoreOptions options(std::string_view path, std::string_view app, std::string_view device) {
    return keepwell_store_options(detail::text(path), detail::text(app), detail::text(device));
}

}  // namespace keepwell

#endif

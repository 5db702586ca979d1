// The C++ face of keepwell.h: handles that free themselves, and exceptions instead of codes. C++17, header only.
//
// It has everything that keepwell.h has. Lists and reports are JSON, as there. What a callback throws while a call waits
// for it ends the call, and goes on out of it; what one throws that the library calls by itself is an answer: a keychain
// that failed, a guard that did not set its mark, no token. No callback may call the library.
#ifndef KEEPWELL_HPP
#define KEEPWELL_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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
          retry_after_(keepwell_error_retry_after_ms(error)),
          attempts_left_(keepwell_error_attempts_left(error)),
          outcome_(text(keepwell_error_operation_outcome(error))) {
        keepwell_error_free(&error);
    }

    /// The stable code.
    int code() const noexcept { return code_; }
    /// Who can act.
    KeepwellActor actor() const noexcept { return actor_; }
    /// How long further passcodes are refused; negative where the error says nothing of it.
    std::chrono::milliseconds retry_after() const noexcept { return retry_after_; }
    /// Wrong passcodes that are left until the store erases itself; negative where the error says nothing of it.
    int64_t attempts_left() const noexcept { return attempts_left_; }
    /// The error as a FHIR OperationOutcome in JSON; empty where it is no matter of FHIR.
    const std::string &operation_outcome() const noexcept { return outcome_; }

private:
    static std::string text(const char *words) { return words == nullptr ? std::string() : std::string(words); }

    int code_;
    KeepwellActor actor_;
    std::chrono::milliseconds retry_after_;
    int64_t attempts_left_;
    std::string outcome_;
};

/// Told how far a call has come: resources that are dealt with. To end the call, it throws.
using Progress = std::function<void(uint64_t resources)>;
/// Takes content in pieces. To end the call, it throws.
using Writer = std::function<void(std::string_view piece)>;
/// Gives a bearer token; `refused`: the server has just refused the last one.
using TokenProvider = std::function<std::string(bool refused)>;
/// Takes a line for each call that failed, by the rules of `KeepwellLogger`.
using Logger = std::function<void(int code, KeepwellActor actor, std::string_view line)>;

/// Takes what a feed tells: a JSON array with code 0, or the code of what ended it; gives whether it wants to hear more. It
/// may call the library, but must not let go of its feed.
using Listener = std::function<bool(int code, std::string_view events)>;

/// What becomes of a conflict.
struct Decision {
    KeepwellResolution resolution;
    /// For `KEEPWELL_RESOLUTION_EDITED`: the resource that takes its place.
    std::string content = {};
};

/// Decides about a conflict, an object of what `Sync::conflicts` gives. To decide about no more of them, it throws.
using Resolver = std::function<Decision(std::string_view conflict)>;

/// A page of what is paged, in JSON.
struct Page {
    std::string json;
    /// What asks for the page after; 0 after the last.
    int64_t next;
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

/// Bytes of the library until they are copied.
class Buffer {
public:
    Buffer() noexcept = default;
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() { keepwell_buffer_free(&buffer_); }

    KeepwellBuffer *out() noexcept { return &buffer_; }
    std::string copy() const {
        return buffer_.data == nullptr ? std::string() : std::string(buffer_.data, buffer_.length);
    }

private:
    KeepwellBuffer buffer_{nullptr, 0};
};

template <typename Call>
std::string fetch(Call call) {
    Buffer buffer;
    run([&](KeepwellError *error) { return call(buffer.out(), error); });
    return buffer.copy();
}

template <typename Call>
Page page(Call call) {
    Page page{{}, 0};
    page.json = fetch([&](KeepwellBuffer *out, KeepwellError *error) { return call(out, &page.next, error); });
    return page;
}

/// A callback of one call, and what it threw.
template <typename Function>
struct Asked {
    const Function &function;
    std::exception_ptr thrown = nullptr;

    /// Runs with the callback what may throw; whether it went well, now and before.
    template <typename Call>
    bool answer(Call call) noexcept {
        if (thrown != nullptr) {
            return false;
        }
        try {
            call(function);
            return true;
        } catch (...) {
            thrown = std::current_exception();
            return false;
        }
    }
};

/// Makes a call that waits for a callback.
template <typename Function, typename Call>
void run_asking(const Function &function, Call call) {
    Asked<Function> asked{function};
    KeepwellError error{0};
    const int32_t code = call(&asked, &error);
    if (asked.thrown != nullptr) {
        keepwell_error_free(&error);
        std::rethrow_exception(asked.thrown);
    }
    if (code != 0) {
        throw Error(error);
    }
}

inline int32_t tell_progress(void *asked, uint64_t resources) noexcept {
    return static_cast<Asked<Progress> *>(asked)->answer([&](const Progress &progress) { progress(resources); }) ? 0 : 1;
}

inline int32_t take_piece(void *asked, const char *data, size_t length) noexcept {
    const std::string_view piece(data, length);
    return static_cast<Asked<Writer> *>(asked)->answer([&](const Writer &writer) { writer(piece); }) ? 0 : 1;
}

inline int32_t decide(void *asked, const char *conflict, size_t length,
                      void (*give)(void *to, const char *content, size_t length), void *to) noexcept {
    int32_t resolution = KEEPWELL_RESOLUTION_LATER;
    static_cast<Asked<Resolver> *>(asked)->answer([&](const Resolver &resolver) {
        const Decision decision = resolver(std::string_view(conflict, length));
        if (decision.resolution == KEEPWELL_RESOLUTION_EDITED) {
            give(to, decision.content.data(), decision.content.size());
        }
        resolution = decision.resolution;
    });
    return resolution;
}

/// A call with an optional progress that gives a report.
template <typename Call>
std::string report(const Progress &progress, Call call) {
    Buffer buffer;
    run_asking(progress, [&](Asked<Progress> *asked, KeepwellError *error) {
        return call(asked->function ? tell_progress : nullptr, asked, buffer.out(), error);
    });
    return buffer.copy();
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

/// The version of the library.
inline std::string version() { return keepwell_version(); }

/// Whether the library is one that this header was made for.
inline bool is_compatible() noexcept { return keepwell_abi_version() == KEEPWELL_ABI_VERSION; }

/// Throws the error of a code, so that a program tries what it shows with it.
inline void rehearse_error(uint32_t code) {
    detail::run([&](KeepwellError *error) { return keepwell_rehearse_error(code, error); });
}

/// Tells every call that fails to `logger` from now on; an empty one: to nobody. What it throws is lost. It is kept until
/// the process ends.
inline void set_logger(Logger logger) {
    static std::mutex one_at_a_time;
    static auto &kept = *new std::vector<std::unique_ptr<Logger>>();
    auto made = std::make_unique<Logger>(std::move(logger));
    Logger *asked = made.get();
    {
        const std::lock_guard<std::mutex> guard(one_at_a_time);
        kept.push_back(std::move(made));
    }
    const KeepwellLogger log = [](void *context, int32_t code, int32_t actor, const char *line, size_t length) {
        try {
            (*static_cast<Logger *>(context))(code, static_cast<KeepwellActor>(actor), std::string_view(line, length));
        } catch (...) {
        }
    };
    detail::run([&](KeepwellError *error) { return keepwell_set_logger(*asked ? log : nullptr, asked, error); });
}

/// What a keychain of the app throws, to say what is the matter; anything else that it throws is a failure.
class KeychainFault : public std::runtime_error {
public:
    /// `LOCKED`, `UNAVAILABLE`, `INVALIDATED` or `FAILED`.
    explicit KeychainFault(KeepwellKeychainAnswer answer) : std::runtime_error("the keychain refused"), answer_(answer) {}
    KeepwellKeychainAnswer answer() const noexcept { return answer_; }

private:
    KeepwellKeychainAnswer answer_;
};

/// A keychain of the app, by the rules of `KeepwellKeychain`: one call at a time, from any thread.
class HostKeychain {
public:
    /// A secret has at most so many bytes.
    static constexpr size_t SECRET_MAX_BYTES = 256;

    virtual ~HostKeychain() = default;
    /// The secret of this name, if there is one.
    virtual std::optional<std::vector<uint8_t>> get(std::string_view name) = 0;
    /// Stores a secret durably, in place of the old one.
    virtual void set(std::string_view name, const std::vector<uint8_t> &secret) = 0;
    /// Deletes a secret; it is no failure if there is none.
    virtual void remove(std::string_view name) = 0;
    /// The names of all secrets.
    virtual std::vector<std::string> names() = 0;

    /// For `KeepwellStoreOptions::host`.
    KeepwellKeychain callbacks() noexcept { return KeepwellKeychain{this, give, take, forget, list}; }

private:
    template <typename Call>
    static int32_t answer(void *context, Call call) noexcept {
        try {
            return call(*static_cast<HostKeychain *>(context));
        } catch (const KeychainFault &fault) {
            return fault.answer();
        } catch (...) {
            return KEEPWELL_KEYCHAIN_ANSWER_FAILED;
        }
    }

    static int32_t give(void *context, const char *name, size_t name_length, uint8_t *secret, size_t *length) noexcept {
        return answer(context, [&](HostKeychain &keychain) {
            const std::optional<std::vector<uint8_t>> found = keychain.get({name, name_length});
            if (!found) {
                return KEEPWELL_KEYCHAIN_ANSWER_NONE;
            }
            if (found->size() > SECRET_MAX_BYTES) {
                return KEEPWELL_KEYCHAIN_ANSWER_FAILED;
            }
            std::copy(found->begin(), found->end(), secret);
            *length = found->size();
            return KEEPWELL_KEYCHAIN_ANSWER_DONE;
        });
    }

    static int32_t take(void *context, const char *name, size_t name_length, const uint8_t *secret,
                        size_t length) noexcept {
        return answer(context, [&](HostKeychain &keychain) {
            keychain.set({name, name_length}, std::vector<uint8_t>(secret, secret + length));
            return KEEPWELL_KEYCHAIN_ANSWER_DONE;
        });
    }

    static int32_t forget(void *context, const char *name, size_t name_length) noexcept {
        return answer(context, [&](HostKeychain &keychain) {
            keychain.remove({name, name_length});
            return KEEPWELL_KEYCHAIN_ANSWER_DONE;
        });
    }

    static int32_t list(void *context, void (*tell)(void *to, const char *name, size_t name_length), void *to) noexcept {
        return answer(context, [&](HostKeychain &keychain) {
            for (const std::string &name : keychain.names()) {
                tell(to, name.data(), name.size());
            }
            return KEEPWELL_KEYCHAIN_ANSWER_DONE;
        });
    }
};

/// Excludes a directory from backups where only the app can, by the rules of `KeepwellBackupGuard`.
class BackupGuard {
public:
    virtual ~BackupGuard() = default;
    /// Sets the mark; throws when it cannot.
    virtual void exclude(std::string_view path) = 0;
    /// Whether the platform says that it is set.
    virtual bool is_excluded(std::string_view path) = 0;

    /// For `KeepwellStoreOptions::backup_guard`.
    KeepwellBackupGuard callbacks() noexcept { return KeepwellBackupGuard{this, apply, is_applied}; }

private:
    static int32_t apply(void *context, const char *path, size_t length) noexcept {
        try {
            static_cast<BackupGuard *>(context)->exclude({path, length});
            return 0;
        } catch (...) {
            return 1;
        }
    }

    static int32_t is_applied(void *context, const char *path, size_t length) noexcept {
        try {
            return static_cast<BackupGuard *>(context)->is_excluded({path, length}) ? 1 : 0;
        } catch (...) {
            return 0;
        }
    }
};

/// What follows a store or a search.
class Feed {
public:
    explicit Feed(KeepwellFeed feed) noexcept : feed_(feed) {}
    Feed(Feed &&) noexcept = default;
    Feed &operator=(Feed &&other) noexcept {
        listener_.swap(other.listener_);
        feed_ = std::move(other.feed_);
        return *this;
    }

    /// What is next, as a JSON array; "[]" when the time passed.
    std::string next(std::chrono::milliseconds timeout) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_feed_next(feed_.get(), static_cast<uint64_t>(timeout.count()), out, error);
        });
    }

    /// Tells what comes to `listener` from now on, on a thread of the library, instead of `next`. One that throws hears no
    /// more.
    void listen(Listener listener) {
        auto made = std::make_unique<Listener>(std::move(listener));
        detail::run([&](KeepwellError *error) { return keepwell_feed_listen(feed_.get(), tell, made.get(), error); });
        listener_ = std::move(made);
    }

    /// The handle of keepwell.h.
    KeepwellFeed handle() const noexcept { return feed_.get(); }

private:
    static int32_t tell(void *context, int32_t code, const char *events, size_t length) noexcept {
        try {
            const std::string_view told = events == nullptr ? std::string_view() : std::string_view(events, length);
            return (*static_cast<Listener *>(context))(code, told) ? 0 : 1;
        } catch (...) {
            return 1;
        }
    }

    // It outlives the handle.
    std::unique_ptr<Listener> listener_;
    detail::Owned<KeepwellFeed, keepwell_feed_free> feed_;
};

/// A person at work. The session ends with it.
class Session {
public:
    explicit Session(KeepwellSession session) noexcept : session_(session) {}

    /// create: the store chooses the id. With `condition` nothing is written where that search finds a resource.
    KeepwellWritten create(std::string_view type, std::string_view body, std::string_view condition = {}) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_create(session_.get(), detail::text(type), detail::text(body), detail::text(condition),
                                   written, error);
        });
    }

    /// update, if `version` is the current one, or with `KEEPWELL_ABSENT` if there is none.
    KeepwellWritten update(std::string_view type, std::string_view id, std::string_view body,
                           uint64_t version = KEEPWELL_ANY_VERSION) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_update(session_.get(), detail::text(type), detail::text(id), detail::text(body), version,
                                   written, error);
        });
    }

    /// patch, if `version` is the current one.
    KeepwellWritten patch(std::string_view type, std::string_view id, KeepwellPatch format, std::string_view patch,
                          uint64_t version = KEEPWELL_ANY_VERSION) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_patch(session_.get(), detail::text(type), detail::text(id), format, detail::text(patch),
                                  version, written, error);
        });
    }

    /// delete, if `version` is the current one. Version 0 where there never was such a resource.
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

    /// history of a resource, of a type without `id`, of the store without both, as a Bundle.
    Page history(std::string_view type = {}, std::string_view id = {}, uint32_t count = 100, int64_t before = 0) const {
        return detail::page([&](KeepwellBuffer *out, int64_t *next, KeepwellError *error) {
            return keepwell_history(session_.get(), detail::text(type), detail::text(id), count, before, out, next,
                                    error);
        });
    }

    /// A transaction or batch; gives the response Bundle.
    std::string bundle(std::string_view body) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_bundle(session_.get(), detail::text(body), out, error);
        });
    }

    /// One page of a search, as a Bundle; its link "next" is the search for the page after.
    std::string search(std::string_view url, bool lenient = false) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_search(session_.get(), detail::text(url), lenient, out, error);
        });
    }

    /// How a search would be answered, as a JSON array of steps.
    std::string explain(std::string_view url) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_explain_search(session_.get(), detail::text(url), out, error);
        });
    }

    /// Registers a SearchParameter; what is stored already is indexed in the background.
    void add_search_parameter(std::string_view definition) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_add_search_parameter(session_.get(), detail::text(definition), error);
        });
    }

    /// Follows a search; what it finds now comes first, as added.
    Feed observe(std::string_view url) const {
        KeepwellFeed feed{0};
        detail::run([&](KeepwellError *error) {
            return keepwell_observe_search(session_.get(), detail::text(url), &feed, error);
        });
        return Feed(feed);
    }

    /// Creates a Binary from bytes.
    KeepwellWritten add_attachment(std::string_view content_type, std::string_view content) const {
        return write([&](KeepwellWritten *written, KeepwellError *error) {
            return keepwell_add_attachment(session_.get(), detail::text(content_type), detail::text(content), written,
                                           error);
        });
    }

    /// Hands the decoded content of the `index`-th large attachment of a resource to `writer`.
    void read_attachment(std::string_view type, std::string_view id, const Writer &writer, uint32_t index = 0) const {
        detail::run_asking(writer, [&](void *asked, KeepwellError *error) {
            return keepwell_read_attachment(session_.get(), detail::text(type), detail::text(id), index,
                                            detail::take_piece, asked, error);
        });
    }

    /// Imports a file of Bundles or NDJSON, `flags` are `KEEPWELL_IMPORT_...`; the report is a JSON object.
    std::string import_file(std::string_view path, uint32_t flags = 0, const Progress &progress = {}) const {
        return detail::report(
            progress, [&](KeepwellProgress tell, void *asked, KeepwellBuffer *out, KeepwellError *error) {
                return keepwell_import_file(session_.get(), detail::text(path), flags, tell, asked, out, error);
            });
    }

    /// As `import_file`, of what is in memory; `name` is that of the source, for going on after an interruption.
    std::string import_text(std::string_view name, std::string_view data, uint32_t flags = 0,
                            const Progress &progress = {}) const {
        return detail::report(
            progress, [&](KeepwellProgress tell, void *asked, KeepwellBuffer *out, KeepwellError *error) {
                return keepwell_import(session_.get(), detail::text(name), detail::text(data), flags, tell, asked, out,
                                       error);
            });
    }

    /// Hands all current versions to `writer`, as NDJSON in clear.
    void export_to(const Writer &writer, std::string_view passcode = {}) const {
        detail::run_asking(writer, [&](void *asked, KeepwellError *error) {
            return keepwell_export(session_.get(), detail::text(passcode), detail::take_piece, asked, error);
        });
    }

    /// Hands the whole store to `writer`, as an archive that `passphrase` opens on any device.
    void archive_to(const Writer &writer, std::string_view passphrase, std::string_view passcode = {}) const {
        detail::run_asking(writer, [&](void *asked, KeepwellError *error) {
            return keepwell_archive(session_.get(), detail::text(passcode), detail::text(passphrase),
                                    detail::take_piece, asked, error);
        });
    }

    /// Removes a resource, its history and its attachments for good; the audit trail keeps `reason`.
    void purge(std::string_view type, std::string_view id, std::string_view reason,
               std::string_view passcode = {}) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_purge(session_.get(), detail::text(type), detail::text(id), detail::text(reason),
                                  detail::text(passcode), error);
        });
    }

    /// Removes a patient and everything in its compartment for good; gives how many resources that were.
    uint64_t purge_patient(std::string_view id, std::string_view reason, std::string_view passcode = {}) const {
        uint64_t resources = 0;
        detail::run([&](KeepwellError *error) {
            return keepwell_purge_patient(session_.get(), detail::text(id), detail::text(reason),
                                          detail::text(passcode), &resources, error);
        });
        return resources;
    }

    /// The newest records of the audit trail, about one patient if one is named, as a JSON array of AuditEvents.
    Page audit(std::string_view patient = {}, uint32_t count = 100, int64_t after = 0) const {
        return detail::page([&](KeepwellBuffer *out, int64_t *next, KeepwellError *error) {
            return keepwell_audit_page(session_.get(), detail::text(patient), count, after, out, next, error);
        });
    }

    /// Checks database, audit trail, resources, index and attachments; the report is a JSON object.
    std::string verify() const {
        return detail::fetch(
            [&](KeepwellBuffer *out, KeepwellError *error) { return keepwell_verify(session_.get(), out, error); });
    }

    /// What the store holds, as a JSON object.
    std::string stats() const {
        return detail::fetch(
            [&](KeepwellBuffer *out, KeepwellError *error) { return keepwell_stats(session_.get(), out, error); });
    }

    /// Sets or changes the passcode; an empty `fresh` makes the keychain alone open the store again.
    void set_passcode(std::string_view now, std::string_view fresh) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_set_passcode(session_.get(), detail::text(now), detail::text(fresh), error);
        });
    }

    /// Sets the passphrase of `Store::recover`.
    void set_recovery(std::string_view passcode, std::string_view passphrase) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_set_recovery(session_.get(), detail::text(passcode), detail::text(passphrase), error);
        });
    }

    /// Puts the keys under a new secret; with `database`, encrypts the database anew as well.
    void rotate_keys(std::string_view passcode = {}, bool database = false) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_rotate_keys(session_.get(), detail::text(passcode), database, error);
        });
    }

    /// The handle of keepwell.h.
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
    std::string run(const Progress &progress = {}) const {
        return detail::report(progress,
                              [&](KeepwellProgress tell, void *asked, KeepwellBuffer *out, KeepwellError *error) {
                                  return keepwell_sync_run(sync_.get(), tell, asked, out, error);
                              });
    }

    /// Ends the round that another thread is in: its call throws 419.
    void cancel() const noexcept { keepwell_sync_cancel(sync_.get()); }

    /// Syncs on a thread of its own from now on.
    void start() const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_start(sync_.get(), error); });
    }

    /// Ends what `start` began; throws what had ended it before.
    void stop() const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_stop(sync_.get(), error); });
    }

    /// Tells the thread of `start` that the network is back, or that somebody looks.
    void wake() const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_wake(sync_.get(), error); });
    }

    /// What the thread of `start` may use from now on: `KEEPWELL_SYNC_...`, or 0 for everything.
    void set_policy(uint32_t flags) const {
        detail::run([&](KeepwellError *error) { return keepwell_sync_set_policy(sync_.get(), flags, error); });
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
    void resolve(std::string_view conflict, uint64_t version, const Decision &decision) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_resolve(sync_.get(), detail::text(conflict), version, decision.resolution,
                                         detail::text(decision.content), error);
        });
    }

    /// Asks `resolver` about each conflict, oldest first; gives how many were decided.
    uint64_t resolve_each(const Resolver &resolver) const {
        uint64_t resolved = 0;
        detail::run_asking(resolver, [&](void *asked, KeepwellError *error) {
            return keepwell_sync_resolve_each(sync_.get(), detail::decide, asked, &resolved, error);
        });
        return resolved;
    }

    /// Sets the types that never leave the device, separated by commas; it holds for edits from now on.
    void set_local_types(std::string_view types) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_sync_set_local_types(sync_.get(), detail::text(types), error);
        });
    }

    /// The handle of keepwell.h.
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
        return made([&](KeepwellStore *store, KeepwellError *error) {
            return keepwell_store_create(&options, detail::text(passcode), store, error);
        });
    }

    /// Takes hold of a store; it stays locked.
    static Store open(const KeepwellStoreOptions &options) {
        return made([&](KeepwellStore *store, KeepwellError *error) {
            return keepwell_store_open(&options, store, error);
        });
    }

    /// Opens a store whose keychain item or passcode is lost, and leaves it unlocked.
    static Store recover(const KeepwellStoreOptions &options, std::string_view passphrase,
                         std::string_view new_passcode = {}) {
        return made([&](KeepwellStore *store, KeepwellError *error) {
            return keepwell_store_recover(&options, detail::text(passphrase), detail::text(new_passcode), store, error);
        });
    }

    /// Makes a store from an archive in a file, and leaves it unlocked.
    static Store restore(const KeepwellStoreOptions &options, std::string_view archive, std::string_view passphrase,
                         std::string_view new_passcode = {}) {
        return made([&](KeepwellStore *store, KeepwellError *error) {
            return keepwell_store_restore(&options, detail::text(archive), detail::text(passphrase),
                                          detail::text(new_passcode), store, error);
        });
    }

    /// `adopt`: go on with a store that is older than this device remembers, or a copy.
    void unlock(std::string_view passcode = {}, bool adopt = false) const {
        detail::run([&](KeepwellError *error) {
            return keepwell_store_unlock(store_.get(), detail::text(passcode), adopt, error);
        });
    }

    /// Ends every session and forgets the keys.
    void lock() const {
        detail::run([&](KeepwellError *error) { return keepwell_store_lock(store_.get(), error); });
    }

    /// As `lock`, for an app that goes to the background: no file stays locked.
    void suspend() const {
        detail::run([&](KeepwellError *error) { return keepwell_store_suspend(store_.get(), error); });
    }

    /// Goes on after `suspend`.
    void resume(std::string_view passcode = {}) const {
        detail::run(
            [&](KeepwellError *error) { return keepwell_store_resume(store_.get(), detail::text(passcode), error); });
    }

    /// What the store is ready for.
    KeepwellState state() const {
        int32_t state = 0;
        detail::run([&](KeepwellError *error) { return keepwell_store_state(store_.get(), &state, error); });
        return static_cast<KeepwellState>(state);
    }

    /// Whether each file of the store is marked so that backups leave it out, as a JSON object.
    std::string backup_report() const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_store_backup_report(store_.get(), out, error);
        });
    }

    /// Destroys keys and files, and lets go.
    void erase() {
        detail::run([&](KeepwellError *error) { return keepwell_store_erase(store_.get(), error); });
        store_.release();
    }

    /// Follows everything that commits from now on.
    Feed observe() const {
        KeepwellFeed feed{0};
        detail::run([&](KeepwellError *error) { return keepwell_observe(store_.get(), &feed, error); });
        return Feed(feed);
    }

    /// The change log after a sequence, oldest first, as a JSON array.
    std::string changes_after(int64_t sequence, uint32_t limit = 100) const {
        return detail::fetch([&](KeepwellBuffer *out, KeepwellError *error) {
            return keepwell_changes_after(store_.get(), sequence, limit, out, error);
        });
    }

    /// Begins a session: from here on `user` answers for what is done, with `app` on `device`.
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

    /// The handle of keepwell.h.
    KeepwellStore handle() const noexcept { return store_.get(); }

private:
    explicit Store(KeepwellStore store) noexcept : store_(store) {}

    template <typename Call>
    static Store made(Call call) {
        KeepwellStore store{0};
        detail::run([&](KeepwellError *error) { return call(&store, error); });
        return Store(store);
    }

    detail::Owned<KeepwellStore, keepwell_store_free> store_;
};

/// Options for an app on a device, with the keychain of the platform. The texts must outlive the options.
inline KeepwellStoreOptions options(std::string_view path, std::string_view app, std::string_view device) {
    return keepwell_store_options(detail::text(path), detail::text(app), detail::text(device));
}

/// As `options`, with a keychain of the app, which must outlive the store and what was made from it.
inline KeepwellStoreOptions options(std::string_view path, std::string_view app, std::string_view device,
                                    HostKeychain &keychain) {
    KeepwellStoreOptions made = options(path, app, device);
    made.keychain = KEEPWELL_KEYCHAIN_KIND_HOST;
    made.host = keychain.callbacks();
    return made;
}

}  // namespace keepwell

#endif

// The journey in C++, without a server. Usage: journey DIRECTORY [PART]: the directory must not exist, and its parts are
// "records", "keys" and "mistakes".

#include <future>
#include <map>
#include <thread>

#include "check.hpp"

using std::chrono::seconds;

namespace {

const std::string PASSCODE = "correct horse";
const std::string PHRASE = "words to be kept in a safe";

/// A keychain in memory that refuses when it is told to, and may call the library.
class Vault : public keepwell::HostKeychain {
public:
    std::map<std::string, std::vector<uint8_t>, std::less<>> secrets;
    std::function<void()> meddle;

    std::optional<std::vector<uint8_t>> get(std::string_view name) override {
        if (meddle) {
            meddle();
        }
        const auto found = secrets.find(name);
        return found == secrets.end() ? std::nullopt : std::optional(found->second);
    }
    void set(std::string_view name, const std::vector<uint8_t> &secret) override { secrets[std::string(name)] = secret; }
    void remove(std::string_view name) override { secrets.erase(std::string(name)); }
    std::vector<std::string> names() override {
        std::vector<std::string> all;
        for (const auto &[name, secret] : secrets) {
            all.push_back(name);
        }
        return all;
    }
};

class Guard : public keepwell::BackupGuard {
public:
    bool fails = false;
    int excluded = 0;

    void exclude(std::string_view path) override {
        CHECK(!path.empty());
        ++excluded;
    }
    bool is_excluded(std::string_view) override {
        if (fails) {
            throw std::runtime_error("the platform does not tell");
        }
        return excluded > 0;
    }
};

keepwell::Session begin(const keepwell::Store &store) { return store.session("dr.jones", "journey", "tablet 1"); }

std::string patient(const std::string &id) { return R"({"resourceType":"Patient","id":")" + id + "\"}"; }

/// What a callback of the test throws.
struct Enough {};

void written_and_found(const keepwell::Store &store, const keepwell::Session &session) {
    keepwell::Feed feed = session.observe("Patient?name=example"), commits = store.observe();
    const std::string id =
        session.create("Patient", R"({"resourceType":"Patient","name":[{"family":"Example"}],"gender":"female"})").id;
    CHECK(holds(feed.next(seconds(30)), "\"added\"") && holds(commits.next(seconds(30)), id));
    CHECK(commits.next(seconds(0)) == "[]");
    std::promise<std::string> heard;
    commits.listen([&](int code, std::string_view events) {
        CHECK(code == 0 && store.state() == KEEPWELL_STATE_OPEN);
        heard.set_value(std::string(events));
        return false;
    });
    REFUSED(919, commits.listen([](int, std::string_view) { return true; }));
    session.update("Patient", "heard", patient("heard"));
    CHECK(holds(heard.get_future().get(), "\"heard\""));
    CHECK(session.patch("Patient", id, KEEPWELL_PATCH_MERGE, R"({"active":true})", 1).version == 2);
    REFUSED(103, session.patch("Patient", id, KEEPWELL_PATCH_MERGE, R"({"active":false})", 1));
    CHECK(holds(session.read("Patient", id), "\"active\":true") && !holds(session.read("Patient", id, 1), "active"));
    const keepwell::Page newest = session.history("Patient", id, 1);
    const keepwell::Page oldest = session.history("Patient", id, 1, newest.next);
    CHECK(newest.next > 0 && oldest.next == 0 && holds(newest.json, "\"history\""));
    CHECK(holds(newest.json, "active") && !holds(oldest.json, "active"));
    try {
        session.create("Patient", R"({"resourceType":"Patient","birthDate":"soon"})");
        CHECK(false);
    } catch (const keepwell::Error &error) {
        CHECK(error.code() == 109 && error.actor() == KEEPWELL_ACTOR_CALLER);
        CHECK(holds(error.operation_outcome(), "Patient.birthDate") && !holds(error.operation_outcome(), "soon"));
    }

    CHECK(session.update("Patient", "p2", patient("p2"), KEEPWELL_ABSENT).operation == KEEPWELL_OPERATION_CREATE);
    CHECK(holds(session.bundle(R"({"resourceType":"Bundle","type":"transaction","entry":[{"resource":)" + patient("p3") +
                               R"(,"request":{"method":"PUT","url":"Patient/p3"}}]})"),
                "transaction-response"));
    const keepwell::Session moved = begin(store);
    CHECK(holds(moved.search("Patient?name=example&_total=accurate"), "\"total\":1"));
    REFUSED(301, session.search("Patient?colour=red"));
    CHECK(holds(session.search("Patient?colour=red", true), "OperationOutcome"));
    CHECK(holds(session.explain("Patient?name=example"), "estimate"));
    session.add_search_parameter(
        R"({"resourceType":"SearchParameter","url":"http://example.org/p","name":"p","status":"active","description":"d",)"
        R"_("code":"deceased-flag","base":["Patient"],"type":"token","expression":"Patient.deceased.ofType(boolean)"})_");
    CHECK(holds(store.changes_after(0, 1), "\"create\""));

    CHECK(session.remove("Patient", id, 2).operation == KEEPWELL_OPERATION_DELETE);
    REFUSED(102, session.read("Patient", id));
    REFUSED(204, session.purge("Patient", id, "asked for"));
    session.purge("Patient", id, "asked for", PASSCODE);
    CHECK(session.purge_patient("p3", "asked for", PASSCODE) == 1);
}

void in_and_out(const keepwell::Session &session, const std::string &directory) {
    const std::string lines = patient("a") + "\n" + patient("b") + "\n{\"resourceType\":\"Nothing\"}\n";
    uint64_t done = 0;
    const auto count = [&](uint64_t resources) { done = resources; };
    const std::string report = session.import_text("lines", lines, KEEPWELL_IMPORT_SKIP, count);
    CHECK(member(report, "created") == "2" && member(report, "refused") == "1" && done == 2);
    CHECK(member(report, "linksKept") == "0");
    const std::string file = directory + ".ndjson";
    std::FILE *made = std::fopen(file.c_str(), "wb");
    CHECK(made != nullptr && std::fputs(patient("d").c_str(), made) >= 0 && std::fclose(made) == 0);
    CHECK(member(session.import_file(file), "created") == "1");

    const std::string photo(60000, 'A');
    const KeepwellWritten added = session.add_attachment("image/png", photo);
    std::string back;
    session.read_attachment("Binary", added.id, [&](std::string_view piece) { back += piece; });
    CHECK(back == photo && member(session.stats(), "attachments") == "1");

    std::string clear;
    const keepwell::Writer take = [&](std::string_view piece) { clear += piece; };
    REFUSED(204, session.export_to(take));
    session.export_to(take, PASSCODE);
    CHECK(holds(clear, "\"id\":\"d\"") && holds(clear, "image/png"));
    const std::string archive = directory + ".archive";
    made = std::fopen(archive.c_str(), "wb");
    CHECK(made != nullptr);
    session.archive_to(
        [&](std::string_view piece) { CHECK(std::fwrite(piece.data(), 1, piece.size(), made) == piece.size()); }, PHRASE,
        PASSCODE);
    CHECK(std::fclose(made) == 0);
    const std::string elsewhere = directory + "-elsewhere";
    KeepwellStoreOptions there = keepwell::options(elsewhere, "journey", "tablet 2");
    there.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    REFUSED(118, keepwell::Store::restore(there, archive, "another passphrase"));
    keepwell::Store other = keepwell::Store::restore(there, archive, PHRASE);
    CHECK(holds(begin(other).read("Patient", "d"), "Patient"));
    other.erase();

    const keepwell::Page events = session.audit({}, 2);
    CHECK(holds(events.json, "AuditEvent") && events.next != 0 && session.audit("nobody").json == "[]");
    CHECK(member(session.verify(), "sound") == "true");
}

/// What a program may get wrong.
void mistakes(const std::string &directory) {
    Vault vault;
    keepwell::Store store = keepwell::Store::create(keepwell::options(directory, "journey", "tablet 1", vault));
    keepwell::Session session = begin(store);
    REFUSED(914, session.read("Patient", "\xff\xfe"));
    REFUSED(108, session.create("Patient", "\xff\xfe"));
    REFUSED(108, session.create("Patient", std::string(100000, '[')));
    REFUSED(915, session.read("Patient", std::string_view("x", SIZE_MAX)));
    REFUSED(919, session.import_text("lines", "{}", 1024));
    REFUSED(913, keepwell::Session(KeepwellSession{store.handle().id}).stats());
    const keepwell::Session moved = std::move(session);
    REFUSED(912, session.stats());  // NOLINT: what was moved away is no session

    // What a callback throws goes on out of the call.
    const std::string photo = moved.add_attachment("image/png", std::string(60000, 'A')).id;
    const std::vector<std::function<void()>> calls = {
        [&] { moved.import_text("more", patient("c"), 0, [](uint64_t) { throw Enough(); }); },
        [&] { moved.read_attachment("Binary", photo, [](std::string_view) { throw Enough(); }); },
        [&] { moved.export_to([](std::string_view) { throw Enough(); }); },
    };
    for (const auto &call : calls) {
        bool thrown = false;
        try {
            call();
        } catch (const Enough &) {
            thrown = true;
        }
        CHECK(thrown);
    }

    // A logger is told, and may not call; what it throws is lost.
    int logged = 0, told = 0;
    keepwell::set_logger([&](int code, KeepwellActor, std::string_view line) {
        CHECK(!line.empty());
        logged = code;
        int32_t state;
        told = keepwell_store_state(store.handle(), &state, nullptr);
        throw Enough();
    });
    REFUSED(101, moved.read("Patient", "nobody"));
    keepwell::set_logger({});
    CHECK(logged == 101 && told == 917);

    // Many threads at once.
    std::vector<std::thread> threads;
    for (int at = 0; at < 4; ++at) {
        threads.emplace_back([&] {
            for (int round = 0; round < 25; ++round) {
                moved.create("Patient", R"({"resourceType":"Patient"})");
                moved.search("Patient?_count=1");
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    for (uint32_t code = 100; code < 1000; ++code) {
        REFUSED(int(code), keepwell::rehearse_error(code));
    }
    store.erase();
    REFUSED(912, store.state());
}

void records(const std::string &directory) {
    KeepwellStoreOptions options = keepwell::options(directory, "journey", "tablet 1");
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    keepwell::Store store = keepwell::Store::create(options, PASSCODE);
    {
        const keepwell::Session session = begin(store);
        written_and_found(store, session);
        in_and_out(session, directory);
    }
    store.erase();
    REFUSED(225, keepwell::Store::open(options));
}

void keys(const std::string &directory) {
    Vault vault;
    Guard guard;
    KeepwellStoreOptions options = keepwell::options(directory, "journey", "tablet 1", vault);
    options.backup_guard = guard.callbacks();
    options.erase_after = 20;
    keepwell::Store store = keepwell::Store::create(options, PASSCODE);
    CHECK(!vault.secrets.empty() && guard.excluded > 0 && holds(store.backup_report(), "excluded\":true"));
    guard.fails = true;
    CHECK(holds(store.backup_report(), "excluded\":false"));
    guard.fails = false;
    begin(store).update("Patient", "kept", patient("kept"));

    {
        const keepwell::Session before = begin(store);
        store.lock();
        CHECK(store.state() == KEEPWELL_STATE_LOCKED);
        REFUSED(201, before.read("Patient", "kept"));
    }
    try {
        store.unlock("wrong");
        CHECK(false);
    } catch (const keepwell::Error &error) {
        CHECK(error.code() == 205 && error.actor() == KEEPWELL_ACTOR_PERSON);
        CHECK(error.retry_after().count() >= 0 && error.attempts_left() == 19);
    }
    using Refusal = std::pair<int, std::function<void()>>;
    int told = 0;
    for (const auto &[code, meddle] :
         {Refusal{201, [] { throw keepwell::KeychainFault(KEEPWELL_KEYCHAIN_ANSWER_LOCKED); }},
          Refusal{214, [] { throw keepwell::KeychainFault(KEEPWELL_KEYCHAIN_ANSWER_UNAVAILABLE); }},
          Refusal{212, [] { throw keepwell::KeychainFault(KEEPWELL_KEYCHAIN_ANSWER_INVALIDATED); }},
          Refusal{217, [] { throw Enough(); }}}) {
        vault.meddle = meddle;
        REFUSED(code, store.unlock(PASSCODE));
    }
    vault.meddle = [&] {
        int32_t state;
        told = keepwell_store_state(store.handle(), &state, nullptr);
    };
    store.unlock(PASSCODE);
    vault.meddle = nullptr;
    CHECK(told == 917 && store.state() == KEEPWELL_STATE_OPEN);

    const std::string changed = "another passcode";
    {
        const keepwell::Session session = begin(store);
        session.set_passcode(PASSCODE, changed);
        session.set_recovery(changed, PHRASE);
        session.rotate_keys(changed, true);
    }
    store.suspend();
    CHECK(store.state() == KEEPWELL_STATE_SUSPENDED);
    store.resume(changed);
    CHECK(holds(begin(store).read("Patient", "kept"), "kept"));

    { const keepwell::Store gone = std::move(store); }
    vault.secrets.clear();
    REFUSED(211, keepwell::Store::open(options).unlock(changed));
    keepwell::Store again = keepwell::Store::recover(options, PHRASE, PASSCODE);
    CHECK(holds(begin(again).read("Patient", "kept"), "kept"));
    again.erase();
}

}  // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 3);
    CHECK(keepwell::is_compatible() && !keepwell::version().empty());
    const std::string directory = argv[1], part = argc == 3 ? argv[2] : "";
    const auto is_wanted = [&](const char *name) { return part.empty() || part == name; };
    return passes(
        [&] {
            if (is_wanted("records")) {
                records(directory);
            }
            if (is_wanted("keys")) {
                keys(directory + "-keys");
            }
            if (is_wanted("mistakes")) {
                mistakes(directory + "-mistakes");
            }
        },
        "the journey held");
}

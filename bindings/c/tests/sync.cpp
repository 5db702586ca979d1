// The part of bindings/journey.md that needs a server, in C++: as sync.c tells it.
// Usage: sync DIRECTORY INVITATION_A INVITATION_B PINS. When it says that it is ready, all devices are ordered to be wiped;
// then it wants a line.

#include "check.hpp"

using std::chrono::seconds;

namespace {

/// A store on a device, with its sync.
class Device {
public:
    Device(const std::string &directory, const std::string &name, const std::string &invitation)
        : path_(directory + "-" + name),
          store(keepwell::Store::create(in_memory(path_, name))),
          session(store.session("dr.jones", "journey", name)),
          sync(store.sync("dr.jones", "journey", name)) {
        REFUSED(417, sync.run());
        REFUSED(470, sync.enrol("no invitation", name));
        sync.enrol(invitation, name);
    }

    void round() const { CHECK(member(sync.run(), "problem") == "null"); }
    void edit(std::string_view patch) const { session.patch("Patient", "p1", KEEPWELL_PATCH_MERGE, patch); }
    bool shows(std::string_view words) const { return holds(session.read("Patient", "p1"), words); }
    void flag(const std::string &words) const {
        session.update("Flag", "f",
                       R"({"resourceType":"Flag","id":"f","status":"active","code":{"text":")" + words +
                           R"("},"subject":{"reference":"Patient/p1"}})");
    }

private:
    static KeepwellStoreOptions in_memory(const std::string &path, const std::string &name) {
        KeepwellStoreOptions options = keepwell::options(path, "journey", name);
        options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
        return options;
    }

    std::string path_;

public:
    keepwell::Store store;
    keepwell::Session session;
    keepwell::Sync sync;
};

/// Edits of one element on both devices: that of `b` loses.
void clash(const Device &a, const Device &b, std::string_view winner, std::string_view loser) {
    a.edit(winner);
    b.edit(loser);
    a.round();
    b.round();
}

void meet(const Device &one, const Device &other) {
    one.round();
    other.round();
}

struct Enough {};

/// What a person, or the app for them, decides about edits that lost.
void decide(const Device &a, const Device &b) {
    clash(a, b, R"({"birthDate":"1971-01-01"})", R"({"birthDate":"1972-02-02"})");
    CHECK(b.shows("1971-01-01"));
    const std::string conflicts = b.sync.conflicts();
    CHECK(holds(conflicts, "1972-02-02") && holds(conflicts, "birthDate"));
    const std::string id = member(conflicts, "id");
    const uint64_t version = std::stoull(member(conflicts, "version"));
    REFUSED(422, b.sync.resolve(id, version + 1, {KEEPWELL_RESOLUTION_TAKE_MINE}));
    REFUSED(919, b.sync.resolve(id, version, {KEEPWELL_RESOLUTION_LATER}));
    b.sync.resolve(id, version, {KEEPWELL_RESOLUTION_TAKE_MINE});
    REFUSED(421, b.sync.resolve(id, version, {KEEPWELL_RESOLUTION_TAKE_MINE}));
    meet(b, a);
    CHECK(a.shows("1972-02-02"));

    clash(a, b, R"({"birthDate":"1973-03-03"})", R"({"birthDate":"1974-04-04"})");
    CHECK(b.sync.resolve_each([](std::string_view) { return keepwell::Decision{KEEPWELL_RESOLUTION_LATER}; }) == 0);
    bool ended = false;
    try {
        b.sync.resolve_each([](std::string_view) -> keepwell::Decision { throw Enough(); });
    } catch (const Enough &) {
        ended = true;
    }
    CHECK(ended);
    const auto edited = [](std::string_view conflict) {
        CHECK(holds(conflict, "1974-04-04"));
        return keepwell::Decision{KEEPWELL_RESOLUTION_EDITED,
                                  R"({"resourceType":"Patient","id":"p1","birthDate":"1975-05-05"})"};
    };
    CHECK(b.sync.resolve_each(edited) == 1);
    meet(b, a);
    CHECK(a.shows("1975-05-05"));

    a.flag("first");
    meet(a, b);
    a.flag("cat");
    b.flag("dog");
    meet(a, b);
    const std::string flags = b.sync.conflicts();
    b.sync.resolve(member(flags, "id"), std::stoull(member(flags, "version")), {KEEPWELL_RESOLUTION_KEEP_THEIRS});
    CHECK(holds(b.session.read("Flag", "f"), "cat"));
    a.flag("yes");
    b.flag("no");
    meet(a, b);
    CHECK(b.sync.resolve_each([](std::string_view) { return keepwell::Decision{KEEPWELL_RESOLUTION_DELETE}; }) == 1);
    meet(b, a);
    REFUSED(102, a.session.read("Flag", "f"));
}

void journey(const Device &a, const Device &b, const std::string &pins) {
    a.session.update("Patient", "p1", R"({"resourceType":"Patient","id":"p1","birthDate":"1970-01-01"})",
                     KEEPWELL_ABSENT);
    CHECK(member(a.sync.status(), "pending") == "1");
    meet(a, b);
    CHECK(b.shows("1970-01-01"));
    clash(a, b, R"({"photo":[{"title":"face"}]})", R"({"communication":[{"language":{"text":"English"}}]})");
    a.round();
    CHECK(a.shows("English") && b.shows("face") && b.sync.conflicts() == "[]");

    decide(a, b);

    const std::string photo(60000, 'A');
    const KeepwellWritten document = a.session.create(
        "DocumentReference", R"({"resourceType":"DocumentReference","status":"current","subject":{"reference":"Patient/p1"},)"
                             R"("content":[{"attachment":{"contentType":"image/png","data":")" +
                                 photo + "\"}}]}");
    meet(a, b);
    size_t seen = 0;
    b.session.read_attachment("DocumentReference", document.id, [&](std::string_view piece) { seen += piece.size(); });
    CHECK(seen == photo.size() / 4 * 3);

    const keepwell::Feed feed = b.session.observe("Patient?gender=other");
    b.sync.set_policy(KEEPWELL_SYNC_METERED);
    REFUSED(919, b.sync.set_policy(64));
    b.sync.start();
    b.sync.wake();
    a.edit(R"({"gender":"other"})");
    a.round();
    CHECK(holds(feed.next(seconds(30)), "\"added\"") && member(b.sync.status(), "running") == "true");
    b.sync.stop();

    REFUSED(452, b.sync.install_pins("no pins"));
    CHECK(b.sync.install_pins(pins) && !b.sync.install_pins(pins));
    b.round();

    a.edit(R"({"gender":"male"})");
    bool ended = false;
    try {
        a.sync.run([](uint64_t) { throw Enough(); });
    } catch (const Enough &) {
        ended = true;
    }
    CHECK(ended);
    a.sync.cancel();
    a.round();
    REFUSED(117, a.sync.set_local_types("Nothing"));
    a.sync.set_local_types("AuditEvent, Flag");
    a.session.update("List", "l", R"({"resourceType":"List","id":"l","status":"current","mode":"working"})");
    CHECK(member(a.sync.run(), "kept") == "1");
    CHECK(member(a.session.verify(), "sound") == "true");
}

}  // namespace

int main(int argc, char **argv) {
    CHECK(argc == 5);
    return passes(
        [&] {
            const Device a(argv[1], "a", argv[2]), b(argv[1], "b", argv[3]);
            journey(a, b, argv[4]);
            std::puts("ready to be wiped");
            std::fflush(stdout);
            CHECK(std::getchar() == '\n');
            REFUSED(423, a.sync.run());
            const KeepwellState state = a.store.state();
            CHECK(state == KEEPWELL_STATE_ERASED || state == KEEPWELL_STATE_UNINITIALISED);
        },
        "both devices did what they should");
}

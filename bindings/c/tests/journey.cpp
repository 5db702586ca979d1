// The journey in C++, as far as keepwell.hpp goes. Usage: journey DIRECTORY AUTHORITIES: the directory must not exist, and
// the authorities are PEM.

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "keepwell.hpp"

#define CHECK(condition)                                              \
    do {                                                              \
        if (!(condition)) {                                           \
            std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            std::exit(1);                                             \
        }                                                             \
    } while (false)

int main(int argc, char **argv) {
    CHECK(argc == 3);
    KeepwellStoreOptions options = keepwell::options(argv[1], "journey", "tablet 1");
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    keepwell::Store store = keepwell::Store::create(options, "correct horse");
    store.lock();
    try {
        store.unlock("wrong");
        CHECK(false);
    } catch (const keepwell::Error &error) {
        CHECK(error.code() / 100 == 2 && error.actor() == KEEPWELL_ACTOR_PERSON);
    }
    store.unlock("correct horse");
    {
        keepwell::Session session = store.session("dr.jones", "journey", "tablet 1");
        keepwell::Feed feed = session.observe("Patient?name=example");
        const KeepwellWritten written =
            session.create("Patient", R"({"resourceType":"Patient","name":[{"family":"Example"}]})");
        CHECK(feed.next(std::chrono::seconds(2)).find("added") != std::string::npos);
        keepwell::Session moved = std::move(session);
        CHECK(moved.read("Patient", written.id).find("Example") != std::string::npos);
        CHECK(moved.search("Patient?name=example&_total=accurate").find("\"total\":1") != std::string::npos);
        CHECK(moved.remove("Patient", written.id, 1).version == 2);
        try {
            moved.read("Patient", written.id);
            CHECK(false);
        } catch (const keepwell::Error &error) {
            CHECK(error.code() == 102 && !error.operation_outcome().empty());
        }
    }
    {
        keepwell::Sync sync = store.sync("dr.jones", "journey", "tablet 1");
        CHECK(sync.status().find("\"device\":null") != std::string::npos && sync.conflicts() == "[]");
        try {
            sync.run();
            CHECK(false);
        } catch (const keepwell::Error &error) {
            CHECK(error.code() == 417 && error.actor() == KEEPWELL_ACTOR_SERVER);
        }
        try {
            sync.install_pins("no pins");
            CHECK(false);
        } catch (const keepwell::Error &error) {
            CHECK(error.code() == 417);
        }

        // A plain FHIR server that is not there: the tokens for it are asked for first.
        KeepwellFhirServer server{};
        const std::string address = "https://127.0.0.1:1/fhir", authorities = argv[2], search = "Patient";
        server.address = {address.data(), address.size()};
        server.authorities = {authorities.data(), authorities.size()};
        server.searches = {search.data(), search.size()};
        sync.enrol_fhir(server);
        int asked = 0;
        sync.set_token_provider([&](bool refused) -> std::string {
            asked += refused ? 100 : 1;
            throw std::runtime_error("nobody is signed in");
        });
        keepwell::Sync moved = std::move(sync);
        CHECK(moved.run().find("\"problem\":448") != std::string::npos && asked == 1);
        sync = std::move(moved);
        sync.set_token_provider([&](bool) { return std::string("a token"); });
        const std::string report = sync.run();
        CHECK(report.find("\"problem\":4") != std::string::npos && report.find("\"problem\":448") == std::string::npos);
    }
    store.erase();
    std::puts("the journey held");
}

// Tokens of an app in C++ for a plain FHIR server, as fhir.c tells it.
// Usage: fhir DIRECTORY ADDRESS AUTHORITIES TOKEN, with authorities in PEM.

#include "check.hpp"

namespace {

void tokens(const std::string &directory, std::string_view address, std::string_view authorities, const std::string &token) {
    KeepwellStoreOptions options = keepwell::options(directory, "fhir", "tablet");
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    const keepwell::Store store = keepwell::Store::create(options);
    const keepwell::Session session = store.session("dr.jones", "fhir", "tablet");
    keepwell::Sync sync = store.sync("dr.jones", "fhir", "tablet");

    KeepwellFhirServer server{};
    const std::string_view searches = "Patient\nFlag";
    server.address = {address.data(), address.size()};
    server.authorities = {authorities.data(), authorities.size()};
    server.searches = {searches.data(), searches.size()};
    KeepwellFhirServer wrong = server;
    wrong.address = {"http://127.0.0.1/fhir", 21};
    REFUSED(459, sync.enrol_fhir(wrong));
    sync.enrol_fhir(server);
    CHECK(holds(sync.status(), address));

    session.update("Patient", "p", R"({"resourceType":"Patient","id":"p"})");
    CHECK(member(sync.run(), "problem") == "425");
    int asked = 0, refusals = 0;
    sync.set_token_provider([&](bool) -> std::string {
        ++asked;
        throw std::runtime_error("nobody is signed in");
    });
    keepwell::Sync moved = std::move(sync);
    CHECK(member(moved.run(), "problem") == "448" && asked == 1);
    sync = std::move(moved);
    sync.set_token_provider([&](bool refused) {
        refusals += refused;
        int32_t state;
        CHECK(keepwell_store_state(store.handle(), &state, nullptr) == 917);
        return refused ? token : std::string("keepwell_old");
    });
    CHECK(member(sync.run(), "problem") == "null" && refusals == 1 && member(sync.status(), "pending") == "0");
    sync.set_token_provider({});
}

}  // namespace

int main(int argc, char **argv) {
    CHECK(argc == 5);
    return passes([&] { tokens(argv[1], argv[2], argv[3], argv[4]); }, "every token was asked for");
}

// Twenty lines: an encrypted store, a patient, a search. Usage: quick_start DIRECTORY
#include <iostream>

#include "keepwell.hpp"

int main(int argc, char **argv) {
    try {
        KeepwellStoreOptions options = keepwell::options(argc > 1 ? argv[1] : "records", "demo", "laptop");
        options.keychain = KEEPWELL_KEYCHAIN_KIND_PASSCODE_ONLY;
        const keepwell::Store store = keepwell::Store::create(options, "a passphrase of some length");
        const keepwell::Session session = store.session("dr.jones", "demo", "laptop");
        session.create("Patient", R"({"resourceType":"Patient","gender":"female"})");
        std::cout << session.search("Patient?gender=female") << "\n";
    } catch (const keepwell::Error &error) {
        std::cerr << "error " << error.code() << ": " << error.what() << "\n";
        return 1;
    }
}

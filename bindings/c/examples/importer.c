/* Imports NDJSON and Bundles into an encrypted store and says what is in it.
 * Usage: KEEPWELL_PASSCODE=... importer STORE FILE... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepwell.h"

static KeepwellText text(const char *words) {
    return (KeepwellText){words, words == NULL ? 0 : strlen(words)};
}

static int fail(const char *what, KeepwellError *error) {
    fprintf(stderr, "%s: error %d: %s\n", what, keepwell_error_code(*error), keepwell_error_reason(*error));
    keepwell_error_free(error);
    return 1;
}

static int32_t progress(void *name, uint64_t resources) {
    fprintf(stderr, "\r%s: %llu resources", (const char *)name, (unsigned long long)resources);
    return 0;
}

/* Opens the store, or makes it where there is none (code 511 of a database, 2xx of a directory without keys). */
static int open_store(const char *path, KeepwellStore *store, KeepwellError *error) {
    KeepwellText passcode = text(getenv("KEEPWELL_PASSCODE"));
    KeepwellStoreOptions options = keepwell_store_options(text(path), text("importer"), text("desktop"));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_PASSCODE_ONLY;
    if (keepwell_store_open(&options, store, error) == 0) {
        return keepwell_store_unlock(*store, passcode, false, error);
    }
    keepwell_error_free(error);
    return keepwell_store_create(&options, passcode, store, error);
}

int main(int argc, char **argv) {
    KeepwellStore store;
    KeepwellSession session;
    KeepwellError error = {0};
    if (argc < 3 || getenv("KEEPWELL_PASSCODE") == NULL) {
        fprintf(stderr, "usage: KEEPWELL_PASSCODE=... %s STORE FILE...\n", argv[0]);
        return 2;
    }
    if (open_store(argv[1], &store, &error) != 0) {
        return fail("opening the store", &error);
    }
    if (keepwell_session_begin(store, text("importer"), text("importer"), text("desktop"), &session, &error) != 0) {
        return fail("beginning a session", &error);
    }
    for (int file = 2; file < argc; file++) {
        KeepwellBuffer report;
        if (keepwell_import_file(session, text(argv[file]), KEEPWELL_IMPORT_SKIP, progress, argv[file], &report,
                                 &error) != 0) {
            return fail(argv[file], &error);
        }
        printf("\n%.*s\n", (int)report.length, report.data);
        keepwell_buffer_free(&report);
    }
    KeepwellBuffer page;
    if (keepwell_search(session, text("Patient?_summary=count"), false, &page, &error) != 0) {
        return fail("counting patients", &error);
    }
    printf("%.*s\n", (int)page.length, page.data);
    keepwell_buffer_free(&page);
    keepwell_session_free(session);
    return keepwell_store_free(store);
}

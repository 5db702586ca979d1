/* One text of each input to one function that reads it: libFuzzer looks for texts that reach more of the library, and for
 * one that ends it. `bindings/c/fuzz` builds and runs it, from the texts in guided.txt. */

#include <stdint.h>
#include <unistd.h>

#include "check.h"

/* A store is left for a new one after so many inputs. */
#define INPUTS 2000

static const KeepwellText NONE = {NULL, 0};
static KeepwellStore store;
static KeepwellSession session;
static KeepwellSync sync;

static void begin(void) {
    static int made;
    char place[4096];
    if (made > 0) {
        CHECK(keepwell_sync_free(sync) == 0 && keepwell_session_free(session) == 0);
        OK(keepwell_store_erase(store, &error));
    }
    snprintf(place, sizeof place, "%s/guided-%d-%d", getenv("KEEPWELL_SCRATCH"), (int)getpid(), made++);
    KeepwellStoreOptions options = keepwell_store_options(text(place), text("fuzz"), text("fuzz"));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    OK(keepwell_store_create(&options, NONE, &store, &error));
    OK(keepwell_session_begin(store, text("u"), text("fuzz"), text("fuzz"), &session, &error));
    OK(keepwell_sync_open(store, text("u"), text("fuzz"), text("fuzz"), &sync, &error));
    OK(keepwell_update(session, text("Patient"), text("p"), text("{\"resourceType\":\"Patient\",\"id\":\"p\"}"),
                       KEEPWELL_ANY_VERSION, NULL, &error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the function: 0 to 9, : and ; as guided.txt writes them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static long inputs;
    if (size == 0) {
        return 0;
    }
    if (inputs++ % INPUTS == 0) {
        begin();
    }
    const KeepwellText input = {(const char *)data + 1, size - 1}, patient = text("Patient"), id = text("p");
    KeepwellError place = {0};
    KeepwellBuffer buffer = {NULL, 0};
    KeepwellFeed feed = {0};
    KeepwellFhirServer server = {.address = input, .authorities = input, .searches = input};
    int32_t code;
    switch (data[0] % 12) {
        case 0: code = keepwell_create(session, patient, input, NONE, NULL, &place); break;
        case 1: code = keepwell_update(session, patient, id, input, KEEPWELL_ANY_VERSION, NULL, &place); break;
        case 2:
        case 3:
        case 4:
            code = keepwell_patch(session, patient, id, data[0] % 12 - 2, input, KEEPWELL_ANY_VERSION, NULL, &place);
            break;
        case 5: code = keepwell_bundle(session, input, &buffer, &place); break;
        case 6: code = keepwell_search(session, input, data[0] > 127, &buffer, &place); break;
        case 7: code = keepwell_explain_search(session, input, &buffer, &place); break;
        case 8: code = keepwell_add_search_parameter(session, input, &place); break;
        case 9: code = keepwell_import(session, text("input"), input, data[0] > 127, NULL, NULL, &buffer, &place); break;
        case 10:
            code = data[0] > 127 ? keepwell_sync_enrol(sync, input, text("fuzz"), &place)
                                 : keepwell_sync_enrol_fhir(sync, &server, &place);
            break;
        default: code = keepwell_observe_search(session, input, &feed, &place); break;
    }
    CHECK(code == 0 || (code > 100 && code < 1000 && code != 910));
    CHECK(keepwell_error_code(place) == code);
    keepwell_error_free(&place);
    CHECK(keepwell_buffer_free(&buffer) == 0 && keepwell_feed_free(feed) == 0);
    return 0;
}

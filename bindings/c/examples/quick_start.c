/* Twenty lines: an encrypted store, a patient, a search. Usage: quick_start DIRECTORY */
#include <stdio.h>
#include <string.h>

#include "keepwell.h"

#define TEXT(words) ((KeepwellText){(words), strlen(words)})

int main(int argc, char **argv) {
    KeepwellStore store;
    KeepwellSession session;
    KeepwellBuffer bundle;
    KeepwellError error = {0};
    KeepwellStoreOptions options = keepwell_store_options(TEXT(argc > 1 ? argv[1] : "records"), TEXT("demo"), TEXT("laptop"));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_PASSCODE_ONLY;
    if (keepwell_store_create(&options, TEXT("a passphrase of some length"), &store, &error) == 0 &&
        keepwell_session_begin(store, TEXT("dr.jones"), TEXT("demo"), TEXT("laptop"), &session, &error) == 0 &&
        keepwell_create(session, TEXT("Patient"), TEXT("{\"resourceType\":\"Patient\",\"gender\":\"female\"}"),
                        (KeepwellText){NULL, 0}, NULL, &error) == 0 &&
        keepwell_search(session, TEXT("Patient?gender=female"), false, &bundle, &error) == 0) {
        printf("%.*s\n", (int)bundle.length, bundle.data);
        keepwell_buffer_free(&bundle);
        keepwell_session_free(session);
        return keepwell_store_free(store);
    }
    fprintf(stderr, "error %d: %s\n", keepwell_error_code(error), keepwell_error_reason(error));
    return 1;
}

/* The journey of bindings/journey.md in C: everything that an app does with a store, checked step by step.
 * Usage: journey DIRECTORY [records|keys]: the directory must not exist; one part of it, or both. */

#include "check.h"

/* A keychain of the host: eight secrets in memory. */
typedef struct {
    char names[8][96];
    uint8_t secrets[8][256];
    size_t lengths[8];
} Keychain;

static int place(const Keychain *keychain, const char *name, size_t length) {
    for (int at = 0; at < 8; at++) {
        if (strlen(keychain->names[at]) == length && memcmp(keychain->names[at], name, length) == 0) {
            return at;
        }
    }
    return -1;
}

static int32_t get(void *context, const char *name, size_t name_length, uint8_t *secret, size_t *length) {
    Keychain *keychain = context;
    int at = place(keychain, name, name_length);
    if (at < 0) {
        return KEEPWELL_KEYCHAIN_ANSWER_NONE;
    }
    memcpy(secret, keychain->secrets[at], keychain->lengths[at]);
    *length = keychain->lengths[at];
    return KEEPWELL_KEYCHAIN_ANSWER_DONE;
}

static int32_t set(void *context, const char *name, size_t name_length, const uint8_t *secret, size_t length) {
    Keychain *keychain = context;
    int at = place(keychain, name, name_length);
    if (at < 0) {
        at = place(keychain, "", 0);
    }
    if (at < 0 || name_length >= sizeof keychain->names[0] || length > sizeof keychain->secrets[0]) {
        return KEEPWELL_KEYCHAIN_ANSWER_FAILED;
    }
    memcpy(keychain->names[at], name, name_length);
    keychain->names[at][name_length] = 0;
    memcpy(keychain->secrets[at], secret, length);
    keychain->lengths[at] = length;
    return KEEPWELL_KEYCHAIN_ANSWER_DONE;
}

static int32_t remove_secret(void *context, const char *name, size_t name_length) {
    Keychain *keychain = context;
    int at = place(keychain, name, name_length);
    if (at >= 0) {
        keychain->names[at][0] = 0;
    }
    return KEEPWELL_KEYCHAIN_ANSWER_DONE;
}

static int32_t list(void *context, void (*tell)(void *to, const char *name, size_t length), void *to) {
    Keychain *keychain = context;
    for (int at = 0; at < 8; at++) {
        if (keychain->names[at][0]) {
            tell(to, keychain->names[at], strlen(keychain->names[at]));
        }
    }
    return KEEPWELL_KEYCHAIN_ANSWER_DONE;
}

/* Counts what a stream hands over, and tries to call back. */
typedef struct {
    size_t bytes;
    int32_t reentry;
    KeepwellStore store;
} Counter;

static int32_t count(void *context, const char *data, size_t length) {
    Counter *counter = context;
    int32_t state;
    (void)data;
    counter->bytes += length;
    counter->reentry = keepwell_store_state(counter->store, &state, NULL);
    return 0;
}

static int32_t save(void *file, const char *data, size_t length) {
    return fwrite(data, 1, length, file) == length ? 0 : 1;
}

static int32_t refuse(void *context, const char *data, size_t length) {
    (void)context, (void)data, (void)length;
    return 1;
}

static int32_t progress(void *context, uint64_t resources) {
    *(uint64_t *)context = resources;
    return 0;
}

static int32_t stop(void *context, uint64_t resources) {
    (void)context, (void)resources;
    return 1;
}

/* Counts how often the host was asked to keep a directory out of backups. */
static int32_t exclude(void *context, const char *path, size_t length) {
    CHECK(length > 0 && path[0] != 0);
    ++*(int *)context;
    return 0;
}

static int32_t is_excluded(void *context, const char *path, size_t length) {
    (void)path, (void)length;
    return *(int *)context > 0;
}

/* What is done with resources. */
static void records(KeepwellStore store, const char *directory, KeepwellText passcode) {
    const KeepwellText none = {NULL, 0}, patient = text("Patient");
    /* A patient, edited. */
    KeepwellSession session;
    KeepwellWritten written;
    KeepwellBuffer buffer;
    OK(keepwell_session_begin(store, text("dr.jones"), text("journey"), text("tablet 1"), &session, &error));
    OK(keepwell_create(session, patient, text("{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"Example\"}]}"),
                       none, &written, &error));
    CHECK(written.version == 1 && written.operation == KEEPWELL_OPERATION_CREATE && strlen(written.id) > 0);
    char id[KEEPWELL_ID_BYTES];
    memcpy(id, written.id, sizeof id);
    OK(keepwell_patch(session, patient, text(id), KEEPWELL_PATCH_MERGE, text("{\"active\":true}"), 1, &written,
                      &error));
    CHECK(written.version == 2 && strcmp(written.id, id) == 0);
    CHECK(keepwell_patch(session, patient, text(id), KEEPWELL_PATCH_MERGE, text("{\"active\":false}"), 1, NULL,
                         &error) == 103);
    CHECK(strstr(keepwell_error_operation_outcome(error), "OperationOutcome") != NULL);
    keepwell_error_free(&error);
    OK(keepwell_read(session, patient, text(id), 0, &buffer, &error));
    CHECK(holds(&buffer, "\"active\":true"));
    OK(keepwell_read(session, patient, text(id), 1, &buffer, &error));
    CHECK(!holds(&buffer, "active"));
    int64_t next;
    OK(keepwell_history(session, patient, text(id), 1, 0, &buffer, &next, &error));
    CHECK(holds(&buffer, "\"history\"") && next > 0);

    /* Bad data is told, and harms nothing. */
    CHECK(keepwell_create(session, patient, text("{\"resourceType\":\"Patient\",\"birthDate\":\"soon\"}"), none, NULL,
                          &error) == 109);
    CHECK(strstr(keepwell_error_operation_outcome(error), "Patient.birthDate") != NULL);
    CHECK(strstr(keepwell_error_operation_outcome(error), "soon") == NULL);
    keepwell_error_free(&error);

    /* A search that goes on. */
    KeepwellFeed live, changes;
    OK(keepwell_observe_search(session, text("Patient?name=example"), &live, &error));
    OK(keepwell_observe(store, &changes, &error));
    OK(keepwell_feed_next(live, 0, &buffer, &error));
    CHECK(holds(&buffer, "\"added\""));

    /* Many at once. */
    const char *lines = "{\"resourceType\":\"Patient\",\"id\":\"p2\",\"name\":[{\"family\":\"Example\"}]}\n"
                        "{\"resourceType\":\"Observation\",\"id\":\"o1\",\"status\":\"final\",\"code\":{\"text\":\"x\"},"
                        "\"subject\":{\"reference\":\"Patient/p2\"}}\n"
                        "{\"resourceType\":\"Nothing\"}\n";
    uint64_t done = 0;
    OK(keepwell_import(session, text("lines"), text(lines), KEEPWELL_IMPORT_SKIP, progress, &done, &buffer, &error));
    CHECK(holds(&buffer, "\"refused\":1") && done == 2);
    CHECK(keepwell_import(session, text("lines"), text(lines), 1024, NULL, NULL, NULL, NULL) == 919);
    OK(keepwell_feed_next(live, 2000, &buffer, &error));
    CHECK(holds(&buffer, "\"p2\""));
    OK(keepwell_feed_next(changes, 2000, &buffer, &error));
    CHECK(holds(&buffer, "\"operation\":\"create\""));
    OK(keepwell_feed_next(changes, 0, &buffer, &error));
    CHECK(holds(&buffer, "[]"));

    OK(keepwell_search(session, text("Observation?subject:Patient.name=example&_include=Observation:subject"), false,
                       &buffer, &error));
    CHECK(holds(&buffer, "\"p2\""));
    CHECK(keepwell_search(session, text("Patient?unknown=1"), false, &buffer, &error) / 100 == 3);
    keepwell_error_free(&error);
    OK(keepwell_search(session, text("Patient?unknown=1"), true, &buffer, &error));
    CHECK(holds(&buffer, "OperationOutcome"));
    OK(keepwell_explain_search(session, text("Patient?name=example"), &buffer, &error));
    CHECK(holds(&buffer, "estimate"));

    /* An import that is ended from within. */
    size_t people = 20000, written_to = 0;
    char *crowd = malloc(people * 64);
    CHECK(crowd != NULL);
    for (size_t at = 0; at < people; at++) {
        written_to += (size_t)sprintf(crowd + written_to, "{\"resourceType\":\"Patient\",\"id\":\"c%zu\"}\n", at);
    }
    KeepwellText all = {crowd, written_to};
    CHECK(keepwell_import(session, text("crowd"), all, 0, stop, NULL, NULL, NULL) == 119);
    free(crowd);

    /* Links between entries that stay as they were are counted. */
    const char *linked = "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":["
                         "{\"fullUrl\":\"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967\","
                         "\"resource\":{\"resourceType\":\"Patient\",\"id\":\"linked\"}},"
                         "{\"resource\":{\"resourceType\":\"Basic\",\"id\":\"links\",\"code\":{\"text\":\"x\"},\"subject\":"
                         "{\"reference\":\"urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967\"}}}]}";
    OK(keepwell_import(session, text("linked"), text(linked), 0, NULL, NULL, &buffer, &error));
    CHECK(holds(&buffer, "\"linksKept\":1"));

    /* A photo: 60,000 base64 characters in a Binary. */
    size_t photo = 60000;
    char *binary = malloc(photo + 128);
    CHECK(binary != NULL);
    size_t start = (size_t)sprintf(
        binary, "{\"resourceType\":\"Binary\",\"id\":\"photo\",\"contentType\":\"image/png\",\"data\":\"");
    memset(binary + start, 'A', photo);
    strcpy(binary + start + photo, "\"}");
    OK(keepwell_update(session, text("Binary"), text("photo"), text(binary), KEEPWELL_ABSENT, &written, &error));
    OK(keepwell_add_attachment(session, text("image/png"), (KeepwellText){binary, photo}, &written, &error));
    CHECK(written.operation == KEEPWELL_OPERATION_CREATE);
    free(binary);
    OK(keepwell_stats(session, &buffer, &error));
    CHECK(holds(&buffer, "\"attachments\":2"));
    Counter counter = {0, 0, store};
    OK(keepwell_read_attachment(session, text("Binary"), text("photo"), 0, count, &counter, &error));
    CHECK(counter.bytes == photo / 4 * 3 && counter.reentry == 917);
    CHECK(keepwell_read_attachment(session, text("Binary"), text("photo"), 0, refuse, NULL, NULL) != 0);

    /* Out again: in clear with a fresh passcode, and as an archive. */
    CHECK(keepwell_export(session, text("wrong"), count, &counter, &error) / 100 == 2);
    keepwell_error_free(&error);
    counter.bytes = 0;
    OK(keepwell_export(session, passcode, count, &counter, &error));
    CHECK(counter.bytes > photo);
    char archive[4096], elsewhere[4096];
    snprintf(archive, sizeof archive, "%s.archive", directory);
    snprintf(elsewhere, sizeof elsewhere, "%s-elsewhere", directory);
    FILE *file = fopen(archive, "wb");
    CHECK(file != NULL);
    OK(keepwell_archive(session, passcode, text("a long enough passphrase"), save, file, &error));
    CHECK(fclose(file) == 0);

    /* And in again, on another device. */
    KeepwellStore other;
    KeepwellStoreOptions there = keepwell_store_options(text(elsewhere), text("journey"), text("tablet 2"));
    there.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    CHECK(keepwell_store_restore(&there, text(archive), none, none, &other, NULL) == 117);
    OK(keepwell_store_restore(&there, text(archive), text("a long enough passphrase"), none, &other, &error));
    KeepwellSession visit;
    OK(keepwell_session_begin(other, text("dr.jones"), text("journey"), text("tablet 2"), &visit, &error));
    OK(keepwell_read(visit, patient, text(id), 0, &buffer, &error));
    CHECK(holds(&buffer, "\"active\":true"));
    CHECK(keepwell_session_free(visit) == 0);
    OK(keepwell_store_erase(other, &error));

    /* What happened, and whether all of it is sound. */
    OK(keepwell_audit_page(session, none, 100, 0, &buffer, &next, &error));
    CHECK(holds(&buffer, "AuditEvent"));
    OK(keepwell_verify(session, &buffer, &error));
    CHECK(holds(&buffer, "\"sound\":true"));

    OK(keepwell_delete(session, patient, text("p2"), KEEPWELL_ANY_VERSION, &written, &error));
    CHECK(written.operation == KEEPWELL_OPERATION_DELETE);
    CHECK(keepwell_read(session, patient, text("p2"), 0, &buffer, &error) == 102);
    keepwell_error_free(&error);
    OK(keepwell_purge(session, patient, text("p2"), text("asked for"), passcode, &error));
    CHECK(keepwell_session_free(session) == 0 && keepwell_feed_free(live) == 0 && keepwell_feed_free(changes) == 0);
}

/* What is done with keys; gives the store as it was opened last. */
static KeepwellStore keys(KeepwellStore store, const KeepwellStoreOptions *options, Keychain *keychain,
                          KeepwellText passcode) {
    KeepwellSession session;

    /* Locked and unlocked again. */
    int32_t state;
    OK(keepwell_store_lock(store, &error));
    OK(keepwell_store_state(store, &state, &error));
    CHECK(state == KEEPWELL_STATE_LOCKED);
    CHECK(keepwell_store_unlock(store, text("wrong"), false, &error) / 100 == 2);
    CHECK(keepwell_error_actor(error) == KEEPWELL_ACTOR_PERSON);
    CHECK(keepwell_error_retry_after_ms(error) >= 0 && keepwell_error_attempts_left(error) == 19);
    keepwell_error_free(&error);
    CHECK(error.id == 0 && keepwell_error_reason(error) == NULL);
    CHECK(keepwell_error_retry_after_ms(error) == -1 && keepwell_error_attempts_left(error) == -1);
    OK(keepwell_store_unlock(store, passcode, false, &error));
    OK(keepwell_store_state(store, &state, &error));
    CHECK(state == KEEPWELL_STATE_OPEN);

    KeepwellBuffer buffer;
    OK(keepwell_store_backup_report(store, &buffer, &error));
    CHECK(holds(&buffer, "excluded"));

    OK(keepwell_session_begin(store, text("dr.jones"), text("journey"), text("tablet 1"), &session, &error));
    OK(keepwell_update(session, text("Patient"), text("kept"), text("{\"resourceType\":\"Patient\",\"id\":\"kept\"}"),
                       KEEPWELL_ABSENT, NULL, &error));

    /* Other keys, another passcode, and a way back without either. */
    KeepwellText changed = text("another passcode");
    CHECK(keepwell_set_passcode(session, text("wrong"), changed, NULL) / 100 == 2);
    OK(keepwell_set_passcode(session, passcode, changed, &error));
    OK(keepwell_set_recovery(session, changed, text("words to be kept in a safe"), &error));
    OK(keepwell_rotate_keys(session, changed, true, &error));
    OK(keepwell_store_lock(store, &error));
    CHECK(keepwell_store_unlock(store, passcode, false, NULL) / 100 == 2);
    CHECK(keepwell_session_free(session) == 0);
    CHECK(keepwell_store_free(store) == 0);
    memset(keychain, 0, sizeof *keychain);
    CHECK(keepwell_store_recover(options, text("other words than those"), passcode, &store, NULL) / 100 == 2);
    OK(keepwell_store_recover(options, text("words to be kept in a safe"), passcode, &store, &error));
    OK(keepwell_session_begin(store, text("dr.jones"), text("journey"), text("tablet 1"), &session, &error));
    OK(keepwell_read(session, text("Patient"), text("kept"), 0, &buffer, &error));
    CHECK(holds(&buffer, "kept"));

    /* A lock ends the session. */
    OK(keepwell_store_suspend(store, &error));
    CHECK(keepwell_read(session, text("Patient"), text("kept"), 0, &buffer, &error) / 100 == 2);
    keepwell_error_free(&error);
    OK(keepwell_store_resume(store, passcode, &error));

    CHECK(keepwell_session_free(session) == 0);
    return store;
}

/* Whether a part is wanted: all are if none is named. */
static bool wanted(int argc, char **argv, const char *part) { return argc < 3 || strcmp(argv[2], part) == 0; }

int main(int argc, char **argv) {
    static Keychain keychain;
    CHECK(argc == 2 || argc == 3);
    CHECK(keepwell_abi_version() == KEEPWELL_ABI_VERSION);

    /* A store under a passcode, with a keychain of our own. */
    KeepwellStoreOptions options = keepwell_store_options(text(argv[1]), text("journey"), text("tablet 1"));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_HOST;
    options.host = (KeepwellKeychain){&keychain, get, set, remove_secret, list};
    int excluded = 0;
    options.backup_guard = (KeepwellBackupGuard){&excluded, exclude, is_excluded};
    options.place = text("the journey's own place");
    options.erase_after = 20;
    KeepwellText passcode = text("correct horse");
    KeepwellStore store;
    OK(keepwell_store_create(&options, passcode, &store, &error));
    CHECK(place(&keychain, "", 0) > 0 && excluded > 0);

    if (wanted(argc, argv, "records")) {
        records(store, argv[1], passcode);
    }
    if (wanted(argc, argv, "keys")) {
        store = keys(store, &options, &keychain, passcode);
    }
    int32_t state;
    OK(keepwell_store_erase(store, &error));
    CHECK(keepwell_store_state(store, &state, NULL) == 912);
    puts("the journey held");
    return 0;
}

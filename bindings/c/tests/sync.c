/* The part of bindings/journey.md that needs a server: two stores, edits on both, a merge, conflicts, a photo, a wipe.
 * Usage: sync DIRECTORY INVITATION_A INVITATION_B PINS, a newer pin set of the server. When it says that it is ready, all devices are ordered to be wiped;
 * then it wants a line. */

#include "check.h"

static const KeepwellText NONE = {NULL, 0};

/* A store on a device, with its sync. */
typedef struct {
    KeepwellStore store;
    KeepwellSession session;
    KeepwellSync sync;
} Device;

static Device device(const char *directory, const char *name, const char *invitation) {
    Device made;
    char path[4096];
    snprintf(path, sizeof path, "%s-%s", directory, name);
    KeepwellStoreOptions options = keepwell_store_options(text(path), text("journey"), text(name));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    OK(keepwell_store_create(&options, NONE, &made.store, &error));
    OK(keepwell_session_begin(made.store, text("dr.jones"), text("journey"), text(name), &made.session, &error));
    OK(keepwell_sync_open(made.store, text("dr.jones"), text("journey"), text(name), &made.sync, &error));
    CHECK(keepwell_sync_run(made.sync, NULL, NULL, NULL, NULL) == 417);
    CHECK(keepwell_sync_enrol(made.sync, text("KEEPWELL:nonsense"), text(name), NULL) != 0);
    OK(keepwell_sync_enrol(made.sync, text(invitation), text(name), &error));
    OK(keepwell_sync_enrol(made.sync, text(invitation), text(name), &error)); // again: it stays the device that it is
    return made;
}

static void sync(const Device *device) {
    KeepwellBuffer report;
    OK(keepwell_sync_run(device->sync, NULL, NULL, &report, &error));
    CHECK(holds(&report, "\"problem\":null"));
}

static void edit(const Device *device, const char *patch) {
    OK(keepwell_patch(device->session, text("Patient"), text("p1"), KEEPWELL_PATCH_MERGE, text(patch),
                      KEEPWELL_ANY_VERSION, NULL, &error));
}

static int shows(const Device *device, const char *words) {
    KeepwellBuffer body;
    OK(keepwell_read(device->session, text("Patient"), text("p1"), 0, &body, &error));
    return holds(&body, words);
}

/* Edits of one element on both devices: that of `b` loses. */
static void clash(const Device *a, const Device *b, const char *winner, const char *loser) {
    edit(a, winner);
    edit(b, loser);
    sync(a);
    sync(b);
}

/* Decides for content of its own. */
static int32_t decide(void *context, const char *conflict, size_t length,
                      void (*give)(void *to, const char *content, size_t length), void *to) {
    const char *content = "{\"resourceType\":\"Patient\",\"id\":\"p1\",\"gender\":\"female\",\"birthDate\":\"1975-05-05\"}";
    CHECK(length > 0 && conflict[0] == '{');
    give(to, content, strlen(content));
    ++*(int *)context;
    return KEEPWELL_RESOLUTION_EDITED;
}

static int32_t later(void *context, const char *conflict, size_t length,
                     void (*give)(void *to, const char *content, size_t length), void *to) {
    (void)context, (void)conflict, (void)length, (void)give, (void)to;
    return KEEPWELL_RESOLUTION_LATER;
}

static int32_t remove_it(void *context, const char *conflict, size_t length,
                         void (*give)(void *to, const char *content, size_t length), void *to) {
    (void)context, (void)conflict, (void)length, (void)give, (void)to;
    return KEEPWELL_RESOLUTION_DELETE;
}

static void flag(const Device *device, const char *words) {
    char body[256];
    snprintf(body, sizeof body,
             "{\"resourceType\":\"Flag\",\"id\":\"f\",\"status\":\"active\",\"code\":{\"text\":\"%s\"},"
             "\"subject\":{\"reference\":\"Patient/p1\"}}",
             words);
    OK(keepwell_update(device->session, text("Flag"), text("f"), text(body), KEEPWELL_ANY_VERSION, NULL, &error));
}

static int32_t stop(void *context, uint64_t resources) {
    (void)context, (void)resources;
    return 1;
}

static int32_t count(void *context, const char *data, size_t length) {
    (void)data;
    *(size_t *)context += length;
    return 0;
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    Device a = device(argv[1], "a", argv[2]), b = device(argv[1], "b", argv[3]);
    KeepwellBuffer buffer;

    /* What one saves, the other sees. */
    OK(keepwell_update(a.session, text("Patient"), text("p1"),
                       text("{\"resourceType\":\"Patient\",\"id\":\"p1\",\"birthDate\":\"1970-01-01\"}"),
                       KEEPWELL_ABSENT, NULL, &error));
    OK(keepwell_sync_status(a.sync, &buffer, &error));
    CHECK(holds(&buffer, "\"pending\":1"));
    sync(&a);
    sync(&b);
    CHECK(shows(&b, "1970-01-01"));

    /* Edits of two elements are joined. */
    clash(&a, &b, "{\"photo\":[{\"title\":\"face\"}]}", "{\"communication\":[{\"language\":{\"text\":\"English\"}}]}");
    sync(&a);
    CHECK(shows(&a, "English") && shows(&b, "face"));
    OK(keepwell_sync_conflicts(b.sync, &buffer, &error));
    CHECK(holds(&buffer, "[]"));

    /* Edits of one element wait for a person. */
    clash(&a, &b, "{\"birthDate\":\"1971-01-01\"}", "{\"birthDate\":\"1972-02-02\"}");
    CHECK(shows(&b, "1971-01-01"));
    OK(keepwell_sync_conflicts(b.sync, &buffer, &error));
    char *conflicts = taken(&buffer);
    CHECK(strstr(conflicts, "\"mine\":{") != NULL && strstr(conflicts, "1972-02-02") != NULL);
    CHECK(strstr(conflicts, "birthDate") != NULL && strstr(conflicts, "\"base\":{") != NULL);
    char id[KEEPWELL_ID_BYTES];
    unsigned long long version;
    CHECK(sscanf(strstr(conflicts, "\"id\":\""), "\"id\":\"%64[^\"]", id) == 1);
    CHECK(sscanf(strstr(conflicts, "\"version\":"), "\"version\":%llu", &version) == 1);
    free(conflicts);
    CHECK(keepwell_sync_resolve(b.sync, text(id), version + 1, KEEPWELL_RESOLUTION_TAKE_MINE, NONE, NULL) == 422);
    CHECK(keepwell_sync_resolve(b.sync, text("none"), 0, KEEPWELL_RESOLUTION_TAKE_MINE, NONE, NULL) == 421);
    CHECK(keepwell_sync_resolve(b.sync, text(id), version, 9, NONE, NULL) == 919);
    OK(keepwell_sync_resolve(b.sync, text(id), version, KEEPWELL_RESOLUTION_TAKE_MINE, NONE, &error));
    sync(&b);
    sync(&a);
    CHECK(shows(&a, "1972-02-02"));

    /* The host decides. */
    uint64_t resolved;
    int asked = 0;
    clash(&a, &b, "{\"birthDate\":\"1973-03-03\"}", "{\"birthDate\":\"1974-04-04\"}");
    OK(keepwell_sync_resolve_each(b.sync, later, NULL, &resolved, &error));
    CHECK(resolved == 0);
    OK(keepwell_sync_resolve_each(b.sync, decide, &asked, &resolved, &error));
    CHECK(resolved == 1 && asked == 1);
    sync(&b);
    sync(&a);
    CHECK(shows(&a, "1975-05-05"));

    /* It is deleted, whoever edited it. */
    for (int round = 0; round < 2; ++round) {
        flag(&a, round == 0 ? "first" : "cat");
        if (round == 1) {
            flag(&b, "dog");
        }
        sync(&a);
        sync(&b);
    }
    OK(keepwell_sync_resolve_each(b.sync, remove_it, NULL, &resolved, &error));
    CHECK(resolved == 1);
    sync(&b);
    sync(&a);
    CHECK(keepwell_read(a.session, text("Flag"), text("f"), 0, &buffer, NULL) == 102);

    /* A photo. */
    size_t photo = 60000, seen = 0;
    char *document = malloc(photo + 512);
    CHECK(document != NULL);
    size_t start = (size_t)sprintf(document,
                                   "{\"resourceType\":\"DocumentReference\",\"id\":\"photo\",\"status\":\"current\","
                                   "\"subject\":{\"reference\":\"Patient/p1\"},\"content\":[{\"attachment\":{"
                                   "\"contentType\":\"image/png\",\"data\":\"");
    memset(document + start, 'A', photo);
    strcpy(document + start + photo, "\"}}]}");
    OK(keepwell_create(a.session, text("DocumentReference"), text(document), NONE, NULL, &error));
    free(document);
    sync(&a);
    sync(&b);
    OK(keepwell_search(b.session, text("DocumentReference?patient=Patient/p1"), false, &buffer, &error));
    char *bundle = taken(&buffer);
    char *found = strstr(bundle, "\"resource\":{");
    CHECK(found != NULL && sscanf(strstr(found, "\"id\":\""), "\"id\":\"%64[^\"]", id) == 1);
    free(bundle);
    OK(keepwell_read_attachment(b.session, text("DocumentReference"), text(id), 0, count, &seen, &error));
    CHECK(seen == photo / 4 * 3);

    /* On a thread of the library, as news comes in. */
    KeepwellFeed feed;
    OK(keepwell_observe_search(b.session, text("Patient?gender=other"), &feed, &error));
    OK(keepwell_sync_set_policy(b.sync, KEEPWELL_SYNC_METERED, &error));
    CHECK(keepwell_sync_set_policy(b.sync, 64, NULL) == 919);
    OK(keepwell_sync_start(b.sync, &error));
    OK(keepwell_sync_start(b.sync, &error));
    OK(keepwell_sync_wake(b.sync, &error));
    edit(&a, "{\"gender\":\"other\"}");
    sync(&a);
    OK(keepwell_feed_next(feed, 30000, &buffer, &error));
    CHECK(holds(&buffer, "\"added\""));
    OK(keepwell_sync_status(b.sync, &buffer, &error));
    CHECK(holds(&buffer, "\"running\":true"));
    OK(keepwell_sync_stop(b.sync, &error));
    CHECK(keepwell_feed_free(feed) == 0);

    /* Pins that came by file. */
    bool is_new = false;
    CHECK(keepwell_sync_install_pins(b.sync, text("no pins"), &is_new, NULL) == 452 && !is_new);
    OK(keepwell_sync_install_pins(b.sync, text(argv[4]), &is_new, &error));
    CHECK(is_new);
    OK(keepwell_sync_install_pins(b.sync, text(argv[4]), &is_new, &error));
    CHECK(!is_new);
    sync(&b);

    /* A round that is ended from within, and what stays at home. */
    edit(&a, "{\"gender\":\"male\"}");
    CHECK(keepwell_sync_run(a.sync, stop, NULL, NULL, NULL) == 419);
    CHECK(keepwell_sync_cancel(a.sync) == 0);
    sync(&a);
    CHECK(keepwell_sync_set_local_types(a.sync, text("Nothing"), NULL) == 117);
    OK(keepwell_sync_set_local_types(a.sync, text("AuditEvent, Flag"), &error));
    OK(keepwell_update(a.session, text("List"), text("l"),
                       text("{\"resourceType\":\"List\",\"id\":\"l\",\"status\":\"current\",\"mode\":\"working\"}"),
                       KEEPWELL_ABSENT, NULL, &error));
    OK(keepwell_sync_run(a.sync, NULL, NULL, &buffer, &error));
    CHECK(holds(&buffer, "\"kept\":1"));
    OK(keepwell_verify(a.session, &buffer, &error));
    CHECK(holds(&buffer, "\"sound\":true"));

    /* Wiped, as the operator orders. */
    puts("ready to be wiped");
    fflush(stdout);
    CHECK(getchar() == '\n');
    CHECK(keepwell_sync_run(a.sync, NULL, NULL, NULL, &error) == 423);
    keepwell_error_free(&error);
    int32_t state;
    OK(keepwell_store_state(a.store, &state, &error));
    CHECK(state == KEEPWELL_STATE_ERASED || state == KEEPWELL_STATE_UNINITIALISED);

    CHECK(keepwell_sync_free(a.sync) == 0 && keepwell_sync_free(b.sync) == 0);
    CHECK(keepwell_sync_free(b.sync) == 912);
    CHECK(keepwell_session_free(a.session) == 0 && keepwell_session_free(b.session) == 0);
    CHECK(keepwell_store_free(a.store) == 0 && keepwell_store_free(b.store) == 0);
    puts("both devices did what they should");
    return 0;
}

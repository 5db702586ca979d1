/* A device that takes a server for any FHIR server, and an app that gives the tokens.
 * Usage: fhir DIRECTORY ADDRESS AUTHORITIES TOKEN, with authorities in PEM. */

#include <pthread.h>
#include <semaphore.h>

#include "check.h"

static const KeepwellText NONE = {NULL, 0};

/* An app: what it has to give, and what it was asked. */
typedef struct {
    const char *tokens[3];
    int given, refused;
    bool fails, waits;
    KeepwellSync sync;
    sem_t entered, go_on;
} App;

static int32_t give_token(void *context, bool refused, void (*give)(void *to, const char *token, size_t length), void *to) {
    App *app = context;
    app->refused += refused;
    KeepwellBuffer status;
    CHECK(keepwell_sync_status(app->sync, &status, NULL) == 917);
    if (app->waits) {
        sem_post(&app->entered);
        sem_wait(&app->go_on);
    }
    const char *token = app->tokens[app->given++];
    if (token != NULL) {
        give(to, token, strlen(token));
    }
    return app->fails ? 7 : 0;
}

static KeepwellSession session;

static void edit(const char *birth) {
    char body[128];
    snprintf(body, sizeof body, "{\"resourceType\":\"Patient\",\"id\":\"p\",\"birthDate\":\"%s\"}", birth);
    OK(keepwell_update(session, text("Patient"), text("p"), text(body), KEEPWELL_ANY_VERSION, NULL, &error));
}

/* Whether a round with this app ends at this problem. */
static int stops_at(KeepwellSync sync, App *app, const char *problem) {
    KeepwellBuffer report;
    app->sync = sync;
    OK(keepwell_sync_set_token_provider(sync, give_token, app, &error));
    OK(keepwell_sync_run(sync, NULL, NULL, &report, &error));
    return holds(&report, problem);
}

static void *round_of(void *sync) {
    CHECK(keepwell_sync_run(*(KeepwellSync *)sync, NULL, NULL, NULL, NULL) == 419);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    KeepwellStoreOptions options = keepwell_store_options(text(argv[1]), text("fhir"), text("tablet"));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    KeepwellStore store;
    KeepwellSync sync;
    KeepwellBuffer buffer;
    OK(keepwell_store_create(&options, NONE, &store, &error));
    OK(keepwell_session_begin(store, text("dr.jones"), text("fhir"), text("tablet"), &session, &error));
    OK(keepwell_sync_open(store, text("dr.jones"), text("fhir"), text("tablet"), &sync, &error));

    /* What is wrong is said before anything is kept. */
    KeepwellFhirServer good = {.address = text(argv[2]), .authorities = text(argv[3]), .searches = text("Patient\n Flag\n")};
    KeepwellFhirServer bad = good;
    CHECK(keepwell_sync_enrol_fhir(sync, NULL, NULL) == 911);
    bad.searches = text("Patient?_sort=birthdate");
    CHECK(keepwell_sync_enrol_fhir(sync, &bad, NULL) == 117);
    bad = good;
    bad.address = text("http://127.0.0.1/fhir");
    CHECK(keepwell_sync_enrol_fhir(sync, &bad, NULL) == 459);
    bad = good;
    bad.authorities = text("none");
    CHECK(keepwell_sync_enrol_fhir(sync, &bad, NULL) == 457);
    bad = good;
    bad.writes = 9;
    CHECK(keepwell_sync_enrol_fhir(sync, &bad, NULL) == 919);
    CHECK(keepwell_sync_run(sync, NULL, NULL, NULL, NULL) == 417);
    OK(keepwell_sync_enrol_fhir(sync, &good, &error));
    OK(keepwell_sync_status(sync, &buffer, &error));
    CHECK(holds(&buffer, argv[2]));

    /* Without a token; with one that is refused, and then a good one; once more without asking. */
    edit("1970-01-01");
    OK(keepwell_sync_run(sync, NULL, NULL, &buffer, &error));
    CHECK(holds(&buffer, "\"problem\":425"));
    App first = {.tokens = {"keepwell_old", argv[4]}};
    CHECK(stops_at(sync, &first, "\"problem\":null"));
    CHECK(first.given == 2 && first.refused == 1);
    edit("1971-01-01");
    OK(keepwell_sync_run(sync, NULL, NULL, &buffer, &error));
    CHECK(holds(&buffer, "\"problem\":null") && first.given == 2);
    OK(keepwell_sync_status(sync, &buffer, &error));
    CHECK(holds(&buffer, "\"pending\":0"));

    /* One that fails, gives nothing, or what is no token: the edit waits. */
    edit("1972-01-01");
    App fails = {.tokens = {argv[4]}, .fails = true}, silent = {.given = 0}, garbled = {.tokens = {"two\nlines"}};
    CHECK(stops_at(sync, &fails, "\"problem\":448"));
    CHECK(stops_at(sync, &silent, "\"problem\":448"));
    CHECK(stops_at(sync, &garbled, "\"problem\":448"));

    /* One that takes its time: others work meanwhile, and the round can be ended. */
    App slow = {.tokens = {argv[4]}, .waits = true, .sync = sync};
    pthread_t thread;
    CHECK(sem_init(&slow.entered, 0, 0) == 0 && sem_init(&slow.go_on, 0, 0) == 0);
    OK(keepwell_sync_set_token_provider(sync, give_token, &slow, &error));
    CHECK(pthread_create(&thread, NULL, round_of, &sync) == 0);
    sem_wait(&slow.entered);
    OK(keepwell_sync_status(sync, &buffer, &error));
    CHECK(holds(&buffer, "\"pending\":1"));
    CHECK(keepwell_sync_run(sync, NULL, NULL, NULL, NULL) == 420);
    CHECK(keepwell_sync_cancel(sync) == 0);
    sem_post(&slow.go_on);
    CHECK(pthread_join(thread, NULL) == 0);

    /* On a thread of the library. */
    App last = {.tokens = {argv[4]}, .sync = sync};
    KeepwellFeed feed;
    OK(keepwell_sync_set_token_provider(sync, give_token, &last, &error));
    OK(keepwell_sync_start(sync, &error));
    for (int tries = 0; tries < 6000; ++tries) {
        OK(keepwell_sync_status(sync, &buffer, &error));
        if (holds(&buffer, "\"pending\":0")) {
            break;
        }
        OK(keepwell_observe(store, &feed, &error));
        OK(keepwell_feed_next(feed, 10, &buffer, &error));
        CHECK(keepwell_buffer_free(&buffer) == 0 && keepwell_feed_free(feed) == 0);
    }
    OK(keepwell_sync_stop(sync, &error));
    OK(keepwell_sync_status(sync, &buffer, &error));
    CHECK(holds(&buffer, "\"pending\":0") && last.given == 1);
    OK(keepwell_sync_set_token_provider(sync, NULL, NULL, &error));
    CHECK(keepwell_sync_set_token_provider((KeepwellSync){77}, give_token, &last, NULL) == 912);

    CHECK(keepwell_sync_free(sync) == 0 && keepwell_session_free(session) == 0 && keepwell_store_free(store) == 0);
    puts("every token was asked for");
    return 0;
}

/* What a program may get wrong at the edge: each mistake is a code, and never a crash.
 * Usage: abuse DIRECTORY, which must not exist. */

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static KeepwellStore store;
static KeepwellSession session;

/* A logger that calls the library. */
static void log_line(void *context, int32_t code, int32_t actor, const char *line, size_t length) {
    CHECK(code > 100 && actor != KEEPWELL_ACTOR_NOBODY && length > 0 && line[0] != 0);
    CHECK(keepwell_error_code((KeepwellError){0}) == 0);
    CHECK(keepwell_set_logger(NULL, NULL, NULL) == 917);
    *(int32_t *)context = code;
}

/* What a listener is told: by events, and by the end of its feed. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t told;
    KeepwellFeed feed;
    int events, ended;
    bool frees;
} Heard;

static int32_t hear(void *context, int32_t code, const char *events, size_t length) {
    Heard *heard = context;
    int32_t state;
    CHECK(keepwell_store_state(store, &state, NULL) == 0);
    CHECK(code == 0 ? events[0] == '[' && length > 2 : events == NULL && length == 0);
    CHECK(pthread_mutex_lock(&heard->lock) == 0);
    heard->events += code == 0;
    heard->ended = code;
    if (heard->frees) {
        CHECK(keepwell_feed_free(heard->feed) == 0);
    }
    CHECK(pthread_cond_signal(&heard->told) == 0 && pthread_mutex_unlock(&heard->lock) == 0);
    return 0;
}

/* Waits until a listener was told so many events, or the end of its feed. */
static void wait_for(Heard *heard, int events, int ended) {
    CHECK(pthread_mutex_lock(&heard->lock) == 0);
    while (heard->events < events || heard->ended != ended) {
        CHECK(pthread_cond_wait(&heard->told, &heard->lock) == 0);
    }
    CHECK(pthread_mutex_unlock(&heard->lock) == 0);
}

static void save(const char *id) {
    char body[96];
    snprintf(body, sizeof body, "{\"resourceType\":\"Patient\",\"id\":\"%s\"}", id);
    CHECK(keepwell_update(session, text("Patient"), text(id), text(body), 0, NULL, NULL) == 0);
}

/* Listeners that are freed from outside and from within, and one whose store is locked. */
static void listeners(void) {
    Heard heard[3];
    for (int at = 0; at < 3; at++) {
        heard[at] = (Heard){.frees = at == 1};
        CHECK(pthread_mutex_init(&heard[at].lock, NULL) == 0 && pthread_cond_init(&heard[at].told, NULL) == 0);
        CHECK((at == 2 ? keepwell_observe_search(session, text("Patient?_id=heard"), &heard[at].feed, NULL)
                       : keepwell_observe(store, &heard[at].feed, NULL)) == 0);
        CHECK(keepwell_feed_listen(heard[at].feed, NULL, NULL, NULL) == 911);
        CHECK(keepwell_feed_listen(heard[at].feed, hear, &heard[at], NULL) == 0);
    }
    CHECK(keepwell_feed_listen(heard[0].feed, hear, &heard[0], NULL) == 919);
    save("heard");
    for (int at = 0; at < 3; at++) {
        wait_for(&heard[at], 1, 0);
    }
    CHECK(keepwell_feed_free(heard[0].feed) == 0 && keepwell_feed_free(heard[1].feed) == 912);
    CHECK(keepwell_feed_listen(heard[0].feed, hear, &heard[0], NULL) == 912);
    save("unheard");
    CHECK(keepwell_store_lock(store, NULL) == 0);
    wait_for(&heard[2], 1, 201);
    CHECK(heard[0].events == 1 && heard[1].events == 1);
    CHECK(keepwell_feed_free(heard[2].feed) == 0);
    CHECK(keepwell_session_free(session) == 0 && keepwell_store_unlock(store, text(""), false, NULL) == 0);
    CHECK(keepwell_session_begin(store, text("u"), text("a"), text("d"), &session, NULL) == 0);
}

/* Reads, and frees the same handles as others do at the same time. */
static void *reader(void *unused) {
    (void)unused;
    for (int round = 0; round < 200; round++) {
        KeepwellBuffer buffer = {NULL, 0};
        int32_t code = keepwell_read(session, text("Patient"), text("p"), 0, &buffer, NULL);
        CHECK(code == 0 || code == 912);
        CHECK(keepwell_buffer_free(&buffer) == 0);
        if (round == 150) {
            code = keepwell_session_free(session);
            CHECK(code == 0 || code == 912);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    KeepwellText none = {NULL, 0}, patient = text("Patient");
    KeepwellBuffer buffer = {NULL, 0};
    CHECK(argc == 2);

    /* Null. */
    CHECK(keepwell_store_create(NULL, none, &store, &error) == 911);
    CHECK(keepwell_error_actor(error) == KEEPWELL_ACTOR_DEVELOPER);
    KeepwellError copy = error;
    keepwell_error_free(&error);
    keepwell_error_free(&copy);
    keepwell_error_free(NULL);
    KeepwellStoreOptions options = keepwell_store_options(text(argv[1]), text("abuse"), text("bench"));
    options.keychain = KEEPWELL_KEYCHAIN_KIND_HOST;
    CHECK(keepwell_store_create(&options, none, &store, NULL) == 911);
    options.keychain = 77;
    CHECK(keepwell_store_create(&options, none, &store, NULL) == 919);
    options.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    CHECK(keepwell_store_create(&options, none, NULL, NULL) == 911);
    CHECK(keepwell_store_create(&options, none, &store, NULL) == 0);
    CHECK(keepwell_session_begin(store, text("u"), text("a"), text("d"), &session, NULL) == 0);
    CHECK(keepwell_update(session, patient, text("p"), text("{\"resourceType\":\"Patient\",\"id\":\"p\"}"), 0, NULL,
                          NULL) == 0);
    CHECK(keepwell_read(session, patient, text("p"), 0, NULL, NULL) == 911);
    CHECK(keepwell_search(session, text("Patient"), false, NULL, NULL) == 911);
    CHECK(keepwell_export(session, none, NULL, NULL, NULL) == 911);

    /* Text that is none, and lengths that cannot be. */
    KeepwellText broken = {"\xff\xfe", 2}, huge = {"x", SIZE_MAX}, lost = {NULL, 5};
    CHECK(keepwell_read(session, patient, broken, 0, &buffer, NULL) == 914);
    CHECK(keepwell_read(session, patient, huge, 0, &buffer, NULL) == 915);
    CHECK(keepwell_read(session, patient, lost, 0, &buffer, NULL) == 911);
    CHECK(keepwell_create(session, patient, broken, none, NULL, NULL) == 108);
    CHECK(keepwell_create(session, text("Nothing"), text("{}"), none, NULL, NULL) == 117);
    CHECK(keepwell_patch(session, patient, text("p"), 9, text("[]"), 0, NULL, NULL) == 919);

    /* Every code as a program meets it. */
    for (uint32_t code = 100; code < 1000; code++) {
        CHECK(keepwell_rehearse_error(code, &error) == (int32_t)code && keepwell_error_code(error) == (int32_t)code);
        CHECK(keepwell_error_actor(error) != KEEPWELL_ACTOR_NOBODY && keepwell_error_reason(error) != NULL);
        keepwell_error_free(&error);
    }
    CHECK(keepwell_rehearse_error(0, NULL) == 919 && keepwell_rehearse_error(UINT32_MAX, NULL) == 919);

    /* Handles of another kind, made up, or freed. */
    KeepwellSession foreign = {store.id}, made_up = {42}, zero = {0};
    CHECK(keepwell_read(foreign, patient, text("p"), 0, &buffer, NULL) == 913);
    CHECK(keepwell_read(made_up, patient, text("p"), 0, &buffer, NULL) == 912);
    CHECK(keepwell_read(zero, patient, text("p"), 0, &buffer, NULL) == 912);
    CHECK(keepwell_session_free(foreign) == 913 && keepwell_session_free(zero) == 0);

    /* Buffers freed twice, or not from here. */
    CHECK(keepwell_read(session, patient, text("p"), 0, &buffer, NULL) == 0);
    KeepwellBuffer twin = buffer, stranger = {argv[1], 3};
    CHECK(keepwell_buffer_free(&buffer) == 0 && keepwell_buffer_free(&buffer) == 0);
    CHECK(keepwell_buffer_free(&twin) == 918 && keepwell_buffer_free(&stranger) == 918);
    CHECK(keepwell_buffer_free(NULL) == 0);

    /* A child that was forked has no connection of its own. */
    KeepwellBuffer kept;
    CHECK(keepwell_read(session, patient, text("p"), 0, &kept, NULL) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int told = keepwell_read(session, patient, text("p"), 0, &buffer, &error) == 916 &&
                   keepwell_error_code(error) == 916 && keepwell_error_reason(error) != NULL &&
                   keepwell_error_actor(error) == KEEPWELL_ACTOR_DEVELOPER;
        keepwell_error_free(&error);
        _exit(told && error.id == 0 && keepwell_buffer_free(&kept) == 916 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(keepwell_buffer_free(&kept) == 0);

    /* A wait without end is over when something comes. */
    KeepwellFeed live;
    CHECK(keepwell_observe_search(session, text("Patient"), &live, NULL) == 0);
    CHECK(keepwell_feed_next(live, UINT64_MAX, &buffer, NULL) == 0 && holds(&buffer, "\"added\""));
    CHECK(keepwell_feed_free(live) == 0);

    listeners();

    /* What fails is told to the host's log. */
    int32_t logged = 0;
    CHECK(keepwell_set_logger(log_line, &logged, NULL) == 0);
    CHECK(keepwell_read(session, patient, text("nobody"), 0, &buffer, NULL) == 101 && logged == 101);
    CHECK(keepwell_set_logger(NULL, NULL, NULL) == 0);
    CHECK(keepwell_read(session, patient, broken, 0, &buffer, NULL) == 914 && logged == 101);

    /* Many threads, one of which frees what the others use. */
    pthread_t threads[8];
    for (int at = 0; at < 8; at++) {
        CHECK(pthread_create(&threads[at], NULL, reader, NULL) == 0);
    }
    for (int at = 0; at < 8; at++) {
        CHECK(pthread_join(threads[at], NULL) == 0);
    }
    CHECK(keepwell_read(session, patient, text("p"), 0, &buffer, NULL) == 912);

    /* Used after it was erased. */
    CHECK(keepwell_store_erase(store, NULL) == 0);
    CHECK(keepwell_store_erase(store, NULL) == 912 && keepwell_store_free(store) == 912);
    CHECK(keepwell_session_begin(store, text("u"), text("a"), text("d"), &session, NULL) == 912);
    puts("every mistake got its code");
    return 0;
}

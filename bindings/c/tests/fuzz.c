/* Calls with arguments that a seed chooses, many of them wrong: each gets a code, and none crashes, panics or hangs.
 * Usage: fuzz DIRECTORY SEED CALLS THREADS INVITATION ADDRESS AUTHORITIES TOKEN, the last three of a plain FHIR server.
 * DIRECTORY is empty. One thread does the same for the same seed. */

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

/* Seconds until a call that hangs ends the program. */
#define PATIENCE 120

typedef struct {
    uint64_t state;
    /* Texts of the call that is made: each in a block of its own size, so that reading past its end is seen. */
    void *texts[12];
    int held;
} Rng;

static uint64_t next(Rng *rng) {
    uint64_t z = rng->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(Rng *rng, size_t limit) { return (size_t)(next(rng) % limit); }
static bool chance(Rng *rng, size_t percent) { return below(rng, 100) < percent; }

static const char *directory;
static const char *invitation, *address, *authorities, *token;
static bool is_alone;

/* Handles as the threads have them in common: what was freed may stay in its place. */
enum { STORE, SESSION, FEED, SYNC, KINDS };
#define PLACES 6
static _Atomic uint64_t handles[KINDS][PLACES];

static int32_t free_handle(int kind, uint64_t id) {
    switch (kind) {
        case STORE: return keepwell_store_free((KeepwellStore){id});
        case SESSION: return keepwell_session_free((KeepwellSession){id});
        case FEED: return keepwell_feed_free((KeepwellFeed){id});
        default: return keepwell_sync_free((KeepwellSync){id});
    }
}

static void keep(Rng *rng, int kind, uint64_t id) {
    uint64_t before = atomic_exchange(&handles[kind][below(rng, PLACES)], id);
    int32_t code = free_handle(kind, before);
    CHECK(code == 0 || code == 912);
}

static uint64_t handle(Rng *rng, int kind) {
    size_t dice = below(rng, 100);
    if (dice < 2) {
        return next(rng);
    }
    if (dice < 4) {
        return below(rng, 3);
    }
    if (dice < 8) {
        kind = (int)below(rng, KINDS);
    }
    return atomic_load(&handles[kind][below(rng, PLACES)]);
}

#define STORE_OF(rng) ((KeepwellStore){handle((rng), STORE)})
#define SESSION_OF(rng) ((KeepwellSession){handle((rng), SESSION)})
#define FEED_OF(rng) ((KeepwellFeed){handle((rng), FEED)})
#define SYNC_OF(rng) ((KeepwellSync){handle((rng), SYNC)})

/* Words of each purpose; a text is mostly one of its own. */
static const char *const NAMES[] = {"dr.jones", "fuzz", "tablet", "\xC3\xA9", "a", "b", "c", "d", "e", "f", " ", "a\nb"};
static const char *const TYPES[] = {"Patient", "Patient", "Patient", "Observation", "Binary", "DocumentReference", "Flag", "Nothing", "patient"};
static const char *const IDS[] = {"p", "p", "p", "r1", "o", "b", "f", "a.b-C9", "no such", "../p", "p/_history/1"};
static const char *const BODIES[] = {
    "{\"resourceType\":\"Patient\",\"id\":\"p\",\"active\":true,\"name\":[{\"family\":\"Example\"}]}",
    "{\"resourceType\":\"Patient\",\"gender\":\"female\",\"birthDate\":\"1970-01-01\"}",
    "{\"resourceType\":\"Observation\",\"id\":\"o\",\"status\":\"final\",\"code\":{\"text\":\"x\"},"
    "\"subject\":{\"reference\":\"Patient/p\"},\"valueQuantity\":{\"value\":1.10}}",
    "{\"resourceType\":\"Binary\",\"id\":\"b\",\"contentType\":\"image/png\",\"data\":\"AAAA\"}",
    "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{\"resource\":{\"resourceType\":\"Flag\",\"id\":\"f\","
    "\"status\":\"active\",\"code\":{\"text\":\"x\"},\"subject\":{\"reference\":\"Patient/p\"}},"
    "\"request\":{\"method\":\"PUT\",\"url\":\"Flag/f\"}}]}",
    "{\"resourceType\":\"SearchParameter\",\"url\":\"http://example.org/p\",\"name\":\"p\",\"status\":\"active\","
    "\"description\":\"d\",\"code\":\"flagged\",\"base\":[\"Patient\"],\"type\":\"token\",\"expression\":\"Patient.active\"}",
    "{\"active\":false}", "[{\"op\":\"add\",\"path\":\"/active\",\"value\":true}]", "{}", "[]", "{\"a\":{\"a\":{\"a\":",
    "{\"resourceType\":\"Patient\",\"birthDate\":\"soon\"}"};
static const char *const URLS[] = {"Patient",
                                   "Patient?name=example&_sort=-_lastUpdated",
                                   "Observation?subject:Patient.name=example&_include=Observation:subject",
                                   "Patient?_has:Observation:subject:code=x",
                                   "Patient?_count=0",
                                   "Patient?_count=99999999999999999999",
                                   "?",
                                   "Patient?colour=red",
                                   "Patient?name:exact=%zz&&=&name",
                                   "Patient?_filter=((((name eq"};
static const char *const SECRETS[] = {"correct horse", "a passphrase of some length", "x"};

static KeepwellText own(Rng *rng, const void *bytes, size_t length) {
    char *copy = malloc(length ? length : 1);
    CHECK(copy != NULL && rng->held < 12);
    memcpy(copy, bytes, length);
    rng->texts[rng->held++] = copy;
    return (KeepwellText){copy, length};
}

static void let_go(Rng *rng, int down_to) {
    while (rng->held > down_to) {
        free(rng->texts[--rng->held]);
    }
}

static KeepwellText hostile(Rng *rng) {
    unsigned char noise[64];
    switch (below(rng, 8)) {
        case 0: return (KeepwellText){NULL, 0};
        case 1: return (KeepwellText){NULL, 1 + below(rng, 9)};
        case 2: return (KeepwellText){"x", SIZE_MAX - below(rng, 9)};
        case 3: return (KeepwellText){"x", (size_t)PTRDIFF_MAX + 1};
        case 4: return own(rng, "\xff\xfe\xfd", 3);
        case 5: return own(rng, "a\0b", 3);
        case 6: {
            size_t length = 1 + below(rng, 200000);
            char *long_one = malloc(length);
            CHECK(long_one != NULL);
            memset(long_one, "[{\"a "[below(rng, 5)], length);
            KeepwellText made = own(rng, long_one, length);
            free(long_one);
            return made;
        }
        default: {
            size_t length = below(rng, sizeof noise);
            for (size_t at = 0; at < length; at++) {
                noise[at] = (unsigned char)next(rng);
            }
            return own(rng, noise, length);
        }
    }
}

static KeepwellText word(Rng *rng, const char *const *words, size_t count) {
    if (chance(rng, 4)) {
        return hostile(rng);
    }
    const char *chosen = words[below(rng, count)];
    size_t length = strlen(chosen);
    KeepwellText made = own(rng, chosen, chance(rng, 2) ? below(rng, length + 1) : length);
    if (chance(rng, 2) && made.length > 0) {
        ((char *)rng->texts[rng->held - 1])[below(rng, made.length)] = (char)next(rng);
    }
    return made;
}

#define WORD(rng, words) word((rng), (words), sizeof(words) / sizeof *(words))
#define NAME(rng) WORD(rng, NAMES)
#define TYPE(rng) WORD(rng, TYPES)
#define ID(rng) WORD(rng, IDS)
#define BODY(rng) WORD(rng, BODIES)
#define URL(rng) WORD(rng, URLS)

static KeepwellText none(void) { return (KeepwellText){NULL, 0}; }
/* A passcode takes a third of a second to stretch: mostly there is none. */
static KeepwellText secret(Rng *rng) { return chance(rng, 96) ? none() : WORD(rng, SECRETS); }

static KeepwellText path(Rng *rng) {
    char place[4096];
    size_t dice = below(rng, 20);
    if (dice == 0) {
        return hostile(rng);
    }
    const char *odd[] = {"", "/dev/null", "/dev/null/x", "records.ndjson", "no/such/folder"};
    if (dice == 1) {
        const char *chosen = odd[below(rng, 5)];
        return own(rng, chosen, strlen(chosen));
    }
    int length = snprintf(place, sizeof place, "%s/%zu", directory, below(rng, 3));
    return own(rng, place, (size_t)length);
}

/* Callbacks: each answers as it likes, and tries to call back. */
static void call_back(Rng *rng) {
    int32_t state;
    KeepwellError inner = {7};
    CHECK(keepwell_store_state(STORE_OF(rng), &state, &inner) == 917);
    CHECK(keepwell_error_code(inner) == 917);
    keepwell_error_free(&inner);
    CHECK(keepwell_session_free(SESSION_OF(rng)) == 917);
}

static int32_t write_piece(void *context, const char *data, size_t length) {
    Rng *rng = context;
    volatile char last = length > 0 ? data[length - 1] : 0;
    (void)last;
    call_back(rng);
    return chance(rng, 80) ? 0 : (int32_t)next(rng);
}

static int32_t progress(void *context, uint64_t resources) {
    Rng *rng = context;
    (void)resources;
    call_back(rng);
    return chance(rng, 80) ? 0 : (int32_t)next(rng);
}

static int32_t resolve(void *context, const char *conflict, size_t length,
                       void (*give)(void *to, const char *content, size_t length), void *to) {
    Rng *rng = context;
    CHECK(length > 0 && conflict[0] == '{');
    call_back(rng);
    for (size_t times = below(rng, 3); times > 0; times--) {
        int held = rng->held;
        KeepwellText content = BODY(rng);
        give(to, content.data, content.length);
        let_go(rng, held);
    }
    return (int32_t)below(rng, 6) - 1;
}

/* A listener has a thread of its own, and may call the library. */
static int32_t hear(void *context, int32_t code, const char *events, size_t length) {
    static _Atomic uint32_t moods;
    int32_t state;
    (void)context;
    CHECK(code == 0 ? length > 2 && events[0] == '[' : events == NULL && length == 0);
    CHECK(keepwell_store_state((KeepwellStore){1}, &state, NULL) != 917);
    return atomic_fetch_add(&moods, 1) % 8 == 0;
}

/* Any thread that syncs asks for tokens: its answers are the program's own. */
static int32_t give_token(void *context, bool refused, void (*give)(void *to, const char *token, size_t length), void *to) {
    static _Atomic uint32_t moods;
    uint32_t mood = atomic_fetch_add(&moods, 1) % 8;
    int32_t state;
    (void)context, (void)refused;
    CHECK(keepwell_store_state((KeepwellStore){1}, &state, NULL) == 917);
    if (mood == 1) {
        give(to, NULL, 3);
    } else if (mood == 2) {
        give(to, "no\ntoken", 8);
    } else if (mood != 3) {
        give(to, token, strlen(token));
    }
    return mood == 4 ? -1 : 0;
}

/* A plain FHIR server that is there, or something like it. */
static KeepwellFhirServer fhir_server(Rng *rng) {
    KeepwellFhirServer server = {
        .address = chance(rng, 80) ? own(rng, address, strlen(address)) : NAME(rng),
        .authorities = chance(rng, 80) ? own(rng, authorities, strlen(authorities)) : NAME(rng),
        .searches = chance(rng, 80) ? own(rng, "Patient\nFlag?status=active", 26) : URL(rng),
        .token = chance(rng, 50) ? own(rng, token, strlen(token)) : NAME(rng),
        .writes = (int32_t)below(rng, 4),
        .allow_tls12 = chance(rng, 50),
    };
    return server;
}

/* A keychain in memory that is often locked, lies about lengths, and knows names that are none. */
static pthread_mutex_t keychain_lock = PTHREAD_MUTEX_INITIALIZER;
static Rng moods;
static struct {
    char name[96];
    uint8_t secret[256];
    size_t name_length, length;
} items[32];

static int32_t mood(void) { return chance(&moods, 90) ? 0 : (int32_t)below(&moods, 9); }

static int item(const char *name, size_t length) {
    for (int at = 0; at < 32; at++) {
        if (items[at].name_length == length && memcmp(items[at].name, name, length) == 0) {
            return at;
        }
    }
    return -1;
}

static int32_t get_secret(void *context, const char *name, size_t name_length, uint8_t *out, size_t *length) {
    (void)context;
    pthread_mutex_lock(&keychain_lock);
    int at = item(name, name_length);
    int32_t answer = mood();
    if (answer == 0 && at < 0) {
        answer = KEEPWELL_KEYCHAIN_ANSWER_NONE;
    } else if (answer == 0) {
        memcpy(out, items[at].secret, items[at].length);
        *length = chance(&moods, 95) ? items[at].length : (size_t)next(&moods);
    }
    pthread_mutex_unlock(&keychain_lock);
    return answer;
}

static int32_t set_secret(void *context, const char *name, size_t name_length, const uint8_t *in, size_t length) {
    (void)context;
    pthread_mutex_lock(&keychain_lock);
    int at = item(name, name_length);
    int32_t answer = mood();
    at = at < 0 ? (int)below(&moods, 32) : at;
    if (answer == 0) {
        CHECK(name_length < sizeof items[at].name && length <= sizeof items[at].secret);
        memcpy(items[at].name, name, name_length);
        memcpy(items[at].secret, in, length);
        items[at].name_length = name_length;
        items[at].length = length;
    }
    pthread_mutex_unlock(&keychain_lock);
    return answer;
}

static int32_t remove_secret(void *context, const char *name, size_t name_length) {
    (void)context;
    pthread_mutex_lock(&keychain_lock);
    int at = item(name, name_length);
    if (at >= 0) {
        items[at].name_length = 0;
    }
    int32_t answer = mood();
    pthread_mutex_unlock(&keychain_lock);
    return answer;
}

static int32_t list_secrets(void *context, void (*tell)(void *to, const char *name, size_t length), void *to) {
    (void)context;
    tell(to, NULL, 0);
    tell(to, NULL, 9);
    tell(to, "\xff", 1);
    tell(to, "x", SIZE_MAX);
    pthread_mutex_lock(&keychain_lock);
    for (int at = 0; at < 32; at++) {
        if (items[at].name_length > 0) {
            tell(to, items[at].name, items[at].name_length);
        }
    }
    int32_t answer = mood();
    pthread_mutex_unlock(&keychain_lock);
    return answer;
}

static int32_t guard(void *context, const char *place, size_t length) {
    (void)context;
    return place != NULL ? (int32_t)(length % 3) : 1;
}

static KeepwellStoreOptions options(Rng *rng) {
    static const uint64_t times[] = {0, 0, 0, 0, 0, 0, 60000, 1, UINT64_MAX, UINT64_MAX / 1000};
    KeepwellStoreOptions made = keepwell_store_options(path(rng), NAME(rng), NAME(rng));
    const char *keys = "keys";
    size_t dice = below(rng, 20);
    /* Never the keychain of the platform, which is not this program's to fill. */
    made.keychain = dice < 8 ? KEEPWELL_KEYCHAIN_KIND_FILE
                    : dice < 14 ? KEEPWELL_KEYCHAIN_KIND_HOST
                    : dice < 19 ? KEEPWELL_KEYCHAIN_KIND_MEMORY
                                : 5 + (int32_t)below(rng, 1000);
    made.keychain_path = chance(rng, 95) ? (KeepwellText){keys, 4} : hostile(rng);
    made.host = (KeepwellKeychain){NULL, get_secret, set_secret, remove_secret, list_secrets};
    if (chance(rng, 5)) {
        made.host.list = NULL;
    }
    made.idle_ms = times[below(rng, 10)];
    made.session_ms = times[below(rng, 10)];
    made.erase_after = chance(rng, 90) ? 0 : (uint32_t)next(rng);
    made.cache_kib = chance(rng, 90) ? 0 : (uint32_t)below(rng, 5000);
    made.memory_security = chance(rng, 50);
    if (chance(rng, 20)) {
        made.backup_guard = (KeepwellBackupGuard){NULL, guard, chance(rng, 90) ? guard : NULL};
    }
    if (chance(rng, 20)) {
        made.place = NAME(rng);
    }
    return made;
}

/* How often each code came. */
static _Atomic long outcomes[1000];

/* What every call has to hold to. */
static void settle(int32_t code, KeepwellError *told) {
    CHECK(code == 0 || (code > 100 && code < 1000));
    CHECK(code != 910);
    atomic_fetch_add(&outcomes[code], 1);
    if (told == NULL) {
        return;
    }
    CHECK(keepwell_error_code(*told) == code);
    CHECK((keepwell_error_actor(*told) == KEEPWELL_ACTOR_NOBODY) == (code == 0));
    CHECK((keepwell_error_reason(*told) == NULL) == (code == 0));
    const char *outcome = keepwell_error_operation_outcome(*told);
    CHECK(outcome == NULL || outcome[0] == '{');
    keepwell_error_free(told);
    CHECK(told->id == 0 && keepwell_error_code(*told) == 0);
}

static void settle_buffer(Rng *rng, int32_t code, KeepwellBuffer *buffer) {
    if (buffer == NULL || code != 0) {
        CHECK(code != 0 || buffer != NULL);
        return;
    }
    unsigned sum = 0;
    for (size_t at = 0; at < buffer->length; at++) {
        sum += (unsigned char)buffer->data[at];
    }
    CHECK(sum > 0 || buffer->length == 0);
    KeepwellBuffer twin = *buffer;
    CHECK(keepwell_buffer_free(buffer) == 0 && buffer->data == NULL);
    /* Beside others, its address may be another buffer's by now. */
    if (is_alone && twin.data != NULL && chance(rng, 10)) {
        CHECK(keepwell_buffer_free(&twin) == 918);
    }
}

static uint64_t version(Rng *rng) {
    static const uint64_t versions[] = {0, 0, 0, 1, 2, KEEPWELL_ABSENT, UINT64_MAX - 1, UINT64_MAX / 2};
    return versions[below(rng, 8)];
}

/* Makes one call. */
static void call(Rng *rng) {
    KeepwellError place = {0}, *told = chance(rng, 90) ? &place : NULL;
    KeepwellBuffer bytes = {NULL, 0}, *out = chance(rng, 95) ? &bytes : NULL, *optional = out;
    KeepwellWritten result, *written = chance(rng, 70) ? &result : NULL;
    KeepwellStore store = {0};
    KeepwellSession session = {0};
    KeepwellFeed feed = {0};
    KeepwellSync sync = {0};
    int64_t after = 0;
    int32_t state, code = 0;
    uint32_t small = chance(rng, 80) ? (uint32_t)below(rng, 20) : (uint32_t)next(rng);
    size_t dice = below(rng, 1000);
    bool gives = false;
    if (dice < 12) {
        /* What stretches a passphrase. */
        KeepwellText now = secret(rng), words = WORD(rng, SECRETS);
        KeepwellStoreOptions chosen = options(rng);
        switch (below(rng, 6)) {
            case 0: code = keepwell_set_passcode(SESSION_OF(rng), now, chance(rng, 50) ? none() : words, told); break;
            case 1: code = keepwell_set_recovery(SESSION_OF(rng), now, words, told); break;
            case 2: code = keepwell_archive(SESSION_OF(rng), now, words, write_piece, rng, told); break;
            case 3:
                code = keepwell_store_recover(&chosen, words, now, chance(rng, 95) ? &store : NULL, told);
                break;
            case 4: code = keepwell_store_restore(&chosen, path(rng), words, now, &store, told); break;
            default: code = keepwell_rotate_keys(SESSION_OF(rng), now, chance(rng, 50), told); break;
        }
    } else if (dice < 80) {
        /* The life of a store. */
        KeepwellStoreOptions chosen = options(rng);
        switch (below(rng, 12)) {
            case 0:
            case 1: code = keepwell_store_create(chance(rng, 98) ? &chosen : NULL, secret(rng), &store, told); break;
            case 2:
            case 3: code = keepwell_store_open(&chosen, chance(rng, 95) ? &store : NULL, told); break;
            case 4: code = keepwell_store_lock(STORE_OF(rng), told); break;
            case 5: code = keepwell_store_suspend(STORE_OF(rng), told); break;
            case 6: code = keepwell_store_resume(STORE_OF(rng), secret(rng), told); break;
            case 7: code = keepwell_store_erase(STORE_OF(rng), told); break;
            case 8: code = keepwell_store_free(STORE_OF(rng)); told = NULL; break;
            default: code = keepwell_store_unlock(STORE_OF(rng), secret(rng), chance(rng, 50), told); break;
        }
    } else if (dice < 180) {
        switch (below(rng, 13)) {
            case 12: code = keepwell_feed_listen(FEED_OF(rng), chance(rng, 95) ? hear : NULL, NULL, told); break;
            case 0: code = keepwell_store_state(STORE_OF(rng), chance(rng, 95) ? &state : NULL, told); break;
            case 1: code = keepwell_store_backup_report(STORE_OF(rng), out, told); gives = true; break;
            case 2:
            case 3:
            case 4:
                code = keepwell_session_begin(STORE_OF(rng), NAME(rng), NAME(rng), NAME(rng),
                                              chance(rng, 95) ? &session : NULL, told);
                break;
            case 5: code = keepwell_session_free(SESSION_OF(rng)); told = NULL; break;
            case 6: code = keepwell_observe(STORE_OF(rng), chance(rng, 95) ? &feed : NULL, told); break;
            case 7: code = keepwell_observe_search(SESSION_OF(rng), URL(rng), chance(rng, 95) ? &feed : NULL, told); break;
            case 8: code = keepwell_feed_free(FEED_OF(rng)); told = NULL; break;
            case 9:
                code = keepwell_sync_open(STORE_OF(rng), NAME(rng), NAME(rng), NAME(rng),
                                          chance(rng, 95) ? &sync : NULL, told);
                break;
            case 10: code = keepwell_sync_free(SYNC_OF(rng)); told = NULL; break;
            default: code = keepwell_feed_next(FEED_OF(rng), below(rng, 5), out, told); gives = true; break;
        }
    } else if (dice < 300) {
        switch (below(rng, 15)) {
            case 14: {
                bool is_new;
                code = keepwell_sync_install_pins(SYNC_OF(rng), NAME(rng), chance(rng, 50) ? &is_new : NULL, told);
                break;
            }
            case 0: {
                KeepwellFhirServer server = fhir_server(rng);
                code = keepwell_sync_enrol_fhir(SYNC_OF(rng), chance(rng, 95) ? &server : NULL, told);
                break;
            }
            case 12:
                code = keepwell_sync_set_token_provider(SYNC_OF(rng), chance(rng, 80) ? give_token : NULL, NULL, told);
                break;
            case 13:
                code = keepwell_sync_enrol(SYNC_OF(rng), chance(rng, 60) ? own(rng, invitation, strlen(invitation)) : NAME(rng),
                                           NAME(rng), told);
                break;
            case 1:
            case 2:
                code = keepwell_sync_run(SYNC_OF(rng), chance(rng, 50) ? progress : NULL, rng, optional, told);
                gives = optional != NULL;
                break;
            case 3: code = keepwell_sync_cancel(SYNC_OF(rng)); told = NULL; break;
            case 4: code = keepwell_sync_start(SYNC_OF(rng), told); break;
            case 5: code = keepwell_sync_stop(SYNC_OF(rng), told); break;
            case 6: code = keepwell_sync_wake(SYNC_OF(rng), told); break;
            case 7: code = keepwell_sync_set_policy(SYNC_OF(rng), small, told); break;
            case 8: code = keepwell_sync_status(SYNC_OF(rng), out, told); gives = true; break;
            case 9: code = keepwell_sync_conflicts(SYNC_OF(rng), out, told); gives = true; break;
            case 10:
                code = chance(rng, 50) ? keepwell_sync_resolve(SYNC_OF(rng), ID(rng), version(rng), (int32_t)small, BODY(rng), told)
                                       : keepwell_sync_resolve_each(SYNC_OF(rng), chance(rng, 90) ? resolve : NULL, rng, NULL, told);
                break;
            default: code = keepwell_sync_set_local_types(SYNC_OF(rng), TYPE(rng), told); break;
        }
    } else if (dice < 330) {
        /* What goes through the whole store. */
        KeepwellText records = {"records.ndjson", 14};
        switch (below(rng, 9)) {
            case 5: code = keepwell_stats(SESSION_OF(rng), out, told); gives = true; break;
            case 6: code = keepwell_changes_after(STORE_OF(rng), (int64_t)version(rng), small, out, told); gives = true; break;
            case 7: code = keepwell_add_attachment(SESSION_OF(rng), NAME(rng), BODY(rng), written, told); break;
            case 8: {
                uint64_t resources;
                code = keepwell_purge_patient(SESSION_OF(rng), ID(rng), NAME(rng), secret(rng),
                                              chance(rng, 50) ? &resources : NULL, told);
                break;
            }
            case 0:
                code = keepwell_import_file(SESSION_OF(rng), chance(rng, 80) ? records : path(rng), small & 31,
                                            chance(rng, 80) ? progress : NULL, rng, optional, told);
                gives = optional != NULL;
                break;
            case 1:
                code = keepwell_import(SESSION_OF(rng), NAME(rng), BODY(rng), small & 31,
                                       chance(rng, 80) ? progress : NULL, rng, optional, told);
                gives = optional != NULL;
                break;
            case 2: code = keepwell_export(SESSION_OF(rng), secret(rng), chance(rng, 90) ? write_piece : NULL, rng, told); break;
            case 3: code = keepwell_verify(SESSION_OF(rng), out, told); gives = true; break;
            case 4: code = keepwell_purge(SESSION_OF(rng), TYPE(rng), ID(rng), NAME(rng), secret(rng), told); break;
            default: code = keepwell_add_search_parameter(SESSION_OF(rng), BODY(rng), told); break;
        }
    } else {
        switch (below(rng, 10)) {
            case 0: code = keepwell_create(SESSION_OF(rng), TYPE(rng), BODY(rng), chance(rng, 70) ? none() : URL(rng), written, told); break;
            case 1: code = keepwell_update(SESSION_OF(rng), TYPE(rng), ID(rng), BODY(rng), version(rng), written, told); break;
            case 2:
                code = keepwell_patch(SESSION_OF(rng), TYPE(rng), ID(rng), (int32_t)small % 4, BODY(rng), version(rng), written, told);
                break;
            case 3: code = keepwell_delete(SESSION_OF(rng), TYPE(rng), ID(rng), version(rng), written, told); break;
            case 4: code = keepwell_bundle(SESSION_OF(rng), BODY(rng), out, told); gives = true; break;
            case 5: code = keepwell_read(SESSION_OF(rng), TYPE(rng), ID(rng), version(rng), out, told); gives = true; break;
            case 6:
                code = keepwell_history(SESSION_OF(rng), chance(rng, 80) ? TYPE(rng) : none(), chance(rng, 80) ? ID(rng) : none(),
                                        small, (int64_t)next(rng), out, chance(rng, 50) ? &after : NULL, told);
                gives = true;
                break;
            case 7:
                code = keepwell_read_attachment(SESSION_OF(rng), TYPE(rng), ID(rng), small % 3, chance(rng, 90) ? write_piece : NULL,
                                                rng, told);
                break;
            case 8:
                code = keepwell_audit_page(SESSION_OF(rng), chance(rng, 70) ? none() : ID(rng), small, chance(rng, 50) ? 0 : (int64_t)next(rng), out,
                                           chance(rng, 50) ? &after : NULL, told);
                gives = true;
                break;
            default:
                code = chance(rng, 80) ? keepwell_search(SESSION_OF(rng), URL(rng), chance(rng, 50), out, told)
                                       : keepwell_explain_search(SESSION_OF(rng), URL(rng), out, told);
                gives = true;
                break;
        }
    }
    settle(code, told);
    if (gives) {
        settle_buffer(rng, code, out);
    }
    if (code == 0 && store.id != 0) keep(rng, STORE, store.id);
    if (code == 0 && session.id != 0) keep(rng, SESSION, session.id);
    if (code == 0 && feed.id != 0) keep(rng, FEED, feed.id);
    if (code == 0 && sync.id != 0) keep(rng, SYNC, sync.id);
    let_go(rng, 0);
}

/* A store that can be used, with what hangs on it: else most calls would be about handles that are gone. */
static void refresh(Rng *rng) {
    static _Atomic int made;
    char place[4096];
    KeepwellStore store;
    KeepwellSync sync;
    snprintf(place, sizeof place, "%s/fresh-%d", directory, atomic_fetch_add(&made, 1));
    KeepwellStoreOptions chosen = keepwell_store_options(text(place), text("fuzz"), text("fuzz"));
    chosen.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    CHECK(keepwell_store_create(&chosen, none(), &store, NULL) == 0);
    keep(rng, STORE, store.id);
    for (int at = 0; at < PLACES; at++) {
        KeepwellSession session;
        int32_t code = keepwell_session_begin(store, text("u"), text("a"), text("d"), &session, NULL);
        if (code == 0) {
            keep(rng, SESSION, session.id);
        }
    }
    if (keepwell_sync_open(store, text("u"), text("a"), text("d"), &sync, NULL) == 0) {
        keep(rng, SYNC, sync.id);
    }
}

typedef struct {
    Rng rng;
    long calls;
    pthread_t thread;
} Caller;

static void *run(void *of) {
    Caller *caller = of;
    for (long made = 0; made < caller->calls; made++) {
        alarm(PATIENCE);
        if (made % 200 == 0) {
            refresh(&caller->rng);
        }
        call(&caller->rng);
    }
    return NULL;
}

/* After all of that the library does what it should. */
static void is_sound(void) {
    char place[4096];
    KeepwellStore store;
    KeepwellSession session;
    KeepwellBuffer buffer;
    snprintf(place, sizeof place, "%s/sound", directory);
    KeepwellStoreOptions chosen = keepwell_store_options(text(place), text("fuzz"), text("fuzz"));
    chosen.keychain = KEEPWELL_KEYCHAIN_KIND_MEMORY;
    OK(keepwell_store_create(&chosen, none(), &store, &error));
    OK(keepwell_session_begin(store, text("u"), text("a"), text("d"), &session, &error));
    OK(keepwell_update(session, text("Patient"), text("p"), text(BODIES[0]), KEEPWELL_ABSENT, NULL, &error));
    OK(keepwell_read(session, text("Patient"), text("p"), 0, &buffer, &error));
    CHECK(holds(&buffer, "Example"));
    OK(keepwell_verify(session, &buffer, &error));
    CHECK(holds(&buffer, "\"sound\":true"));
    CHECK(keepwell_session_free(session) == 0 && keepwell_store_free(store) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 9);
    directory = argv[1];
    invitation = argv[5];
    address = argv[6];
    authorities = argv[7];
    token = argv[8];
    CHECK(chdir(directory) == 0);
    FILE *records = fopen("records.ndjson", "w");
    CHECK(records != NULL);
    for (int at = 0; at < 300; at++) {
        fprintf(records, "{\"resourceType\":\"Patient\",\"id\":\"r%d\"}\n", at);
    }
    CHECK(fclose(records) == 0);

    uint64_t seed = strtoull(argv[2], NULL, 10);
    int threads = atoi(argv[4]);
    CHECK(threads >= 1 && threads <= 16);
    is_alone = threads == 1;
    moods.state = ~seed;
    static Caller callers[16];
    for (int at = 0; at < threads; at++) {
        callers[at] = (Caller){.rng = {.state = seed + (uint64_t)at}, .calls = atol(argv[3])};
        CHECK(pthread_create(&callers[at].thread, NULL, run, &callers[at]) == 0);
    }
    for (int at = 0; at < threads; at++) {
        CHECK(pthread_join(callers[at].thread, NULL) == 0);
    }
    for (int kind = KINDS - 1; kind >= 0; kind--) {
        for (int at = 0; at < PLACES; at++) {
            int32_t code = free_handle(kind, atomic_load(&handles[kind][at]));
            CHECK(code == 0 || code == 912);
        }
    }
    is_sound();
    int kinds = 0;
    for (int code = 1; code < 1000; code++) {
        kinds += outcomes[code] > 0;
    }
    printf("every call got its code: %ld succeeded, the others failed in %d ways\n", outcomes[0], kinds);
    return 0;
}

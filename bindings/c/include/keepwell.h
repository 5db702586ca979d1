/* The C ABI of Keepwell: an embedded, encrypted FHIR R4 store. Written by cbindgen from ffi/capi, not by hand. */

#ifndef KEEPWELL_H
#define KEEPWELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Rises when a function or a type of this header changes its meaning or goes. New ones do not raise it.
#define KEEPWELL_ABI_VERSION 2

// Bytes of an id with the zero at its end: R4 allows 64 characters.
#define KEEPWELL_ID_BYTES 65

// No precondition for a write.
#define KEEPWELL_ANY_VERSION 0

// Precondition of a write: the resource does not exist (If-None-Match: *).
#define KEEPWELL_ABSENT UINT64_MAX

// Nothing is sent and nothing fetched.
#define KEEPWELL_SYNC_PAUSED 1

// The network costs money: attachments wait.
#define KEEPWELL_SYNC_METERED 2

// Nobody looks at the app: it tries less often.
#define KEEPWELL_SYNC_BACKGROUND 4

// Skip records that cannot be stored and report them, instead of stopping at the first.
#define KEEPWELL_IMPORT_SKIP 1

// Store resources that break the rules of their type.
#define KEEPWELL_IMPORT_ACCEPT_INVALID 2

// Make `urn:uuid:` links between the entries of a Bundle point to the stored resources.
#define KEEPWELL_IMPORT_REWRITE_REFERENCES 4

// Store Bundles as they are instead of their entries.
#define KEEPWELL_IMPORT_KEEP_BUNDLES 8

// Who can do something about an error.
typedef enum {
  // Nobody needs to: there is no error.
  KEEPWELL_ACTOR_NOBODY = 0,
  // The caller: the data, the request or the search (1xx, 3xx).
  KEEPWELL_ACTOR_CALLER = 1,
  // The person at the device: keys, factors, locks (2xx).
  KEEPWELL_ACTOR_PERSON = 2,
  // Whoever keeps the network or the server (4xx).
  KEEPWELL_ACTOR_SERVER = 3,
  // Whoever keeps the device: disk, permissions, damage (5xx).
  KEEPWELL_ACTOR_DEVICE = 4,
  // The developers of the app or of Keepwell: a bug (9xx).
  KEEPWELL_ACTOR_DEVELOPER = 5,
} KeepwellActor;

// What was done to a resource.
typedef enum {
  // Nothing: the content was the current content already.
  KEEPWELL_OPERATION_UNCHANGED = 0,
  // The first version, or the first after a deletion.
  KEEPWELL_OPERATION_CREATE = 1,
  // A further version.
  KEEPWELL_OPERATION_UPDATE = 2,
  // A version that is a deletion.
  KEEPWELL_OPERATION_DELETE = 3,
  // Content and history were removed for good.
  KEEPWELL_OPERATION_PURGE = 4,
} KeepwellOperation;

// What a callback of a keychain answers.
typedef enum {
  // Done.
  KEEPWELL_KEYCHAIN_ANSWER_DONE = 0,
  // There surely is no such item.
  KEEPWELL_KEYCHAIN_ANSWER_NONE = 1,
  // The keychain is locked, or it cannot tell whether the item exists.
  KEEPWELL_KEYCHAIN_ANSWER_LOCKED = 2,
  // There is no keychain.
  KEEPWELL_KEYCHAIN_ANSWER_UNAVAILABLE = 3,
  // The platform destroyed the key for good.
  KEEPWELL_KEYCHAIN_ANSWER_INVALIDATED = 4,
  // Anything else.
  KEEPWELL_KEYCHAIN_ANSWER_FAILED = 5,
} KeepwellKeychainAnswer;

// Where the secret half of a store's key lives.
typedef enum {
  // The keychain of the platform, under the name of the app.
  KEEPWELL_KEYCHAIN_KIND_SYSTEM = 0,
  // The callbacks of `host`.
  KEEPWELL_KEYCHAIN_KIND_HOST = 1,
  // The directory `keychain_path`, for a service whose operator protects it.
  KEEPWELL_KEYCHAIN_KIND_FILE = 2,
  // Nowhere: the passcode alone opens the store.
  KEEPWELL_KEYCHAIN_KIND_PASSCODE_ONLY = 3,
  // The memory of this process, for tests: the store cannot be opened after it.
  KEEPWELL_KEYCHAIN_KIND_MEMORY = 4,
} KeepwellKeychainKind;

// How a patch is written.
typedef enum {
  // JSON Patch (RFC 6902).
  KEEPWELL_PATCH_JSON = 0,
  // JSON Merge Patch (RFC 7396).
  KEEPWELL_PATCH_MERGE = 1,
  // FHIRPath Patch: a Parameters resource.
  KEEPWELL_PATCH_FHIR_PATH = 2,
} KeepwellPatch;

// What becomes of a conflict.
typedef enum {
  // It goes on waiting for a person. Answered by a `KeepwellResolver` only.
  KEEPWELL_RESOLUTION_LATER = 0,
  // What everybody sees stays; the losing edit is given up.
  KEEPWELL_RESOLUTION_KEEP_THEIRS = 1,
  // The losing edit takes its place: its content, or its deletion.
  KEEPWELL_RESOLUTION_TAKE_MINE = 2,
  // Other content takes its place: the resource with its type and id.
  KEEPWELL_RESOLUTION_EDITED = 3,
  // The resource is deleted, whoever edited it.
  KEEPWELL_RESOLUTION_DELETE = 4,
} KeepwellResolution;

// Where a store is in its life.
typedef enum {
  // There is no store.
  KEEPWELL_STATE_UNINITIALISED = 0,
  // There is a store, and its keys are not in this process.
  KEEPWELL_STATE_LOCKED = 1,
  // The keys are in this process.
  KEEPWELL_STATE_OPEN = 2,
  // Locked for a short while: `keepwell_store_resume` goes on.
  KEEPWELL_STATE_SUSPENDED = 3,
  // The key is lost or in doubt; nothing has been deleted.
  KEEPWELL_STATE_QUARANTINED = 4,
  // The store is destroyed, or its destruction has begun.
  KEEPWELL_STATE_ERASED = 5,
} KeepwellState;

// What is written to a plain FHIR server.
typedef enum {
  // Edits, if the server was seen to refuse writes on old versions.
  KEEPWELL_WRITES_GUARDED = 0,
  // Nothing: the device reads.
  KEEPWELL_WRITES_NEVER = 1,
  // Edits, whatever the server does: between a look and a write another one's write may be overwritten.
  KEEPWELL_WRITES_CONSENTED = 2,
} KeepwellWrites;

// A person at work on an open store: `keepwell_session_begin`; freed by `keepwell_session_free`.
typedef struct {
  // Not for the caller.
  uint64_t id;
} KeepwellSession;

// UTF-8 of `length` bytes, without a zero byte at its end. The callee reads it during the call only. A null address
// with length 0 is empty text; where text may be left out, that is no text.
typedef struct {
  // The first byte.
  const char *data;
  // How many bytes.
  size_t length;
} KeepwellText;

// Bytes, mostly JSON as UTF-8, without a zero byte at their end. Owned by the library: free them with
// `keepwell_buffer_free`, from any thread.
typedef struct {
  // The first byte; null where there are none.
  const char *data;
  // How many bytes.
  size_t length;
} KeepwellBuffer;

// An error, with its texts: freed by `keepwell_error_free`.
typedef struct {
  // Not for the caller. 0 where there is no error.
  uint64_t id;
} KeepwellError;

// A store: `keepwell_store_create`, `keepwell_store_open`; freed by
// `keepwell_store_free`.
typedef struct {
  // Not for the caller.
  uint64_t id;
} KeepwellStore;

// What follows a store or a search: `keepwell_observe`, `keepwell_observe_search`; freed by
// `keepwell_feed_free`.
typedef struct {
  // Not for the caller.
  uint64_t id;
} KeepwellFeed;

// Takes what a feed tells: a JSON array as `keepwell_feed_next` gives it, with code 0; or the code of what ended the feed,
// and no events, for the last time. 0 to go on, anything else to hear no more. It is called on a thread of the library, once
// at a time; it may take its time, and may call this library, also `keepwell_feed_free` of its own feed.
typedef int32_t (*KeepwellListener)(void *context, int32_t code, const char *events, size_t length);

// Sync of a store: `keepwell_sync_open`; freed by `keepwell_sync_free`.
typedef struct {
  // Not for the caller.
  uint64_t id;
} KeepwellSync;

// A plain FHIR server, and what is held of it. Zeros stand for what is usual.
typedef struct {
  // Its address: "https://host/fhir".
  KeepwellText address;
  // The certificates of the authorities that may vouch for it, in PEM.
  KeepwellText authorities;
  // The searches whose results are held, one a line, such as "Patient/7/$everything".
  KeepwellText searches;
  // A bearer token that does not expire, kept in the encrypted store. It may be left out.
  KeepwellText token;
  // A `KeepwellWrites`.
  int32_t writes;
  // Accepts TLS 1.2 from it.
  bool allow_tls12;
} KeepwellFhirServer;

// Gives a bearer token for a plain FHIR server: calls `give` with it and returns 0; anything else, or no token, and the
// round stops with problem 448 and is tried again later. Called when there is no token yet, and with `refused` when the
// server has just refused the last one. It runs on the thread that syncs, that of `keepwell_sync_run` or the one of
// `keepwell_sync_start`, and by one thread at a time; it may block, and whoever ends the round waits for it then. It must
// not call this library, and nothing may be thrown out of it.
typedef int32_t (*KeepwellTokenProvider)(void *context, bool refused, void (*give)(void *to,
                                                                                   const char *token,
                                                                                   size_t length), void *to);

// Takes a line for each call that failed: its code, who can act as a `KeepwellActor`, and one line of English without
// patient data, as UTF-8 without a zero byte at its end. It is called on the thread of the call, before that returns, and
// by many threads at once; it must be quick, and must not call this library: what it calls fails with 917 and is not
// told.
typedef void (*KeepwellLogger)(void *context, int32_t code, int32_t actor, const char *line, size_t length);

// What a write did.
typedef struct {
  // The id of the resource, with a zero byte at its end.
  char id[KEEPWELL_ID_BYTES];
  // meta.versionId.
  uint64_t version;
  // meta.lastUpdated, in milliseconds since 1970-01-01T00:00Z.
  int64_t last_updated_ms;
  // What was done.
  KeepwellOperation operation;
} KeepwellWritten;

// Takes content in pieces: 0 to go on, anything else to stop.
typedef int32_t (*KeepwellWrite)(void *context, const char *data, size_t length);

// Where the secret half of a store's key lives. The functions are called from one thread at a time for each store,
// but from any thread, also after the call that they were given to has returned; they may block, and must not call
// this library. They answer with a `KeepwellKeychainAnswer`.
typedef struct {
  // Handed to each function. It outlives the store.
  void *context;
  // Copies the secret `name` to `secret`, which has room for 256 bytes, and its length to `length`.
  int32_t (*get)(void *context, const char *name, size_t name_length, uint8_t *secret, size_t *length);
  // Stores a secret durably, in place of the old one.
  int32_t (*set)(void *context, const char *name, size_t name_length, const uint8_t *secret, size_t length);
  // Deletes a secret; it is no failure if there is none.
  int32_t (*remove)(void *context, const char *name, size_t name_length);
  // Calls `tell` with the name of each secret.
  int32_t (*list)(void *context, void (*tell)(void *to, const char *name, size_t name_length), void *to);
} KeepwellKeychain;

// Excludes a directory from backups where only the host can: `isExcludedFromBackup` on iOS, the registry on Windows.
// Both functions are called at every open, from the calling thread, with the path as UTF-8; they must not call this
// library.
typedef struct {
  // Handed to each function. It outlives the store.
  void *context;
  // Sets the mark: 0 when it is set.
  int32_t (*apply)(void *context, const char *path, size_t path_length);
  // Reads the mark back from the platform: 1 when it is set, 0 when it is not.
  int32_t (*is_applied)(void *context, const char *path, size_t path_length);
} KeepwellBackupGuard;

// How a store is opened. Begin with `keepwell_store_options`, which fills in what a phone needs.
typedef struct {
  // The directory. UTF-8.
  KeepwellText path;
  // The app, as audit events name it: 1 to 256 bytes without control characters.
  KeepwellText app;
  // The device, likewise.
  KeepwellText device;
  // A `KeepwellKeychainKind`.
  int32_t keychain;
  // For `KEEPWELL_KEYCHAIN_KIND_FILE`.
  KeepwellText keychain_path;
  // For `KEEPWELL_KEYCHAIN_KIND_HOST`.
  KeepwellKeychain host;
  // Milliseconds without activity until the store locks, at most 30 minutes. 0: five minutes.
  uint64_t idle_ms;
  // Milliseconds from unlock until the store locks whatever happens. 0: two hours.
  uint64_t session_ms;
  // Wrong passcodes in a row until the store erases itself. 0: never.
  uint32_t erase_after;
  // Memory for decrypted pages of each reader, in KiB. 0: 8 MiB.
  uint32_t cache_kib;
  // Whether page contents are wiped when memory is freed.
  bool memory_security;
  // Excludes the directory from backups where only the host can. Both functions null: the library's own marks only.
  KeepwellBackupGuard backup_guard;
  // A name for this place that outlives `path`, where paths change (iOS). Empty: the path.
  KeepwellText place;
  // Whether the audit record of a read is written before the read returns, instead of within a second.
  bool strict_audit;
} KeepwellStoreOptions;

// Told how far a transfer has come: resources that are dealt with. 0 to go on, anything else to end it. It must not
// call this library.
typedef int32_t (*KeepwellProgress)(void *context, uint64_t resources);

// Decides about a conflict, an element of what `keepwell_sync_conflicts` gives, as a `KeepwellResolution`. For
// `KEEPWELL_RESOLUTION_EDITED` it has called `give` with the content. It must not call this library.
typedef int32_t (*KeepwellResolver)(void *context,
                                    const char *conflict,
                                    size_t length,
                                    void (*give)(void *to, const char *content, size_t length),
                                    void *to);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The `KEEPWELL_ABI_VERSION` that the library was built with: a program compares it with that of its header.
uint32_t keepwell_abi_version(void);

// The version of the library, as "0.1.0", in static memory.
const char *keepwell_version(void);

// The newest records of the audit trail, about one patient unless `patient` is empty, as a JSON array of FHIR
// AuditEvents. `after`, unless 0, is what the call for the page before gave in `next`, which is 0 after the last page.
//
// # Safety
// `patient` is as it says, `events` points to memory for a buffer, `next` and `error` are null or point to memory for theirs.
int32_t keepwell_audit_page(KeepwellSession session,
                            KeepwellText patient,
                            uint32_t count,
                            int64_t after,
                            KeepwellBuffer *events,
                            int64_t *next,
                            KeepwellError *error);

// Checks database, audit trail, change log, resources, index and attachments. Gives a JSON object: "sound", counts,
// and how many defects there are; `keepwell verify` names them.
//
// # Safety
// `report` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_verify(KeepwellSession session,
                        KeepwellBuffer *report,
                        KeepwellError *error);

// Frees a buffer, overwrites what was in it and sets it to empty. Null and an empty buffer are no mistake. Returns 0,
// 918 for a buffer that was freed before or is not from here, or 916 in a forked child: nothing is touched then.
//
// # Safety
// `buffer` is null or points to a `KeepwellBuffer`.
int32_t keepwell_buffer_free(KeepwellBuffer *buffer);

// Fails with the code, from 100 to 999: a program tries what it shows with it. 919 for another number.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_rehearse_error(uint32_t code, KeepwellError *error);

// The code of an error: docs/error-codes.md lists them. 0 where there is no error.
int32_t keepwell_error_code(KeepwellError error);

// Who can act on an error.
KeepwellActor keepwell_error_actor(KeepwellError error);

// What went wrong, as one line of English without patient data: UTF-8 that ends with a zero byte and lives until
// `keepwell_error_free`. Null where there is no error.
const char *keepwell_error_reason(KeepwellError error);

// The error as a FHIR OperationOutcome in JSON, as `keepwell_error_reason`; null where the error is no matter of
// FHIR.
const char *keepwell_error_operation_outcome(KeepwellError error);

// How long further passcodes are refused, in milliseconds: 205 and 206 say it. -1 where an error says nothing of it.
int64_t keepwell_error_retry_after_ms(KeepwellError error);

// Wrong passcodes that are left until the store erases itself: 205 says it, if the store does that. -1 where an error says
// nothing of it.
int64_t keepwell_error_attempts_left(KeepwellError error);

// Frees an error and sets it to none. Null, none and an error that was freed are no mistake.
//
// # Safety
// `error` is null or points to a `KeepwellError`.
void keepwell_error_free(KeepwellError *error);

// Follows everything that commits in a store from now on. An element of what `keepwell_feed_next` gives has
// "sequence", "resourceType", "id", "versionId", "lastUpdated" and "operation" (create, update, delete, purge).
//
// # Safety
// `feed` points to memory for one, `error` is null or points to memory for one.
int32_t keepwell_observe(KeepwellStore store,
                         KeepwellFeed *feed,
                         KeepwellError *error);

// The change log after a sequence, oldest first, at most `limit` changes: a JSON array with elements as those of
// `keepwell_observe`. For a program that goes on where it stopped.
//
// # Safety
// `changes` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_changes_after(KeepwellStore store,
                               int64_t sequence,
                               uint32_t limit,
                               KeepwellBuffer *changes,
                               KeepwellError *error);

// Follows what a search finds; what it finds now is told first, as added. An element of what `keepwell_feed_next`
// gives has "kind" (added, changed, removed), "resourceType" and "id".
//
// # Safety
// `url` is as it says, `feed` points to memory for one, `error` is null or points to memory for one.
int32_t keepwell_observe_search(KeepwellSession session,
                                KeepwellText url,
                                KeepwellFeed *feed,
                                KeepwellError *error);

// Waits for what is next, at most `timeout_ms`: a JSON array, empty when the time passed. One thread at a time waits
// on a feed, others wait for it; another thread may free the feed meanwhile.
//
// # Safety
// `events` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_feed_next(KeepwellFeed feed,
                           uint64_t timeout_ms,
                           KeepwellBuffer *events,
                           KeepwellError *error);

// Tells what comes to `listener` from now on, instead of `keepwell_feed_next`. A feed has one at the most: code 919 for a
// further one.
//
// # Safety
// `listener` may be called with `context` from a thread of the library until `keepwell_feed_free` has returned, or, where
// the listener itself frees the feed, until it has; `error` is null or points to memory for one.
int32_t keepwell_feed_listen(KeepwellFeed feed,
                             KeepwellListener listener,
                             void *context,
                             KeepwellError *error);

// Frees a feed. Its listener is not called any more when this has returned; within a second what it followed is let go.
// Zero is no mistake.
int32_t keepwell_feed_free(KeepwellFeed feed);

// Syncs with a plain FHIR server from now on: what is saved is sent, and so is what is in the store already. For a server
// that was named before, it sets another token, other searches and other rules; its address stays. Nothing is asked of
// the server yet.
//
// Code 117: not a search that can be kept up to date; 418: enrolled with another server; 420: sync goes on at the moment;
// 457, 459: its authorities or its address cannot be used.
//
// # Safety
// `server` points to one whose texts are as they say, `error` is null or points to memory for one.
int32_t keepwell_sync_enrol_fhir(KeepwellSync sync,
                                 const KeepwellFhirServer *server,
                                 KeepwellError *error);

// Asks `provider` for the tokens of a plain FHIR server from now on; null: nobody. It is not kept: set it each time the
// program starts, before the first round. It goes before a token of `keepwell_sync_enrol_fhir`.
//
// # Safety
// `provider` may be called with `context` from any thread until another is set or the handle is freed, and until the
// calls of this handle that are under way then have returned; `error` is null or points to memory for one.
int32_t keepwell_sync_set_token_provider(KeepwellSync sync,
                                         KeepwellTokenProvider provider,
                                         void *context,
                                         KeepwellError *error);

// Tells every call that fails to `logger` from now on; null: to nobody. When it returns, the logger before is done with
// its last line and its context may go. `context` lives until then.
//
// # Safety
// `logger` may be called with `context` from any thread until another is set; `error` is null or points to memory for
// one.
int32_t keepwell_set_logger(KeepwellLogger logger,
                            void *context,
                            KeepwellError *error);

// Searches, as `GET` on a FHIR server: "Observation?patient=p1&_sort=-date". Gives a Bundle of type searchset with one
// page; its link "next" is the search for the page after. `lenient`: parameters that are not known are left out
// and named in the Bundle, instead of an error.
//
// # Safety
// `url` is as it says, `bundle` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_search(KeepwellSession session,
                        KeepwellText url,
                        bool lenient,
                        KeepwellBuffer *bundle,
                        KeepwellError *error);

// How a search would be answered, step by step, as a JSON array.
//
// # Safety
// As `keepwell_search`.
int32_t keepwell_explain_search(KeepwellSession session,
                                KeepwellText url,
                                KeepwellBuffer *steps,
                                KeepwellError *error);

// Registers a SearchParameter resource, active and with an expression that compiles; what is stored already is
// indexed in the background.
//
// # Safety
// `definition` is as it says, `error` is null or points to memory for one.
int32_t keepwell_add_search_parameter(KeepwellSession session,
                                      KeepwellText definition,
                                      KeepwellError *error);

// Begins a session: from here on `user` answers for what is done, with `app` on `device`.
//
// # Safety
// The texts are as they say, `session` points to memory for one, `error` is null or points to memory for one.
int32_t keepwell_session_begin(KeepwellStore store,
                               KeepwellText user,
                               KeepwellText app,
                               KeepwellText device,
                               KeepwellSession *session,
                               KeepwellError *error);

// Ends a session and frees its handle. Zero is no mistake.
int32_t keepwell_session_free(KeepwellSession session);

// create: the store chooses the id. `condition`, unless empty, is If-None-Exist: nothing is written where it finds
// a resource.
//
// # Safety
// The texts are as they say, `written` and `error` are null or point to memory for theirs.
int32_t keepwell_create(KeepwellSession session,
                        KeepwellText resource_type,
                        KeepwellText body,
                        KeepwellText condition,
                        KeepwellWritten *written,
                        KeepwellError *error);

// update: replaces the resource, or creates it under the caller's id. `version` is the one that must be current,
// `KEEPWELL_ANY_VERSION` or `KEEPWELL_ABSENT`.
//
// # Safety
// As `keepwell_create`.
int32_t keepwell_update(KeepwellSession session,
                        KeepwellText resource_type,
                        KeepwellText id,
                        KeepwellText body,
                        uint64_t version,
                        KeepwellWritten *written,
                        KeepwellError *error);

// patch, in a format that `format` names as a `KeepwellPatch`.
//
// # Safety
// As `keepwell_create`.
int32_t keepwell_patch(KeepwellSession session,
                       KeepwellText resource_type,
                       KeepwellText id,
                       int32_t format,
                       KeepwellText patch,
                       uint64_t version,
                       KeepwellWritten *written,
                       KeepwellError *error);

// delete: the next version is a deletion, history stays. `written.version` is 0 where there never was such a
// resource.
//
// # Safety
// As `keepwell_create`.
int32_t keepwell_delete(KeepwellSession session,
                        KeepwellText resource_type,
                        KeepwellText id,
                        uint64_t version,
                        KeepwellWritten *written,
                        KeepwellError *error);

// A transaction or batch Bundle; gives the response Bundle.
//
// # Safety
// `body` is as it says, `response` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_bundle(KeepwellSession session,
                        KeepwellText body,
                        KeepwellBuffer *response,
                        KeepwellError *error);

// read, or vread of one `version` unless that is 0. `found`, unless null, gets id, version and time.
//
// # Safety
// The texts are as they say, `body` points to memory for a buffer, `found` and `error` are null or point to memory
// for theirs.
int32_t keepwell_read(KeepwellSession session,
                      KeepwellText resource_type,
                      KeepwellText id,
                      uint64_t version,
                      KeepwellBuffer *body,
                      KeepwellError *error);

// history as a Bundle: of a resource, of a type where `id` is empty, of the store where both are. At most `count`
// versions, the newest first; `before`, unless 0, is what the call for the page before gave in `next`, which is 0
// after the last page.
//
// # Safety
// The texts are as they say, `bundle` points to memory for a buffer, `next` and `error` are null or point to memory
// for theirs.
int32_t keepwell_history(KeepwellSession session,
                         KeepwellText resource_type,
                         KeepwellText id,
                         uint32_t count,
                         int64_t before,
                         KeepwellBuffer *bundle,
                         int64_t *next,
                         KeepwellError *error);

// Creates a Binary from bytes, which need not be base64.
//
// # Safety
// As `keepwell_create`.
int32_t keepwell_add_attachment(KeepwellSession session,
                                KeepwellText content_type,
                                KeepwellText content,
                                KeepwellWritten *written,
                                KeepwellError *error);

// Hands the decoded content of the `index`-th large attachment of a resource to `write`, piece by piece.
//
// # Safety
// The texts are as they say; `write` may be called with `context` during this call; `error` is null or points to
// memory for one.
int32_t keepwell_read_attachment(KeepwellSession session,
                                 KeepwellText resource_type,
                                 KeepwellText id,
                                 uint32_t index,
                                 KeepwellWrite write,
                                 void *context,
                                 KeepwellError *error);

// Removes a resource, its history and its attachments for good; the audit trail keeps `reason`. Needs the passcode
// again where one is set.
//
// # Safety
// The texts are as they say, `error` is null or points to memory for one.
int32_t keepwell_purge(KeepwellSession session,
                       KeepwellText resource_type,
                       KeepwellText id,
                       KeepwellText reason,
                       KeepwellText passcode_text,
                       KeepwellError *error);

// Removes a patient and everything in its compartment for good, as `keepwell_purge`. `resources`, unless null, gets how
// many that were.
//
// # Safety
// The texts are as they say, `resources` and `error` are null or point to memory for theirs.
int32_t keepwell_purge_patient(KeepwellSession session,
                               KeepwellText id,
                               KeepwellText reason,
                               KeepwellText passcode_text,
                               uint64_t *resources,
                               KeepwellError *error);

// Options for an app on a device, with the keychain of the platform.
KeepwellStoreOptions keepwell_store_options(KeepwellText path, KeepwellText app, KeepwellText device);

// Makes a new store in a directory that holds none, and leaves it unlocked. An empty passcode is none.
//
// # Safety
// `options` points to options whose texts are as they say, `store` and `error` (unless null) to memory for theirs.
int32_t keepwell_store_create(const KeepwellStoreOptions *options,
                              KeepwellText passcode_text,
                              KeepwellStore *store,
                              KeepwellError *error);

// Takes hold of the store in a directory; it stays locked until `keepwell_store_unlock`.
//
// # Safety
// As `keepwell_store_create`.
int32_t keepwell_store_open(const KeepwellStoreOptions *options, KeepwellStore *store, KeepwellError *error);

// Unlocks with the keychain, and with the passcode where one is set. `adopt`: go on with a store that is older than
// this device remembers, or a copy; otherwise that is refused.
//
// # Safety
// `passcode_text` is as it says, `error` is null or points to memory for one.
int32_t keepwell_store_unlock(KeepwellStore store,
                              KeepwellText passcode_text,
                              bool adopt,
                              KeepwellError *error);

// Ends every session, closes every connection and forgets the keys.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_store_lock(KeepwellStore store, KeepwellError *error);

// As `keepwell_store_lock`, for an app that goes to the background: no file stays locked.
//
// # Safety
// As `keepwell_store_lock`.
int32_t keepwell_store_suspend(KeepwellStore store, KeepwellError *error);

// Goes on after `keepwell_store_suspend`.
//
// # Safety
// As `keepwell_store_unlock`.
int32_t keepwell_store_resume(KeepwellStore store, KeepwellText passcode_text, KeepwellError *error);

// What the store is ready for, as a `KeepwellState`.
//
// # Safety
// `state` points to an `int32_t`, `error` is null or points to memory for one.
int32_t keepwell_store_state(KeepwellStore store, int32_t *state, KeepwellError *error);

// What the store holds, as a JSON object: "resources", "superseded" (versions that were replaced), "attachments",
// "auditRecords" and "bytes" on disk.
//
// # Safety
// `stats` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_stats(KeepwellSession session,
                       KeepwellBuffer *stats,
                       KeepwellError *error);

// Whether each file of the store is marked so that backups leave it out, as a JSON object.
//
// # Safety
// `report` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_store_backup_report(KeepwellStore store, KeepwellBuffer *report, KeepwellError *error);

// Destroys the keys, then the files, and frees the handle: nothing that was copied before can be opened with
// anything left here. When it fails, open the store and erase it again: it goes on where it was.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_store_erase(KeepwellStore store, KeepwellError *error);

// Frees a handle. The store closes when its sessions and feeds are freed too. Zero is no mistake.
int32_t keepwell_store_free(KeepwellStore store);

// Takes hold of the sync of a store. What it does is recorded under this user, app and device. One handle for a store
// is enough, for any number of threads.
//
// # Safety
// The texts are as they say, `sync` points to memory for one, `error` is null or points to memory for one.
int32_t keepwell_sync_open(KeepwellStore store,
                           KeepwellText user,
                           KeepwellText app,
                           KeepwellText device,
                           KeepwellSync *sync,
                           KeepwellError *error);

// Uses an invitation of the server's operator, the text that begins with "KEEPWELL:": from now on what is saved is
// sent, and so is what is in the store already. `name` is what the device is called in the operator's list. After a
// failure of the network, try again with the same invitation.
//
// # Safety
// The texts are as they say, `error` is null or points to memory for one.
int32_t keepwell_sync_enrol(KeepwellSync sync,
                            KeepwellText invitation,
                            KeepwellText name,
                            KeepwellError *error);

// Takes newer pins of the server from a document that its operator has signed, when they cannot come from the server
// (464, 465): its key was changed while this device was away, or its pins have expired. `is_new`, unless null, gets
// whether they were not known before. Codes 451 to 456 say what is wrong with the document: the pins stay as they were.
//
// # Safety
// `document` is as it says, `is_new` and `error` are null or point to memory for theirs.
int32_t keepwell_sync_install_pins(KeepwellSync sync,
                                   KeepwellText document,
                                   bool *is_new,
                                   KeepwellError *error);

// Sends what waits and fetches what is new; blocks until there is nothing more, or the server cannot be reached: then
// "problem" of the report is the code. `progress` is told the edits and resources dealt with, and may end the round;
// so may `keepwell_sync_cancel`. Gives the report, a JSON object of what was done since the handle was opened: "applied"
// (edits that became versions on the server), "stored" (resources that came), "rows" (what the server told in all),
// "merged", "lost" and of these "rejected" and "parked", "kept" (edits that would have made a resource of no scope: it is
// on this device only), "purged" (resources in no scope of this device any more), "requests", "sentBytes",
// "receivedBytes" and "problem" (a code or null).
//
// Code 423: the server ordered the store to be wiped, and it is gone. 424: it must meet its server before it can be
// unlocked again.
//
// # Safety
// `progress` may be called with `context` during this call; `report` is null or points to memory for a buffer, `error`
// is null or points to memory for one.
int32_t keepwell_sync_run(KeepwellSync sync,
                          KeepwellProgress progress,
                          void *context,
                          KeepwellBuffer *report,
                          KeepwellError *error);

// Ends the round that `keepwell_sync_run` is in on another thread: it returns 419. What was done stays done.
int32_t keepwell_sync_cancel(KeepwellSync sync);

// Syncs on a thread of its own from now on: when something is saved, when the server says that there is something, and
// from time to time. It is no mistake if it does already.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_sync_start(KeepwellSync sync,
                            KeepwellError *error);

// Ends what `keepwell_sync_start` began; what had ended it before is the error. None is no mistake.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_sync_stop(KeepwellSync sync, KeepwellError *error);

// Tells the thread of `keepwell_sync_start` that the network is back, or that somebody wants to see what is new.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_sync_wake(KeepwellSync sync,
                           KeepwellError *error);

// What the thread of `keepwell_sync_start` may use from now on: `KEEPWELL_SYNC_...`, or 0 for everything.
//
// # Safety
// `error` is null or points to memory for one.
int32_t keepwell_sync_set_policy(KeepwellSync sync, uint32_t flags, KeepwellError *error);

// How it stands, as a JSON object: "device" and "tenant" (null before the store is enrolled), "pending" (resources with
// an edit that the server does not have), "conflicts", "scopes", "hydrating" (scopes still being fetched), "met" and
// "leaseUntil" (times or null), "localTypes"; of a plain FHIR server "fhirServer" (its address or null) and
// "unavailable" (resources that it shows no more); and of the thread of `keepwell_sync_start` "running" and "problem" (a
// code or null).
//
// # Safety
// `status` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_sync_status(KeepwellSync sync,
                             KeepwellBuffer *status,
                             KeepwellError *error);

// The edits that lost and that a person has to look at, oldest first, as a JSON array of objects: "id", "kind",
// "resourceType", "resourceId", "version" (of the resource as it is now, or null), "at", "paths" and "reasons" (why;
// of a parked edit "no-grant", "read-only", "group" or "other"), "advice" (what a person can do, an English sentence),
// "archived", and the resources "base", "mine", "theirs" and "outcome", or null. Where "base" and "mine" are null the edit
// may no longer be here, and taking it gives code 449.
//
// # Safety
// `conflicts` points to memory for a buffer, `error` is null or points to memory for one.
int32_t keepwell_sync_conflicts(KeepwellSync sync,
                                KeepwellBuffer *conflicts,
                                KeepwellError *error);

// Does what a person decided about a conflict, a `KeepwellResolution` other than later. `version` is that of the
// conflict as it was shown, 0 for null: code 422 if the resource has changed since. `content` is for
// `KEEPWELL_RESOLUTION_EDITED`.
//
// # Safety
// The texts are as they say, `error` is null or points to memory for one.
int32_t keepwell_sync_resolve(KeepwellSync sync,
                              KeepwellText conflict,
                              uint64_t version,
                              int32_t resolution,
                              KeepwellText content,
                              KeepwellError *error);

// Asks `resolver` about each conflict, oldest first. `resolved`, unless null, gets how many were decided.
//
// # Safety
// `resolver` may be called with `context` during this call; `resolved` and `error` are null or point to memory for
// theirs.
int32_t keepwell_sync_resolve_each(KeepwellSync sync,
                                   KeepwellResolver resolver,
                                   void *context,
                                   uint64_t *resolved,
                                   KeepwellError *error);

// Sets the types that never leave the device, separated by commas; it holds for edits from now on. Code 420 while sync
// goes on, also by itself.
//
// # Safety
// `types` is as it says, `error` is null or points to memory for one.
int32_t keepwell_sync_set_local_types(KeepwellSync sync,
                                      KeepwellText types,
                                      KeepwellError *error);

// Frees a handle, and ends its thread if it has one. Zero is no mistake.
int32_t keepwell_sync_free(KeepwellSync sync);

// Imports a file of Bundles or NDJSON, as it is or compressed with gzip or zstd. An import that was interrupted, by a
// lock or by `progress` for two, goes on where it was when it is called again. `flags`: `KEEPWELL_IMPORT_...`. Gives a
// JSON object: "created", "updated", "unchanged", "refused", "resumed" (stored by an earlier run), "refusals" (the first
// thousand, with "record" and "code") and "linksKept" (`urn:uuid:` links between entries that stayed as they were, for
// want of `KEEPWELL_IMPORT_REWRITE_REFERENCES`).
//
// # Safety
// `path` is as it says; `progress` may be called with `context` during this call; `done` is null or points to memory
// for a buffer, `error` is null or points to memory for one.
int32_t keepwell_import_file(KeepwellSession session,
                             KeepwellText path,
                             uint32_t flags,
                             KeepwellProgress progress,
                             void *context,
                             KeepwellBuffer *done,
                             KeepwellError *error);

// As `keepwell_import_file`, of what is in memory. `name` is that of the source, for going on after an interruption.
//
// # Safety
// As `keepwell_import_file`.
int32_t keepwell_import(KeepwellSession session,
                        KeepwellText name,
                        KeepwellText data,
                        uint32_t flags,
                        KeepwellProgress progress,
                        void *context,
                        KeepwellBuffer *done,
                        KeepwellError *error);

// Hands all current versions to `write`, piece by piece, as NDJSON in clear. Needs the passcode again where one is
// set.
//
// # Safety
// `write` may be called with `context` during this call; `passcode_text` is as it says; `error` is null or points to
// memory for one.
int32_t keepwell_export(KeepwellSession session,
                        KeepwellText passcode_text,
                        KeepwellWrite write,
                        void *context,
                        KeepwellError *error);

// Hands the whole store to `write` as an archive that `passphrase` opens on any device.
//
// # Safety
// As `keepwell_export`.
int32_t keepwell_archive(KeepwellSession session,
                         KeepwellText passcode_text,
                         KeepwellText passphrase,
                         KeepwellWrite write,
                         void *context,
                         KeepwellError *error);

// Sets or changes the passcode; an empty `new_passcode` makes the keychain alone open the store again. `passcode_now`
// is needed where one is set.
//
// # Safety
// The texts are as they say, `error` is null or points to memory for one.
int32_t keepwell_set_passcode(KeepwellSession session,
                              KeepwellText passcode_now,
                              KeepwellText new_passcode,
                              KeepwellError *error);

// Sets the passphrase with which `keepwell_store_recover` opens the store when the keychain is lost.
//
// # Safety
// As `keepwell_set_passcode`.
int32_t keepwell_set_recovery(KeepwellSession session,
                              KeepwellText passcode_now,
                              KeepwellText passphrase,
                              KeepwellError *error);

// Opens a store whose keychain item or passcode is lost with its recovery passphrase, and leaves it unlocked: under a
// new secret in the keychain of `options`, and `new_passcode` unless that is empty.
//
// # Safety
// As `keepwell_store_create`.
int32_t keepwell_store_recover(const KeepwellStoreOptions *options,
                               KeepwellText passphrase,
                               KeepwellText new_passcode,
                               KeepwellStore *store,
                               KeepwellError *error);

// Makes a store in an empty directory from the archive in the file `archive`, under new keys, and leaves it unlocked: with
// the keychain of `options`, and `new_passcode` unless that is empty.
//
// # Safety
// As `keepwell_store_create`.
int32_t keepwell_store_restore(const KeepwellStoreOptions *options,
                               KeepwellText archive,
                               KeepwellText passphrase,
                               KeepwellText new_passcode,
                               KeepwellStore *store,
                               KeepwellError *error);

// Puts the keys under a new secret in the keychain; with `database`, encrypts the database anew under a new key as
// well, which takes as long as copying it.
//
// # Safety
// As `keepwell_set_passcode`.
int32_t keepwell_rotate_keys(KeepwellSession session,
                             KeepwellText passcode_now,
                             bool database,
                             KeepwellError *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KEEPWELL_H */

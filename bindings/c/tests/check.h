/* What the C tests share: texts, and checks that say where they failed. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepwell.h"

/* What the calls inside of OK report. */
static KeepwellError error;

static KeepwellText text(const char *words) {
    KeepwellText made = {words, strlen(words)};
    return made;
}

static void check(int holds, const char *what, int line) {
    if (!holds) {
        const char *reason = keepwell_error_reason(error);
        fprintf(stderr, "line %d: %s (error %d: %s)\n", line, what, keepwell_error_code(error),
                reason ? reason : "none");
        exit(1);
    }
}

#define CHECK(condition) check((condition), #condition, __LINE__)
#define OK(call) check((call) == 0, #call, __LINE__)

/* A buffer as a string of our own; frees it. */
static inline char *taken(KeepwellBuffer *buffer) {
    char *copy = malloc(buffer->length + 1);
    CHECK(copy != NULL);
    if (buffer->length > 0) {
        memcpy(copy, buffer->data, buffer->length);
    }
    copy[buffer->length] = 0;
    CHECK(keepwell_buffer_free(buffer) == 0);
    CHECK(buffer->data == NULL && buffer->length == 0);
    return copy;
}

/* Whether a buffer holds some text; frees it. */
static inline int holds(KeepwellBuffer *buffer, const char *words) {
    char *copy = taken(buffer);
    int found = strstr(copy, words) != NULL;
    free(copy);
    return found;
}

#endif

// What the C++ tests share: checks that say where they failed.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "keepwell.hpp"

#define CHECK(condition)                                              \
    do {                                                              \
        if (!(condition)) {                                           \
            std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            std::exit(1);                                             \
        }                                                             \
    } while (false)

/// Whether `call` throws the error of this code.
#define REFUSED(expected, call)                                                                              \
    do {                                                                                                     \
        int refused = 0;                                                                                     \
        try {                                                                                                \
            (void)(call);                                                                                    \
        } catch (const keepwell::Error &error) {                                                             \
            refused = error.code();                                                                          \
        }                                                                                                    \
        if (refused != (expected)) {                                                                         \
            std::fprintf(stderr, "line %d: %s: %d instead of %d\n", __LINE__, #call, refused, int(expected)); \
            std::exit(1);                                                                                    \
        }                                                                                                    \
    } while (false)

inline bool holds(std::string_view text, std::string_view words) { return text.find(words) != std::string_view::npos; }

/// The value of the first member of this name, a text or a number.
inline std::string member(const std::string &json, const std::string &name) {
    const std::string before = "\"" + name + "\":";
    size_t at = json.find(before);
    CHECK(at != std::string::npos);
    at += before.size();
    const bool is_text = json[at] == '"';
    at += is_text;
    return json.substr(at, json.find_first_of(is_text ? "\"" : ",}]", at) - at);
}

/// Runs a test; what it lets go of is said.
template <typename Test>
int passes(Test test, const char *says) {
    try {
        test();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "thrown: %s\n", error.what());
        return 1;
    }
    std::puts(says);
    return 0;
}

#endif

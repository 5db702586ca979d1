"""The C ABI as ctypes sees it: the functions of keepwell.h, and how their results become Python's.

Invariant: a buffer is freed once, as soon as its bytes are copied.
"""

import ctypes
import os
import sys
from ctypes import (POINTER, Structure, byref, c_bool, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32,
                    c_uint64, c_void_p)
from pathlib import Path
from typing import Any, Callable

from ._errors import Actor, Error

#: The KEEPWELL_ABI_VERSION that this package is written for.
ABI_VERSION = 2
#: The room for a secret that a keychain gives.
SECRET_MAX_BYTES = 256


class Text(Structure):
    _fields_ = [("data", c_char_p), ("length", c_size_t)]


class Buffer(Structure):
    _fields_ = [("data", c_void_p), ("length", c_size_t)]


class Handle(Structure):
    """KeepwellStore, KeepwellSession, KeepwellFeed, KeepwellSync and KeepwellError: a number each."""

    _fields_ = [("id", c_uint64)]


class CWritten(Structure):
    _fields_ = [("id", c_char * 65), ("version", c_uint64), ("last_updated_ms", c_int64), ("operation", c_int32)]


GET = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t, c_void_p, POINTER(c_size_t))
SET = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)
REMOVE = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)
TELL = ctypes.CFUNCTYPE(None, c_void_p, c_char_p, c_size_t)
LIST = ctypes.CFUNCTYPE(c_int32, c_void_p, TELL, c_void_p)
GUARD = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)


class CKeychain(Structure):
    _fields_ = [("context", c_void_p), ("get", GET), ("set", SET), ("remove", REMOVE), ("list", LIST)]


class CBackupGuard(Structure):
    _fields_ = [("context", c_void_p), ("apply", GUARD), ("is_applied", GUARD)]


class Options(Structure):
    _fields_ = [("path", Text), ("app", Text), ("device", Text), ("keychain", c_int32), ("keychain_path", Text),
                ("host", CKeychain), ("idle_ms", c_uint64), ("session_ms", c_uint64), ("erase_after", c_uint32),
                ("cache_kib", c_uint32), ("memory_security", c_bool), ("backup_guard", CBackupGuard), ("place", Text),
                ("strict_audit", c_bool)]


class CFhirServer(Structure):
    _fields_ = [("address", Text), ("authorities", Text), ("searches", Text), ("token", Text), ("writes", c_int32),
                ("allow_tls12", c_bool)]


WRITE = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)
PROGRESS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64)
GIVE = ctypes.CFUNCTYPE(None, c_void_p, c_char_p, c_size_t)
RESOLVER = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t, GIVE, c_void_p)
TOKENS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_bool, GIVE, c_void_p)
LISTENER = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int32, c_void_p, c_size_t)
LOGGER = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_int32, c_void_p, c_size_t)

_E, _B, _W = POINTER(Handle), POINTER(Buffer), POINTER(CWritten)

#: Arguments of every function that returns a code.
FUNCTIONS: "dict[str, list[Any]]" = {
    "keepwell_store_create": [POINTER(Options), Text, _E, _E],
    "keepwell_store_open": [POINTER(Options), _E, _E],
    "keepwell_store_unlock": [Handle, Text, c_bool, _E],
    "keepwell_store_lock": [Handle, _E],
    "keepwell_store_suspend": [Handle, _E],
    "keepwell_store_resume": [Handle, Text, _E],
    "keepwell_store_state": [Handle, POINTER(c_int32), _E],
    "keepwell_store_backup_report": [Handle, _B, _E],
    "keepwell_changes_after": [Handle, c_int64, c_uint32, _B, _E],
    "keepwell_store_erase": [Handle, _E],
    "keepwell_store_free": [Handle],
    "keepwell_session_begin": [Handle, Text, Text, Text, _E, _E],
    "keepwell_session_free": [Handle],
    "keepwell_create": [Handle, Text, Text, Text, _W, _E],
    "keepwell_update": [Handle, Text, Text, Text, c_uint64, _W, _E],
    "keepwell_patch": [Handle, Text, Text, c_int32, Text, c_uint64, _W, _E],
    "keepwell_delete": [Handle, Text, Text, c_uint64, _W, _E],
    "keepwell_bundle": [Handle, Text, _B, _E],
    "keepwell_read": [Handle, Text, Text, c_uint64, _B, _E],
    "keepwell_history": [Handle, Text, Text, c_uint32, c_int64, _B, POINTER(c_int64), _E],
    "keepwell_read_attachment": [Handle, Text, Text, c_uint32, WRITE, c_void_p, _E],
    "keepwell_add_attachment": [Handle, Text, Text, _W, _E],
    "keepwell_purge": [Handle, Text, Text, Text, Text, _E],
    "keepwell_purge_patient": [Handle, Text, Text, Text, POINTER(c_uint64), _E],
    "keepwell_stats": [Handle, _B, _E],
    "keepwell_search": [Handle, Text, c_bool, _B, _E],
    "keepwell_explain_search": [Handle, Text, _B, _E],
    "keepwell_add_search_parameter": [Handle, Text, _E],
    "keepwell_observe": [Handle, _E, _E],
    "keepwell_observe_search": [Handle, Text, _E, _E],
    "keepwell_feed_next": [Handle, c_uint64, _B, _E],
    "keepwell_feed_listen": [Handle, LISTENER, c_void_p, _E],
    "keepwell_feed_free": [Handle],
    "keepwell_import_file": [Handle, Text, c_uint32, PROGRESS, c_void_p, _B, _E],
    "keepwell_import": [Handle, Text, Text, c_uint32, PROGRESS, c_void_p, _B, _E],
    "keepwell_export": [Handle, Text, WRITE, c_void_p, _E],
    "keepwell_archive": [Handle, Text, Text, WRITE, c_void_p, _E],
    "keepwell_audit_page": [Handle, Text, c_uint32, c_int64, _B, POINTER(c_int64), _E],
    "keepwell_verify": [Handle, _B, _E],
    "keepwell_set_passcode": [Handle, Text, Text, _E],
    "keepwell_set_recovery": [Handle, Text, Text, _E],
    "keepwell_store_recover": [POINTER(Options), Text, Text, _E, _E],
    "keepwell_store_restore": [POINTER(Options), Text, Text, Text, _E, _E],
    "keepwell_set_logger": [LOGGER, c_void_p, _E],
    "keepwell_rehearse_error": [c_uint32, _E],
    "keepwell_rotate_keys": [Handle, Text, c_bool, _E],
    "keepwell_sync_open": [Handle, Text, Text, Text, _E, _E],
    "keepwell_sync_enrol": [Handle, Text, Text, _E],
    "keepwell_sync_install_pins": [Handle, Text, POINTER(c_bool), _E],
    "keepwell_sync_enrol_fhir": [Handle, POINTER(CFhirServer), _E],
    "keepwell_sync_set_token_provider": [Handle, TOKENS, c_void_p, _E],
    "keepwell_sync_run": [Handle, PROGRESS, c_void_p, _B, _E],
    "keepwell_sync_cancel": [Handle],
    "keepwell_sync_start": [Handle, _E],
    "keepwell_sync_stop": [Handle, _E],
    "keepwell_sync_wake": [Handle, _E],
    "keepwell_sync_set_policy": [Handle, c_uint32, _E],
    "keepwell_sync_status": [Handle, _B, _E],
    "keepwell_sync_conflicts": [Handle, _B, _E],
    "keepwell_sync_resolve": [Handle, Text, c_uint64, c_int32, Text, _E],
    "keepwell_sync_resolve_each": [Handle, RESOLVER, c_void_p, POINTER(c_uint64), _E],
    "keepwell_sync_set_local_types": [Handle, Text, _E],
    "keepwell_sync_free": [Handle],
}


def _find() -> str:
    """KEEPWELL_LIBRARY, or the library beside this file."""
    named = os.environ.get("KEEPWELL_LIBRARY")
    if named:
        return named
    ending = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    return str(Path(__file__).with_name("libkeepwell_c." + ending))


def _load() -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(_find())
    except OSError as error:
        raise ImportError(f"the Keepwell library cannot be loaded ({error}): install the wheel of this platform, or name "
                          "the library in KEEPWELL_LIBRARY") from error
    loaded.keepwell_abi_version.restype = c_uint32
    if loaded.keepwell_abi_version() != ABI_VERSION:
        raise ImportError("the Keepwell library has another ABI version than this package")
    for name, arguments in FUNCTIONS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, c_int32
    for name in ("keepwell_error_reason", "keepwell_error_operation_outcome"):
        function = getattr(loaded, name)
        function.argtypes, function.restype = [Handle], c_char_p
    for name in ("keepwell_error_code", "keepwell_error_actor"):
        function = getattr(loaded, name)
        function.argtypes, function.restype = [Handle], c_int32
    for name in ("keepwell_error_retry_after_ms", "keepwell_error_attempts_left"):
        function = getattr(loaded, name)
        function.argtypes, function.restype = [Handle], c_int64
    loaded.keepwell_error_free.argtypes, loaded.keepwell_error_free.restype = [_E], None
    loaded.keepwell_buffer_free.argtypes, loaded.keepwell_buffer_free.restype = [_B], c_int32
    loaded.keepwell_store_options.argtypes = [Text, Text, Text]
    loaded.keepwell_store_options.restype = Options
    loaded.keepwell_version.restype = c_char_p
    return loaded


library = _load()


def text(words: "str | bytes | None") -> Text:
    """Text for the library: the caller keeps it alive during the call, as Python does with arguments."""
    data = words.encode() if isinstance(words, str) else words
    return Text(data, len(data)) if data else Text(None, 0)


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Makes a call whose last argument takes the error.

    Raises Error with its code, text, actor and OperationOutcome.
    """
    error = Handle()
    if function(*arguments, byref(error)) == 0:
        return
    outcome = library.keepwell_error_operation_outcome(error)
    retry_ms, left = library.keepwell_error_retry_after_ms(error), library.keepwell_error_attempts_left(error)
    raised = Error(
        library.keepwell_error_code(error),
        library.keepwell_error_reason(error).decode(),
        Actor(library.keepwell_error_actor(error)),
        outcome.decode() if outcome else None,
        retry_ms / 1000 if retry_ms >= 0 else None,
        left if left >= 0 else None,
    )
    library.keepwell_error_free(byref(error))
    raise raised


def fetch(function: Callable[..., int], *arguments: Any) -> bytes:
    """Makes a call that gives a buffer just before the error."""
    buffer = Buffer()
    call(function, *arguments, byref(buffer))
    return take(buffer)


def take(buffer: Buffer) -> bytes:
    """Copies a buffer and frees it."""
    taken = ctypes.string_at(buffer.data, buffer.length) if buffer.data else b""
    library.keepwell_buffer_free(byref(buffer))
    return taken


def reporting(progress: "Callable[[int], Any] | None", function: Callable[..., int], *arguments: Any) -> bytes:
    """As ``fetch``, of a call that takes a progress callback and its context last. What the callback raises ends the
    call, and goes on in Python."""
    raised: "list[BaseException]" = []

    def tell(_: Any, resources: int) -> int:
        try:
            if progress is not None:
                progress(resources)
            return 0
        except BaseException as error:
            raised.append(error)
            return 1

    try:
        return fetch(function, *arguments, PROGRESS(tell), None)
    finally:
        if raised:
            raise raised[0]


def version() -> str:
    """The version of the library, as "0.1.0"."""
    return library.keepwell_version().decode()


def rehearse_error(code: int) -> None:
    """Raises an Error with this code: a program tries what it shows with it."""
    call(library.keepwell_rehearse_error, code)

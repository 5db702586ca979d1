"""How a store is opened, and what a program brings for it."""

import ctypes
import enum
import logging
import os
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol, Union

from . import _library as c
from ._library import library, text


class Keychain(enum.IntEnum):
    """Where the secret half of a store's key lives, unless in a ``HostKeychain``."""

    SYSTEM = 0
    FILE = 2
    PASSCODE_ONLY = 3
    MEMORY = 4


class KeychainFault(Exception):
    """What a ``HostKeychain`` raises when it cannot answer; anything else that it raises counts as "failed".

    ``reason`` is "locked" (or it cannot tell whether there is such an item), "unavailable", "invalidated" (the platform
    destroyed the key for good) or "failed".
    """

    ANSWERS = {"locked": 2, "unavailable": 3, "invalidated": 4, "failed": 5}

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.answer = self.ANSWERS[reason]


class HostKeychain(Protocol):
    """Where the secret half of a store's key lives: a vault of the program's, a KMS. It is called from one thread at a
    time for each store, but from any thread; it may block, and must not call this package. A secret that it holds stays
    in Python's memory until that is used again. It is kept for as long as the program runs."""

    def get(self, name: str) -> Optional[bytes]:
        """The secret with this name; None if there surely is none."""

    def set(self, name: str, secret: bytes) -> None:
        """Stores a secret of at most 256 bytes durably, in place of the old one."""

    def remove(self, name: str) -> None:
        """Deletes a secret; it is no failure if there is none."""

    def names(self) -> "list[str]":
        """The names of all secrets that were set here."""


class BackupGuard(Protocol):
    """Excludes the directory of a store from backups where only the program can. It is asked at every open, and must not
    call this package. It is kept for as long as the program runs."""

    def exclude(self, directory: str) -> None:
        """Sets the mark. What it raises: the mark counts as not set."""

    def is_excluded(self, directory: str) -> bool:
        """Reads the mark back from the platform. What it raises: as False."""


@dataclass(frozen=True)
class Settings:
    """What few programs change."""

    #: Seconds without activity until the store locks, at most 30 minutes; five minutes if not given.
    idle_s: Optional[float] = None
    #: Seconds from unlock until it locks whatever happens; two hours if not given.
    session_s: Optional[float] = None
    #: Wrong passcodes in a row until the store erases itself; never if not given.
    erase_after: Optional[int] = None
    #: Memory for decrypted pages of each reader, in KiB; 8 MiB if not given.
    cache_kib: Optional[int] = None
    #: Wipe page contents when memory is freed: up to a third of the write speed.
    memory_security: bool = True
    #: Write the audit record of a read before the read returns, instead of within a second.
    strict_audit: bool = False
    #: A name for the place of the store that outlives its path; the path if not given.
    place: str = ""
    #: Excludes the directory from backups where only the program can.
    backup_guard: Optional[BackupGuard] = None


def options(path: "Union[str, os.PathLike[str]]", app: str, device: str, keychain: Union[Keychain, HostKeychain],
            keychain_path: str, settings: Settings) -> c.Options:
    """As the library takes them. What that gives back points to texts that are gone by then: these live as long as the
    options."""
    made = library.keepwell_store_options(text(None), text(None), text(None))
    made.path, made.app, made.device = text(os.fspath(path)), text(app), text(device)
    if isinstance(keychain, Keychain):
        made.keychain = int(keychain)
    else:
        made.keychain, made.host = 1, _kept(keychain, _keychain)
    made.keychain_path, made.place = text(keychain_path), text(settings.place)
    made.idle_ms, made.session_ms = _positive(settings.idle_s, 1000), _positive(settings.session_s, 1000)
    made.erase_after, made.cache_kib = _positive(settings.erase_after), _positive(settings.cache_kib)
    made.memory_security, made.strict_audit = settings.memory_security, settings.strict_audit
    if settings.backup_guard is not None:
        made.backup_guard = _kept(settings.backup_guard, _guard)
    return made


def _positive(number: Optional[float], scale: int = 1) -> int:
    """0 for the library's own choice: so it must not be asked for by mistake."""
    if number is None:
        return 0
    if not 1 <= number * scale < 1 << 32:
        raise ValueError("a number of the settings is out of its range")
    return int(number * scale)


#: What the library may call, by whom it asks. A store may do so until its last session is closed, which only the library
#: knows: so they stay.
_callbacks: "dict[Any, tuple[Any, Any]]" = {}


def _kept(host: Any, make: Callable[[Any], Any]) -> Any:
    return _callbacks.setdefault((id(host), make), (host, make(host)))[1]


def _answer(ask: Callable[[], int]) -> int:
    """Asks, and says what was raised; nothing of Python's unwinds into the library."""
    try:
        return ask()
    except KeychainFault as fault:
        return fault.answer
    except BaseException:
        logging.getLogger("keepwell").warning("a callback raised", exc_info=True)
        return KeychainFault.ANSWERS["failed"]


def _name(data: int, length: int) -> str:
    return ctypes.string_at(data, length).decode()


def _keychain(host: HostKeychain) -> c.CKeychain:
    def get(_: Any, name: int, name_length: int, out: int, length: Any) -> int:
        def ask() -> int:
            secret = host.get(_name(name, name_length))
            if secret is None:
                return 1
            if len(secret) > c.SECRET_MAX_BYTES:
                return KeychainFault.ANSWERS["failed"]
            ctypes.memmove(out, bytes(secret), len(secret))
            length[0] = len(secret)
            return 0

        return _answer(ask)

    def set_(_: Any, name: int, name_length: int, secret: int, length: int) -> int:
        return _answer(lambda: host.set(_name(name, name_length), ctypes.string_at(secret, length)) or 0)

    def remove(_: Any, name: int, name_length: int) -> int:
        return _answer(lambda: host.remove(_name(name, name_length)) or 0)

    def names(_: Any, tell: Any, to: int) -> int:
        def ask() -> int:
            for name in host.names():
                tell(to, name.encode(), len(name.encode()))
            return 0

        return _answer(ask)

    return c.CKeychain(None, c.GET(get), c.SET(set_), c.REMOVE(remove), c.LIST(names))


def _guard(host: BackupGuard) -> c.CBackupGuard:
    def apply(_: Any, path: int, length: int) -> int:
        return _answer(lambda: host.exclude(_name(path, length)) or 0)

    def is_applied(_: Any, path: int, length: int) -> int:
        return int(_answer(lambda: int(host.is_excluded(_name(path, length)))) == 1)

    return c.CBackupGuard(None, c.GUARD(apply), c.GUARD(is_applied))

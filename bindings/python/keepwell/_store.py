"""Stores, sessions and feeds."""

import ctypes
import enum
import json
import logging
import os
from ctypes import byref, c_int32, c_int64, c_uint64
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, BinaryIO, Callable, Iterator, Optional, Type, Union

from . import _library as c
from ._library import call, fetch, library, text
from ._options import HostKeychain, Keychain, Settings, options
from ._sync import Sync

#: A resource as the caller has it.
Body = Union["dict[str, Any]", str, bytes]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PATCHES = {"json": 0, "merge": 1, "fhirpath": 2}


class State(enum.IntEnum):
    """Where a store is in its life."""

    UNINITIALISED = 0
    LOCKED = 1
    OPEN = 2
    SUSPENDED = 3
    QUARANTINED = 4
    ERASED = 5


@dataclass(frozen=True)
class Written:
    """What a write did."""

    id: str
    #: meta.versionId.
    version: int
    #: meta.lastUpdated.
    last_updated: datetime
    #: unchanged, create, update, delete or purge.
    operation: str


def _written(value: c.CWritten) -> Written:
    operation = ("unchanged", "create", "update", "delete", "purge")[value.operation]
    return Written(value.id.decode(), value.version, _EPOCH + timedelta(milliseconds=value.last_updated_ms), operation)


def _bytes(body: Body) -> bytes:
    if isinstance(body, dict):
        return json.dumps(body, ensure_ascii=False).encode()
    return body.encode() if isinstance(body, str) else body


def _named(body: bytes) -> "tuple[str, str]":
    """Type and id of a resource. What is no JSON object the library refuses, with the place, whatever its type is called."""
    try:
        resource = json.loads(body)
    except (ValueError, RecursionError):
        return "Basic", "none"
    if not isinstance(resource, dict):
        return "Basic", "none"
    return str(resource.get("resourceType", "")), str(resource.get("id", ""))


class Feed:
    """What follows a store or a search. An iterator over what happens, and a context manager."""

    def __init__(self, handle: c.Handle) -> None:
        self._handle = handle
        #: The callback that the library has.
        self._listener: Any = None

    def next(self, timeout: float = 1.0) -> "list[dict[str, Any]]":
        """The next events, within ``timeout`` seconds; empty when the time passed."""
        return json.loads(fetch(library.keepwell_feed_next, self._handle, int(timeout * 1000)))

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        while True:
            yield from self.next(60.0)

    def listen(self, listener: "Callable[[list[dict[str, Any]]], Any]") -> None:
        """Tells what comes to ``listener`` from now on, on a thread of the library, instead of ``next``.

        It may use the store. One that raises hears no more, and what it raises goes to the logger "keepwell"; so does the
        end of the feed.
        """

        def tell(_: Any, code: int, data: int, length: int) -> int:
            log = logging.getLogger("keepwell")
            if code != 0:
                log.warning("a feed ended with error %d", code)
                return 1
            try:
                listener(json.loads(ctypes.string_at(data, length)))
                return 0
            except BaseException:
                log.warning("a listener raised", exc_info=True)
                return 1

        made = c.LISTENER(tell)
        call(library.keepwell_feed_listen, self._handle, made, None)
        self._listener = made

    def close(self) -> None:
        """Ends it. Closing twice is no mistake."""
        handle, self._handle = self._handle, c.Handle(0)
        library.keepwell_feed_free(handle)

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Session:
    """A person at work: everything is done in somebody's name."""

    def __init__(self, handle: c.Handle) -> None:
        self._handle = handle

    def _write(self, function: Callable[..., int], *arguments: Any) -> Written:
        written = c.CWritten()
        call(function, self._handle, *arguments, byref(written))
        return _written(written)

    def create(self, body: Body, if_none_exist: str = "") -> Written:
        """create: the store chooses the id. Nothing is written where the condition finds a resource."""
        content = _bytes(body)
        return self._write(library.keepwell_create, text(_named(content)[0]), text(content), text(if_none_exist))

    def update(self, body: Body, if_match: int = 0, if_absent: bool = False) -> Written:
        """update: replaces the resource with the id of the body, or creates it."""
        content = _bytes(body)
        kind, id = _named(content)
        version = (1 << 64) - 1 if if_absent else if_match
        return self._write(library.keepwell_update, text(kind), text(id), text(content), version)

    def patch(self, resource_type: str, id: str, patch: Union[Body, "list[Any]"], format: str = "merge",
              if_match: int = 0) -> Written:
        """patch: ``format`` is merge (RFC 7396), json (RFC 6902) or fhirpath (a Parameters resource)."""
        if format not in _PATCHES:
            raise ValueError("format is merge, json or fhirpath")
        content = json.dumps(patch).encode() if isinstance(patch, list) else _bytes(patch)
        return self._write(library.keepwell_patch, text(resource_type), text(id), _PATCHES[format], text(content),
                           if_match)

    def delete(self, resource_type: str, id: str, if_match: int = 0) -> Written:
        """delete: history stays. Version 0 where there never was such a resource."""
        return self._write(library.keepwell_delete, text(resource_type), text(id), if_match)

    def read_text(self, resource_type: str, id: str, version: int = 0) -> str:
        """read, or vread of one version: the JSON as it was written."""
        return fetch(library.keepwell_read, self._handle, text(resource_type), text(id), version).decode()

    def read(self, resource_type: str, id: str, version: int = 0) -> "dict[str, Any]":
        """read, or vread of one version."""
        return json.loads(self.read_text(resource_type, id, version))

    def history(self, resource_type: str = "", id: str = "", count: int = 100) -> "Iterator[dict[str, Any]]":
        """The entries of a history Bundle, the newest first: of a resource, a type or the store."""
        before = 0
        while True:
            buffer, next_page = c.Buffer(), c_int64()
            call(library.keepwell_history, self._handle, text(resource_type), text(id), count, before, byref(buffer),
                 byref(next_page))
            yield from json.loads(c.take(buffer)).get("entry", [])
            before = next_page.value
            if before == 0:
                return

    def bundle(self, body: Body) -> "dict[str, Any]":
        """A transaction or batch; the response Bundle."""
        return json.loads(fetch(library.keepwell_bundle, self._handle, text(_bytes(body))))

    def search_text(self, url: str, lenient: bool = False) -> str:
        """One page of a search, as a Bundle in JSON."""
        return fetch(library.keepwell_search, self._handle, text(url), lenient).decode()

    def search_page(self, url: str, lenient: bool = False) -> "dict[str, Any]":
        """One page of a search, as a Bundle; its link ``next`` is the search for the page after."""
        return json.loads(self.search_text(url, lenient))

    def search(self, url: str, lenient: bool = False) -> "Iterator[dict[str, Any]]":
        """Every resource that a search finds, page after page, those included too."""
        next_url: Optional[str] = url
        while next_url:
            page = self.search_page(next_url, lenient)
            for entry in page.get("entry", []):
                yield entry["resource"]
            next_url = next((link["url"] for link in page.get("link", []) if link["relation"] == "next"), None)

    def search_frame(self, url: str, columns: "dict[str, str]") -> Any:
        """A search as a pandas DataFrame: ``columns`` maps names to paths such as ``code.coding.0.code``.

        Needs the extra ``keepwell[pandas]``.
        """
        import pandas

        def at(resource: Any, path: str) -> Any:
            for step in path.split("."):
                if isinstance(resource, list):
                    resource = resource[int(step)] if step.isdigit() and int(step) < len(resource) else None
                else:
                    resource = resource.get(step) if isinstance(resource, dict) else None
            return resource

        rows = [[at(resource, path) for path in columns.values()] for resource in self.search(url)]
        return pandas.DataFrame(rows, columns=list(columns))

    def explain(self, url: str) -> "list[dict[str, Any]]":
        """How a search would be answered, step by step."""
        return json.loads(fetch(library.keepwell_explain_search, self._handle, text(url)))

    def add_search_parameter(self, definition: Body) -> None:
        """Registers a SearchParameter; what is stored already is indexed in the background."""
        call(library.keepwell_add_search_parameter, self._handle, text(_bytes(definition)))

    def observe(self, url: str) -> Feed:
        """Follows a search; what it finds now comes first, as added."""
        feed = c.Handle()
        call(library.keepwell_observe_search, self._handle, text(url), byref(feed))
        return Feed(feed)

    def import_file(self, path: "Union[str, os.PathLike[str]]", skip: bool = False, accept_invalid: bool = False,
                    rewrite_references: bool = False, keep_bundles: bool = False,
                    progress: Optional[Callable[[int], Any]] = None) -> "dict[str, Any]":
        """Imports NDJSON or Bundles, as they are or compressed; goes on where an interrupted import was.

        ``progress`` is told the resources that are dealt with; what it raises ends the import. Gives created, updated,
        unchanged, refused, resumed, refusals, linksKept: ``urn:uuid:`` links that ``rewrite_references`` would have led
        to what was stored.
        """
        flags = skip | accept_invalid << 1 | rewrite_references << 2 | keep_bundles << 3
        return json.loads(c.reporting(progress, library.keepwell_import_file, self._handle, text(os.fspath(path)),
                                      flags))

    def export(self, out: BinaryIO, passcode: str = "") -> None:
        """Writes all current versions to ``out`` as NDJSON in clear."""
        self._stream(out, library.keepwell_export, text(passcode))

    def archive(self, out: BinaryIO, passphrase: str, passcode: str = "") -> None:
        """Writes the whole store to ``out``, encrypted under ``passphrase``."""
        self._stream(out, library.keepwell_archive, text(passcode), text(passphrase))

    def read_attachment(self, resource_type: str, id: str, out: BinaryIO, index: int = 0) -> None:
        """Writes the decoded content of a large attachment to ``out``, piece by piece."""
        self._stream(out, library.keepwell_read_attachment, text(resource_type), text(id), index)

    def _stream(self, out: BinaryIO, function: Callable[..., int], *arguments: Any) -> None:
        raised: "list[BaseException]" = []

        def write(_: Any, data: int, length: int) -> int:
            try:
                out.write(ctypes.string_at(data, length))
                return 0
            except BaseException as error:  # It goes on in Python, after the library has come to its end.
                raised.append(error)
                return 1

        try:
            call(function, self._handle, *arguments, c.WRITE(write), None)
        finally:
            if raised:
                raise raised[0]

    def purge(self, resource_type: str, id: str, reason: str, passcode: str = "") -> None:
        """Removes a resource and its history for good; the audit trail keeps the reason."""
        call(library.keepwell_purge, self._handle, text(resource_type), text(id), text(reason), text(passcode))

    def purge_patient(self, id: str, reason: str, passcode: str = "") -> int:
        """Removes a patient and everything in its compartment for good; gives how many resources that were."""
        resources = c_uint64()
        call(library.keepwell_purge_patient, self._handle, text(id), text(reason), text(passcode), byref(resources))
        return resources.value

    def add_attachment(self, content_type: str, content: bytes) -> Written:
        """Creates a Binary from bytes."""
        return self._write(library.keepwell_add_attachment, text(content_type), text(content))

    def stats(self) -> "dict[str, int]":
        """What the store holds: resources, superseded, attachments, auditRecords, bytes."""
        return json.loads(fetch(library.keepwell_stats, self._handle))

    def audit(self, count: int = 100, patient: str = "") -> "Iterator[dict[str, Any]]":
        """The audit trail as AuditEvents, about one patient where one is named, the newest first."""
        after = 0
        while True:
            buffer, next_page = c.Buffer(), c_int64()
            call(library.keepwell_audit_page, self._handle, text(patient), count, after, byref(buffer),
                 byref(next_page))
            yield from json.loads(c.take(buffer))
            after = next_page.value
            if after == 0:
                return

    def set_passcode(self, new: str, now: str = "") -> None:
        """Sets or changes the passcode; an empty one makes the keychain alone open the store again."""
        call(library.keepwell_set_passcode, self._handle, text(now), text(new))

    def set_recovery(self, passphrase: str, passcode: str = "") -> None:
        """Sets the passphrase for ``Store.recover``."""
        call(library.keepwell_set_recovery, self._handle, text(passcode), text(passphrase))

    def rotate_keys(self, passcode: str = "", database: bool = False) -> None:
        """Puts the keys under a new secret in the keychain; ``database``: encrypts the database anew as well."""
        call(library.keepwell_rotate_keys, self._handle, text(passcode), database)

    def verify(self) -> "dict[str, Any]":
        """Checks database, audit trail, resources, index and attachments."""
        return json.loads(fetch(library.keepwell_verify, self._handle))

    def close(self) -> None:
        """Ends the session. Closing twice is no mistake."""
        handle, self._handle = self._handle, c.Handle(0)
        library.keepwell_session_free(handle)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Store:
    """A store on this device. A context manager that locks and closes it."""

    def __init__(self, handle: c.Handle, app: str, device: str) -> None:
        self._handle, self._app, self._device = handle, app, device

    @classmethod
    def create(cls, path: "Union[str, os.PathLike[str]]", app: str, device: str, passcode: str = "",
               keychain: Union[Keychain, HostKeychain] = Keychain.SYSTEM, keychain_path: str = "",
               settings: Settings = Settings()) -> "Store":
        """Makes a new store in a directory that holds none, and leaves it unlocked."""
        handle = c.Handle()
        chosen = options(path, app, device, keychain, keychain_path, settings)
        call(library.keepwell_store_create, byref(chosen), text(passcode), byref(handle))
        return cls(handle, app, device)

    @classmethod
    def open(cls, path: "Union[str, os.PathLike[str]]", app: str, device: str,
             keychain: Union[Keychain, HostKeychain] = Keychain.SYSTEM, keychain_path: str = "",
             settings: Settings = Settings()) -> "Store":
        """Takes hold of a store; it stays locked until ``unlock``."""
        handle = c.Handle()
        chosen = options(path, app, device, keychain, keychain_path, settings)
        call(library.keepwell_store_open, byref(chosen), byref(handle))
        return cls(handle, app, device)

    @classmethod
    def recover(cls, path: "Union[str, os.PathLike[str]]", app: str, device: str, passphrase: str,
                new_passcode: str = "", keychain: Union[Keychain, HostKeychain] = Keychain.SYSTEM,
                keychain_path: str = "", settings: Settings = Settings()) -> "Store":
        """Opens a store whose keychain item or passcode is lost, and leaves it unlocked."""
        handle = c.Handle()
        chosen = options(path, app, device, keychain, keychain_path, settings)
        call(library.keepwell_store_recover, byref(chosen), text(passphrase), text(new_passcode), byref(handle))
        return cls(handle, app, device)

    @classmethod
    def restore(cls, path: "Union[str, os.PathLike[str]]", app: str, device: str,
                archive: "Union[str, os.PathLike[str]]", passphrase: str, new_passcode: str = "",
                keychain: Union[Keychain, HostKeychain] = Keychain.SYSTEM, keychain_path: str = "",
                settings: Settings = Settings()) -> "Store":
        """Makes a store in an empty directory from the file that ``Session.archive`` wrote, and leaves it unlocked."""
        handle = c.Handle()
        chosen = options(path, app, device, keychain, keychain_path, settings)
        call(library.keepwell_store_restore, byref(chosen), text(os.fspath(archive)), text(passphrase),
             text(new_passcode), byref(handle))
        return cls(handle, app, device)

    def unlock(self, passcode: str = "", adopt: bool = False) -> None:
        """Unlocks. ``adopt``: goes on with a store that is older than this device remembers, or a copy."""
        call(library.keepwell_store_unlock, self._handle, text(passcode), adopt)

    def lock(self) -> None:
        """Ends every session and forgets the keys."""
        call(library.keepwell_store_lock, self._handle)

    def suspend(self) -> None:
        """As ``lock``, for a short while."""
        call(library.keepwell_store_suspend, self._handle)

    def resume(self, passcode: str = "") -> None:
        """Goes on after ``suspend``."""
        call(library.keepwell_store_resume, self._handle, text(passcode))

    @property
    def state(self) -> State:
        """What the store is ready for."""
        state = c_int32()
        call(library.keepwell_store_state, self._handle, byref(state))
        return State(state.value)

    def backup_report(self) -> "dict[str, Any]":
        """Whether backups leave the files of the store out."""
        return json.loads(fetch(library.keepwell_store_backup_report, self._handle))

    def session(self, user: str) -> Session:
        """Begins a session: from here on ``user`` answers for what is done."""
        session = c.Handle()
        call(library.keepwell_session_begin, self._handle, text(user), text(self._app), text(self._device),
             byref(session))
        return Session(session)

    def sync(self, user: str) -> Sync:
        """Takes hold of the sync of this store; what it does is recorded under ``user``."""
        sync = c.Handle()
        call(library.keepwell_sync_open, self._handle, text(user), text(self._app), text(self._device), byref(sync))
        return Sync(sync)

    def observe(self) -> Feed:
        """Follows everything that commits."""
        feed = c.Handle()
        call(library.keepwell_observe, self._handle, byref(feed))
        return Feed(feed)

    def changes_after(self, sequence: int, limit: int = 1000) -> "list[dict[str, Any]]":
        """The change log after a sequence, oldest first: for a program that goes on where it stopped."""
        return json.loads(fetch(library.keepwell_changes_after, self._handle, sequence, limit))

    def erase(self) -> None:
        """Destroys the keys, then the files."""
        handle, self._handle = self._handle, c.Handle(0)
        call(library.keepwell_store_erase, handle)

    def close(self) -> None:
        """Locks the store and lets go of it. Closing twice is no mistake."""
        handle, self._handle = self._handle, c.Handle(0)
        if handle.id:
            call(library.keepwell_store_lock, handle)
            library.keepwell_store_free(handle)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: Optional[Union[BaseException, TracebackType]]) -> None:
        self.close()

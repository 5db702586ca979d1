"""Sync of a store, and what a person has to decide."""

import ctypes
import enum
import json
import logging
from ctypes import byref, c_bool, c_uint64
from dataclasses import dataclass
from typing import Any, Callable, Optional

from . import _library as c
from ._library import call, fetch, library, text


class Resolution(enum.IntEnum):
    """What becomes of a conflict."""

    #: It goes on waiting for a person; for ``Sync.resolve_each`` only.
    LATER = 0
    #: What everybody sees stays; the losing edit is given up.
    KEEP_THEIRS = 1
    #: The losing edit takes its place.
    TAKE_MINE = 2
    #: Other content takes its place.
    EDITED = 3
    #: The resource is deleted, whoever edited it.
    DELETE = 4


class Writes(enum.IntEnum):
    """What is written to a plain FHIR server."""

    #: Edits, if the server was seen to refuse writes on old versions.
    GUARDED = 0
    #: Nothing: the device reads.
    NEVER = 1
    #: Edits, whatever the server does: between a look and a write another one's write may be overwritten.
    CONSENTED = 2


@dataclass(frozen=True)
class Conflict:
    """An edit of this device that lost."""

    id: str
    #: Why it lost: conflict, gone, deleted, scope-lost, parked or rejected.
    kind: str
    resource_type: str
    resource_id: str
    #: meta.versionId of the resource as it is now; None if there is nothing to be seen.
    version: Optional[int]
    at: str
    #: The elements in conflict, as FHIRPath; none means the whole resource.
    paths: "list[str]"
    #: Why a person has to decide; of a parked edit why the server did not take it: no-grant, read-only, group or other.
    reasons: "list[str]"
    #: What a person can do about it, in an English sentence.
    advice: str
    #: Whether the server holds the losing content too.
    archived: bool
    #: The content that was edited.
    base: "Optional[dict[str, Any]]"
    #: The content that lost; None if a delete did, or, with ``base``, if it may no longer be here.
    mine: "Optional[dict[str, Any]]"
    #: The content that won; None if a delete did.
    theirs: "Optional[dict[str, Any]]"
    #: The server's OperationOutcome, if it found the edit invalid.
    outcome: "Optional[dict[str, Any]]"


def _conflict(found: "dict[str, Any]") -> Conflict:
    return Conflict(found["id"], found["kind"], found["resourceType"], found["resourceId"], found["version"],
                    found["at"], found["paths"], found["reasons"], found["advice"], found["archived"], found["base"],
                    found["mine"], found["theirs"], found["outcome"])


class Sync:
    """Sync of one store: ``Store.sync``. A context manager that lets go of it."""

    def __init__(self, handle: c.Handle) -> None:
        self._handle = handle
        #: The callbacks that the library has: another thread may be in one that was replaced.
        self._providers: "list[Any]" = []

    def enrol(self, invitation: str, name: str) -> None:
        """Uses an invitation of the server's operator: from now on what is saved is sent."""
        call(library.keepwell_sync_enrol, self._handle, text(invitation), text(name))

    def install_pins(self, document: str) -> bool:
        """Takes newer pins of the server from a document that its operator has signed, when they cannot come from the
        server (464, 465); gives whether they were not known before."""
        is_new = c_bool()
        call(library.keepwell_sync_install_pins, self._handle, text(document), byref(is_new))
        return is_new.value

    def enrol_fhir(self, address: str, authorities: "str | bytes", searches: "list[str]", token: Optional[str] = None,
                   writes: Writes = Writes.GUARDED, allow_tls12: bool = False) -> None:
        """Syncs with a plain FHIR server at ``https://host/fhir`` from now on.

        ``authorities`` are the certificates, in PEM, that may vouch for it, ``searches`` what is held of it, such as
        ``Patient/7/$everything``. ``token`` is one that does not expire; otherwise ``set_token_provider``.
        """
        server = c.CFhirServer(text(address), text(authorities), text("\n".join(searches)), text(token), int(writes),
                               allow_tls12)
        call(library.keepwell_sync_enrol_fhir, self._handle, byref(server))

    def set_token_provider(self, provider: "Optional[Callable[[bool], str]]") -> None:
        """Asks ``provider`` for the tokens of a plain FHIR server from now on: when there is none yet, and, with True,
        when the server has just refused the last one. Set it each time the program starts.

        It is called on the thread that syncs, may block, and must not call this package. What it raises goes to the
        logger "keepwell", and the report's ``problem`` is 448.
        """

        def answer(_: Any, refused: bool, give: Any, to: Any) -> int:
            try:
                token = provider(refused).encode() if provider is not None else b""
                give(to, token, len(token))
                return 0
            except BaseException:
                logging.getLogger("keepwell").warning("the token provider raised", exc_info=True)
                return 1

        made = c.TOKENS(answer) if provider is not None else c.TOKENS()
        self._providers.append(made)
        call(library.keepwell_sync_set_token_provider, self._handle, made, None)

    def run(self, progress: Optional[Callable[[int], Any]] = None) -> "dict[str, Any]":
        """Sends what waits and fetches what is new; the report's ``problem`` is a code where that did not succeed. Others
        are applied, stored, rows, merged, lost, rejected, parked, kept (of no scope: on this device only), purged,
        requests, sentBytes, receivedBytes.

        ``progress`` is told the edits and resources dealt with; what it raises ends the round.
        """
        return json.loads(c.reporting(progress, library.keepwell_sync_run, self._handle))

    def cancel(self) -> None:
        """Ends the round that another thread is in: its call raises Error 419."""
        library.keepwell_sync_cancel(self._handle)

    def start(self) -> None:
        """Syncs on a thread of its own from now on: after every save and whenever the server has news."""
        call(library.keepwell_sync_start, self._handle)

    def stop(self) -> None:
        """Ends what ``start`` began; raises what had ended it before."""
        call(library.keepwell_sync_stop, self._handle)

    def wake(self) -> None:
        """Tells the thread of ``start`` that the network is back, or that somebody looks."""
        call(library.keepwell_sync_wake, self._handle)

    def set_policy(self, paused: bool = False, metered: bool = False, background: bool = False) -> None:
        """What the thread of ``start`` may use from now on."""
        call(library.keepwell_sync_set_policy, self._handle, paused | metered << 1 | background << 2)

    def status(self) -> "dict[str, Any]":
        """How it stands: device, tenant, pending, conflicts, scopes, hydrating, met, leaseUntil, localTypes, fhirServer,
        unavailable, running, problem."""
        return json.loads(fetch(library.keepwell_sync_status, self._handle))

    def conflicts(self) -> "list[Conflict]":
        """The edits that lost and that a person has to look at, oldest first."""
        return [_conflict(found) for found in json.loads(fetch(library.keepwell_sync_conflicts, self._handle))]

    def resolve(self, conflict: Conflict, resolution: Resolution, content: "dict[str, Any] | str" = "") -> None:
        """Does what a person decided about a conflict as they saw it; ``content`` is for EDITED."""
        body = json.dumps(content) if isinstance(content, dict) else content
        call(library.keepwell_sync_resolve, self._handle, text(conflict.id), conflict.version or 0, int(resolution),
             text(body))

    def resolve_each(self, decide: "Callable[[Conflict], Resolution | dict[str, Any]]") -> int:
        """Asks ``decide`` about each conflict: a Resolution, or the content that takes its place. Gives how many were
        decided. What it raises leaves the conflict as it is, and ends the call."""
        raised: "list[BaseException]" = []

        def answer(_: Any, data: int, length: int, give: Any, to: Any) -> int:
            if raised:
                return Resolution.LATER
            try:
                decided = decide(_conflict(json.loads(ctypes.string_at(data, length))))
                if isinstance(decided, dict):
                    content = json.dumps(decided).encode()
                    give(to, content, len(content))
                    return Resolution.EDITED
                return int(decided)
            except BaseException as error:
                raised.append(error)
                return Resolution.LATER

        resolved = c_uint64()
        call(library.keepwell_sync_resolve_each, self._handle, c.RESOLVER(answer), None, byref(resolved))
        if raised:
            raise raised[0]
        return resolved.value

    def set_local_types(self, types: "list[str]") -> None:
        """Sets the types that never leave the device; it holds for edits from now on."""
        call(library.keepwell_sync_set_local_types, self._handle, text(",".join(types)))

    def close(self) -> None:
        """Ends its thread and lets go. Closing twice is no mistake."""
        handle, self._handle = self._handle, c.Handle(0)
        library.keepwell_sync_free(handle)

    def __enter__(self) -> "Sync":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

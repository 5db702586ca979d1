"""The part of bindings/journey.md that needs a server, as bindings/c/tests/sync.c tells it.

Usage: sync.py DIRECTORY INVITATION_A INVITATION_B PINS, a newer pin set of the server
"""

import io
import sys
from contextlib import ExitStack

import keepwell


class Device:
    """A store on a device, with its sync."""

    def __init__(self, stack: ExitStack, directory: str, name: str, invitation: str) -> None:
        self.store = keepwell.Store.create(f"{directory}-{name}", app="journey", device=name,
                                           keychain=keepwell.Keychain.MEMORY)
        self.session = stack.enter_context(self.store.session("dr.jones"))
        self.sync = stack.enter_context(self.store.sync("dr.jones"))
        fails(417, self.sync.run)
        self.sync.enrol(invitation, name)

    def round(self) -> None:
        assert self.sync.run()["problem"] is None

    def edit(self, **elements: object) -> None:
        self.session.patch("Patient", "p1", elements)

    def shows(self) -> "dict[str, object]":
        return self.session.read("Patient", "p1")


def fails(code: int, call: object, *arguments: object) -> None:
    try:
        call(*arguments)
    except keepwell.Error as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"{code} was expected")


def clash(a: Device, b: Device, winner: "dict[str, object]", loser: "dict[str, object]") -> None:
    """Edits of one element on both devices: that of ``b`` loses."""
    a.edit(**winner)
    b.edit(**loser)
    a.round()
    b.round()


def journey(a: Device, b: Device, pins: str) -> None:
    a.session.update({"resourceType": "Patient", "id": "p1", "birthDate": "1970-01-01"})
    assert a.sync.status()["pending"] == 1
    a.round()
    b.round()
    assert b.shows()["birthDate"] == "1970-01-01"

    clash(a, b, {"photo": [{"title": "face"}]}, {"communication": [{"language": {"text": "English"}}]})
    a.round()
    assert "communication" in a.shows() and "photo" in b.shows()
    assert b.sync.conflicts() == []

    clash(a, b, {"birthDate": "1971-01-01"}, {"birthDate": "1972-02-02"})
    [conflict] = b.sync.conflicts()
    assert (conflict.resource_type, conflict.resource_id) == ("Patient", "p1")
    assert conflict.mine["birthDate"] == "1972-02-02" and conflict.theirs["birthDate"] == "1971-01-01"
    b.sync.resolve(conflict, keepwell.Resolution.TAKE_MINE)
    fails(421, b.sync.resolve, conflict, keepwell.Resolution.TAKE_MINE)
    b.round()
    a.round()
    assert a.shows()["birthDate"] == "1972-02-02"

    clash(a, b, {"birthDate": "1973-03-03"}, {"birthDate": "1974-04-04"})
    assert b.sync.resolve_each(lambda _: keepwell.Resolution.LATER) == 0
    try:
        b.sync.resolve_each(lambda _: 1 // 0)
        raise AssertionError("what a callback raises goes on")
    except ZeroDivisionError:
        pass
    assert b.sync.resolve_each(lambda found: {**found.theirs, "birthDate": "1975-05-05"}) == 1
    b.round()
    a.round()
    assert a.shows()["birthDate"] == "1975-05-05"

    a.session.update({"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "first"},
                      "subject": {"reference": "Patient/p1"}})
    a.round()
    b.round()
    a.session.patch("Flag", "f", {"code": {"text": "cat"}})
    b.session.patch("Flag", "f", {"code": {"text": "dog"}})
    a.round()
    b.round()
    [conflict] = b.sync.conflicts()
    b.sync.resolve(conflict, keepwell.Resolution.DELETE)
    b.round()
    a.round()
    fails(102, a.session.read, "Flag", "f")

    photo = a.session.create({"resourceType": "DocumentReference", "status": "current",
                              "subject": {"reference": "Patient/p1"},
                              "content": [{"attachment": {"contentType": "image/png", "data": "AAAA" * 15000}}]})
    a.round()
    b.round()
    out = io.BytesIO()
    b.session.read_attachment("DocumentReference", photo.id, out)
    assert len(out.getvalue()) == 45000

    with b.session.observe("Patient?gender=other") as feed:
        b.sync.set_policy(metered=True)
        b.sync.start()
        b.sync.start()
        b.sync.wake()
        a.edit(gender="other")
        a.round()
        assert [event["kind"] for event in feed.next(30.0)] == ["added"]
        assert b.sync.status()["running"]
        b.sync.stop()

    fails(452, b.sync.install_pins, "no pins")
    assert b.sync.install_pins(pins) and not b.sync.install_pins(pins)
    b.round()

    a.edit(gender="male")
    try:
        a.sync.run(progress=lambda _: 1 // 0)
        raise AssertionError("what a callback raises ends the round")
    except ZeroDivisionError:
        pass
    a.round()
    a.sync.set_local_types(["AuditEvent", "Flag"])
    assert a.sync.status()["localTypes"] == ["AuditEvent", "Flag"]

    a.session.update({"resourceType": "List", "id": "l", "status": "current", "mode": "working"})
    assert a.sync.run()["kept"] == 1

    print("ready to be wiped", flush=True)
    assert sys.stdin.readline() == "\n"
    fails(423, a.sync.run)
    assert a.store.state in (keepwell.State.ERASED, keepwell.State.UNINITIALISED)


def main() -> None:
    directory, first, second, pins = sys.argv[1:]
    with ExitStack() as stack:
        a, b = Device(stack, directory, "a", first), Device(stack, directory, "b", second)
        journey(a, b, pins)
        b.store.close()
    print("both devices did what they should")


if __name__ == "__main__":
    main()

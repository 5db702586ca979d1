"""The journey of bindings/journey.md in Python."""

import asyncio
import io
import json
import logging
import os
import pathlib
import queue
import re
import tempfile
import threading
import time
import unittest
from typing import Callable

import keepwell
from keepwell import aio
from keepwell._library import FUNCTIONS

PASSCODE = "correct horse"
PHRASE = "a passphrase of some length"


class Vault:
    """A keychain of the program, in memory, that may refuse or call the package."""

    def __init__(self) -> None:
        self.secrets: "dict[str, bytes]" = {}
        self.refusal: "Exception | None" = None
        self.store: "keepwell.Store | None" = None
        self.told: "list[int]" = []

    def get(self, name: str) -> "bytes | None":
        if self.refusal is not None:
            raise self.refusal
        if self.store is not None:
            try:
                self.store.lock()
            except keepwell.Error as error:
                self.told.append(error.code)
        return self.secrets.get(name)

    def set(self, name: str, secret: bytes) -> None:
        self.secrets[name] = secret

    def remove(self, name: str) -> None:
        self.secrets.pop(name, None)

    def names(self) -> "list[str]":
        return list(self.secrets)


class Guard:
    """Marks of the program, which may fail."""

    def __init__(self) -> None:
        self.excluded: "set[str]" = set()
        self.fails = False

    def exclude(self, directory: str) -> None:
        self.excluded.add(directory)

    def is_excluded(self, directory: str) -> bool:
        if self.fails:
            raise OSError("the platform does not tell")
        return directory in self.excluded


class Journey(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.store = keepwell.Store.create(self.directory.name + "/store", app="journey", device="tablet 1",
                                           passcode=PASSCODE, keychain=keepwell.Keychain.MEMORY)

    def tearDown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    def test_a_lock_needs_the_passcode_and_ends_sessions(self) -> None:
        session = self.store.session("dr.jones")
        self.store.lock()
        self.assertEqual(self.store.state, keepwell.State.LOCKED)
        with self.assertRaises(keepwell.Error) as refused:
            session.read("Patient", "p")
        self.assertEqual(refused.exception.actor, keepwell.Actor.PERSON)
        self.assertEqual((refused.exception.retry_after_s, refused.exception.attempts_left), (None, None))
        with self.assertRaises(keepwell.Error) as wrong:
            self.store.unlock("wrong")
        self.assertGreaterEqual(wrong.exception.retry_after_s, 0)
        self.assertIsNone(wrong.exception.attempts_left, "this store does not erase itself")
        self.store.unlock(PASSCODE)
        self.assertEqual(self.store.state, keepwell.State.OPEN)
        self.assertTrue(isinstance(self.store.backup_report()["excluded"], bool))

    def test_resources_are_written_read_found_and_removed(self) -> None:
        with self.store.session("dr.jones") as session:
            body = '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},' \
                   '"valueQuantity":{"value":1.10}}'
            session.update(body, if_absent=True)
            self.assertIn('"value":1.10', session.read_text("Observation", "o"))
            patient = session.create({"resourceType": "Patient", "name": [{"family": "Exämple"}]})
            patched = session.patch("Patient", patient.id, {"active": True}, if_match=1)
            self.assertEqual((patched.version, patched.operation), (2, "update"))
            with self.assertRaises(keepwell.Error) as conflict:
                session.patch("Patient", patient.id, {"active": False}, if_match=1)
            self.assertEqual(conflict.exception.code, 103)
            self.assertEqual(conflict.exception.operation_outcome["resourceType"], "OperationOutcome")
            self.assertNotIn("active", session.read("Patient", patient.id, version=1))
            self.assertEqual([found["id"] for found in session.search("Patient?name=example")], [patient.id])
            self.assertTrue(session.explain("Patient?name=example"))
            self.assertEqual(len(list(session.history("Patient", patient.id, count=1))), 2)
            self.assertEqual(session.delete("Patient", patient.id).operation, "delete")
            with self.assertRaises(keepwell.Error) as gone:
                session.read("Patient", patient.id)
            self.assertEqual(gone.exception.code, 102)
            session.purge("Patient", patient.id, "asked for", passcode=PASSCODE)
            self.assertTrue(any(event["resourceType"] == "AuditEvent" for event in session.audit(count=3)))
            self.assertTrue(session.verify()["sound"])

    def refused(self, code: int, call: "Callable[..., object]", *arguments: object, **named: object) -> None:
        with self.assertRaises(keepwell.Error) as refused:
            call(*arguments, **named)
        self.assertEqual(refused.exception.code, code)

    def test_a_keychain_and_a_guard_of_the_program_are_asked(self) -> None:
        vault, guard = Vault(), Guard()
        where = {"path": self.directory.name + "/own", "app": "journey", "device": "tablet 1", "keychain": vault,
                 "settings": keepwell.Settings(idle_s=60, session_s=600, erase_after=20, cache_kib=1024, place="here",
                                               memory_security=False, strict_audit=True, backup_guard=guard)}
        logging.getLogger("keepwell").addHandler(logging.NullHandler())
        with keepwell.Store.create(**where) as store:
            self.assertTrue(vault.secrets and guard.excluded)
            self.assertTrue(store.backup_report()["excluded"])
            guard.fails = True
            self.assertFalse(store.backup_report()["excluded"])
            with store.session("dr.jones") as session:
                session.set_passcode(PASSCODE)
                session.set_recovery(PHRASE, passcode=PASSCODE)
                session.rotate_keys(passcode=PASSCODE)
            store.lock()
            for refusal, code in ((keepwell.KeychainFault("locked"), 201), (keepwell.KeychainFault("unavailable"), 214),
                                  (keepwell.KeychainFault("invalidated"), 212), (ZeroDivisionError(), 217)):
                vault.refusal = refusal
                self.refused(code, store.unlock, PASSCODE)
            vault.refusal, vault.store = None, store
            store.unlock(PASSCODE)
            vault.store = None
            self.assertEqual(set(vault.told), {917})
            store.suspend()
            store.resume(PASSCODE)
        vault.secrets.clear()
        with keepwell.Store.open(**where) as lost:
            self.refused(211, lost.unlock, PASSCODE)
        with keepwell.Store.recover(passphrase=PHRASE, new_passcode=PASSCODE, **where) as again:
            self.assertEqual(again.state, keepwell.State.OPEN)

    def test_a_store_that_nobody_uses_locks(self) -> None:
        settings = keepwell.Settings(idle_s=0.2)
        with keepwell.Store.create(self.directory.name + "/idle", app="journey", device="tablet 1",
                                   keychain=keepwell.Keychain.MEMORY, settings=settings) as store:
            session = store.session("dr.jones")
            until = time.monotonic() + 60
            while store.state is keepwell.State.OPEN and time.monotonic() < until:
                time.sleep(0.05)
            self.assertEqual(store.state, keepwell.State.LOCKED)
            with self.assertRaises(keepwell.Error) as over:
                session.read("Patient", "p")
            self.assertEqual(over.exception.actor, keepwell.Actor.PERSON)
            store.unlock()
        for settings in (keepwell.Settings(idle_s=0), keepwell.Settings(erase_after=-1), keepwell.Settings(cache_kib=1 << 40)):
            with self.assertRaises(ValueError):
                keepwell.Store.open(self.directory.name + "/idle", "journey", "tablet 1", settings=settings)

    def test_what_a_store_holds_is_counted_and_followed(self) -> None:
        with self.store.session("dr.jones") as session:
            session.update({"resourceType": "Patient", "id": "p"})
            session.create({"resourceType": "Flag", "status": "active", "code": {"text": "x"},
                            "subject": {"reference": "Patient/p"}})
            photo = session.add_attachment("image/png", bytes(100_000))
            self.assertEqual((session.stats()["resources"], session.stats()["attachments"]), (3, 1))
            changes = self.store.changes_after(0, 2)
            self.assertEqual([change["operation"] for change in changes], ["create", "create"])
            [rest] = self.store.changes_after(changes[-1]["sequence"])
            self.assertEqual(rest["id"], photo.id)
            self.assertTrue(list(session.audit(patient="p")))
            self.assertEqual(list(session.audit(patient="nobody")), [])
            self.assertEqual(session.purge_patient("p", "asked for", passcode=PASSCODE), 2)
        self.assertTrue(keepwell.version())

    def test_mistakes_get_their_codes(self) -> None:
        session = self.store.session("dr.jones")
        with self.assertRaises(UnicodeEncodeError):
            session.read("Patient", "\ud800")
        self.refused(108, session.create, b'{"resourceType":"Patient","id":"\xff"}')
        for body in ("[" * 100_000, "[1]", "7", "{", ""):
            self.refused(108, session.create, body)
            self.refused(108, session.update, body)
            self.refused(114, session.bundle, body)
        self.refused(117, session.create, {"resourceType": "Nothing"})
        self.refused(117, session.read, "Patient\0", "p")
        child = os.fork()
        if child == 0:
            try:
                session.read("Patient", "p")
            except keepwell.Error as error:
                os._exit(error.code - 900)
            os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 16)
        readers = [threading.Thread(target=lambda: self.refused(101, session.read, "Patient", "p")) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        feed = session.observe("Patient")
        session.close()
        self.refused(912, session.read, "Patient", "p")
        feed.close()
        self.refused(912, feed.next, 0)
        self.store.close()
        self.refused(912, self.store.unlock, PASSCODE)
        self.refused(912, self.store.sync, "dr.jones")

    def test_files_come_in_and_go_out_whole(self) -> None:
        lines = pathlib.Path(self.directory.name, "patients.ndjson")
        lines.write_text("".join(f'{{"resourceType":"Patient","id":"p{n}"}}\n' for n in range(250)) + "{}\n")
        told = []
        with self.store.session("dr.jones") as session:
            report = session.import_file(lines, skip=True, progress=told.append)
            self.assertEqual((report["created"], report["refused"]), (250, 1))
            self.assertEqual((told[-1], report["linksKept"]), (250, 0))
            self.assertEqual(len(list(session.search("Patient?_count=100"))), 250)
            out = io.BytesIO()
            session.export(out, passcode=PASSCODE)
            self.assertEqual(len(out.getvalue().splitlines()), 250)
            archive = pathlib.Path(self.directory.name, "archive")
            with archive.open("wb") as file:
                session.archive(file, "a long enough passphrase", passcode=PASSCODE)
            other = keepwell.Store.restore(self.directory.name + "/other", "journey", "tablet 2", archive,
                                           "a long enough passphrase", keychain=keepwell.Keychain.MEMORY)
            with other, other.session("dr.jones") as visit:
                self.assertEqual(visit.read("Patient", "p7")["id"], "p7")
            photo = "A" * 60_000
            session.update({"resourceType": "Binary", "id": "photo", "contentType": "image/png", "data": photo})
            out = io.BytesIO()
            session.read_attachment("Binary", "photo", out)
            self.assertEqual(out.getvalue(), bytes(45_000))

            class Full:
                def write(self, _: bytes) -> int:
                    raise OSError("the disk is full")

            with self.assertRaises(OSError):
                session.read_attachment("Binary", "photo", Full())

    def test_a_live_search_tells_what_commits_in_another_thread(self) -> None:
        with self.store.session("dr.jones") as session, session.observe("Patient?active=true") as live:
            self.assertEqual(live.next(0), [])
            body = {"resourceType": "Patient", "id": "p", "active": True}
            writer = threading.Thread(target=lambda: session.update(body))
            writer.start()
            self.assertEqual(live.next(5), [{"kind": "added", "resourceType": "Patient", "id": "p"}])
            writer.join()

    def test_asyncio_waits_in_threads(self) -> None:
        async def follow() -> "list[str]":
            session = await aio.run(self.store.session, "dr.jones")
            seen = []
            feed = session.observe("Patient")
            await aio.run(session.update, {"resourceType": "Patient", "id": "a"})
            async for event in aio.events(feed):
                seen.append(event["id"])
                break
            session.close()
            return seen

        self.assertEqual(asyncio.run(follow()), ["a"])

    def test_what_was_closed_is_told(self) -> None:
        session = self.store.session("dr.jones")
        session.close()
        session.close()
        with self.assertRaises(keepwell.Error) as closed:
            session.read("Patient", "p")
        self.assertEqual(closed.exception.actor, keepwell.Actor.DEVELOPER)
        with self.assertRaises(keepwell.Error) as invalid:
            self.store.session("dr.jones").create({"resourceType": "Patient", "birthDate": "soon"})
        self.assertNotIn("soon", json.dumps(invalid.exception.operation_outcome))

    def test_what_fails_is_told_to_a_logger(self) -> None:
        logger = logging.getLogger("keepwell.journey")
        keepwell.set_logger(logger)
        try:
            with self.store.session("dr.jones") as session, self.assertLogs(logger, "INFO") as told:
                with self.assertRaises(keepwell.Error):
                    session.read("Patient", "nobody")
            self.assertEqual([(record.levelname, record.args[0]) for record in told.records], [("INFO", 101)])
        finally:
            keepwell.set_logger(None)

    def test_a_listener_is_told_until_it_raises(self) -> None:
        told: "queue.Queue[str]" = queue.Queue()

        def listener(changes: "list[dict[str, object]]") -> None:
            told.put(str(changes[0]["id"]) if self.store.state is keepwell.State.OPEN else "")
            raise ZeroDivisionError

        logging.getLogger("keepwell").addHandler(logging.NullHandler())
        with self.store.session("dr.jones") as session, self.store.observe() as feed:
            feed.listen(listener)
            self.refused(919, feed.listen, listener)
            session.update({"resourceType": "Patient", "id": "p1"})
            self.assertEqual(told.get(timeout=60), "p1")
            session.update({"resourceType": "Patient", "id": "p2"})
        self.assertTrue(told.empty())

    def test_a_wipe_leaves_nothing_to_open(self) -> None:
        path = self.directory.name + "/store"
        self.store.erase()
        with self.assertRaises(keepwell.Error):
            keepwell.Store.open(path, app="journey", device="tablet 1", keychain=keepwell.Keychain.MEMORY).unlock()


class Coverage(unittest.TestCase):
    def test_every_error_code_is_raised(self) -> None:
        codes = pathlib.Path(__file__).parents[3].joinpath("docs/error-codes.md").read_text()
        codes = [int(code) for code in re.findall(r"^\| (\d{3}) \|", codes, re.MULTILINE)]
        self.assertGreater(len(codes), 100)
        actors = {1: keepwell.Actor.CALLER, 2: keepwell.Actor.PERSON, 3: keepwell.Actor.CALLER, 4: keepwell.Actor.SERVER,
                  5: keepwell.Actor.DEVICE, 9: keepwell.Actor.DEVELOPER}
        for code in codes:
            with self.assertRaises(keepwell.Error) as raised:
                keepwell.rehearse_error(code)
            self.assertEqual((raised.exception.code, raised.exception.actor), (code, actors[code // 100]))

    def test_every_function_of_the_header_is_bound(self) -> None:
        header = pathlib.Path(__file__).parents[2].joinpath("c/include/keepwell.h").read_text()
        named = set(re.findall(r"\b(keepwell_\w+)\(", header))
        others = {"keepwell_abi_version", "keepwell_version", "keepwell_error_code", "keepwell_error_actor",
                  "keepwell_error_reason", "keepwell_error_operation_outcome", "keepwell_error_free",
                  "keepwell_error_retry_after_ms", "keepwell_error_attempts_left",
                  "keepwell_buffer_free", "keepwell_store_options"}
        self.assertEqual(named, set(FUNCTIONS) | others)


if __name__ == "__main__":
    unittest.main()

"""The journey of bindings/journey.md in Python."""

import asyncio
import io
import json
import logging
import pathlib
import re
import tempfile
import threading
import unittest

import keepwell
from keepwell import aio
from keepwell._library import FUNCTIONS

PASSCODE = "correct horse"


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
        with self.assertRaises(keepwell.Error):
            self.store.unlock("wrong")
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

    def test_files_come_in_and_go_out_whole(self) -> None:
        lines = pathlib.Path(self.directory.name, "patients.ndjson")
        lines.write_text("".join(f'{{"resourceType":"Patient","id":"p{n}"}}\n' for n in range(250)) + "{}\n")
        told = []
        with self.store.session("dr.jones") as session:
            report = session.import_file(lines, skip=True, progress=told.append)
            self.assertEqual((report["created"], report["refused"]), (250, 1))
            self.assertEqual(told[-1], 250)
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

    def test_a_wipe_leaves_nothing_to_open(self) -> None:
        path = self.directory.name + "/store"
        self.store.erase()
        with self.assertRaises(keepwell.Error):
            keepwell.Store.open(path, app="journey", device="tablet 1", keychain=keepwell.Keychain.MEMORY).unlock()


class Coverage(unittest.TestCase):
    def test_every_function_of_the_header_is_bound(self) -> None:
        header = pathlib.Path(__file__).parents[2].joinpath("c/include/keepwell.h").read_text()
        named = set(re.findall(r"\b(keepwell_\w+)\(", header))
        others = {"keepwell_abi_version", "keepwell_version", "keepwell_error_code", "keepwell_error_actor",
                  "keepwell_error_reason", "keepwell_error_operation_outcome", "keepwell_error_free",
                  "keepwell_buffer_free", "keepwell_store_options"}
        self.assertEqual(named, set(FUNCTIONS) | others)


if __name__ == "__main__":
    unittest.main()

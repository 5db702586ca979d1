"""An encrypted FHIR R4 store in a directory, with a server's interactions, offline.

    import keepwell

    with keepwell.Store.create("records", app="demo", device="laptop", passcode="a long passphrase",
                               keychain=keepwell.Keychain.PASSCODE_ONLY) as store:
        with store.session("dr.jones") as session:
            session.create({"resourceType": "Patient", "gender": "female"})
            for patient in session.search("Patient?gender=female"):
                print(patient["id"])

Resources go in as ``dict``, ``str`` or ``bytes`` and come out as ``dict``; the ``..._text`` calls give the JSON as it was
written, to the last digit. Every call may come from any thread. ``keepwell.aio`` has the same for asyncio.
"""

from ._errors import Actor, Error
from ._library import rehearse_error, version
from ._log import set_logger
from ._options import BackupGuard, HostKeychain, Keychain, KeychainFault, Settings
from ._store import Feed, Session, State, Store, Written
from ._sync import Conflict, Resolution, Sync, Writes

__all__ = ["Actor", "BackupGuard", "Conflict", "Error", "Feed", "HostKeychain", "Keychain", "KeychainFault", "Resolution",
           "Session", "Settings", "State", "Store", "Sync", "Writes", "Written", "rehearse_error", "set_logger", "version"]

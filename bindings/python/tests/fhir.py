"""A device that takes a server for any FHIR server, and a program that gives the tokens.

Usage: fhir.py DIRECTORY ADDRESS AUTHORITIES TOKEN, with authorities in PEM.
"""

import logging
import sys

import keepwell


def main() -> None:
    directory, address, authorities, token = sys.argv[1:]
    asked: "list[bool]" = []
    tokens = ["keepwell_old", token]

    def sign_in(refused: bool) -> str:
        asked.append(refused)
        return tokens.pop(0)

    with keepwell.Store.create(directory, app="fhir", device="laptop", keychain=keepwell.Keychain.MEMORY) as store:
        with store.session("dr.jones") as session, store.sync("dr.jones") as sync:
            sync.enrol_fhir(address, authorities, ["Patient", "Flag"])
            assert sync.status()["fhirServer"] == address
            session.update({"resourceType": "Patient", "id": "p", "birthDate": "1970-01-01"})
            assert sync.run()["problem"] == 425
            sync.set_token_provider(sign_in)
            assert sync.run()["problem"] is None
            assert asked == [False, True] and sync.status()["pending"] == 0

            # What it raises is no more than a round that failed.
            logging.getLogger("keepwell").addHandler(logging.NullHandler())
            sync.enrol_fhir(address, authorities, ["Patient"], writes=keepwell.Writes.NEVER)
            sync.set_token_provider(sign_in)
            assert sync.run()["problem"] == 448
            sync.set_token_provider(None)
            assert sync.run()["problem"] == 425
    print("every token was asked for")


if __name__ == "__main__":
    main()

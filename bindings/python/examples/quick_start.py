"""Twenty lines: an encrypted store, a patient, a search. Usage: python quick_start.py DIRECTORY"""

import sys

import keepwell

with keepwell.Store.create(sys.argv[1], app="demo", device="laptop", passcode="a passphrase of some length",
                           keychain=keepwell.Keychain.PASSCODE_ONLY) as store:
    with store.session("dr.jones") as session:
        session.create({"resourceType": "Patient", "gender": "female", "name": [{"family": "Example"}]})
        for patient in session.search("Patient?gender=female"):
            print(patient["id"], patient["name"][0]["family"])

"""A search as a pandas DataFrame. Usage: frame.py DIRECTORY"""

import sys

import keepwell


def main() -> None:
    with keepwell.Store.create(sys.argv[1], app="frame", device="laptop", keychain=keepwell.Keychain.MEMORY) as store:
        with store.session("dr.jones") as session:
            for day, value in ((1, 60.5), (2, None), (3, 85)):
                observation = {"resourceType": "Observation", "status": "final", "effectiveDateTime": f"2026-11-0{day}",
                               "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}}
                if value is not None:
                    observation["valueQuantity"] = {"value": value, "unit": "/min"}
                session.create(observation)
            columns = {"at": "effectiveDateTime", "code": "code.coding.0.code", "pulse": "valueQuantity.value",
                       "second": "code.coding.1.code"}
            frame = session.search_frame("Observation?code=8867-4&_sort=date&_count=2", columns)
            assert list(frame.columns) == list(columns) and len(frame) == 3, frame
            assert list(frame["at"]) == ["2026-11-01", "2026-11-02", "2026-11-03"], frame
            assert set(frame["code"]) == {"8867-4"} and frame["second"].isna().all(), frame
            assert frame["pulse"].mean() == 72.75, frame
            assert session.search_frame("Observation?code=none", columns).empty
    print("the frame holds")


if __name__ == "__main__":
    main()

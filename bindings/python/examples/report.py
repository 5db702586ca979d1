"""A series of observations of one patient, as a table and a plot of text.

Usage: python report.py STORE FILE PATIENT CODE, for a store that is made here from a file of Bundles or NDJSON.
"""

import sys

import keepwell

WIDTH = 50


def series(session: keepwell.Session, patient: str, code: str) -> "list[tuple[str, float, str]]":
    """Time, value and unit of each observation, the oldest first."""
    found = []
    for resource in session.search(f"Observation?patient={patient}&code={code}&_sort=date&_count=200"):
        quantity = resource.get("valueQuantity")
        if quantity:
            found.append((resource.get("effectiveDateTime", ""), float(quantity["value"]), quantity.get("unit", "")))
    return found


def main() -> None:
    path, file, patient, code = sys.argv[1:5]
    with keepwell.Store.create(path, app="report", device="laptop", passcode="a passphrase of some length",
                               keychain=keepwell.Keychain.PASSCODE_ONLY) as store:
        with store.session("dr.jones") as session:
            report = session.import_file(file, skip=True)
            print(f"{report['created']} resources")
            points = series(session, patient, code)
            if not points:
                print("no observation of that code")
                return
            low, high = min(point[1] for point in points), max(point[1] for point in points)
            for time, value, unit in points:
                column = 0 if high == low else round((value - low) / (high - low) * WIDTH)
                print(f"{time[:10]:10} {value:8.2f} {unit:8} {' ' * column}*")


if __name__ == "__main__":
    main()

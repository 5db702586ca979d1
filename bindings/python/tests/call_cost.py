"""What calls cost, in microseconds, as lines "NAME MICROSECONDS". Usage: call_cost.py DIRECTORY"""

import sys
import time
from typing import Any, Callable

import keepwell


def median(name: str, rounds: int, call: Callable[[int], Any]) -> None:
    times = []
    for at in range(rounds * 2):
        begun = time.perf_counter_ns()
        call(at)
        if at >= rounds:
            times.append(time.perf_counter_ns() - begun)
    print(name, sorted(times)[rounds // 2] / 1_000)


def main() -> None:
    with keepwell.Store.create(sys.argv[1], app="bench", device="bench", keychain=keepwell.Keychain.MEMORY) as store:
        with store.session("bench") as session:
            for id in range(100):
                name = {"family": "Example", "text": "x" * 1_900}
                session.update({"resourceType": "Patient", "id": f"p{id}", "name": [name]})
            url = "Patient?_id=" + ("y" * 64 + ",") * 31 + "z"
            median("read", 5_000, lambda at: session.read_text("Patient", f"p{at % 100}"))
            median("hand-over", 5_000, lambda _: session.search_text(url))
            median("page", 500, lambda _: session.search_text("Patient?_count=100"))


if __name__ == "__main__":
    main()

"""A process that runs cases: it reads ``KIND SEED`` from stdin and writes a line per result."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

MOST_MEMORY = 6 << 30  # bytes of addresses; the libraries alone take about 2


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")  # libraries and the package may print
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from tests.fuzz.kinds import run_case

    print(json.dumps({"outcome": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        kind, seed = line.split()
        began = time.perf_counter()
        details = ""
        try:
            outcome = run_case(kind, int(seed))
        except AssertionError:
            outcome, details = "wrong", traceback.format_exc()
        except MemoryError:
            outcome, details = "memory", traceback.format_exc()
        except BaseException:
            outcome, details = "traceback", traceback.format_exc()
        seconds = time.perf_counter() - began
        answer = {"outcome": outcome, "details": details, "seconds": seconds}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""`make bench-directory`: the directory as it changes, into build/bench/directory.json.

How old a change is when an answer shows it; how long a large index takes to be made anew, and how much memory; and how
large files of it are read.
"""

import argparse
import json
import os
from pathlib import Path

from loadtests import directory_files, freshness, rebuild

RESULT = Path("build") / "bench" / "directory.json"
SERVICES = 100_000


def main() -> None:
    """Run, and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--services", type=int, default=SERVICES, help="in the index, and in a file")
    services: int = options.parse_args().services
    figures: dict[str, object] = {"load_average_before": round(os.getloadavg()[0], 2)}
    figures["freshness"] = freshness.measure()
    figures["rebuild"] = rebuild.measure(services)
    figures["files"] = directory_files.measure(services)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()

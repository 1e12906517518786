"""A driver in a process of its own, for tests that kill it: ``python -m tests.audit.drive SOURCE OUT ENGINE``."""

from __future__ import annotations

import sys
from pathlib import Path

from provenance.audit.run import score_source

LOADER = "tests.audit.faults:load"

if __name__ == "__main__":
    source, out, engine = sys.argv[1:4]
    score_source(source, Path(out), workers=2, loader=LOADER, engine=engine)  # type: ignore[arg-type]

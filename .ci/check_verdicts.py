"""Check that a JSON Lines file of verdicts has one for each example, all of them read."""

import json
import sys
from pathlib import Path

rows = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
if len(rows) < 4 or any(row["status"] != "ok" for row in rows):
    sys.exit(f"found {[(row['path'], row['status']) for row in rows]}; needed: at least four verdicts with status ok")

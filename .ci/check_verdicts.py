"""Check that a JSON Lines file of verdicts has one for each example, all of them read."""

import json
import sys

rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
if len(rows) < 4 or any(row["status"] != "ok" for row in rows):
    sys.exit(f"found {[(row['path'], row['status']) for row in rows]}; needed: at least four verdicts with status ok")

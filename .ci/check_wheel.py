"""Check what a wheel holds: the default model, types and schema; no tests, no audio."""

import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
wanted = [
    "provenance/py.typed",
    "provenance/verdict.schema.json",
    "service/app.py",
    "training/fit.py",
    *(f"provenance/models/stem-v1/{n}" for n in ("model.onnx", "config.json", "evaluation.json", "README.md")),
]
missing = [n for n in wanted if n not in names]
unwanted = [n for n in names if n.startswith("tests/") or n.endswith((".flac", ".wav", ".mp3", ".pyc"))]
if missing or unwanted:
    sys.exit(f"wheel: missing {missing}, unwanted {unwanted}")

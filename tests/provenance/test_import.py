"""What ``import provenance`` costs, and what it must not bring along."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provenance.bundle import find

FORBIDDEN = (
    "torch", "torchaudio", "librosa", "scipy", "sklearn", "pandas", "demucs", "numba", "fastapi", "pydantic", "uvicorn",
    "starlette", "pyarrow", "duckdb", "jinja2", "plotly", "ray", "matplotlib", "av", "training", "service",
)  # fmt: skip


def in_a_fresh_process(code: str, root: Path, **environment: str) -> str:
    """Run code with the repository importable and return its stdout."""
    env = os.environ | {"PYTHONPATH": str(root)} | environment
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=root, check=True
    ).stdout


@pytest.mark.parametrize(
    "code",
    ["import provenance", "import provenance; provenance.load()", "import provenance.cli",
     "import numpy as np, provenance; provenance.score((np.random.default_rng(0).normal(0, .1, 90_000), 44_100))"],
)  # fmt: skip
def test_serving_loads_nothing_heavy(code: str, root: Path) -> None:
    """Importing, loading a model, scoring and the command line load neither torch nor any other extra's package."""
    show = "import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = json.loads(in_a_fresh_process(f"{code}\n{show}", root))
    assert not set(FORBIDDEN) & set(loaded)
    assert "provenance" in loaded


def test_a_type_checker_tells_a_misspelt_name(root: Path, tmp_path: Path) -> None:
    """``provenance.scoer`` is an error of mypy's; ``provenance.audit``, which comes when it is asked for, is none."""
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text("import provenance\nprovenance.audit\nprovenance.scoer\n")
    options = ("--config-file=", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "user.py"], cwd=tmp_path, env=os.environ | {"MYPYPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert re.findall(r"^user.py:(\d+): error", done.stdout, re.M) == ["3"], done.stdout + done.stderr
    assert 'maybe "score"' in done.stdout


def test_nothing_happens_at_import(root: Path) -> None:
    """Importing prints nothing, starts no thread, sets up no logging and changes no environment."""
    code = (
        "import os, threading, logging\nbefore = dict(os.environ)\nimport provenance\n"
        "assert threading.active_count() == 1\nassert not logging.getLogger().handlers\n"
        "assert dict(os.environ) == before"
    )
    assert in_a_fresh_process(code, root) == ""


def test_import_is_quick_beside_what_it_needs(root: Path, tmp_path: Path) -> None:
    """Importing and loading the model takes little longer than its packages and its network need (a ratio)."""
    model = find() / "model.onnx"
    needed = (
        "import numpy, soundfile, soxr, onnxruntime\n"
        f"onnxruntime.InferenceSession({str(model)!r}, providers=['CPUExecutionProvider'])"
    )
    whole = "import provenance; provenance.load()"
    # A user's Python keeps the bytecode it compiled; a machine that forbids it would have its compiler measured.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    took: dict[str, list[float]] = {needed: [], whole: []}
    for turn in range(6):
        for code, times in took.items():
            start = time.perf_counter()
            in_a_fresh_process(code, root, **compiled)
            if turn:
                times.append(time.perf_counter() - start)
    assert min(took[whole]) < 2 * min(took[needed])


def test_training_and_service_are_never_imported_by_provenance(root: Path) -> None:
    """Imports go one way: no file of ``provenance`` names ``training`` or, but for ``serve``, ``service``."""
    for file in (root / "provenance").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "import training" not in text, file
        assert "from training" not in text, file
        if file.name != "cli.py":
            assert "from service" not in text, file
            assert "import service" not in text, file


def test_doctests_hold(root: Path) -> None:
    """The examples in docstrings of the library are right."""
    import doctest
    import importlib

    n = 0
    for name in ("windows", "suitability", "verdict", "decide", "frontend", "audio", "flat", "extras"):
        found = doctest.testmod(importlib.import_module(f"provenance.{name}"))
        assert found.failed == 0, name
        n += found.attempted
    assert n >= 3

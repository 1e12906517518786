"""The wheel: what it holds, and that it scores offline from a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree without isolation (hatchling is a requirement of the extra ``dev``)."""
    tree = tmp_path_factory.mktemp("tree")
    files = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("not a git checkout")
    for name in files.stdout.splitlines():
        if (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, tree / name)
    out = tree / "dist"
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_it_holds_the_model_the_schema_and_no_tests(wheel: Path, root: Path) -> None:
    """The default model, types and schema are inside; tests, examples, audio and compiled files are not."""
    subprocess.run([sys.executable, str(root / ".ci" / "check_wheel.py"), str(wheel)], check=True)
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"provenance", "service", "training"}


def test_every_package_file_is_inside(wheel: Path, root: Path) -> None:
    """Each file git knows below the three packages is in the wheel."""
    files = subprocess.run(
        ["git", "ls-files", "provenance", "service", "training"], cwd=root, capture_output=True, text=True, check=True
    )
    assert set(files.stdout.splitlines()) <= set(zipfile.ZipFile(wheel).namelist())


def test_its_requirements_are_the_lean_set(root: Path) -> None:
    """What a user installs is six libraries and no more; everything else is an extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {requirement.split(">")[0].split("[")[0] for requirement in project["dependencies"]}
    assert names == {"numpy", "soundfile", "soxr", "onnxruntime", "typer", "rich"}
    assert {"service", "audit", "ray", "train", "dev", "m4a"} <= set(project["optional-dependencies"])


def test_it_scores_from_where_it_was_unpacked(wheel: Path, root: Path, tmp_path: Path) -> None:
    """Unpacked anywhere, with nothing of the repository on its path, it finds its own model and scores."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(tmp_path / "site")}
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if p]; from provenance.cli import main; import provenance;"
        f"assert provenance.__file__.startswith({str(tmp_path)!r}); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "score", str(root / "examples"), "--format", "jsonl"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= 4
    assert {row["status"] for row in rows} == {"ok"}

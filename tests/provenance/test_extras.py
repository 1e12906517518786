"""What a command says that could not be imported: a missing extra, and nothing else, is called one."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from provenance import extras

INSTALLED = {"numpy", "onnxruntime", "rich", "soundfile", "soxr", "typer", "provenance", "service"}
"""What is there without an extra, and the packages themselves."""
SOURCES = {"service": (("service",), "service"), "provenance/audit": (("audit", "ray"), "the audit")}


def run(root: Path, prepared: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, after something was done to its imports."""
    code = f"import sys; {prepared}; from provenance.cli import main; main()"
    env = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env, timeout=120
    )


def broken(folder: Path, package: str, code: str) -> str:
    """Put a package that does not load before the real one, and return what makes Python find it."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(code)
    return f"sys.path.insert(0, {str(folder)!r})"


@pytest.mark.parametrize("extra", list(extras.MODULES))
def test_packages_are_those_of_the_project(root: Path, extra: str) -> None:
    """What an extra is said to bring is what ``pyproject.toml`` says it brings."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[\[<>=; ]", wanted)[0].replace("-", "_") for wanted in project["optional-dependencies"][extra]}
    brought = {{"python_json_logger": "pythonjsonlogger"}.get(name, name) for name in names}
    with_fastapi = {"anyio", "pydantic", "starlette"} if extra == "service" else set()
    assert set(extras.MODULES[extra]) == brought | with_fastapi


@pytest.mark.parametrize("folder", list(SOURCES))
def test_what_is_imported_is_known(root: Path, folder: str) -> None:
    """Every package that the service and the audit import is installed anyway, or named by an extra of theirs."""
    found = set()
    for file in (root / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    known = {name for extra in SOURCES[folder][0] for name in extras.MODULES[extra]}
    assert found - sys.stdlib_module_names - INSTALLED - known <= {"datasets"}


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("starlette", "service", ("serve",)),
        ("pyarrow", "audit", ("audit", "report", "nowhere")),
        ("jinja2", "audit", ("audit", "examples", "--out", "nowhere")),  # before anything is scored
        ("duckdb", "audit", ("audit", "query", "nowhere", "select 1")),
    ],
)
def test_a_missing_package_names_its_extra(root: Path, package: str, extra: str, command: tuple[str, ...]) -> None:
    """Status 2 and one line that says what is missing and what to install."""
    done = run(root, f"sys.modules[{package!r}] = None", *command)
    assert done.returncode == 2
    assert f"needs the extra '{extra}' ({package} is missing): pip install 'stem-provenance[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "code", "said"),
    [
        ("uvicorn", "raise ImportError('libssl.so.3: cannot open shared object file')", "libssl.so.3: cannot open"),
        ("uvicorn", "import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("fastapi", "", "cannot import name 'FastAPI' from 'fastapi'"),
        ("duckdb", "import duckdb.nothing", "No module named 'duckdb.nothing'"),
    ],
)
def test_any_other_failed_import_says_its_own(root: Path, tmp_path: Path, package: str, code: str, said: str) -> None:
    """An extra that is installed and does not load is not said to be missing: the line holds the import's own words."""
    service = package in ("uvicorn", "fastapi")
    done = run(root, broken(tmp_path, package, code), *(("serve",) if service else ("audit", "report", "nowhere")))
    assert done.returncode == 2
    assert done.stderr.startswith(f"the {'service' if service else 'audit'} cannot be loaded: ")
    assert said in done.stderr
    assert "pip install" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_dataset_needs_its_package_only_where_it_is_missing(root: Path, tmp_path: Path) -> None:
    """``hf:`` asks for ``datasets`` where it is not installed; one that does not load says why."""
    call = ("audit", "hf:nobody/nothing", "--out", str(tmp_path / "out"))
    missing = run(root, "sys.modules['datasets'] = None", *call)
    assert (missing.returncode, "pip install datasets" in missing.stderr) == (2, True)
    done = run(root, broken(tmp_path, "datasets", "raise ImportError('numpy is too new')"), *call)
    assert (done.returncode, done.stderr) == (2, "the audit cannot be loaded: numpy is too new\n")

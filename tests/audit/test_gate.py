"""The gate's definitions call the command as it is: hook and action are run, not only read."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.audit import make

yaml = pytest.importorskip("yaml", reason="needs PyYAML")


@pytest.fixture
def shell(tmp_path: Path, root: Path) -> dict[str, str]:
    """An environment in which ``stem-provenance`` is this tree's command."""
    binary = tmp_path / "bin" / "stem-provenance"
    binary.parent.mkdir()
    binary.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
                      "from provenance.cli import main\nmain()\n")  # fmt: skip
    binary.chmod(0o755)
    return os.environ | {"PATH": f"{binary.parent}:{os.environ['PATH']}"}


def test_the_hook_runs_and_passes_an_empty_charge(tmp_path: Path, root: Path, shell: dict[str, str]) -> None:
    """The hook's entry audits the folder it stands in, does not audit its own output, and fails only on its charge."""
    hook = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())[0]
    work = tmp_path / "repository"
    work.mkdir()
    (work / "bad.wav").write_bytes(b"")
    soundfile.write(work / "short.wav", make.take(1, 0.5), 44_100)
    for _ in range(2):
        run = subprocess.run(shlex.split(hook["entry"]), cwd=work, env=shell, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    assert (work / ".stem-audit" / "report.html").exists()
    assert not hook["pass_filenames"]


def test_the_action_runs_its_last_step(tmp_path: Path, root: Path, shell: dict[str, str]) -> None:
    """The action's script writes its outputs and passes the exit code of the audit on."""
    action = yaml.safe_load((root / "action.yml").read_text())
    script = action["runs"]["steps"][-1]["run"]
    soundfile.write(tmp_path / "short.wav", make.take(1, 0.5), 44_100)
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    inputs = {"SOURCE": str(tmp_path / "short.wav"), "OUT": str(tmp_path / "o"), "FAIL_ON": "too_short", "SAMPLE": "",
              "BUDGET": "", "ARGUMENTS": action["inputs"]["arguments"]["default"]}  # fmt: skip
    run = subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=shell | files | inputs, capture_output=True,
                         text=True)  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert f"report={tmp_path}/o/report.html" in Path(files["GITHUB_OUTPUT"]).read_text()
    assert "Of 1 file, none could be judged" in Path(files["GITHUB_STEP_SUMMARY"]).read_text()
    lines = {"ARGUMENTS": "--seed 3\n--no-such-option\n"}
    run = subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=shell | files | inputs | lines,
                         capture_output=True, text=True)  # fmt: skip
    assert (run.returncode, "--no-such-option" in run.stderr) == (2, True), "every line of the arguments is passed"

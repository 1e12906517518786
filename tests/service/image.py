"""``python -m tests.service.image``: the Dockerfile's own steps in a virtual environment, without Docker.

COPY, RUN, ENV, HEALTHCHECK and CMD are read from the Dockerfile and carried out below a temporary folder; the service
that they start must be healthy, give a verdict, and hold none of what only training needs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.service import sounds
from tests.service.server import ROOT, free_port

FORBIDDEN = ("torch", "torchaudio", "librosa", "scipy", "demucs", "scikit-learn", "ray", "pandas")
MOST_MB = 900


def main() -> int:
    """Build, start, ask, and print what was found."""
    steps = [line for line in _lines(ROOT / "Dockerfile") if not line.startswith("#")]
    with tempfile.TemporaryDirectory(prefix="stem-image-") as name:
        folder = Path(name)
        prefix, source, state = folder / "opt-stem", folder / "src", folder / "state"
        source.mkdir()
        state.mkdir()
        places = {"/opt/stem": str(prefix), "/var/lib/stem": str(state)}
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("STEM_", "PYTHONPATH"))}
        for step in steps:
            _carry_out(_placed(step, places), source, environment)
        listed = subprocess.check_output([prefix / "bin" / "python", "-m", "pip", "list", "--format=json"], text=True)
        packages = {package["name"].lower(): package["version"] for package in json.loads(listed)}
        found = sorted(set(FORBIDDEN) & set(packages))
        size_mb = sum(f.stat().st_size for f in prefix.rglob("*") if f.is_file() and not f.is_symlink()) / 1e6
        print(f"{len(packages)} packages, {size_mb:.0f} MB; of what only training needs: {', '.join(found) or 'none'}")
        answered = _serve(steps, places, environment, state)
    print("the service that the image starts " + ("answers" if answered else "does NOT answer"))
    return 0 if answered and not found and size_mb <= MOST_MB else 1


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines() if line.strip()]


def _placed(text: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        text = text.replace(place, here)
    return text


def _carry_out(step: str, source: Path, environment: dict[str, str]) -> None:
    kind, _, rest = step.partition(" ")
    if kind == "COPY" and not rest.startswith("--from"):
        *names, target = rest.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    elif kind == "RUN" and not rest.startswith("useradd"):
        command = re.sub(r"^python ", f"{sys.executable} ", rest)
        subprocess.run(command, shell=True, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    elif kind == "ENV":
        name, _, value = rest.partition("=")
        environment[name] = value.replace("$PATH", environment["PATH"])


def _serve(steps: list[str], places: dict[str, str], environment: dict[str, str], state: Path) -> bool:
    port = str(free_port())
    command = json.loads(next(s for s in steps if s.startswith("CMD ")).removeprefix("CMD "))
    refused = subprocess.run(command, cwd=state, env=environment, capture_output=True, text=True, check=False)
    print(f"without a key it says: {refused.stderr.strip()}")
    local = [{"0.0.0.0": "127.0.0.1", "8000": port}.get(word, word) for word in command]
    probe = json.loads(next(s for s in steps if s.startswith("HEALTHCHECK")).split(" CMD ")[1].replace("8000", port))
    running = subprocess.Popen(local, cwd=state, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 180
        while subprocess.run(probe, env=environment, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if time.monotonic() > deadline or running.poll() is not None:
                return False
            time.sleep(0.5)
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/verdicts", files={"file": sounds.stem("m4a")}, timeout=60)
        print(f"a verdict: {answer.status_code}, {answer.json().get('origin')} by {answer.json().get('model')}")
        return answer.status_code == 200 and refused.returncode == 2
    finally:
        running.terminate()
        running.wait(60)


if __name__ == "__main__":
    sys.exit(main())

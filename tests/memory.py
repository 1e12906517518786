"""Peak memory of scoring one long file, in a process of its own: ``python -m tests.memory FILE [MODEL]``.

Prints the peak resident memory in MB and the verdict's duration. :func:`peak_mb` makes the file first, in another
process, so that making it does not count.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_WRITE = """
import sys, numpy, soundfile
path, seconds, rate, channels = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rng = numpy.random.default_rng(0)
part = (rng.standard_normal((rate * 10, channels)) * 0.05).astype("float32")
with soundfile.SoundFile(path, "w", rate, channels, "PCM_16", format="FLAC", compression_level=0) as file:
    for _ in range(0, seconds, 10):
        file.write(part)
"""


def peak_mb(model: str | None, seconds: int, rate_hz: int, channels: int) -> dict[str, float]:
    """Score a made file in a process of its own.

    Args:
        model: folder or name; None is the default model.
        seconds: length, a multiple of ten.
        rate_hz, channels: of the file.

    Returns:
        ``peak_mb``, and the verdict's ``duration_s``.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "long.flac"
        subprocess.run([sys.executable, "-c", _WRITE, str(file), str(seconds), str(rate_hz), str(channels)], check=True)
        env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        done = subprocess.run(
            [sys.executable, "-m", "tests.memory", str(file), model or ""],
            capture_output=True, text=True, check=True, env=env, cwd=Path(__file__).resolve().parent.parent,
        )  # fmt: skip
        found: dict[str, float] = json.loads(done.stdout)
        return found


def main() -> None:
    """Score the file that was named and print the peak."""
    import provenance

    verdict = provenance.load(sys.argv[2] or None).score(sys.argv[1])
    print(json.dumps({"peak_mb": round(_peak_mb(), 1), "duration_s": verdict.audio.duration_s}))


def _peak_mb() -> float:
    """Of this program alone: what ``getrusage`` says on Linux includes the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = (line.split() for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(next(lines)[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


if __name__ == "__main__":
    main()

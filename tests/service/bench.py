"""``make bench-service``: what the service adds to the scorer, under load and under attack, on the loopback address.

Every figure is a ratio or a count, printed beside what the issue asks; the exit status is 1 where one misses.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

import provenance
from tests.service import sounds
from tests.service.server import Server, alive, children

WORKERS = 2
CLIP_S = 10.0
_scorer: provenance.Scorer | None = None


@dataclass(frozen=True)
class Figure:
    """One figure beside its limit."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        asked = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        return f"{'ok  ' if self.met else 'MISS'} {self.name}: {self.value:.3g} ({asked})"


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="for the memory's course")
    parser.add_argument("--hostile", type=int, default=500, help="hostile uploads, and as many good ones")
    parser.add_argument("--only", choices=["overhead", "load", "memory", "attack"], help="one part")
    options = parser.parse_args()
    clip = sounds.stem("wav", CLIP_S)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="stem-bench-") as folder:
        bare = bare_rate(clip, Path(folder)) if options.only in (None, "load") else 0.0
        with Server(Path(folder) / "state", workers=WORKERS, max_duration_s=600) as server, server.client() as client:
            parts = {
                "overhead": lambda: overhead(client, clip),
                "load": lambda: under_load(client, clip, bare),
                "memory": lambda: memory(server, client, options.requests),
                "attack": lambda: attack(server, client, options.hostile),
            }
            for name, measure in parts.items():
                if options.only not in (None, name):
                    continue
                for figure in measure():
                    print(figure, flush=True)
                    figures.append(figure)
    print(f"{platform.machine()}, {multiprocessing.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    return 0 if all(figure.met for figure in figures) else 1


def overhead(client: httpx.Client, clip: bytes, n: int = 60) -> Iterable[Figure]:
    """Yield what the service adds to the scorer's own time, one request at a time."""
    shares = []
    for _ in range(n):
        started = time.perf_counter()
        answer = client.post("/v1/verdicts", files={"file": clip})
        whole_s = time.perf_counter() - started
        own_s = float(answer.headers["server-timing"].split("dur=")[1]) / 1e3
        shares.append((whole_s - own_s) / own_s)
    yield Figure("overhead of a 10 s clip at concurrency 1, over the scorer's time", statistics.median(shares), 0.20)


def bare_rate(clip: bytes, folder: Path, n: int = 120) -> float:
    """Return files a second of two bare processes with the scorer, which read the same file from the disk."""
    file = folder / "clip.wav"
    file.write_bytes(clip)
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("forkserver"), _load) as processes:
        list(processes.map(_score, [str(file)] * 4 * WORKERS))
        started = time.perf_counter()
        list(processes.map(_score, [str(file)] * n))
        return n / (time.perf_counter() - started)


def under_load(client: httpx.Client, clip: bytes, bare: float, n: int = 240) -> Iterable[Figure]:
    """Yield throughput and latency at concurrency 8."""
    times: list[float] = []

    def post(_: int) -> None:
        started = time.perf_counter()
        assert client.post("/v1/verdicts", files={"file": clip}).status_code == 200
        times.append(time.perf_counter() - started)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(post, range(16)))
        times.clear()
        started = time.perf_counter()
        list(threads.map(post, range(n)))
        rate = n / (time.perf_counter() - started)
    name = f"throughput at concurrency 8, over {WORKERS} bare processes"
    yield Figure(name, rate / bare, 0.85, at_least=True)
    yield Figure("p99 at concurrency 8, over the median", percentile(times, 0.99) / statistics.median(times), 5.0)


def memory(server: Server, client: httpx.Client, n: int) -> Iterable[Figure]:
    """Yield how much the service's processes grew, from a tenth of the requests to the end."""
    clip = sounds.stem("flac", 2.0)

    def post(_: int) -> None:
        assert client.post("/v1/verdicts", files={"file": clip}).status_code == 200

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(post, range(n // 10)))
        before = resident_mb(server)
        list(threads.map(post, range(n - n // 10)))
    yield Figure(f"resident memory after {n} requests, over that after {n // 10}", resident_mb(server) / before, 1.05)


def attack(server: Server, client: httpx.Client, n: int) -> Iterable[Figure]:
    """Yield what became of hostile uploads mixed with as many good ones."""
    kinds = ["wav", "flac", "ogg", "mp3", "aiff", "m4a"]
    good = [sounds.stem(kind, 3.0, seed=k) for k, kind in enumerate(kinds)]
    expected = [client.post("/v1/verdicts", files={"file": data}).json() for data in good]
    bad = [*sounds.hostile().values(), sounds.flac_bomb(30)]
    rng = random.Random(0)
    work: list[tuple[bytes, dict[str, object] | None]] = [(good[k % 6], expected[k % 6]) for k in range(n)]
    work += [(damaged(bad, good, k, rng), None) for k in range(n)]
    rng.shuffle(work)

    def right(item: tuple[bytes, dict[str, object] | None]) -> tuple[bool, bool]:
        data, verdict = item
        answer = client.post("/v1/verdicts", files={"file": data})
        if verdict is not None:
            return True, answer.status_code == 200 and answer.json() == verdict
        kind = answer.headers["content-type"]
        return False, 400 <= answer.status_code < 500 and kind == "application/problem+json"

    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(right, work))
    wrong = [sum(was_good is kind and not ok for was_good, ok in results) for kind in (True, False)]
    yield Figure(f"good uploads of {n} answered wrong", wrong[0], 0)
    yield Figure(f"hostile uploads of {n} without a 4xx problem", wrong[1], 0)
    deadline = time.monotonic() + 30
    while client.get("/readyz").json().get("workers") != WORKERS and time.monotonic() < deadline:
        time.sleep(0.1)
    yield Figure("workers left dead", WORKERS - client.get("/readyz").json().get("workers", 0), 0)
    left = [*(server.state / "spool").iterdir(), *(server.state / "jobs").iterdir()]
    yield Figure("temporary files left behind", len(left), 0)


def damaged(bad: list[bytes], good: list[bytes], k: int, rng: random.Random) -> bytes:
    """Return a hostile file: one of a kind, or the head of a good one with noise behind it."""
    if k % 2 == 0:
        return bad[(k // 2) % len(bad)]
    data = good[k % 3]  # not of MP3, whose decoder finds frames in any noise
    return data[: rng.randrange(1, 40)] + rng.randbytes(rng.randrange(10, 20_000))


def resident_mb(server: Server) -> float:
    """Return the memory that the service's processes hold for themselves."""
    total = 0
    for pid in [server.pid, *children(server.pid)]:
        if alive(pid):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def percentile(values: list[float], share: float) -> float:
    """Return a percentile by rank."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _load() -> None:
    global _scorer
    _scorer = provenance.load()


def _score(path: str) -> str:
    assert _scorer is not None  # set by _load in every process
    return json.dumps(_scorer.score(path).to_dict())


if __name__ == "__main__":
    sys.exit(main())

"""A real server process, started and stopped by the tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_S = 180.0
"""Far more than it takes, for a machine that is busy with other things."""


class Server:
    """``python -m service.run`` on a free port of the loopback address.

    Args:
        state: folder for its state, log included.
        settings: STEM_ variables by their name after the prefix, in lower case.
    """

    def __init__(self, state: Path, **settings: object) -> None:
        self.state = state
        self.settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = state.parent / f"{state.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def started(self) -> bool:
        """Whether there is a process to stop."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written."""
        return self.log_file.read_text()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting until it is ready."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STEM_", "OTEL_", "DBOS_"))}
        # pytest's own path, so that the tree under test is imported from wherever it runs
        environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        values = {"workers": 2, "state_dir": self.state, "port": self.port, "rate_limit": "", **self.settings}
        for name, value in values.items():
            environment[name if name.startswith("OTEL_") else f"STEM_{name.upper()}"] = str(value)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.run"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        return self._process

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        process = self.spawn()
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log}")

    def client(self, **options: object) -> httpx.Client:
        """Return a client of this server."""
        return httpx.Client(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        """End the process as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self, timeout_s: float = 60) -> int:
        """Ask it to stop and return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    """Return the processes below a process, at any depth."""
    tasks = Path(f"/proc/{pid}/task")
    found: list[int] = []
    for task in tasks.iterdir() if tasks.exists() else ():
        with suppress(OSError):  # a thread that has ended meanwhile
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def workers(server: Server) -> list[int]:
    """Return the processes of a server that hold a model."""
    return [pid for pid in children(server.pid) if "multiprocessing.forkserver" in _command(pid) and not children(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: object, timeout_s: float = 120, every_s: float = 0.05) -> None:
    """Wait until a condition holds, or fail."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(every_s)

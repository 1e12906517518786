"""The Ray engine on a real cluster of two nodes on loopback."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.audit.run import score_source
from tests.audit import make
from tests.audit.drive import LOADER
from tests.audit.test_faults import rows
from tests.service.server import wait_until

ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, root: Path) -> Iterator[Any]:
    """Two nodes of one core each, on loopback, and this process connected to them."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("FAULT_SLOW_S", "0.03")
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={**node, "include_dashboard": False}, connect=False
    )
    made.extra = made.add_node(**node)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_a_lost_node_costs_no_row_and_blames_only_the_poison(cluster: Any, tmp_path: Path) -> None:
    """With a node lost half way and a poison file, every file has one row, and the rows are those of local workers."""
    names = [f"slow{i:03d}.wav" for i in range(180)] + ["slow100_poison.wav"]
    make.files(tmp_path / "in", names)
    out = tmp_path / "ray"

    def lose() -> None:
        while len(list(out.glob("parts/*.parquet"))) < 1:
            time.sleep(0.05)
        cluster.remove_node(cluster.extra, allow_graceful=False)

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    progress = score_source(str(tmp_path / "in"), out, engine="ray", loader=LOADER)
    thread.join()
    found = rows(out)
    wait_until(lambda: sum(n["Alive"] for n in ray.nodes()) == 1, 60)  # health checks notice it
    assert len([n for n in ray.nodes() if n["Alive"]]) == 1
    assert progress.n_done == len(found) == len({row["path"] for row in found}) == 181
    assert Counter(row["status"] for row in found) == {"ok": 180, "crashed": 1}
    assert next(row for row in found if row["status"] == "crashed")["path"].endswith("slow100_poison.wav")
    score_source(str(tmp_path / "in"), tmp_path / "local", workers=2, loader=LOADER)
    same = [{k: v for k, v in row.items() if k != "error_found"} for row in rows(tmp_path / "local")]
    assert same == [{k: v for k, v in row.items() if k != "error_found"} for row in found]

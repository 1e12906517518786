"""Servers and sounds that several tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service import sounds
from tests.service.server import Server

pytest.importorskip("fastapi", reason="needs the extra 'service'")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server with the default settings but no rate limit, for tests that leave it as it was."""
    with Server(tmp_path_factory.mktemp("server") / "state", model=tiny_model) as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path, tiny_model: Path) -> Iterator[Callable[..., Server]]:
    """A function that makes a server with other settings; those running at the end are stopped."""
    made: list[Server] = []

    def make(start: bool = True, **settings: object) -> Server:
        one = Server(tmp_path / f"state{len(made)}", **{"model": tiny_model, **settings})
        made.append(one)
        if start:
            one.start()
        return one

    yield make
    for one in made:
        if one.started:
            one.stop()


@pytest.fixture(scope="session")
def wav() -> bytes:
    """A good stem of six seconds."""
    return sounds.stem()

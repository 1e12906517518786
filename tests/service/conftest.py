"""Servers and sounds that several tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A running Chromium, for one module: while it is driven no other event loop can run in this thread."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra 'dev')")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stem in every format, three more, and a file that is none."""
    made = tmp_path_factory.mktemp("page")
    for kind in sounds.TYPES:
        (made / f"stem.{kind}").write_bytes(sounds.stem(kind))
    for k in range(3):
        (made / f"{'cab'[k]} song.flac").write_bytes(sounds.stem("flac", 5.0 + k, seed=k + 1))
    (made / "=broken.wav").write_bytes(b"no audio")
    return made


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """A function that opens the page; whatever it did, nothing came from elsewhere and nothing failed."""
    requests: list[str] = []
    errors: list[str] = []
    contexts: list[Any] = []

    def make(url: str = server.url, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(url)
        page.set_default_timeout(30_000)
        return page

    yield make
    for context in contexts:
        context.close()
    allowed = ("http://127.0.0.1:", "blob:", "data:")
    assert [url for url in requests if not url.startswith(allowed)] == []
    expected = ("status of 4", "status of 502", "status of 503", "net::ERR_FAILED")  # the last two by tests alone
    assert [error for error in errors if not any(words in error for words in expected)] == []

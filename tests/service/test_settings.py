"""Settings: what is misspelt is named, and the list can be cut short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.settings import Settings, misspelt
from tests.service.server import ROOT, START_S, Server, free_port


def test_a_misspelt_setting_is_named_in_the_log(serve: Callable[..., Server]) -> None:
    """A variable that is no setting does not stop the start, but a warning names it and the nearest setting."""
    server = serve(worker=1, host="127.0.0.1", nets="/nets")
    lines = [json.loads(line) for line in server.log.splitlines()]
    warnings = [line["message"] for line in lines if line["level"] == "WARNING"]
    assert warnings == ["found the variable STEM_WORKER, which is no setting; nearest: STEM_WORKERS"]


def test_a_misspelt_setting_is_named_also_where_the_start_fails(serve: Callable[..., Server]) -> None:
    """Who misspelt the very setting that is needed learns it beside the error."""
    server = serve(start=False, host="0.0.0.0", key_file="keys")
    assert server.spawn().wait(START_S) == 2
    assert "STEM_KEY_FILE, which is no setting; nearest: STEM_KEYS_FILE" in server.log
    assert "no keys; needed: STEM_KEYS_FILE" in server.log


def test_settings_and_others_variables_are_not_misspelt() -> None:
    """No warning of a setting, of what the training and the tests read, or of another prefix; case does not matter."""
    known = [f"STEM_{name}" for name in Settings.model_fields]
    assert misspelt([*known, "stem_workers", "STEM_NETS", "STEM_CORPUS", "SYSTEM_X", "PATH"]) == []
    (said,) = misspelt(["STEM_PORT"])
    assert said.endswith("needed: --port")


def test_the_list_of_settings_may_be_cut_short() -> None:
    """A reader that goes away, such as ``head``, is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.settings"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_state_folder_that_cannot_be_made_is_named(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The message says which setting names it."""
    (tmp_path / "file").write_text("")
    server = serve(start=False, state_dir=tmp_path / "file" / "state")
    assert server.spawn().wait(START_S) != 0
    assert f"{tmp_path / 'file' / 'state'}: found no folder to write in" in server.log
    assert "STEM_STATE_DIR" in server.log


def test_a_folder_of_manifests_that_is_not_there_is_named_in_the_log(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """The service starts, for it may come later, but says so."""
    server = serve(manifest_roots=f"{tmp_path}{os.pathsep}{tmp_path / 'gone'}")
    assert f"found no folder {tmp_path / 'gone'}, which STEM_MANIFEST_ROOTS names" in server.log
    assert f"found no folder {tmp_path}," not in server.log


def test_probes_of_the_machine_itself_are_answered_whatever_names_are_listed(serve: Callable[..., Server]) -> None:
    """The health check of the image asks 127.0.0.1, also where STEM_ALLOWED_HOSTS names the service for others."""
    server = serve(allowed_hosts="stems.example, *.stems.example, [fd00::1]")  # started: /readyz answered by address
    with server.client() as client:
        asked = {host: client.get("/readyz", headers={"Host": host}).status_code for host in (
            "localhost:8000", "[::1]", "stems.example:443", "a.stems.example", "[fd00::1]", "evil.example",
        )}  # fmt: skip
    assert asked == {**dict.fromkeys(asked, 200), "evil.example": 400}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_hosts", "https://stems.example"),
        ("allowed_hosts", "localhost, stems.example:8000"),
        ("allowed_hosts", "*example.org"),
        ("cors_origins", "stems.example"),
        ("cors_origins", "https://stems.example/"),
        ("cors_origins", "https://*.stems.example"),
    ],
)
def test_names_that_no_request_can_have_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A scheme, a port, a path or a star in the wrong place would make a setting that is never met."""
    monkeypatch.setenv(f"STEM_{name.upper()}", value)
    with pytest.raises(ValueError, match=r"found '[^']+'; needed: (names without|scheme and host)"):
        Settings()


def test_names_that_requests_have_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stars, addresses, ports of origins, and origins of programs that are browsers."""
    monkeypatch.setenv("STEM_ALLOWED_HOSTS", "*,10.0.0.7,stems_1.example.")
    monkeypatch.setenv("STEM_CORS_ORIGINS", "*,http://localhost:3000,http://[::1]:3000,chrome-extension://abc")
    assert (len(Settings().allowed_hosts), len(Settings().cors_origins)) == (3, 4)


def test_the_images_health_check_asks_no_proxy(server: Server) -> None:
    """Docker hands the variables of its own proxy on; the check asks the service, and fails where there is none."""
    line = next(
        s for s in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if s.startswith("HEALTHCHECK")
    )
    environment = os.environ | dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")

    def check(port: int) -> int:
        _, *rest = json.loads(line.split(" CMD ")[1].replace("8000", str(port)))
        return subprocess.run(
            [sys.executable, *rest], env=environment, stderr=subprocess.DEVNULL, check=False
        ).returncode

    assert check(server.port) == 0
    assert check(free_port()) != 0

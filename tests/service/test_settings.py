"""Settings: what is misspelt is named, and the list can be cut short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from service.settings import Settings, misspelt
from tests.service.server import ROOT, START_S, Server


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

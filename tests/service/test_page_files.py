"""The page with many files, awkward ones, folders, and a service that does not answer."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.service.server import Server
from tests.service.test_keys import make_key

GIVE = """(n) => {
    const transfer = new DataTransfer(), input = document.querySelector("#files");
    for (let i = 0; i < n; i++) transfer.items.add(new File([new Uint8Array(1000)], `${i}.wav`));
    input.files = transfer.files;
    input.dispatchEvent(new Event("change"));
}"""
"""Chooses files of this page's own making."""


def status(page: Any, words: str) -> None:
    """Wait for what the page says of all files."""
    page.wait_for_function("(s) => document.querySelector('#status').textContent === s", arg=words)


def verdict_of(server: Server, file: Path) -> dict[str, Any]:
    """Return what the service says of a file."""
    with server.client() as client:
        verdict: dict[str, Any] = client.post("/v1/verdicts", files={"file": file.read_bytes()}).json()
    return verdict


def drop(page: Any, *paths: Path) -> None:
    """Drop files or folders of the disk, as the desktop does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 120, "data": data})


def test_what_was_read_and_not_judged_is_not_said_to_be_scored(
    open_page: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    """Silence and what is sampled too low are counted apart, with why; no part of the model is said to be missing."""
    soundfile.write(tmp_path / "silent.wav", np.zeros(88_200), 44_100)
    soundfile.write(tmp_path / "low.wav", 0.1 * np.random.default_rng(0).standard_normal(24_000), 8_000)
    page = open_page()
    page.set_input_files("#files", [tmp_path / "silent.wav", tmp_path / "low.wav", folder / "a song.flac"])
    status(page, "Scored 1 of 3 files: 2 not judged.")
    page.click("[data-id=row-0]")
    for part in ("#sdr", "#processing", "#effects"):
        assert page.inner_text(f"{part} div") == "Not judged.", part
    page.click("[data-id=row-1]")
    assert page.inner_text("#words") == "Not judged. It is sampled below 16 kHz, too low to judge."
    with page.expect_download() as got:
        page.click("#save-csv")
    table = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text(encoding="utf-8"))))
    assert [row["state"] for row in table] == ["not judged: silent", "not judged: band limited", "scored"]


def test_a_file_that_is_no_audio_shows_what_is_wrong_and_nothing_empty(
    open_page: Callable[..., Any], folder: Path
) -> None:
    """No player, no waveform, no cards stand under a file without a verdict."""
    page = open_page()
    page.set_input_files("#files", folder / "=broken.wav")
    page.wait_for_function("() => document.querySelector('#words').textContent.startsWith('No verdict')")
    for part in ("#sound", "#sdr", "#processing", "#effects", "#facts", "#evidence", "#uses", "#copy"):
        assert not page.is_visible(part), part
    page.set_input_files("#files", folder / "a song.flac")
    status(page, "Scored 1 of 2 files: 1 without a verdict.")
    page.click("[data-id=row-1]")
    for part in ("#sound", "#sdr", "#facts", "#evidence"):
        assert page.is_visible(part), part


def test_long_names_leave_the_verdicts_in_sight(open_page: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    """A name of 200 letters, with and without spaces, is cut, and whole where it is pointed at."""
    names = ["stem_" * 39 + ".flac", "a stem " * 27 + ".flac"]
    for name in names:
        shutil.copy(folder / "a song.flac", tmp_path / name)
    page = open_page()
    page.set_input_files("#files", [tmp_path / name for name in names])
    status(page, "Scored all 2 files.")
    assert page.evaluate("() => [...document.querySelectorAll('#rows button')].map((b) => b.title)") == names
    for row in page.locator("#rows tr").all():
        box = row.locator("td >> nth=2").bounding_box()
        assert box["x"] + box["width"] < 1100
        assert row.bounding_box()["height"] < 120


def test_many_files_are_shown_in_time_that_grows_no_faster_than_they_do(
    open_page: Callable[..., Any], server: Server, folder: Path
) -> None:
    """The rows of 600 files are each filled a few times, not once for every file; the verdict stays in sight."""
    verdict = verdict_of(server, folder / "a song.flac")
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.evaluate("""() => {
        window.changes = 0;
        new MutationObserver((some) => { window.changes += some.length; })
            .observe(document.querySelector("#rows"), { childList: true, subtree: true });
    }""")
    page.evaluate(GIVE, 600)
    status(page, "Scored all 600 files.")
    assert page.evaluate("() => window.changes") < 600 * 60
    assert page.locator("#detail").bounding_box()["y"] < 900
    page.locator("#rows button >> nth=400").click()
    assert page.locator("#detail").bounding_box()["y"] < 450
    assert page.inner_text("#name") == "400.wav"


def test_a_click_is_not_lost_while_others_are_sent(open_page: Callable[..., Any], folder: Path) -> None:
    """The row that is pressed is the row that is let go, however often the table changes between."""
    page = open_page()
    waiting: list[Any] = []
    page.route("**/v1/verdicts", lambda route: waiting.append(route))
    page.evaluate(GIVE, 5)
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 5")
    row = page.locator("#rows button >> nth=3")
    row.hover()
    page.mouse.down()
    for route in list(waiting):
        route.fulfill(status=422, json={"status": 422, "detail": "found nothing"})
    page.wait_for_function("() => document.querySelector('#rows').textContent.includes('found nothing')")
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('#name').textContent === '3.wav'")


@pytest.mark.parametrize("reached", [False, True])
def test_what_was_lost_is_sent_again(open_page: Callable[..., Any], folder: Path, reached: bool) -> None:
    """Where the service cannot be reached or fails, the page says what to do, and a button sends those files anew."""
    page = open_page()
    failed = {"status": 502, "detail": "an error"}
    page.route("**/v1/verdicts", lambda r: r.fulfill(status=502, json=failed) if reached else r.abort())
    page.set_input_files("#files", [folder / "a song.flac", folder / "b song.flac"])
    status(page, "Scored 0 of 2 files: 2 without a verdict.")
    assert "Send again" in page.inner_text("#notes")
    page.unroute("**/v1/verdicts")
    page.click("#again")
    status(page, "Scored all 2 files.")
    assert not page.is_visible("#again")
    assert page.inner_text("#words").startswith(("A s", "Und"))


def test_sending_is_stopped_and_gone_on_with(open_page: Callable[..., Any], folder: Path) -> None:
    """Stopped files have no verdict and no row in the JSON Lines; sent again they are scored."""
    page = open_page()
    page.route("**/v1/verdicts", lambda route: None)
    names = ["a song.flac", "b song.flac", "c song.flac"]
    page.set_input_files("#files", [folder / name for name in names])
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 3")
    page.click("#stop")
    status(page, "Scored 0 of 3 files: 3 stopped.")
    assert page.inner_text("#words").startswith("Stopped")
    assert not page.is_visible("#stop")
    with page.expect_download() as got:
        page.click("#save-jsonl")
    assert Path(got.value.path()).read_text(encoding="utf-8") == ""
    page.unroute("**/v1/verdicts")
    page.click("#again")
    status(page, "Scored all 3 files.")
    with page.expect_download() as got:
        page.click("#save-jsonl")
    lines = [json.loads(line) for line in Path(got.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [line["path"] for line in lines] == names


def test_a_folder_is_walked(open_page: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    """Of a dropped folder the audio files are sent, by their paths in it, and nothing else."""
    inner = tmp_path / "song" / "takes"
    inner.mkdir(parents=True)
    shutil.copy(folder / "a song.flac", inner / "one.flac")
    shutil.copy(folder / "b song.flac", tmp_path / "song" / "two.FLAC")
    (tmp_path / "song" / "notes.txt").write_text("no audio")
    page = open_page()
    drop(page, tmp_path / "song")
    status(page, "Scored all 2 files.")
    assert page.locator("#rows button").all_text_contents() == ["song/takes/one.flac", "song/two.FLAC"]
    (tmp_path / "empty").mkdir()
    drop(page, tmp_path / "empty")
    status(page, "There is no audio file in what was dropped.")


def test_without_a_key_nothing_more_is_sent(
    open_page: Callable[..., Any], serve: Callable[..., Server], tmp_path: Path, folder: Path
) -> None:
    """The first refusal is enough: the other files wait for the key, and all are scored with it."""
    key = make_key(tmp_path / "keys", "person")
    page = open_page(serve(keys_file=tmp_path / "keys").url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.evaluate(GIVE, 8)
    page.set_input_files("#files", [folder / "a song.flac"])
    page.wait_for_function("() => document.querySelector('#status').textContent.includes('2 without')")
    assert len(asked) == 2
    page.fill("#key", key)
    page.keyboard.press("Enter")
    status(page, "Scored 1 of 9 files: 8 without a verdict.")


@pytest.mark.parametrize(
    ("p", "words"), [(1.0, "over 99.9 %"), (0.99964, "over 99.9 %"), (0.9966, "99.7 %"), (0.951, "95 %")]
)
def test_nothing_is_called_certain(
    open_page: Callable[..., Any], server: Server, folder: Path, p: float, words: str
) -> None:
    """A probability that rounds to 100 % is not shown as that, and what it says nothing of is said beside it."""
    verdict = verdict_of(server, folder / "a song.flac")
    verdict |= {"origin": "separated", "p_separated": p, "confidence": p, "status": "ok", "processing": "undecided"}
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.set_input_files("#files", folder / "a song.flac")
    page.wait_for_function("() => document.querySelector('#json').textContent")
    assert page.inner_text("#words") == f"A separated stem: extracted from a mix ({words} probability)."
    assert "never proof about a person" in page.inner_text("#caution")
    assert "half of which is extracted" in page.inner_text("#caution")
    assert "undecided" in page.inner_text("#processing").lower()
    page.set_input_files("#files", folder / "b song.flac")
    status(page, "Scored all 2 files.")
    assert "1.00" not in page.inner_text("#rows")


def test_how_many_signs_lie_outside_by_chance_is_said(
    open_page: Callable[..., Any], server: Server, folder: Path
) -> None:
    """A tenth of the signs that were measured, for the ranges hold nine of ten stems."""
    cue = {"cue": "crest", "value": 12.0, "unit": "dB", "suggests": "usual in both", "studio_range": [8.0, 22.0]}
    verdict = verdict_of(server, folder / "a song.flac") | {"evidence": [cue] * 20 + [cue | {"value": None}] * 7}
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.set_input_files("#files", folder / "a song.flac")
    page.wait_for_function("() => document.querySelector('#json').textContent")
    assert page.inner_text("#chance") == "Of 20 signs, about 2 or more lie outside in any stem."


def test_the_timeline_of_a_long_file_is_seen(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """An hour has more windows than the page has points in a row; their bars are there, and no empty picture is."""
    verdict = verdict_of(server, folder / "a song.flac")
    segments = [{"start_s": 4.0 * k, "end_s": 4.0 * (k + 1), "p_separated": 0.99} for k in range(900)]
    verdict |= {"segments": segments, "audio": verdict["audio"] | {"duration_s": 3600.0}}
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.set_input_files("#files", folder / "=broken.wav")
    page.wait_for_function("() => document.querySelector('#undrawn').textContent")
    page.wait_for_function("() => document.querySelector('#json').textContent")
    assert not page.is_visible("#wave")
    assert not page.is_visible("#spectrum")
    picture = base64.b64encode(page.locator("#line").screenshot()).decode()
    orange = page.evaluate(
        """async (picture) => {
            const image = new Image(), canvas = document.createElement("canvas"), g = canvas.getContext("2d");
            image.src = `data:image/png;base64,${picture}`;
            await image.decode();
            Object.assign(canvas, { width: image.width, height: image.height });
            g.drawImage(image, 0, 0);
            const d = g.getImageData(0, 0, canvas.width, canvas.height).data;
            let n = 0;
            for (let i = 0; i < d.length; i += 4) n += d[i] - d[i + 2] > 60;
            return n / (d.length / 4);
        }""",
        picture,
    )
    assert orange > 0.8


def test_a_service_that_asks_to_wait_is_waited_for(open_page: Callable[..., Any], folder: Path) -> None:
    """A full queue or a rate is no failure: the page says that it waits, and sends the file again by itself."""
    page = open_page()
    busy = {"status": 503, "code": "queue_full", "detail": "found a full queue"}
    page.route(
        "**/v1/verdicts", lambda route: route.fulfill(status=503, json=busy, headers={"Retry-After": "1"}), times=1
    )
    page.set_input_files("#files", folder / "a song.flac")
    page.wait_for_function("() => document.querySelector('#words').textContent.startsWith('Waiting, as the service')")
    page.wait_for_function("() => document.querySelector('#json').textContent")


def test_the_verdict_is_reached_past_the_table_by_keyboard(open_page: Callable[..., Any], folder: Path) -> None:
    """A link before the rows, seen when it has the focus, leads to the verdict, however many rows there are."""
    page = open_page()
    page.set_input_files("#files", [folder / "a song.flac", folder / "b song.flac"])
    status(page, "Scored all 2 files.")
    page.focus("#save-jsonl")
    assert page.locator(".skip").bounding_box()["width"] < 2
    page.keyboard.press("Tab")
    assert page.locator(".skip").bounding_box()["width"] > 50
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "detail"

"""The page, driven in a real browser as a person drives it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.service import sounds
from tests.service.server import Server
from tests.service.test_keys import make_key


def choose(page: Any, *files: Path) -> None:
    """Choose files and wait for the verdict on the first."""
    page.set_input_files("#files", files)
    page.wait_for_function("() => document.querySelector('#json').textContent")


def by_service(server: Server, file: Path) -> dict[str, Any]:
    """Return the verdict that the service gives on a file."""
    with server.client() as client:
        verdict: dict[str, Any] = client.post("/v1/verdicts", files={"file": file.read_bytes()}).json()
    return verdict


def test_a_chosen_file_gets_its_verdict_in_words(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """Words, timeline, evidence, uses and JSON say what the service said."""
    page = open_page()
    choose(page, folder / "stem.wav")
    verdict = by_service(server, folder / "stem.wav")
    assert json.loads(page.inner_text("#json")) == verdict
    words = page.inner_text("#words")
    begins = {"studio": "A studio stem", "separated": "A separated stem", "undecided": "Undecided"}
    assert words.startswith(begins[verdict["origin"]])
    assert page.inner_text("#name") == "stem.wav"
    assert page.locator("#line rect").count() == len(verdict["segments"])
    bars = "(bar) => [Number(bar.getAttribute('x')), Number(bar.getAttribute('width'))]"
    places = [bar.evaluate(bars) for bar in page.locator("#line rect").all()]
    assert verdict["segments"][0]["end_s"] > verdict["segments"][1]["start_s"]  # windows overlap, bars do not
    assert all(start >= at + width - 1e-6 for (at, width), (start, _) in pairwise(places))
    assert page.locator("#uses tr").count() == len(verdict["suitable_for"])
    assert page.locator("#cues tr").count() == len(verdict["evidence"] or [])
    for row, use in zip(page.locator("#uses tr").all(), verdict["suitable_for"], strict=True):
        assert use["why"] in row.inner_text()
    if verdict["p_processing"]:
        assert page.locator("#processing meter").count() == 3
    sdr = page.inner_text("#sdr")
    if verdict["sdr_ceiling_db"]:
        assert f"{verdict['sdr_ceiling_db']['low']:.1f} and {verdict['sdr_ceiling_db']['high']:.1f} dB" in sdr


def test_a_dropped_file_is_sent(open_page: Callable[..., Any], folder: Path) -> None:
    """Dropping does what choosing does."""
    page = open_page()
    data = list((folder / "stem.flac").read_bytes())
    transfer = page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.flac"));
            return transfer;
        }""",
        data,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    page.wait_for_function("() => document.querySelector('#json').textContent")
    assert page.inner_text("#name") == "dropped.flac"


@pytest.mark.parametrize("kind", list(sounds.TYPES))
def test_every_format_is_drawn_and_played(open_page: Callable[..., Any], folder: Path, kind: str) -> None:
    """The waveform and the spectrogram show the file, and a click in the middle plays from there."""
    page = open_page()
    choose(page, folder / f"stem.{kind}")
    painted = """(id) => {
        const c = document.getElementById(id), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const seen = new Set();
        for (let i = 0; i < d.length; i += 4) seen.add(`${d[i]},${d[i + 3]}`);
        return seen.size;
    }"""
    page.wait_for_function(f"(args) => ({painted})(args) > 20", arg="spectrum")
    assert page.evaluate(painted, "wave") > 1
    assert page.inner_text("#undrawn") == ""
    box = page.locator("#lanes").bounding_box()
    page.evaluate("""() => {
        const player = document.querySelector('#player');
        player.addEventListener('seeked', () => { window.sought ??= player.currentTime; });
        player.addEventListener('timeupdate', () => {
            if (window.sought && player.currentTime > window.sought + 0.2)
                window.heard ??= [player.currentTime, parseFloat(document.querySelector('#head').style.left)];
        });
    }""")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 30)
    page.wait_for_function("() => window.heard")  # in real time: what is asked for later may be past the end
    assert 2.5 < page.evaluate("() => window.sought") < 3.5
    place, left = page.evaluate("() => window.heard")
    assert left == pytest.approx(100 * place / 6.0, abs=8)


def test_several_files_make_a_table(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """The table sorts by its heads, shows a row's verdict when it is chosen, and downloads as CSV and JSON Lines."""
    page = open_page()
    names = ["c song.flac", "a song.flac", "b song.flac", "=broken.wav"]
    page.set_input_files("#files", [folder / n for n in names])
    page.wait_for_function(
        "() => document.querySelector('#status').textContent === 'Scored 3 of 4 files: 1 without a verdict.'"
    )
    column = "() => [...document.querySelectorAll('#rows tr')].map((r) => r.cells[0].textContent)"
    assert page.evaluate(column) == names
    page.click("#heads button >> nth=0")
    assert page.evaluate(column) == ["=broken.wav", "a song.flac", "b song.flac", "c song.flac"]
    page.click("#heads button >> nth=0")
    assert page.evaluate(column)[0] == "c song.flac"
    assert page.get_attribute("#heads th >> nth=0", "aria-sort") == "descending"
    page.click("text=b song.flac")
    assert json.loads(page.inner_text("#json")) == by_service(server, folder / "b song.flac")
    page.click("text==broken.wav")
    assert page.inner_text("#words").startswith("No verdict: found ")
    with page.expect_download() as got:
        page.click("#save-csv")
    table = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text(encoding="utf-8"))))
    assert [row["name"] for row in table] == ["c song.flac", "b song.flac", "a song.flac", "'=broken.wav"]
    with page.expect_download() as got:
        page.click("#save-jsonl")
    lines = [json.loads(line) for line in Path(got.value.path()).read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"path": "c song.flac", **by_service(server, folder / "c song.flac")}
    assert lines[3]["status"] == "error"
    for row, line in zip(table[:3], lines[:3], strict=True):
        assert float(row["p_separated"]) == line["p_separated"]
        assert row["origin"] == line["origin"]


def test_it_works_by_keyboard(open_page: Callable[..., Any], folder: Path) -> None:
    """Everything is reached by Tab in an order that makes sense, and done by keys."""
    page = open_page()
    page.on("filechooser", lambda _: None)  # asked for here, for a chooser that opens before it is asked for is lost
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "files"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([folder / "a song.flac", folder / "b song.flac"])
    page.wait_for_function("() => document.querySelector('#status').textContent === 'Scored all 2 files.'")

    def reach(selector: str) -> None:
        for _ in range(80):
            if page.evaluate("(s) => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    reach("#heads button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#heads th >> nth=0", "aria-sort") == "ascending"
    reach("[data-id=row-1]")
    page.keyboard.press("Enter")
    assert page.inner_text("#name") == "b song.flac"
    page.wait_for_function("() => document.querySelector('#player').duration > 0")
    reach("#lanes")
    for key, position in (("ArrowRight", 1), ("ArrowRight", 2), ("Home", 0), ("ArrowUp", 1), ("ArrowLeft", 0)):
        page.wait_for_function("() => !document.querySelector('#player').seeking")
        page.keyboard.press(key)
        page.wait_for_function(
            "(s) => Math.abs(document.querySelector('#player').currentTime - s) < 0.05", arg=position
        )
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('#player').currentTime > 0.1")
    page.keyboard.press("Space")
    assert page.evaluate("() => document.querySelector('#player').paused")
    reach("#copy")


def test_keys_in_a_hurry_do_not_hang_the_player(open_page: Callable[..., Any], folder: Path) -> None:
    """Keys that come before the last seek is done all count, and it plays on from where they lead."""
    page = open_page()
    choose(page, folder / "a song.flac")
    page.wait_for_function("() => document.querySelector('#player').duration > 0")
    page.focus("#lanes")
    for _ in range(100):
        for key in ("Home", "ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft"):
            page.keyboard.press(key)
        page.wait_for_function("() => Math.abs(document.querySelector('#player').currentTime - 2) < 0.05")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('#player').currentTime > 2.1")


def test_the_json_is_copied(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """The button puts the verdict's JSON on the clipboard."""
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    choose(page, folder / "stem.mp3")
    page.click("#copy")
    page.wait_for_function("() => document.querySelector('#status').textContent === 'JSON copied.'")
    assert json.loads(page.evaluate("() => navigator.clipboard.readText()")) == by_service(server, folder / "stem.mp3")


def test_evidence_and_effects_are_shown_and_marked(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """Effects are meters, evidence is a table beside known ranges, and a cue with a place is marked when chosen."""
    verdict = by_service(server, folder / "stem.wav")
    ranges = {"studio_range": [8000.0, 22_050.0], "separated_range": [7000.0, 16_000.0]}
    cue = {"cue": "bandwidth", "value": 16_000.0, "unit": "Hz", "suggests": "the band ends early <b>", **ranges}
    holes = {"cue": "spectral_holes", "value": 4.2, "unit": "%", "suggests": "gaps as masks leave them"}
    pauses = {"cue": "pause_level", "value": None, "unit": "dB", "suggests": "there is no pause"}
    verdict |= {
        "effects": {"reverb": 0.93, "de_essing": 0.2},
        "effect_strengths": {"reverb": 0.62, "de_essing": None},
        "evidence": [cue, holes, pauses],
        "family": "transformer",
    }
    verdict |= {"origin": "separated", "sdr_ceiling_db": {"estimate": 8.4, "low": 4.9, "high": 11.9}}
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    choose(page, folder / "stem.wav")
    assert page.locator("#effects meter").count() == 2
    assert "de essing" in page.inner_text("#effects")
    assert "93 %, strength 0.6 of 1" in page.inner_text("#effects")
    assert page.inner_text("#effects").count("strength") == 1
    assert "transformer" in page.inner_text("#facts")
    assert "between 4.9 and 11.9 dB" in page.inner_text("#sdr")
    assert page.locator("#cues tr").count() == 3
    assert page.locator("#cues .range rect").count() == 2
    assert "the band ends early <b>" in page.inner_text("#cues")
    assert "not measured" in page.inner_text("#cues tr >> nth=2")
    assert page.text_content("#marks text") == "bandwidth, 16.0 kHz"
    top, height = (page.locator(s).bounding_box() for s in ("#marks .edge", "#spectrum"))
    assert (top["y"] - height["y"]) / height["height"] == pytest.approx(1 - 16_000 / 22_050, abs=0.02)
    page.click("#cues button:text('spectral holes')")
    assert page.locator("#marks .band").count() == 1
    page.click("#cues button:text('bandwidth')")
    assert page.locator("#marks text").all_text_contents() == ["spectral holes"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_it_fits_and_can_be_read(open_page: Callable[..., Any], folder: Path, scheme: str, width: int) -> None:
    """On a phone's width nothing sticks out, and in light and dark every text has the contrast of WCAG AA."""
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 780})
    page.set_input_files("#files", [folder / "a song.flac", folder / "b song.flac"])
    page.wait_for_function("() => document.querySelector('#status').textContent === 'Scored all 2 files.'")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    weak = page.evaluate((Path(__file__).parent / "contrast.js").read_text(encoding="utf-8"))
    assert weak == []
    dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
    assert dark == (scheme == "dark")


def test_a_key_is_asked_for_where_there_are_keys(
    open_page: Callable[..., Any], serve: Callable[..., Server], tmp_path: Path, folder: Path
) -> None:
    """Without a key the page says so and opens the field; with it the waiting file is sent again."""
    key = make_key(tmp_path / "keys", "person")
    page = open_page(serve(keys_file=tmp_path / "keys").url)
    page.set_input_files("#files", folder / "stem.flac")
    page.wait_for_function("() => document.querySelector('#key-box').open")
    assert "found no key" in page.inner_text("#words")
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#json').textContent")
    assert key not in page.content()

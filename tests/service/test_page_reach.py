"""The page by keyboard, read aloud, in forced colours, and with something between it and the service."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service.server import Server
from tests.service.test_page_files import GIVE, status, verdict_of

FOCUSED = "() => document.activeElement.id"


def test_a_button_that_goes_passes_the_focus_on(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """Stop and Send again hide where they are done with; by keyboard nobody is thrown back to the page's beginning."""
    verdict = verdict_of(server, folder / "a song.flac")
    page = open_page()
    waiting: list[Any] = []
    answers: list[bool] = []
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict) if answers else waiting.append(route))
    page.evaluate(GIVE, 3)
    page.focus("#stop")
    page.keyboard.press("Enter")
    page.wait_for_selector("#again:visible")
    assert page.evaluate(FOCUSED) == "again"
    page.keyboard.press("Enter")
    page.wait_for_selector("#stop:visible")
    assert page.evaluate(FOCUSED) == "stop"
    answers.append(True)
    for route in waiting[2:]:  # the first two were stopped
        route.fulfill(json=verdict)
    status(page, "Scored all 3 files.")
    assert page.evaluate(FOCUSED) == "status"


def test_hundreds_of_files_are_not_counted_aloud(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """How far it is is seen at once, and heard at the beginning, now and then, and at the end."""
    verdict = verdict_of(server, folder / "a song.flac")
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.evaluate("""() => {
        const heard = window.heard = [];
        for (const node of document.querySelectorAll("[role=status], [aria-live]:not(#words)"))
            new MutationObserver(() => heard.push(node.textContent)).observe(node, { childList: true });
    }""")
    page.evaluate(GIVE, 200)
    status(page, "Scored all 200 files.")
    heard = page.evaluate("() => window.heard")
    assert heard[0] == "Scored 0 of 200…"
    assert heard[-1] == "Scored all 200 files."
    assert len(heard) < 8
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    page.wait_for_function("() => document.querySelector('[role=status]').textContent === 'JSON copied.'")


def test_forced_colours_show_place_and_row(open_page: Callable[..., Any], folder: Path) -> None:
    """Where grounds are taken away, as in Windows' contrast themes, the player's place and the chosen row are seen."""
    page = open_page(forced_colors="active")
    page.set_input_files("#files", [folder / "a song.flac", folder / "b song.flac"])
    status(page, "Scored all 2 files.")
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert page.evaluate("() => getComputedStyle(document.querySelector('#head')).backgroundColor") != ground
    line = "(row) => { const s = getComputedStyle(row.cells[0]); return [s.borderBottomWidth, s.borderBottomColor]; }"
    chosen, other = (page.locator(f"#rows tr >> nth={k}").evaluate(line) for k in (0, 1))
    assert chosen != other


def test_the_timeline_is_heard_as_well_as_seen(open_page: Callable[..., Any], server: Server, folder: Path) -> None:
    """At each position the probability of its window is said, and what the lines mean; silence is said too."""
    verdict = verdict_of(server, folder / "a song.flac")
    found = [(0.0, 2.0, 0.04), (2.0, 4.0, 0.97), (3.0, 5.0, None)]  # as drawn: a window that overlaps begins later
    verdict["segments"] = [{"start_s": a, "end_s": b, "p_separated": p} for a, b, p in found]
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.set_input_files("#files", folder / "a song.flac")
    page.wait_for_function("() => document.querySelector('#player').duration > 0")
    page.focus("#lanes")
    heard = []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
        page.wait_for_function("() => !document.querySelector('#player').seeking")
        page.wait_for_timeout(100)
        heard.append(page.get_attribute("#lanes", "aria-valuetext").split(" seconds, ")[1])
    assert heard == [f"probability of extraction {p} %" for p in (4, 4, 97, 97)] + ["silent, not scored"]
    assert "Dashed: separated from" in page.inner_text(f"#{page.get_attribute('#lanes', 'aria-describedby')}")


@pytest.mark.parametrize(("processing", "words"), [("wet", "; processing: wet."), (None, "."), ("undecided", ".")])
def test_the_probability_stands_by_what_it_is_of(
    open_page: Callable[..., Any], server: Server, folder: Path, processing: str | None, words: str
) -> None:
    """The confidence is of the origin; a processing beside it is not, and one that is not known is not named."""
    verdict = verdict_of(server, folder / "a song.flac")
    verdict |= {"origin": "studio", "p_separated": 0.12, "confidence": 0.88, "status": "ok", "processing": processing}
    verdict |= {} if processing else {"p_processing": None}
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.set_input_files("#files", folder / "a song.flac")
    page.wait_for_function("() => document.querySelector('#json').textContent")
    assert page.inner_text("#words") == f"A studio stem: recorded to its own track (88 % probability){words}"
    assert page.locator("#uses tr").count() == len(verdict["suitable_for"])  # what is not known hides nothing else


@pytest.mark.parametrize("answer", [(502, {"message": "upstream"}), (503, "late"), (200, {"page": "log in"})])
def test_an_answer_of_something_between_is_no_verdict(
    open_page: Callable[..., Any], server: Server, folder: Path, answer: tuple[int, object]
) -> None:
    """JSON of a gateway or a log-in page, whatever its status, is told by that, and the file can be sent again."""
    code, body = answer
    verdict = verdict_of(server, folder / "a song.flac")
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(status=code, body=json.dumps(body)))
    page.set_input_files("#files", [folder / "a song.flac", folder / "b song.flac"])
    status(page, "Scored 0 of 2 files: 2 without a verdict.")
    assert page.inner_text("#words") == f"No verdict: the service answered with status {code}"
    page.unroute("**/v1/verdicts")
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.click("#again")
    status(page, "Scored all 2 files.")


def test_what_the_connection_lost_half_way_is_sent_again(open_page: Callable[..., Any], folder: Path) -> None:
    """A stalled upload, 408, is no fault of the file."""
    stalled = {"status": 408, "code": "stalled", "detail": "found no more of the body within 60 s"}
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(status=408, json=stalled), times=1)
    page.set_input_files("#files", folder / "a song.flac")
    page.wait_for_selector("#again:visible")
    assert "Send again" in page.inner_text("#notes")
    page.click("#again")
    page.wait_for_function("() => document.querySelector('#json').textContent")


def test_no_cell_of_the_table_is_run_by_a_spreadsheet(
    open_page: Callable[..., Any], server: Server, folder: Path, tmp_path: Path
) -> None:
    """Names that begin as a formula, in full width and behind a line break, too, have an apostrophe before them."""
    verdict = verdict_of(server, folder / "a song.flac")
    names = ["=1.flac", "＝1.flac", "\n=1.flac", "@1.flac", "1-1.flac"]
    for name in names:
        shutil.copy(folder / "a song.flac", tmp_path / name)
    page = open_page()
    page.route("**/v1/verdicts", lambda route: route.fulfill(json=verdict))
    page.set_input_files("#files", [tmp_path / name for name in names])
    status(page, "Scored all 5 files.")
    with page.expect_download() as got:
        page.click("#save-csv")
    told = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_bytes().decode("utf-8"), newline="")))
    assert [row["name"] for row in told] == [*(f"'{name}" for name in names[:4]), "1-1.flac"]

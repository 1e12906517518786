"""Evidence as a whole: ranges, reasons, bounded windows, cost, and its place in a verdict."""

from __future__ import annotations

import time

import numpy as np
import pytest

from provenance import evidence, frontend
from provenance.evidence import conclude
from provenance.evidence.conclude import Ranges, ranges
from provenance.evidence.view import Clip

RNG = np.random.default_rng(0)
WINDOW = (0.1 * RNG.standard_normal((4 * 44_100, 2))).astype(np.float32)


def test_every_cue_has_ranges_from_the_corpus() -> None:
    """The package carries a low-to-high range over both classes for each cue."""
    assert set(ranges()) == {cue.NAME for cue in evidence.CUES}
    for name, found in ranges().items():
        assert found.studio[0] <= found.studio[1], name
        assert found.separated[0] <= found.separated[1], name


def test_a_cue_that_cannot_be_measured_says_why() -> None:
    """A mono file has no stereo cue: its value is null and the reason is given."""
    gallery = evidence.Gallery()
    gallery.add(WINDOW[:, :1], frontend.analyse(WINDOW[:, :1]))
    found = {cue.cue: cue for cue in gallery.cues()}["mid_side_texture"]
    assert found.value is None
    assert found.suggests == "not measured: there is no side channel"
    assert found.studio_range is not None


def test_a_cue_names_the_class_whose_range_alone_holds_it() -> None:
    """A value inside one range and outside the other says so."""
    known = ranges()["peaks_above_20_khz"]
    assert known.separated[1] > known.studio[1]
    between = (known.separated[1] + known.studio[1]) / 2
    cue = evidence.top_band.measure(Clip({"peaks_above_20_khz": [between]}))
    assert cue.suggests.startswith("usual in separated stems, rare in studio ones")


def _placed(monkeypatch: pytest.MonkeyPatch, value: float, studio: list[float], separated: list[float]) -> str:
    known = Ranges(
        (studio[0], studio[3]), (separated[0], separated[3]), (studio[1], studio[2]), (separated[1], separated[2])
    )
    monkeypatch.setattr(conclude, "ranges", lambda: {"crest": known})
    return evidence.crest.measure(Clip({"crest": [value]})).suggests.partition(";")[0]


def test_a_clock_that_is_no_more_than_chance_speaks_for_neither() -> None:
    """Between the high ends of both ranges, and above chance: only the second is rare."""
    known = ranges()["cycles"]
    assert known.studio[1] < 0.86 < known.separated[1] < 1.0
    below, above = (evidence.cycles.measure(Clip({"cycles": [value]})).suggests for value in (0.86, 1.2))
    assert below.startswith("usual in both; no clock of blocks")
    assert above.startswith("rare in both; ")


def test_a_class_is_called_more_usual_only_where_there_is_more_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value in the wide middle of one class and beside the narrow one of the other favours neither."""
    wide, narrow = [0.0, 10.0, 90.0, 100.0], [20.0, 48.0, 52.0, 56.0]
    assert _placed(monkeypatch, 54.0, wide, narrow) == "usual in both"
    assert _placed(monkeypatch, 30.0, wide, narrow) == "usual in both"
    assert (
        _placed(monkeypatch, 50.0, narrow, [0.0, 60.0, 90.0, 100.0])
        == "more usual in studio stems than in separated ones"
    )
    assert (
        _placed(monkeypatch, 50.0, [0.0, 60.0, 90.0, 100.0], narrow)
        == "more usual in separated stems than in studio ones"
    )


def test_a_value_just_outside_one_range_favours_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called rare in one class only where clearly more of the other lies out there."""
    one, nearly_as = [0.0, 10.0, 20.0, 30.0], [0.0, 10.0, 20.0, 29.5]
    assert _placed(monkeypatch, 29.8, one, nearly_as) == "near the end of both ranges"
    assert _placed(monkeypatch, 29.8, nearly_as, one) == "near the end of both ranges"
    assert _placed(monkeypatch, 25.0, one, [0.0, 5.0, 10.0, 15.0]) == "usual in studio stems, rare in separated ones"
    assert _placed(monkeypatch, 40.0, one, nearly_as) == "rare in both"


def test_the_value_is_the_median_of_the_windows_that_could_be_measured() -> None:
    """Windows without a reading do not count."""
    cue = evidence.crest.measure(Clip({"crest": [10.0, "why not", 30.0, 12.0]}))
    assert cue.value == 12.0


@pytest.mark.parametrize("n", [1, 8, 9, 40, 200])
def test_a_long_file_keeps_no_more_than_eight_windows(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many windows stream by, at most eight readings are kept, evenly spread, and few are taken."""
    looked: list[int] = []

    def look(samples: object, spectra: object) -> dict[str, evidence.Reading]:
        looked.append(int(samples))  # type: ignore[call-overload]
        return {cue.NAME: float(int(samples)) for cue in evidence.CUES}  # type: ignore[call-overload]

    monkeypatch.setattr(evidence, "look", look)
    monkeypatch.setattr(evidence.cycles.Pool, "add", lambda self, samples: None)
    gallery = evidence.Gallery()
    for k in range(n):
        gallery.add(k, None)  # type: ignore[arg-type]
    kept = gallery.clip().readings["crest"]
    assert len(kept) == min(n, len(kept)) <= evidence.MOST_WINDOWS
    assert kept[0] == 0
    assert len(set(np.diff(kept))) <= 1
    assert kept[-1] >= n / 2 or n == 1
    assert len(looked) <= 9 + 5 * np.log2(max(n, 2))


def test_all_cues_cost_less_than_half_of_the_front_end() -> None:
    """Reading every cue in a stereo window takes under half the time of its features (the network's is on top)."""

    def best(run: object, n: int = 12) -> float:
        times = []
        for _ in range(n):
            start = time.process_time()
            run()  # type: ignore[operator]
            times.append(time.process_time() - start)
        return min(times)

    spectra = frontend.analyse(WINDOW)
    evidence.look(WINDOW, spectra)
    assert best(lambda: evidence.look(WINDOW, spectra)) < 0.5 * best(lambda: frontend.compute(WINDOW))

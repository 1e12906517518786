"""Separators trained here: shapes, records, resuming, and that training improves them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("demucs")

from tests.training import songs  # noqa: E402
from training.separators import mixes, networks, train  # noqa: E402
from training.separators.errors import SeparatorError  # noqa: E402

NAMES = ("alpha song", "beta song", "gamma song", "delta song")


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> mixes.Stems:
    """True stems of synthetic songs, some of them held out by hash."""
    return mixes.gather([songs.write_manifest(tmp_path_factory.mktemp("songs"), NAMES)])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def save_untrained(folder: Path, name: str) -> None:
    """Write a variant with random weights."""
    variant = networks.VARIANTS[name]
    torch.manual_seed(0)
    module = networks.build(variant.architecture, variant.settings)
    record = {"architecture": variant.architecture, "settings": variant.settings, "stems": list(networks.STEMS)}
    networks.save(folder / name, module, record)


@pytest.mark.parametrize("name", sorted(networks.VARIANTS))
def test_every_variant_separates_any_length(name: str, tmp_path: Path) -> None:
    """Every variant gives four finite stems of the mix's length, for clips under a second and over a chunk."""
    save_untrained(tmp_path, name)
    for seconds in (0.3, 1.4):
        mix = songs.stem("other", seconds, 1)
        before = mix.copy()
        out = networks.separate(mix, name, tmp_path, chunk_s=1.0)
        assert set(out) == set(networks.STEMS)
        assert all(w.shape == mix.shape and w.dtype == np.float32 and np.isfinite(w).all() for w in out.values())
        np.testing.assert_array_equal(mix, before)


def test_every_variant_has_a_known_family() -> None:
    """No variant is a family of its own by accident: each name is one the families' rules know."""
    kinds = {}
    for name in networks.VARIANTS:
        variant = networks.VARIANTS[name]
        network = networks.Network(torch.nn.Identity(), {"name": f"{name}-early", "architecture": variant.architecture})
        assert network.family != f"{name}-early"
        kinds[name] = network.kind
    assert "unknown" not in kinds.values()
    assert kinds["htdemucs-a"] == "hybrid"
    assert kinds["roformer-a"] == "transformer"
    assert kinds["tfc-tdf-a"] == "complex_mask"


def test_estimates_follow_the_level_of_the_mix(tmp_path: Path) -> None:
    """A mix 20 dB lower gives the same estimates 20 dB lower, for the network sees a normalised mix."""
    save_untrained(tmp_path, "spleeter-a")
    mix = songs.stem("vocals", 1.0, 2)
    loud = networks.separate(mix, "spleeter-a", tmp_path)["vocals"]
    quiet = networks.separate(mix * np.float32(0.1), "spleeter-a", tmp_path)["vocals"]
    np.testing.assert_allclose(quiet * 10, loud, atol=2e-3 * float(np.abs(loud).max()))


def test_the_cut_off_of_a_style_shows_in_its_output(tmp_path: Path) -> None:
    """Spleeter style stops at 11 kHz and TFC-TDF style at its dim_f: above them lies next to nothing."""
    mix = (np.random.default_rng(0).standard_normal((44_100, 2)) * 0.1).astype(np.float32)
    for name, hz in (("spleeter-a", 11_025), ("tfc-tdf-a", 1408 / 4096 * 44_100)):
        save_untrained(tmp_path, name)
        wave = networks.separate(mix, name, tmp_path)["drums"][4096:-4096, 0]
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
        cut = int((hz + 200) / 22_050 * len(power))
        assert power[cut:].sum() < 1e-6 * power[:cut].sum()


def test_training_raises_the_sdr_and_is_recorded(stems: mixes.Stems, tmp_path: Path) -> None:
    """Thirty steps beat the untrained network on held-out songs, and the record says what was trained on."""
    before = train.train("spleeter-a", stems, tmp_path / "none", n_steps=1, batch=2, segment_s=0.7)
    after = train.train("spleeter-a", stems, tmp_path / "some", n_steps=30, batch=2, segment_s=0.7)
    assert np.mean(list(after["sdr_db"].values())) > np.mean(list(before["sdr_db"].values())) + 1.0
    record = json.loads((tmp_path / "some" / "spleeter-a" / "network.json").read_text())
    assert record == after
    assert record["steps"] == 30
    assert record["songs"]
    assert not set(record["songs"]) & set(stems.held_out)
    early = networks.load("spleeter-a-early", tmp_path / "some").record
    assert early["steps"] == 12


def test_an_interrupted_training_goes_on(stems: mixes.Stems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that dies is resumed from its saved state, not begun again."""
    monkeypatch.setattr(train, "SAVE_EVERY_S", 0.0)
    calls = 0
    real = train.loss_of

    def dies(*given: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(train, "loss_of", dies)
    with pytest.raises(KeyboardInterrupt):
        train.train("spleeter-a", stems, tmp_path, n_steps=8, batch=1, segment_s=1.0)
    assert not (tmp_path / "spleeter-a" / "network.json").exists()
    record = train.train("spleeter-a", stems, tmp_path, n_steps=8, batch=1, segment_s=1.0)
    assert record["steps"] == 8
    assert calls == 5 + 4


def test_a_full_disk_while_training_loses_nothing(
    stems: mixes.Stems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that cannot be written stops with a line and leaves the state before it; a foreign one is refused."""
    monkeypatch.setattr(train, "SAVE_EVERY_S", 0.0)
    real, n = torch.save, 0

    def full(tensors: object, file: Path) -> None:
        nonlocal n
        n += 1
        if n == 3:
            file.write_bytes(b"half")
            raise RuntimeError("PytorchStreamWriter failed writing file: No space left on device")
        real(tensors, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SeparatorError, match="No space left"):
        train.train("spleeter-a", stems, tmp_path, n_steps=40, batch=1, segment_s=0.7)
    assert [p.name for p in (tmp_path / "spleeter-a").iterdir()] == ["training.pt"]
    assert torch.load(tmp_path / "spleeter-a" / "training.pt", weights_only=True)["step"] == 2
    (tmp_path / "tasnet-a").mkdir()
    (tmp_path / "spleeter-a" / "training.pt").rename(tmp_path / "tasnet-a" / "training.pt")
    with pytest.raises(SeparatorError, match="remove it to begin again"):
        train.train("tasnet-a", stems, tmp_path, n_steps=4, batch=1, segment_s=0.7)


def test_what_is_no_true_stem_is_not_missed(tmp_path: Path) -> None:
    """A data set lists a mix with each song: of what is left out only files that are gone are told."""
    made = songs.write_manifest(tmp_path, ("alpha song", "beta song"), 2.0)
    mix = "alpha song/vocals.wav,pairs,alpha song,mix,unknown,,wet,maker/alpha,CC0-1.0\n"
    text = made.read_text(encoding="utf-8").replace("alpha song/vocals.wav,", "alpha song/gone.wav,")
    made.write_text(text + mix, encoding="utf-8")
    assert mixes.gather([made]).failures == ["alpha song/gone.wav: no such file"]


def test_a_finished_network_is_not_trained_again(
    stems: mixes.Stems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second call of a finished training computes nothing, and says so: other settings change nothing either."""
    first = train.train("spleeter-a", stems, tmp_path, n_steps=2, batch=1, segment_s=1.0)
    monkeypatch.setattr(train, "loss_of", lambda *_: pytest.fail("trained again"))
    assert train.train("spleeter-a", stems, tmp_path, n_steps=2, batch=1, segment_s=1.0) == first
    monkeypatch.setattr(train, "gather", lambda *_: stems)
    assert train.main(["m.csv", "--out", str(tmp_path), "--nets", "spleeter-a", "--minutes", "9"]) == 0
    assert f"spleeter-a: found finished in {tmp_path}, as it was trained then; remove it" in capsys.readouterr().out


def test_what_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing network, broken files, a wrong name and a manifest of one kind each get a clear line."""
    with pytest.raises(SeparatorError, match="found no network"):
        networks.load("nothing", tmp_path)
    save_untrained(tmp_path, "tasnet-a")
    (tmp_path / "tasnet-a" / "weights.pt").write_bytes(b"broken")
    with pytest.raises(SeparatorError, match="tasnet-a: the network's files do not fit"):
        networks.load("tasnet-a", tmp_path)
    with pytest.raises(SeparatorError, match="needed: one of"):
        networks.build("magic", {})
    with pytest.raises(SeparatorError, match="spleeter: found settings"):
        networks.build("spleeter", {"colour": 3})
    manifest = tmp_path / "m.csv"
    songs.write_song(tmp_path / "solo", 1.5, stems=("bass",))
    manifest.write_text("clip,song_id,stem,origin\nsolo/bass.wav,solo,bass,studio\n")
    assert train.main([str(manifest), "--out", str(tmp_path / "nets")]) == 2
    assert "needed: two of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--nets", "spleeter-a", "spleetr-b"], "found network 'spleetr-b'; needed: one of"),
     (["--minutes", "0"], "found minutes of 0"), (["--batch", "0"], "found batch of 0")],
)  # fmt: skip
def test_options_are_looked_at_before_the_first_network(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt name is told at once, not after the networks before it were trained."""
    assert train.main([str(tmp_path / "m.csv"), "--out", str(tmp_path / "nets"), *words]) == 2
    assert told in capsys.readouterr().err


def test_silence_does_not_pay() -> None:
    """Silence costs more than each stem's share of the mix, also where a stem is absent, and the truth least."""
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.standard_normal((2, 4, 2, 8000)).astype(np.float32)) / 2
    truth[:, 0] = 0
    share = truth.sum(1, keepdim=True).expand_as(truth) / 4
    silent = train.loss_of(torch.zeros_like(truth), truth)
    assert train.loss_of(share, truth) < silent
    assert train.loss_of(truth, truth) < train.loss_of(share, truth) - 0.5

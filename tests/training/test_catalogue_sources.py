"""Catalogue sources: every kind gives the same table, songs keep one name, and what is broken is named once."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.training import songs
from training import catalogue
from training.catalogue import CatalogueError, fingerprint, inspect, names, sources, table
from training.catalogue.__main__ import main
from training.splits import folds, joined_units, unit_of

RATE_HZ = 44_100


def musdb_hq(root: Path, names: tuple[str, ...], seconds: float = 2.5, first_seed: int = 0) -> Path:
    """Write a data set in the layout of MUSDB18-HQ."""
    for k, name in enumerate(names):
        folder = songs.write_song(root / ("train" if k % 2 == 0 else "test") / name, seconds, first_seed + k)
        mix = sum(songs.stem(kind, seconds, first_seed + k) for kind in songs.STEMS)
        soundfile.write(folder / "mixture.wav", mix / 2, RATE_HZ, "PCM_16")
    return root


def folds_of_songs(manifest: Path) -> dict[str, set[int]]:
    """The folds in which clips of each song lie."""
    clips, _ = catalogue.load([manifest])
    unit_fold, _ = folds(clips)
    seen: dict[str, set[int]] = {}
    for clip in clips:
        seen.setdefault(clip.song, set()).add(unit_fold[unit_of(clip)])
    return seen


def moisesdb(root: Path, name: str, seed: int, seconds: float = 2.5) -> Path:
    """Write a song in the layout of MoisesDB."""
    folder = root / "moisesdb_v0.1" / f"id-{seed}"
    stems = []
    for kind in ("vocals", "drums", "guitar"):
        (folder / kind).mkdir(parents=True)
        wave = songs.stem("other" if kind == "guitar" else kind, seconds, seed)
        soundfile.write(folder / kind / f"{kind}-1.wav", wave, RATE_HZ, "PCM_16")
        track = {"id": f"{kind}-1", "extension": "wav", "trackType": f"lead {kind}", "has_bleed": kind == "drums"}
        stems.append({"stemName": kind, "tracks": [track]})
    artist, _, song = name.partition(" - ")
    (folder / "data.json").write_text(json.dumps({"artist": artist, "song": song, "stems": stems}))
    return root


def medleydb(root: Path, seed: int, seconds: float = 2.5, name: str = "Some Song") -> Path:
    """Write a song in the layout of MedleyDB, with a raw track to one of its stems."""
    song = f"SomeBand_{name.replace(' ', '')}"
    folder = root / "Audio" / song
    for sub in ("STEMS", "RAW"):
        (folder / f"{song}_{sub}").mkdir(parents=True)
    lines = ["artist: Some Band", f"title: {name}", "has_bleed: 'no'", f"mix_filename: {song}_MIX.wav"]
    lines += [f"stem_dir: {song}_STEMS", f"raw_dir: {song}_RAW", "stems:"]
    for k, (kind, instrument) in enumerate((("vocals", "male singer"), ("bass", "electric bass"))):
        stem, raw = f"{song}_STEM_0{k + 1}.wav", f"{song}_RAW_0{k + 1}_01.wav"
        soundfile.write(folder / f"{song}_STEMS" / stem, songs.stem(kind, seconds, seed), RATE_HZ, "PCM_16")
        soundfile.write(folder / f"{song}_RAW" / raw, songs.stem(kind, seconds, seed) * 0.7, RATE_HZ, "PCM_16")
        lines += [f"  S0{k + 1}:", f"    filename: {stem}", f"    instrument: {instrument}", "    raw:", "      R01:"]
        lines += [f"        filename: {raw}", f"        instrument: {instrument}"]
    (folder / f"{song}_METADATA.yaml").write_text("\n".join(lines) + "\n")
    return root


def rows_of(out: Path) -> list[dict[str, str]]:
    """Read a manifest's rows."""
    with out.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_songs_of_a_data_set_with_raw_tracks_are_held_out_one_by_one(tmp_path: Path) -> None:
    """MedleyDB's songs are of many bands: as one repository its raw tracks would tie all of them into one fold."""
    for number in range(3):
        medleydb(tmp_path / "medley", 20 + number, name=f"Some Song {'ABC'[number]}")
    out = tmp_path / "catalogue.csv"
    assert main([str(tmp_path / "medley"), "--out", str(out)]) == 0
    clips, _ = catalogue.load([out])
    assert {clip.set_name for clip in clips} == {"pairs", "dry"}
    joined = joined_units(clips)
    groups = {clip.song: {joined[unit_of(each)] for each in clips if each.song == clip.song} for clip in clips}
    assert len(groups) == 3
    assert all(len(units) == 1 for units in groups.values())
    assert len(set.union(*groups.values())) == 3


def test_every_layout_is_told_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MUSDB18-HQ, MoisesDB, MedleyDB, plain folders and manifests end in one manifest that the catalogue loads."""
    hq = musdb_hq(tmp_path / "hq", ("Ann - First Light", "Bob - Second Wind"), first_seed=100)
    moises = moisesdb(tmp_path / "moises", "Cleo - Third Rail", 10)
    medley = medleydb(tmp_path / "medley", 20)
    plain = tmp_path / "plain"
    songs.write_song(plain / "Fourth Wall", 2.5, 30)
    manifest = songs.write_manifest(tmp_path / "made", ("fifth column",))
    for path, kind in ((hq, "musdb-hq"), (moises, "moisesdb"), (medley, "medleydb"), (plain, "folder")):
        assert sources.detect(path) == kind
    out = tmp_path / "made" / "all.csv"
    given = [str(hq), str(moises), f"medleydb:{medley}", f"{plain}#licence=CC-BY-4.0,wetness=wet", str(manifest)]
    assert main([*given, "--out", str(out)]) == 0
    rows = rows_of(out)
    assert {row["song_id"] for row in rows} >= {"Ann - First Light", "Cleo - Third Rail", "Some Band - Some Song"}
    assert {row["licence"] for row in rows if row["song_id"] == "Fourth Wall"} == {"CC-BY-4.0"}
    raw = [row for row in rows if row["set"] == "dry"]
    assert {row["wetness"] for row in raw} == {"dry"}
    assert {row["stem"] for row in raw} == {"vocals", "bass"}
    assert any("bleed" in row["note"] for row in rows if row["song_id"].startswith("Cleo"))
    assert all(row["clip"].startswith("fifth column/") for row in rows if row["song_id"] == "fifth column")
    clips, left_out = catalogue.load([out])
    assert len(clips) == 4 * 2 + 3 + 4 + 4 + 4
    assert len(left_out) == 2
    assert all("origin is unknown" in line for line in left_out)
    assert capsys.readouterr().out.startswith("25 stems of 6 songs: ")


def test_no_song_lies_in_two_folds(tmp_path: Path) -> None:
    """The same recording under two names, in two data sets, at another level and cut elsewhere, is held out as one."""
    hq = musdb_hq(tmp_path / "hq", ("Ann - First Light", "Bob - Second Wind", "Dee - Slow Burn"), 5.0)
    other = tmp_path / "vendor"
    for kind in songs.STEMS:
        wave = songs.stem(kind, 5.0, 1)[30_000:] * np.float32(0.5)  # Bob's song, later and quieter
        (other / "Untitled Jam").mkdir(parents=True, exist_ok=True)
        soundfile.write(other / "Untitled Jam" / f"{kind}.flac", wave, RATE_HZ, "PCM_16")
    songs.write_song(other / "bob_second-wind", 5.0, 77)  # the name alone is the same
    made = table.gather([str(hq), f"folder:{other}"])
    by_source: dict[str, set[str]] = {}
    for row in made.rows:
        by_source.setdefault(row["source_path"].split("/")[0], set()).add(row["song_id"])
    assert by_source["Untitled Jam"] == {"Bob - Second Wind"}
    assert by_source["bob_second-wind"] == {"Bob - Second Wind"}
    assert by_source["Dee - Slow Burn"] == {"Dee - Slow Burn"}
    assert sum("the same song as" in line and "its sound" in line for line in made.problems) == 1
    table.write(made, tmp_path / "all.csv")
    seen = folds_of_songs(tmp_path / "all.csv")
    assert all(len(numbers) == 1 for numbers in seen.values())
    assert len({n for numbers in seen.values() for n in numbers}) > 1


def test_bland_names_are_no_song(tmp_path: Path) -> None:
    """Two different songs that two vendors call "Track 01" stay two."""
    songs.write_song(tmp_path / "one" / "Track 01", 4.0, 1)
    songs.write_song(tmp_path / "two" / "Track 01", 4.0, 2)
    made = table.gather([f"folder:{tmp_path / 'one'}", f"folder:{tmp_path / 'two'}"])
    assert {row["song_id"] for row in made.rows} == {"one Track 01", "two Track 01"}


def test_a_song_of_short_names_lies_in_one_fold(tmp_path: Path) -> None:
    """What is known to be one song by its samples is held out as one, however few letters folder and song have."""
    for number in range(1, 7):
        folder = tmp_path / "wavs" / str(number)
        songs.write_song(folder, 4.0, number)
        shutil.copy(folder / "vocals.wav", tmp_path / f"v{number}.wav")
    lines = [f"v{n}.wav,{n},vocals,studio,true,someone/repo{n}" for n in range(1, 7)]
    (tmp_path / "other.csv").write_text("clip,song_id,stem,origin,set,source_repo\n" + "\n".join(lines) + "\n")
    made = table.gather([str(tmp_path / "wavs"), f"manifest:{tmp_path / 'other.csv'}"])
    table.write(made, tmp_path / "all.csv")
    seen = folds_of_songs(tmp_path / "all.csv")
    assert len(seen) == 6
    assert all(len(numbers) == 1 for numbers in seen.values())


def test_fingerprints_hold_after_a_codec_and_differ_between_songs() -> None:
    """A song matches itself after noise at -25 dB, gain and a cut; two songs do not match."""

    def mix(seed: int) -> fingerprint.Wave:
        return np.asarray(sum(songs.stem(kind, 6.0, seed) for kind in songs.STEMS), np.float32)

    first, second = mix(1), mix(2)
    noise = np.random.default_rng(0).standard_normal(first.shape).astype(np.float32)
    changed = (first + noise * np.float32(np.std(first) * 10 ** (-25 / 20)))[20_000:] * np.float32(0.3)
    prints = {"first": fingerprint.compute(first), "second": fingerprint.compute(second)}
    prints["changed"] = fingerprint.compute(changed)
    assert list(fingerprint.pairs(prints)) == [("first", "changed")]


@pytest.mark.parametrize("part", ["", "Audio", "V1"])
def test_medleydb_is_known_without_its_descriptions(part: str, tmp_path: Path) -> None:
    """Its archives hold audio alone: no catalogue of mixes is made of them, and a folder of descriptions is enough."""
    root = medleydb(tmp_path / "medley", 20)
    medleydb(tmp_path / "medley", 21, name="Other Song")
    files = [*root.glob("Audio/*/*_METADATA.yaml")]
    for song in ("SomeBand_SomeSong", "SomeBand_OtherSong"):
        folder = root / "Audio" / song
        soundfile.write(folder / f"{song}_MIX.wav", songs.stem("other", 2.5, 3), RATE_HZ)
        (folder / f"._{song}_METADATA.yaml").write_bytes(b"\x00\x05\x16\x07\xff")  # as macOS leaves beside a file
    (tmp_path / "away").mkdir()
    away = [file.rename(tmp_path / "away" / file.name) for file in files]
    if part == "":
        root = root / "Audio"
    elif part == "V1":
        (root / "Audio").rename(root / "V1")
    assert sources.detect(root) == "medleydb"
    found = sources.read(str(root))
    assert not found.songs
    assert len(found.problems) == 1
    assert "no description of 2 songs, such as SomeBand_OtherSong" in found.problems[0]
    assert str(root / "Metadata") in found.problems[0]
    (root / "Metadata").mkdir()
    for file in away:
        file.rename(root / "Metadata" / file.name)
    found = sources.read(str(root))
    assert not found.problems
    assert [song.name for song in found.songs] == ["Some Band - Other Song", "Some Band - Some Song"]
    assert [len(song.parts) for song in found.songs] == [5, 5]
    assert not any(song.missing for song in found.songs)


def test_moisesdb_is_known_from_above_its_version(tmp_path: Path) -> None:
    """Unpacked it is a folder in a folder, with a provider's below: each of them is a source."""
    moisesdb(tmp_path / "data" / "moisesdb_v0.1", "Ann - Light", 3)  # whose first folder is the provider's
    for root in (tmp_path / "data", tmp_path / "data" / "moisesdb_v0.1"):
        assert sources.detect(root) == "moisesdb"
        assert [song.name for song in sources.read(str(root)).songs] == ["Ann - Light"]


def test_what_lies_beside_the_layout_is_named(tmp_path: Path) -> None:
    """Songs in folders of folders, stems below a mix and files beside the songs are no stems without a word."""
    root = tmp_path / "our songs"
    songs.write_song(root / "alpha one", 1.5, 1)
    songs.write_song(root / "some band" / "beta two", 1.5, 2)
    mixed = songs.write_song(root / "gamma three" / "stems", 1.5, 3).parent
    soundfile.write(mixed / "mixture.wav", songs.stem("other", 1.5, 3), RATE_HZ)
    soundfile.write(root / "loose vocals.wav", songs.stem("vocals", 1.5, 4), RATE_HZ)
    (root / "notes").mkdir()
    found = sources.read(str(root))
    assert [song.name for song in found.songs] == ["alpha one", "gamma three"]
    needed = "needed: SONG/STEM.wav; these are left out"
    assert found.problems == [
        f"{root / 'gamma three'}: found 4 audio files in folders below it; {needed}",
        f"{root / 'some band'}: found 4 audio files in folders below it; {needed}",
        f"{root}: found 1 audio files outside song folders, such as loose vocals.wav; {needed}",
    ]


def test_a_source_is_named_after_its_folder_however_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dry recordings of one source are held out together by its name, which ``.`` would not be; a name may hold a #."""
    root = tmp_path / "take #1"
    songs.write_song(root / "alpha one", 1.5, 1)
    monkeypatch.chdir(root)
    for spec in (".", str(root), f"{root}#wetness=dry", "folder:../take #1"):
        found = sources.read(spec)
        assert {song.source for song in found.songs} == {"take #1"}, spec
        assert {part.wetness for part in found.songs[0].parts} == {"dry" if "dry" in spec else "unknown"}


def test_words_of_a_manifest_are_brought_into_one_spelling(tmp_path: Path) -> None:
    """The table has them as they are compared; of a wetness that is none the line is named."""
    songs.write_song(tmp_path / "s", 1.5, 1)
    head = "clip,song_id,stem,origin,wetness\n"
    rows = "s/vocals.wav,long song,Vocals, Studio,Dry\ns/bass.wav,long song,bass,studio,drye\n"
    (tmp_path / "m.csv").write_text(head + rows)
    made = table.gather([str(tmp_path / "m.csv")])
    assert [(row["stem"], row["origin"], row["wetness"]) for row in made.rows] == [("vocals", "studio", "dry")]
    assert len(made.problems) == 1
    assert "m.csv, line 3: found wetness 'drye'; needed: one of dry, hybrid, wet, unknown" in made.problems[0]


def test_a_stop_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Hours of reading that are interrupted are kept, and that is said."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    songs.write_song(tmp_path / "songs" / "alpha one", 1.5, 1)
    monkeypatch.setattr(inspect, "examine", stopped)
    assert main([str(tmp_path / "songs"), "--out", str(tmp_path / "m.csv")]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_what_is_broken_is_named_once_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing stem, odd lengths and rates, silence, NaN, cut and empty files give one line each; the rest goes on."""
    root = tmp_path / "songs"
    for seed in range(3):
        songs.write_song(root / f"good song {seed}", 2.0, seed)
    songs.write_song(root / "gap", 2.0, 4, ("drums", "bass", "other"))
    bad = songs.write_song(root / "bad takes", 2.0, 5)
    soundfile.write(bad / "drums.wav", np.zeros((RATE_HZ * 2, 2)), RATE_HZ)
    with_nan = songs.stem("bass", 2.0, 5)
    with_nan[5000] = np.nan
    soundfile.write(bad / "bass.wav", with_nan, RATE_HZ, "FLOAT")
    (bad / "other.wav").write_bytes(b"")
    mixed = songs.write_song(root / "mixed bag", 2.0, 6)
    soundfile.write(mixed / "vocals.wav", songs.stem("vocals", 1.5, 6), 48_000)
    (mixed / "bass.wav").write_bytes((mixed / "bass.wav").read_bytes()[:200_000])
    songs.write_song(root / "all gone", 2.0, 7, ("bass",))
    (root / "all gone" / "bass.wav").write_bytes(b"no audio at all")
    out = tmp_path / "m.csv"
    assert main([str(root), "--out", str(out)]) == 0
    lines = capsys.readouterr().err.splitlines()

    def told(*words: str) -> int:
        return sum(all(word in line for word in words) for line in lines)

    assert told("gap", "found no vocals") == 1
    assert told("bad takes/drums.wav", "silent") == 1
    assert told("bad takes/bass.wav", "NaN") == 1
    assert told("bad takes/other.wav", "0 bytes") == 1
    assert told("mixed bag", "stems of") == 1
    assert told("mixed bag", "44100, 48000") == 1
    assert told("mixed bag/bass.wav", "shorter than") == 1
    assert told("all gone", "the song is left out") == 1
    assert told("good song") == 0
    rows = rows_of(out)
    assert len([row for row in rows if row["song_id"].startswith("good song")]) == 12
    assert {row["stem"] for row in rows if row["song_id"] == "songs gap"} | {"vocals"} == set(songs.STEMS)
    assert main([str(root), "--out", str(out), "--strict"]) == 1


def test_a_second_run_reads_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files seen before are not read whole again; one that changed is, and a journal cut off by a kill is no harm."""
    root = tmp_path / "songs"
    songs.write_song(root / "alpha one", 1.5, 1)
    songs.write_song(root / "beta two", 1.5, 2)
    journal = tmp_path / "seen.jsonl"
    first = table.gather([str(root)], journal)
    with journal.open("a") as handle:
        handle.write('{"key": "cut o')
    read: list[str] = []
    real = inspect.examine
    monkeypatch.setattr(inspect, "examine", lambda path: (read.append(path.name), real(path))[1])
    assert table.gather([str(root)], journal).rows == first.rows
    assert read == []
    soundfile.write(root / "beta two" / "bass.wav", songs.stem("bass", 1.4, 9), RATE_HZ)
    table.gather([str(root)], journal)
    assert read == ["bass.wav"]


def test_what_could_not_be_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package or a permission that was missing changes neither size nor date of a file."""
    songs.write_song(tmp_path / "songs" / "alpha one", 1.5, 1)
    journal = tmp_path / "seen.jsonl"
    real = inspect.examine
    missing = inspect.Facts(problem="m4a/AAC; needed: pip install 'stem-provenance[m4a]'")
    monkeypatch.setattr(inspect, "examine", lambda path: missing if path.stem == "bass" else real(path))
    assert len(table.gather([str(tmp_path / "songs")], journal).rows) == 3
    entry = {"key": "as earlier versions kept it", "facts": vars(missing)}
    with journal.open("a") as handle:
        handle.write(json.dumps(entry) + "\n")
    assert entry["key"] not in inspect.Journal(journal).known
    monkeypatch.setattr(inspect, "examine", real)
    assert len(table.gather([str(tmp_path / "songs")], journal).rows) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes")
def test_a_name_that_no_table_can_hold_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A folder named in Latin-1 is left out by name; the other songs are written."""
    songs.write_song(tmp_path / "songs" / "alpha one", 1.5, 1)
    songs.write_song(tmp_path / "two", 1.5, 2).rename(tmp_path / "songs" / os.fsdecode(b"caf\xe9 two"))
    out = tmp_path / "m.csv"
    assert main([str(tmp_path / "songs"), "--out", str(out)]) == 0
    assert {row["song_id"] for row in rows_of(out)} == {"alpha one"}
    assert not list(tmp_path.glob("*.part"))
    problems = table.gather([str(tmp_path / "songs")]).problems
    assert sum("a name that is no UTF-8" in line for line in problems) == 4


@pytest.mark.parametrize(
    ("option", "told"), [("wetness=drye", "found wetness 'drye'; needed: one of dry"), ("dry", "found option dry")]
)
def test_an_option_that_means_nothing_is_refused(option: str, told: str, tmp_path: Path) -> None:
    """Misspelt, dry recordings would be learnt from as of unknown processing."""
    songs.write_song(tmp_path / "songs" / "alpha one", 1.5, 1)
    with pytest.raises(CatalogueError, match=told):
        table.gather([f"{tmp_path / 'songs'}#{option}"])


def test_rooms_come_through(tmp_path: Path) -> None:
    """Impulse responses of a manifest stay in the table without a song, for training to find."""
    soundfile.write(tmp_path / "hall.wav", np.exp(-np.arange(60_000) / 5000)[:, None] * np.ones((1, 2)) * 0.5, RATE_HZ)
    (tmp_path / "m.csv").write_text("clip,set,song_id,stem,origin\nhall.wav,rir,,rir,unknown\n")
    made = table.gather([str(tmp_path / "m.csv")])
    assert made.problems == []
    (tmp_path / "out").mkdir()
    table.write(made, tmp_path / "out" / "all.csv")
    assert [room.resolve() for room in catalogue.rooms([tmp_path / "out" / "all.csv"])] == [tmp_path / "hall.wav"]
    listed = tmp_path / "out" / "all.csv"
    listed.write_bytes(b"\xef\xbb\xbf" + listed.read_bytes())  # as a spreadsheet writes it
    assert [room.resolve() for room in catalogue.rooms([listed])] == [tmp_path / "hall.wav"]


def test_a_file_in_two_sources_is_used_once(tmp_path: Path) -> None:
    """The same folder given twice, or a manifest of files that a folder holds too, lists each file once."""
    manifest = songs.write_manifest(tmp_path / "made", ("fifth column",))
    made = table.gather([str(manifest), f"folder:{tmp_path / 'made'}"])
    assert len(made.rows) == len({row["clip"] for row in made.rows}) == 4
    assert sum("listed twice" in line for line in made.problems) == 4


def test_a_source_that_is_none_says_what_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing path, an empty folder, a manifest without its columns and a wrong option stop with one line and 2."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "m.csv").write_text("file,label\na.wav,1\n")
    for given, text in (
        (str(tmp_path / "nowhere"), "no such file or folder"),
        (str(tmp_path / "empty"), "SONG/STEM.wav"),
        (str(tmp_path / "m.csv"), "found no column clip"),
        (f"{tmp_path / 'empty'}#colour=red", "found option colour"),
    ):
        assert main([given, "--out", str(tmp_path / "out.csv")]) == 2
        assert text in capsys.readouterr().err
    broken = moisesdb(tmp_path / "moises", "Ann - Light", 3)
    next(broken.glob("*/*/data.json")).write_text("{")
    found = sources.read(str(broken))
    assert len(found.problems) == 1
    assert "not a MoisesDB description" in found.problems[0]


def test_separated_rows_keep_their_reference(tmp_path: Path) -> None:
    """A manifest with extractions comes through with separator, SDR and a reference that can still be followed."""
    songs.write_song(tmp_path / "in" / "s", 2.0, 1)
    text = "clip,song_id,stem,origin,separator,sdr_db,reference\n"
    text += "s/vocals.wav,long song name,vocals,studio,,,\n"
    text += "s/other.wav,long song name,vocals,separated,htdemucs,7.5,s/vocals.wav\n"
    text += "s/gone.wav,long song name,bass,studio,,,\n"
    (tmp_path / "in" / "m.csv").write_text(text)
    made = table.gather([str(tmp_path / "in" / "m.csv")])
    assert any("found no s/gone.wav" in line for line in made.problems)
    table.write(made, tmp_path / "out.csv")
    separated = next(row for row in rows_of(tmp_path / "out.csv") if row["origin"] == "separated")
    assert (separated["separator"], separated["sdr_db"], separated["reference"]) == (
        "htdemucs",
        "7.5",
        "in/s/vocals.wav",
    )


def test_musdb_stems_come_through_the_package(tmp_path: Path) -> None:
    """A .stem.mp4 of five streams is decoded once, into four stems in the right order."""
    pytest.importorskip("musdb", reason="the musdb package is not installed, or has no ffmpeg", exc_type=Exception)
    import stempeg

    stems = np.stack([np.zeros_like(songs.stem("drums", 2.0, 1)), *(songs.stem(kind, 2.0, 1) for kind in songs.STEMS)])
    stems[0] = stems[1:].sum(0) / 2
    (tmp_path / "train").mkdir()
    path = tmp_path / "train" / "Ann - First Light.stem.mp4"
    stempeg.write_stems(str(path), stems, RATE_HZ, writer=stempeg.StreamsWriter(codec="aac"))
    (tmp_path / "train" / "Broken - One.stem.mp4").write_bytes(b"nothing")
    for _ in range(2):
        found = sources.read(str(tmp_path))
        assert [song.name for song in found.songs] == ["Ann - First Light"]
        assert len(found.problems) == 1
        assert "Broken - One" in found.problems[0]
    for part in found.songs[0].parts:
        wave, _ = soundfile.read(part.path, dtype="float32")
        truth = songs.stem(part.stem, 2.0, 1)
        n = min(len(wave), len(truth))
        assert np.corrcoef(wave[:n].mean(1), truth[:n].mean(1))[0, 1] > 0.8


@pytest.fixture
def compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MUSDB18 as compressed stems, and look-alikes of the packages that read it."""

    class Track:
        def __init__(self, path: str, **_: object) -> None:
            self.path, self.info = path, None

    def read_stems(path: str, stem_id: list[int], **_: object) -> tuple[np.ndarray, int]:
        assert not Path(path).name.startswith(".")
        return np.stack([songs.stem(songs.STEMS[k - 1], 1.5, 1) for k in stem_id]), RATE_HZ

    monkeypatch.setitem(sys.modules, "musdb", SimpleNamespace(MultiTrack=Track))
    monkeypatch.setitem(sys.modules, "stempeg", SimpleNamespace(read_stems=read_stems))
    (tmp_path / "train").mkdir()
    for name in ("Ann - First Light.stem.mp4", "._Ann - First Light.stem.mp4"):
        (tmp_path / "train" / name).write_bytes(b"x")
    return tmp_path


def test_what_was_decoded_is_called_as_it_was_coded(compressed: Path) -> None:
    """The FLAC files hold what AAC left: as lossless, the coding would tell the origin and nobody would be told."""
    made = table.gather([str(compressed)])
    assert not made.problems
    assert [(row["source_codec"], Path(row["clip"]).suffix) for row in made.rows] == [("MP4/AAC", ".flac")] * 4


def test_a_full_disk_while_stems_are_decoded_is_a_line(compressed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libsndfile's own error is no OSError; nothing half-written stays."""
    real = soundfile.write

    def full(file: Path, *rest: object) -> None:
        real(file, *rest)
        if "other" in file.name:
            raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(CatalogueError, match=r"First Light: cannot be written .* run it again"):
        sources.read(str(compressed))
    assert sorted(p.name for p in compressed.rglob("*.flac")) == ["bass.flac", "drums.flac"]
    monkeypatch.setattr(soundfile, "write", real)
    assert len(sources.read(str(compressed)).songs[0].parts) == 4


def test_musdb_without_the_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed stems without the package that reads them stop with a line that names it."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.stem.mp4").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "musdb", None)
    with pytest.raises(CatalogueError, match="pip install musdb"):
        sources.read(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("01_LeadVox", "vocals"), ("male rapper", "vocals"), ("BackingVox2", "vocals"), ("female singer", "vocals"),
        ("Drums_Mix", "drums"), ("kick in", "drums"), ("floor tom", "drums"), ("bass drum", "drums"),
        ("electric bass", "bass"), ("double_bass", "bass"), ("808", "bass"), ("bassoon", "bassoon"),
        ("mixture", "mix"), ("Song - Final Mix", "mix"), ("Inst_no_vocals", "other"), ("Instrumental", "other"),
        ("trap synth", "trap_synth"), ("custom pad", "custom_pad"), ("clean electric guitar", "clean_electric_guitar"),
    ],
)  # fmt: skip
def test_names_tell_the_stem(name: str, kind: str) -> None:
    """File and instrument names as data sets and studios write them tell which stem it is; others keep their name."""
    assert names.kind_of(name) == kind

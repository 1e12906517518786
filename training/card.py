"""The model card, the README's block of figures and the list of sources: generated, never typed.

``python -m training.card models/stem-v1 README.md`` writes the card again from ``evaluation.json`` and puts the block
into the README between its two markers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from provenance.bundle import SdrInterval
from training.catalogue import Clip
from training.examples import Recipe
from training.separators import script

BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
_COLUMNS = (
    "studio", "separated", "AUC", "studio called separated", "studio called studio", "separated called separated",
    "separated called studio",
)  # fmt: skip

UNNAMED = "unnamed"
"""Stands for the repository of clips that name none."""
_OF_A_BAND = (("mae_db", ".2f"), ("half_width_db", ".1f"), ("covered", ".1%"))
POINTS = ("first", "second", "last")
"""Of the weight of ``cycles``."""


def sources(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Return what was trained on: repository, commit, licence and number of clips of each origin.

    Args:
        clips: the catalogue.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter(
        (c.repo or UNNAMED, c.commit, c.licence or "not stated", c.origin) for c in clips
    )
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for (repo, commit, licence, origin), n in sorted(counts.items()):
        row = rows.setdefault(
            (repo, commit, licence),
            {"repository": repo, "commit": commit, "licence": licence, "n_studio": 0, "n_separated": 0},
        )
        row[f"n_{origin}"] += n
    return list(rows.values())


def separators(recipe: Recipe) -> list[dict[str, str]]:
    """Return the separators in Python files that negatives were made with, and where their weights come from.

    Args:
        recipe: of the rows.
    """
    rows = []
    of_mixes = (*recipe.whole_names, recipe.remask_name, *recipe.drawn_names)
    wholes = [name for name in of_mixes if name and name not in recipe.demucs_models]
    for name in dict.fromkeys((*recipe.script_names, *wholes)):
        found = script.load(Path(recipe.scripts) / f"{name}.py")
        rows.append({"name": name, "family": found.family.name, **found.source})
    return rows


def summary(figures: dict[str, Any]) -> str:
    """Return the headline figures in one line.

    Args:
        figures: of :func:`training.evaluate.report`.
    """
    all_ = figures["unseen"]
    return (
        f"unseen: AUC {all_['auc']:.3f}; of {all_['n_studio']} studio stems "
        f"{_percent(all_['studio_called_separated'])} "
        f"were called separated; of {all_['n_separated']} extractions {_percent(all_['separated_called_separated'])} "
        f"were called separated and {_percent(all_['separated_called_studio'])} studio; ECE {all_['ece']:.3f}"
    )


def block(evaluation: dict[str, Any]) -> str:
    """Return the figures as Markdown, for the README and the card.

    Args:
        evaluation: content of ``evaluation.json``.
    """
    figures = evaluation["figures"]
    unseen = figures["unseen"]
    rows = {"everything": unseen}
    rows |= {f"manifest `{k}`": v for k, v in figures["by_manifest"].items()}
    rows |= {k: v for k, v in figures["by_stem"].items() if min(v["n_studio"], v["n_separated"]) >= 5}
    lines = [
        f"Measured on {unseen['n_studio']} studio stems and {unseen['n_separated']} extractions, each scored by a "
        "model that had seen neither its song or repository nor its separator's family, with calibration and "
        "thresholds fixed on other folds. The rest of each row was called undecided." + _struck(figures),
        "",
        *_table(rows),
        "",
        f"95 % intervals, resampling whole songs and repositories: AUC {_range(unseen['auc_interval'])}, studio called "
        f"separated {_range(unseen['studio_called_separated_interval'], percent=True)}, separated called separated "
        f"{_range(unseen['separated_called_separated_interval'], percent=True)}. Expected calibration error "
        f"{unseen['ece']:.3f}; {_percent(unseen['undecided'])} were left undecided, and of the decided "
        f"{_percent(unseen['right_of_decided'])} were right. Extractions caught at a false-alarm rate of "
        + ", ".join(f"{float(k):.0%}: {_percent(v)}" for k, v in unseen["caught_at_false_alarm"].items())
        + ". With the separator's family known and only the song unseen: AUC "
        f"{_number(figures['pairs_unseen_song_auc'])} on the matched pairs, "
        f"{_number(figures['seen_family_unseen_song_auc'])} on everything. From coding and length alone: "
        f"AUC {_number(figures['metadata_only_auc'])}.",
    ]
    return "\n".join(lines)


def render(described: dict[str, Any], evaluation: dict[str, Any]) -> str:
    """Return the model card.

    Args:
        described: content of ``config.json``.
        evaluation: content of ``evaluation.json``.
    """
    figures, limits = evaluation["figures"], described["thresholds"]
    n_clips = sum(s["n_studio"] + s["n_separated"] for s in evaluation["sources"])
    lines = [
        f"# {described['name']}",
        "",
        f"`model.onnx`, {evaluation['model']['bytes'] / 1e6:.2f} MB, sha256 `{described['sha256'][:12]}`. Written by "
        "`python -m training.fit`; every figure below comes from `evaluation.json` beside it."
        + _refitted(evaluation.get("refitted"), evaluation.get("carried"), "line_taken_off" in evaluation)
        + _off_line(evaluation.get("line_taken_off")),
        "",
        "**Licence.** "
        + described["licence"][0].upper()
        + described["licence"][1:]
        + ". Part of the training audio is for "
        "non-commercial research only: have your counsel read the list of sources before commercial use.",
        "",
        "## What it answers",
        "",
        f"Origin (called separated from p = {limits['separated']}, studio up to p = {limits['studio']}, undecided "
        "between), an SDR ceiling for separated stems, and dry, hybrid or wet "
        f"(stated from p = {limits['processing']}). Heads: {', '.join(described['heads'])}.",
        "",
        "## Figures",
        "",
        block(evaluation),
        "",
        "### By separator family",
        "",
        "Extractions of that family only; no model of the family was trained on.",
        "",
        "| family | extractions | called separated | called studio |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {v['n_separated']} | {_percent(v['separated_called_separated'])} "
            f"| {_percent(v['separated_called_studio'])} |"
            for name, v in figures["by_family"].items()
            if v["n_separated"]
        ),
        "",
        *_cycles(described.get("cycles"), figures.get("cycles")),
        "### By set",
        "",
        *_table(figures["by_set"]),
        "",
        "### After one degradation",
        "",
        *_degraded(figures["degraded"], figures.get("reworked")),
        "",
        "### Instrumentals and mixes",
        "",
        *_sums(figures.get("sums", {})),
        "",
        *_wholes(figures.get("wholes", {})),
        "### By measured SDR of the extraction",
        "",
        "| SDR in dB | extractions | called separated | called studio |",
        "|---|---:|---:|---:|",
        *(
            f"| {v['from_db']:g} to {v['to_db']:g} | {v['n']} | {_percent(v['called_separated'])} "
            f"| {_percent(v['called_studio'])} |"
            for v in figures["by_sdr"]
        ),
        "",
        "### SDR ceiling",
        "",
        "Families not trained on. " + _sdr(figures["sdr"]),
        "",
        "Families trained on, songs not. " + _sdr(figures["sdr_seen_family"]),
        "",
        *_sdr_interval(described, figures["sdr"], figures["sdr_seen_family"]),
        "",
        "### Dry, hybrid, wet",
        "",
        *_processing(figures["processing"]),
        "",
        "### Effects, kind of separator, layers",
        "",
        *_other_heads(figures),
        "",
        "## When not to trust it",
        "",
        *_warnings(figures),
        "",
        "## What it was trained on",
        "",
        "Studio stems as they are, through the common chain of gain, filters, codecs and noise, and through effects; "
        "real extractions found with their true stems or alone; extractions made for training by the demucs package, "
        "by small separators of the known architectures that were trained here, by librosa's repetition similarity and "
        "harmonic/percussive separation, and by surrogates (corrupted masks and bleed). True stems are learnt from in "
        "sums too: instrumentals, beside what is left of them when the voice is taken out, and whole mixes. Drum stems "
        "are also programmed from single hits.",
        "",
        "| rows | number |",
        "|---|---:|",
        *(f"| {kind} | {n} |" for kind, n in evaluation["rows"].items()),
        "",
        *_refitted_rows(evaluation.get("refitted")),
        *_networks(evaluation.get("networks", {}), evaluation["training"]),
        *_made_with(evaluation.get("separators", [])),
        f"{n_clips} clips from {len({s['repository'] for s in evaluation['sources']})} repositories:",
        "",
        "| repository | commit | licence | studio | separated |",
        "|---|---|---|---:|---:|",
        *(
            f"| {s['repository']} | `{s['commit'][:12]}` | {s['licence'].replace('|', '/')} | {s['n_studio']} "
            f"| {s['n_separated']} |"
            for s in evaluation["sources"]
        ),
        "",
        "## Settings",
        "",
        "```json",
        json.dumps(evaluation["training"], indent=1),
        "```",
    ]
    if "refitted" in evaluation:
        lines += ["", "Of the heads that were fitted anew:", "", "```json"]
        lines += [json.dumps(evaluation["refitted"]["training"], indent=1), "```"]
    return "\n".join(lines) + "\n"


def _refitted(record: dict[str, Any] | None, carried: dict[str, Any] | None, off_line: bool) -> str:
    if carried:
        return (
            f" Its heads of {' and '.join(carried['heads'])} are those of `{carried['from']}`, taken over by "
            "`python -m training.carry` with their figures"
            + (", as `training.refit` had fitted them there." if record else ".")
        )
    if not record:
        return ""
    return (
        f" Its heads of {' and '.join(record['heads'])} were fitted anew by `python -m training.refit`; all others "
        f"{'but SDR ' if off_line else ''}are those of `{record['from']}`, bit for bit, and their figures were "
        "measured with it."
    )


def _off_line(line: dict[str, float] | None) -> str:
    if not line:
        return ""
    return (
        f" Estimates of SDR were laid on a line when it was fitted (times {line['slope']:.3f}, "
        f"{line['intercept_db']:+.2f} dB); `python -m training.intervals` took it off and put the figures of SDR over "
        "several deals here, for which the head was fitted anew each time."
    )


def _cycles(weight: dict[str, list[float]] | None, figures: dict[str, Any] | None) -> list[str]:
    if not weight or not figures:
        return []
    return [
        "### The clock of blocks",
        "",
        "The cue `cycles` adds to a file's log odds beside the graph (`python -m training.cycles`): "
        + ", ".join(f"{more:.2f} at {at:.3f}" for at, more in zip(weight["values"], weight["raises"], strict=True))
        + " times chance, in straight lines between. It can only raise them. "
        + (
            "The tables of files are with it, by weights from the other folds."
            if figures.get("in_tables")
            else "**The tables above and below are without it**: it can add to the accused at most the true stems "
            "counted here, and to the caught at most the extractions."
        )
        + " Each file is compared with points that come from other folds; separators teach the cue nothing.",
        "",
        "| | files | beyond the first point | the second | the last |",
        "|---|---:|---:|---:|---:|",
        _beyond("true stems", figures["n_studio"], {k: figures[f"studio_{k}"] for k in POINTS}),
        _beyond("extractions", figures["n_separated"], {k: figures[f"separated_{k}"] for k in POINTS}),
        *(_beyond(f"of them {k}", v["n"], v) for k, v in figures["by_family"].items() if v["first"] >= 0.1),
        "",
    ]


def _beyond(what: str, n: int, shares: dict[str, float]) -> str:
    return f"| {what} | {n} | " + " | ".join(_percent(shares[point]) for point in POINTS) + " |"


def _refitted_rows(record: dict[str, Any] | None) -> list[str]:
    if not record:
        return []
    return [
        f"The heads of {', '.join(record['heads'][:-1])} and {record['heads'][-1]} learnt from other rows: "
        f"{record['n_clips']} studio stems of "
        f"known processing, {record['n_dry']} of them dry, from {record['n_repositories']} repositories of the list "
        "below, as they are, through the common chain, through chains of effects where they are dry, and after a "
        "separation.",
        "",
        "| rows | number |",
        "|---|---:|",
        *(f"| {kind} | {n} |" for kind, n in record["rows"].items()),
        "",
    ]


def _networks(record: dict[str, Any], training: dict[str, Any]) -> list[str]:
    if not record:
        return []
    begun = f"The networks began as those of `{record['from']}`. " if "from" in record else ""
    first = (
        f"{begun}{'These' if begun else 'The networks'} were fitted by `training.nets` on one {record['device']}: "
        f"{record['steps'][0]} steps of {record['batch']} units in {record['minutes']:g} minutes, from "
        f"{record['n_rows']} rows in up to {record['passes']} passes over the clips, the trees from the rows above."
        if "device" in record
        else f"{begun}The trees were fitted from the rows above."
    )
    lines = [first, ""]
    if on := record.get("further"):
        rounds = ", then ".join(f"{o['steps']} steps of {o['batch']} units from {o['n_rows']} rows" for o in on)
        start = on[-1].get("share_of_start")
        between = f"; what ships lies between, with {start:.0%} of the weights they began with" if start else ""
        lines[1:1] = [f"They were then fitted on for {rounds}{between}."]
    if record.get("taken"):
        judge = training["network"]
        lines[-1:-1] = [
            "What ships are these, from an earlier model; the figures above come from networks of the folds that had "
            f"only {judge['n_steps'] * sum(judge['cycles'])} steps of {judge['batch']} units, and know less than they.",
        ]
    return lines


def _made_with(separators: Sequence[dict[str, str]]) -> list[str]:
    if not separators:
        return []
    return [
        "Separators of others, run on mixes of true stems; neither their code nor their weights are in this project:",
        "",
        "| separator | family | repository | commit | licence |",
        "|---|---|---|---|---|",
        *(
            f"| {s['name']} | {s['family']} | {s.get('repository', 'not stated')} | `{s.get('commit', '')[:12]}` "
            f"| {s.get('licence', 'not stated')} |"
            for s in separators
        ),
        "",
    ]


def _table(rows: dict[str, dict[str, Any]]) -> list[str]:
    out = ["| | " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * len(_COLUMNS)]
    for name, v in rows.items():
        area = "" if v["auc"] is None else f"{v['auc']:.3f}"
        shares = [
            _percent(v[f"{origin}_called_{called}"])
            for origin, called in product(("studio", "separated"), ("separated", "studio"))
        ]
        out.append(f"| {name} | {v['n_studio']} | {v['n_separated']} | {area} | " + " | ".join(shares) + " |")
    return out


def _sdr(sdr: dict[str, Any]) -> str:
    if "mae_db" not in sdr:
        return f"Only {sdr['n']} extractions have a measured SDR: too few for a figure."
    spread = f" ± {sdr['mae_spread_db']:.2f}" if "deals" in sdr else ""
    return (
        (f"In the mean of {sdr['deals']} deals of songs and families into folds, on" if spread else "On")
        + f" {sdr['n']} extractions of known SDR: mean absolute error {sdr['mae_db']:.2f}{spread} dB, beside "
        f"{sdr['mae_of_other_folds_median_db']:.2f} dB for always saying the median of the other folds, "
        f"{sdr['mae_of_the_median_db']:.2f} dB for that of these very files; bias {sdr['bias_db']:+.2f} dB; "
        f"correlation {sdr['correlation']:.2f}. Within the 90 % interval, fixed on unseen families of other folds, lie "
        f"{_percent(sdr['coverage_on_other_folds'])}."
    )


def _sdr_interval(described: dict[str, Any], sdr: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    interval = SdrInterval(**described["sdr_interval"])
    widths = ", ".join(f"± {interval.half_width(value):.1f} dB at {value:g} dB" for value in (5.0, 10.0, 15.0))
    return [
        f"The 90 % interval around an estimate grows with it, as the error does: {widths}; below "
        f"{interval.from_db:.1f} dB it gets no narrower.",
        "",
        *sdr_bands(sdr, seen),
    ]


def sdr_bands(unseen: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """Return errors and intervals of SDR by what is estimated, as a table in Markdown.

    Args:
        unseen, known: figures of :func:`training.report.sdr`, of families not trained on and of others.
    """
    of_known = {row["from_db"]: row for row in known.get("by_estimate", [])}
    lines = [
        "| estimate | unseen: files of a deal | error | half interval | within "
        "| known: files | error | half | within |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in unseen.get("by_estimate", []):
        cells = [f"{row['from_db']:g} to {row['to_db']:g}"]
        for part in (row, of_known.get(row["from_db"], {})):
            cells += [f"{part['n']:.0f}" if part else "0"]
            cells += [f"{part[name]:{form}}" if part else "" for name, form in _OF_A_BAND]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _degraded(degraded: dict[str, Any], reworked: dict[str, Any] | None) -> list[str]:
    if not degraded:
        return ["Not measured for this model."]
    said = (
        "Thresholds as above, the first sounding window of each clip; pitch shift by a semitone and time stretch go "
        "through a phase vocoder."
    )
    if reworked and "allowance" in reworked:
        told = " and ".join(
            f"{reworked[f'auc_{origin}']:.3f} on {name}"
            for origin, name in (("studio", "true stems"), ("separated", "extractions"))
            if f"auc_{origin}" in reworked
        )
        said += (
            " A head tells windows that were pitched, stretched, put into a room or coded low (held-out AUC "
            f"{told}); where that is certain {reworked['allowance']:.3f} is taken off log odds above the line to "
            "`separated`, before they are calibrated and no further than to the line; nothing at even odds. It "
            "is fitted to held-out clips so reworked, none of the table's."
        )
    return [said, "", *_table(degraded)]


def _sums(sums: dict[str, Any]) -> list[str]:
    if not sums:
        return ["Not measured for this model."]
    return ["Sums of true stems of one song or of several, windows of 4 s through the common chain. A mix is no stem, "
            "but nothing was extracted from it either.", "", *_table(sums)]  # fmt: skip


def _wholes(wholes: dict[str, Any]) -> list[str]:
    if not wholes:
        return []
    sdr = "; ".join(f"{name} {found['median_sdr_db']:.1f} dB" for name, found in wholes.items())
    return ["### Whole mixes parted by separators of others", "",
            "Estimates out of mixes of unseen songs and the true stems, windows of 4 s, most after the common chain: "
            "judged by models that learnt from other estimates of the family, and by the one that learnt from none. "
            "Masked over: the estimates' magnitudes or complex factors laid over the mix, as Wiener filters do. "
            f"Median SDR: {sdr}.", "", *_table(wholes), ""]  # fmt: skip


_GROUPS = {
    "made": "Chains made by the project on held-out dry recordings, and those recordings; the measured rooms of their "
    "reverbs are the same in all folds",
    "made_and_separated": "The same chains after a separation, of which verdicts state nothing",
    "fx_pairs": "Real pairs of dry and processed recordings, never used in training this head",
    "dry_against_wet_recordings": "Dry recordings and produced studio stems as they are",
    "recordings": "All recordings of stated processing as they are, from whatever set",
}


def _processing(processing: dict[str, Any]) -> list[str]:
    out = []
    for key, text in _GROUPS.items():
        if key in processing:
            found = processing[key]
            area = found["dry_against_rest_auc"]
            dry = "" if area is None else f", dry against the rest AUC {area:.3f}"
            out += [f"{text} ({found['n']} windows): macro-F1 {found['macro_f1']:.3f}{dry}{_stated(found)}.", ""]
            out += ["| truth | " + " | ".join(processing["classes"]) + " |", "|---|" + "---:|" * 3]
            out += [
                f"| {name} | " + " | ".join(map(str, row)) + " |"
                for name, row in zip(processing["classes"], found["confusion"], strict=True)
            ]
            out.append("")
    return out[:-1] if out else ["No held-out rows with a known processing."]


def _stated(found: dict[str, Any]) -> str:
    """What of a group is stated at all, by lines from other folds."""
    if "stated" not in found:
        return ""
    shares = {"right_of_stated": "of which {} right", "dry_called_wet": "{} of the dry ones called wet",
              "wet_called_dry": "{} of the wet ones called dry"}  # fmt: skip
    told = [text.format(_percent(found[key])) for key, text in shares.items() if found[key] is not None]
    return f"; stated in {_percent(found['stated'])}, " + ", ".join(told)


def _other_heads(figures: dict[str, Any]) -> list[str]:
    out = []
    strengths = figures.get("strengths", {})
    told = strengths.get("told", [])
    for group, found in figures["effects"].items():
        rows = {k: v for k, v in found.items() if k != "macro_f1"}
        out += [f"Effects on {group} stems, held-out recordings (measured rooms are not held out): "
                f"macro-F1 {found['macro_f1']:.3f}.", "",
                "| effect | windows | with it | AUC | AUC where strong | F1 |",
                "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
        out += [
            f"| {name} | {v['n']} | {_percent(v.get('share'))} | {_number(v['auc'])} | {_number(v.get('strong_auc'))} "
            f"| {_number(v['f1'])} |"
            for name, v in rows.items()
        ]
        out.append("")
    for group, found in ((name, strengths[name]) for name in ("studio", "separated") if name in strengths):
        out += [f"Strength, 0 to 1, of an effect where it was applied, {group} stems, held-out recordings"
                + (f": verdicts state that of {', '.join(told) or 'none'}." if group == "studio" else
                   ", of which verdicts state nothing."), "",
                "| effect | windows | mean absolute error | of a constant | rank correlation |",
                "|---|---:|---:|---:|---:|"]  # fmt: skip
        out += [
            f"| {name} | {v['n']} | {v['error']:.3f} | {v['constant_error']:.3f} | {_number(v['correlation'])} |"
            for name, v in found.items()
        ]
        out.append("")
    kind = figures["kind"]
    if kind:
        out += [
            f"Kind of separator on {kind['n']} windows of families that were not trained on: "
            f"{_percent(kind['accuracy'])} right, beside {_percent(kind['most_common'])} for always naming the most "
            f"common; named at all in {_percent(kind['stated'])}, of which {_percent(kind['right_of_stated'])} right; "
            "the rest is `unknown`.",
            "",
        ]
    layers = figures["layers"]
    if layers:
        out += [f"One performance or several ({layers['n']} windows): AUC {_number(layers['auc'])}.", ""]
    return out[:-1] if out else ["This model has none of these heads."]


def _warnings(figures: dict[str, Any]) -> list[str]:
    weak = sorted(
        (v["separated_called_separated"], k) for k, v in figures["by_family"].items() if v["n_separated"] >= 5
    )[:5]
    stems = sorted((v["auc"], k) for k, v in figures["by_stem"].items() if v["auc"] is not None)[:2]
    sets = sorted(
        ((v["studio_called_separated"], k) for k, v in figures["by_set"].items() if v["n_studio"] >= 10), reverse=True
    )[:2]
    lines = [
        "- As the only evidence against a vendor. Read it over a whole dataset, with the intervals above.",
        "- Where an unseen separator is at work, many extractions come out undecided: *undecided is not a clean bill*. "
        + ("Worst caught: " + ", ".join(f"{k} ({_percent(v)})" for v, k in weak) + "." if weak else "").strip(),
        "- Stems on which it ranks worst: " + ", ".join(f"{k} (AUC {v:.3f})" for v, k in stems) + "." if stems else "",
        "- Sets of true stems most often accused: " + ", ".join(f"{k} ({_percent(v)})" for v, k in sets) + "."
        if sets
        else "",
        "- Sources below 16 kHz are refused; lossy sources are judged on less evidence, and `reasons` says `lossy`.",
        "- Whole mixes, speech and synthetic audio are not what it was made for: `outside_training` catches some of "
        "them, not all; a dense true instrumental is taken for an extraction more often than a single part.",
    ]
    return [line for line in lines if line]


def _number(value: float | None) -> str:
    return "not measurable" if value is None else f"{value:.3f}"


def _struck(figures: dict[str, Any]) -> str:
    n = figures.get("n_struck", 0)
    return f" {n} clips that were learnt from are not judged: their label was found wrong afterwards." if n else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _range(interval: list[float] | None, *, percent: bool = False) -> str:
    if interval is None:
        return "not computable"
    low, high = interval
    return f"{_percent(low)} to {_percent(high)}" if percent else f"{low:.3f} to {high:.3f}"


def main(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    readme: Annotated[Path | None, typer.Argument(help="A file with the two markers.")] = None,
) -> None:
    """Write the card again, and the README's block of figures."""
    described = json.loads((model / "config.json").read_text(encoding="utf-8"))
    evaluation = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    (model / "README.md").write_text(render(described, evaluation), encoding="utf-8")
    if readme is not None:
        readme.write_text(place(readme.read_text(encoding="utf-8"), block(evaluation)), encoding="utf-8")


def place(text: str, figures: str) -> str:
    """Return a text with the figures between its markers.

    Args:
        text: of a README.
        figures: Markdown.

    Raises:
        ValueError: a marker is missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"found no markers; needed: {BEGIN} and {END}")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{figures}\n{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    typer.run(main)

"""Write a model folder: graph, config, evaluation and card, all of it or nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from provenance import frontend
from provenance.bundle import CONFIG_FORMAT
from provenance.model import OUTPUTS
from training import card, catalogue, config, dataset, evaluate, export, heads, report, texture_net
from training.heads import Outputs

if TYPE_CHECKING:
    from training.folds import Trained

_OURS = "weights Apache-2.0 for the project's part; "
_LICENCES = (
    f"{_OURS}trained in part on audio whose licences allow only non-commercial research (see the model card)",
    f"{_OURS}trained in part on audio whose licence is not stated (see the model card)",
    f"{_OURS}trained on audio of the licences that the model card lists",
)
"""What a model folder says, the narrowest first."""
_RESTRICTED = re.compile(r"non.?commercial|\bnc\b|research", re.IGNORECASE)
"""Words of a licence that does not allow every use."""
_UNSTATED = ("", "unstated", "not stated", "see repository", "unknown", "none")
MAX_DIFFERENCE = 1e-4
NO_INTERVAL = {"base_db": 15.0, "per_db": 0.0, "from_db": 0.0}
"""Of a model whose SDR could be judged on too few files."""
RECORDED = (
    "device", "batch", "rate", "minutes", "passes", "n_rows", "steps", "held_out_windows", "from", "further", "taken",
)  # fmt: skip
"""What the evaluation keeps of networks that were fitted elsewhere."""
N_PARITY = 2000


def write(
    out: Path,
    table: dataset.Table,
    held: Outputs,
    fusion: heads.Fusion,
    trained: Trained,
    figures: dict[str, Any],
    settings: config.Config,
    clips: list[catalogue.Clip],
    elsewhere: dict[str, Any],
    cycles: dict[str, Any],
) -> None:
    """Export a model folder: ``model.onnx``, ``config.json``, ``evaluation.json`` and the card.

    Args:
        out: the folder; it is replaced as a whole once everything is written.
        table: described rows.
        held: held-out scores, from which calibration and thresholds come.
        fusion: how trees and network are put together.
        trained: what learnt from all folds.
        figures: of the unseen protocol.
        settings: saved beside the model.
        clips: for the list of sources.
        elsewhere: record of networks that :mod:`training.nets` fitted; empty where they were fitted here.
        cycles: weight of the cue of that name, as :func:`training.cycles.described_as` gives it.

    Raises:
        RuntimeError: the graph does not compute what was trained.
    """
    with beside(out) as part:
        scored = evaluate.files(table.meta, held, evaluate.judged_rows(table.meta, settings.n_folds))
        fixed = evaluate.limits_of(scored, settings)
        fusion = dataclasses.replace(fusion, line=evaluate.line_of(fixed))
        file = part / "model.onnx"
        told = heads.only(trained.trees.strengths, figures["strengths"].get("told", ()))
        trained = dataclasses.replace(trained, trees=dataclasses.replace(trained.trees, strengths=told))
        export.export(trained.trees, trained.net, fusion, frontend.N_FEATURES, file, trained.onset_net)
        difference = _parity(file, table, trained, fusion)
        if difference > MAX_DIFFERENCE:
            raise RuntimeError(f"the exported graph differs by {difference:.2g}; needed: at most {MAX_DIFFERENCE}")
        described = {
            "format": CONFIG_FORMAT,
            "name": out.name,
            "heads": sorted(head for head, output in OUTPUTS.items() if output in _outputs(file)),
            "calibration": {"slope": fixed.platt.slope, "intercept": fixed.platt.intercept},
            "thresholds": {
                "separated": round(fixed.separated, 4),
                "studio": round(fixed.studio, 4),
                "processing": report.processing_threshold(table.meta, held, settings),
                "distance": round(fixed.distance, 4),
                "family": settings.family_threshold,
                "layers": settings.layers_threshold,
            },
            "sdr_interval": figures["sdr"].get("interval", NO_INTERVAL),
            "licence": licence_of(clips, bool(elsewhere.get("from") or elsewhere.get("taken"))),
            "cycles": cycles,
            "frontend": frontend.contract(),
        }  # fmt: skip
        evaluation = {
            "model": {"name": out.name},
            "parity_largest_difference": difference,
            "thresholds": described["thresholds"],
            "figures": figures,
            "training": json.loads(config.to_json(settings)),
            "rows": {
                f"{kind}/{origin}": int(n)
                for (kind, origin), n in table.meta.groupby(["kind", "origin"]).size().items()
            },
            "failures": table.failures,
            "networks": {name: elsewhere[name] for name in RECORDED if name in elsewhere},
            "sources": card.sources(clips),
            "separators": card.separators(settings.recipe),
        }
        export.note(file, "cycles", cycles, file)
        finish(part, out, described, evaluation)


def licence_of(clips: Iterable[catalogue.Clip], begun: bool = False) -> str:
    """Return what a model folder says of the licence of its weights, by what its audio allows.

    Args:
        clips: what it learnt from.
        begun: whether it has networks of another model folder, which learnt from more than these.
    """
    licences = {clip.licence.strip() for clip in clips}
    if begun or any(_RESTRICTED.search(licence) for licence in licences):
        return _LICENCES[0]
    return _LICENCES[1 if any(licence.lower() in _UNSTATED for licence in licences) else 2]


def narrower(one: str, other: str) -> str:
    """Return which of two models' licences allows less, for a model that has heads of both.

    Args:
        one, other: as :func:`licence_of` returns them; other words are taken for the narrowest.
    """
    rank = {licence: k for k, licence in enumerate(_LICENCES)}
    return min(one, other, key=lambda licence: rank.get(licence, -1))


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Make a folder beside the one to be written, and remove it if anything goes wrong.

    Args:
        out: the folder to be written.

    Raises:
        ValueError: as for :func:`check_place`.
    """
    _refuse_others(out)
    part = out.with_name(f".{out.name}.{os.getpid()}")
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def check_place(out: Path) -> None:
    """Raise where a model folder could not be written, before hours are spent on what goes into it.

    Args:
        out: the folder to be written.

    Raises:
        ValueError: something else lies there, which would be removed, or the folder above cannot be written.
    """
    try:
        with beside(out) as part:
            part.rmdir()
    except OSError as error:
        raise ValueError(
            f"{out}: cannot be written ({error.strerror}); needed: a model folder, or the name of a new one"
        ) from error


def _refuse_others(out: Path) -> None:
    is_free = not out.exists() or (out.is_dir() and ((out / "model.onnx").is_file() or not any(out.iterdir())))
    if not is_free or out.name in ("", ".."):
        raise ValueError(
            f"{out}: found what is no model folder, and it would be replaced as a whole; needed: a model folder, or "
            "the name of a new one, such as models/mine"
        )


def read(model: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model folder's config and evaluation.

    Args:
        model: the folder.

    Raises:
        OSError: a file is missing.
    """
    described, evaluation = (
        json.loads((model / name).read_text(encoding="utf-8")) for name in ("config.json", "evaluation.json")
    )
    return described, evaluation


def finish(part: Path, out: Path, described: dict[str, Any], evaluation: dict[str, Any]) -> None:
    """Write what stands beside a graph, and put the folder where it belongs.

    Args:
        part: folder with ``model.onnx``, from :func:`beside`.
        out: the folder; it is replaced as a whole.
        described, evaluation: content of ``config.json`` and ``evaluation.json``, but for what is known of the graph's
            file; the card follows from them.
    """
    data = (part / "model.onnx").read_bytes()
    described["sha256"] = hashlib.sha256(data).hexdigest()
    evaluation["model"] |= {"sha256": described["sha256"], "bytes": len(data)}
    (part / "config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    (part / "evaluation.json").write_text(json.dumps(evaluation, indent=1) + "\n", encoding="utf-8")
    (part / "README.md").write_text(card.render(described, evaluation), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)


def _outputs(file: Path) -> set[str]:
    """Names of a graph's outputs."""
    return {output.name for output in onnx.load(file).graph.output}


def _parity(file: Path, table: dataset.Table, trained: Trained, fusion: heads.Fusion) -> float:
    """Compare graph and training on rows of full length, in pieces."""
    n_frames = table.meta["n_frames"].to_numpy()
    full = np.flatnonzero(n_frames == n_frames.max())
    rows = np.sort(np.random.default_rng(0).permutation(full)[:N_PARITY])
    worst = 0.0
    for start in range(0, len(rows), 100):
        some = rows[start : start + 100]
        maps = onsets = None
        if trained.net is not None:
            assert table.maps is not None  # a recipe with a network keeps maps
            maps = texture_net.SPECTRUM.whole(table.maps, some, int(n_frames.max())).contiguous().numpy()
        if trained.onset_net is not None:
            assert table.onsets is not None
            onsets = texture_net.ONSETS.whole(table.onsets, some, int(n_frames.max())).numpy()
        said = heads.fuse(trained.run(table, some), fusion)
        worst = max(worst, export.parity(file, said, table.features[some], maps, onsets))
    return worst

"""Carry the heads of processing and effects from one model over to another: ``python -m training.carry OLD NEW``.

Fitted on their own by :mod:`training.refit`, those heads are as good in a model that is made later, whose front end has
more statistics. They are taken as they are, with their figures; what they say is compared with the old graph's, and
every other output with the new graph's, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import typer

from provenance import frontend
from provenance.model import OUTPUTS
from training import export, publish
from training.options import told
from training.refit import HEADS, inputs_of, reference

N_COMPARED = 200
_OUTPUTS = tuple(OUTPUTS[head] for head in HEADS)


class CarryError(ValueError):
    """Heads that cannot be carried over: names what was found and what is needed."""


@told(ValueError, KeyError)
def main(
    old: Annotated[Path, typer.Argument(help="The model folder whose heads are taken.")],
    new: Annotated[Path, typer.Argument(help="The model folder that is to have them.")],
    out: Annotated[Path, typer.Option(help="The model folder to write; it may be NEW.")],
) -> None:
    """Put the heads of processing and effects of one model into another, with their figures."""
    carry(old, new, out)


def carry(old: Path, new: Path, out: Path) -> None:
    """Write a model folder with the heads of another, all of it or nothing.

    Args:
        old: folder whose heads are taken.
        new: folder that is to have them.
        out: the folder; it is replaced as a whole once everything is written.

    Raises:
        CarryError: one of them lacks the heads, their statistics are not all there, or something else changed.
        OSError: a file is missing.
    """
    (from_config, from_evaluation), (described, evaluation) = publish.read(old), publish.read(new)
    for folder, config in ((old, from_config), (new, described)):
        if missing := sorted({*HEADS} - {*config["heads"]}):
            raise CarryError(f"{folder}: found no head {', '.join(missing)}; needed: a model with both")
    columns = places(old, from_config["frontend"], described["frontend"])
    with publish.beside(out) as part:
        file = part / "model.onnx"
        export.carry_heads(old / "model.onnx", new / "model.onnx", _OUTPUTS, columns, frontend.N_FEATURES, file)
        compare(old / "model.onnx", new / "model.onnx", file, columns)
        described["thresholds"]["processing"] = from_config["thresholds"]["processing"]
        evaluation["thresholds"] = described["thresholds"]
        evaluation["figures"] |= {name: from_evaluation["figures"][name] for name in HEADS}
        before = reference(from_evaluation)
        evaluation["carried"] = {"heads": list(HEADS), "from": before}
        evaluation.pop("refitted", None)  # NEW's own heads, had they been, are no longer there
        if "refitted" in from_evaluation:
            evaluation["refitted"] = from_evaluation["refitted"] | {"heads": list(HEADS)}
        described["licence"] = publish.narrower(from_config["licence"], described["licence"])
        known = {source["repository"] for source in evaluation["sources"]}
        evaluation["sources"] += [row for row in from_evaluation["sources"] if row["repository"] not in known]
        publish.finish(part, out, described, evaluation)


def places(model: Path, old: dict[str, Any], new: dict[str, Any]) -> npt.NDArray[np.int64]:
    """Return where each statistic of an older front end stands in a newer one, which only added at the ends.

    A front end has two blocks, what origin is told by and what follows it; either may have grown at its end.

    Args:
        model: named where they do not fit.
        old, new: contracts.

    Raises:
        CarryError: the older one has other numbers, or more statistics.
    """
    sizes = ("version", "n_features", "n_texture")
    differing = sorted(key for key in old if key not in sizes and old[key] != new.get(key))
    texture, rest = old["n_texture"], old["n_features"] - old["n_texture"]
    if differing or texture > new["n_texture"] or rest > new["n_features"] - new["n_texture"]:
        found = ", ".join(differing) or "n_features"
        raise CarryError(f"{model}: found another {found}; needed: a front end of which today's has every statistic")
    return np.concatenate([np.arange(texture), new["n_texture"] + np.arange(rest)])


def compare(old: Path, new: Path, made: Path, columns: npt.NDArray[np.int64]) -> None:
    """Check that carried heads say what they said, and all else what it said.

    Args:
        old, new: graphs that the heads come from and go to.
        made: the graph that has both.
        columns: where each statistic of the old graph stands.

    Raises:
        CarryError: an output changed.
    """
    features = np.random.default_rng(0).normal(0, 20, (N_COMPARED, frontend.N_FEATURES)).astype(np.float32)
    before, other, after = (
        onnxruntime.InferenceSession(f, providers=["CPUExecutionProvider"]) for f in (old, new, made)
    )
    for session, given, mine in ((before, features[:, columns], True), (other, features, False)):
        names = [o.name for o in session.get_outputs() if (o.name in _OUTPUTS) == mine]
        expected = session.run(names, inputs_of(session, given))
        found = after.run(names, inputs_of(after, features))
        changed = [
            n for n, a, b in zip(names, expected, found, strict=True) if not np.array_equal(a, b, equal_nan=True)
        ]
        if changed:
            raise CarryError(f"found that {', '.join(changed)} changed; needed: what the graphs say, bit for bit")


if __name__ == "__main__":
    typer.run(main)

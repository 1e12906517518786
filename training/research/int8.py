"""What eight-bit weights would cost and save: ``python -m training.research.int8 MANIFEST... --out FILE.json``.

The network's convolutions are quantised with onnxruntime, calibrated on half of the songs, and the whole model is
compared with the float one on the other half. The trees stay as they are: they are look-ups already.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import typer
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.metrics import roc_auc_score

from provenance import bundle, frontend
from provenance.decide import calibrate
from provenance.errors import UnreadableAudio
from provenance.model import Model
from training import catalogue, splits
from training.options import told
from training.research.clips import sounding

Inputs = dict[str, npt.NDArray[np.float32]]
N_CALIBRATION = 100
N_TIMED = 40
MOVED = 0.05


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands windows to onnxruntime's calibration, one at a time."""

    def __init__(self, rows: list[Inputs]) -> None:
        self._rows = iter(rows)

    def get_next(self) -> Inputs | None:
        return next(self._rows, None)


def compare(float_file: Path, rows: list[Inputs], separated: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_],
            platt: bundle.Calibration) -> dict[str, Any]:  # fmt: skip
    """Quantise a model and compare it with itself.

    Args:
        float_file: ONNX file with inputs ``features`` and ``map``.
        rows: inputs of one window each.
        separated: label of each row.
        seen: which rows may calibrate; the others are judged.
        platt: log odds to probability.

    Returns:
        Size in bytes, processor time in milliseconds per window and AUC of both; the mean and largest change of
        probability; the share of windows whose probability moves by more than 0.05.

    Raises:
        ValueError: the model has no network, or one of the halves is empty or of one class.
    """
    graph = onnx.load(float_file).graph
    if not any(node.op_type == "Conv" for node in graph.node):
        raise ValueError(f"{float_file}: found no convolution; needed: a model with a network")
    judged = [row for row, mine in zip(rows, seen, strict=True) if not mine]
    truth = separated[~seen]
    if not seen.any() or len(set(truth)) < 2:
        raise ValueError(f"found {int(seen.sum())} windows to calibrate on and {len(truth)} to judge, of one class")
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "int8.onnx"
        some = [row for row, mine in zip(rows, seen, strict=True) if mine][:N_CALIBRATION]
        quantize_static(
            float_file, small, _Reader(some), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"],
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        files = {"float32": float_file, "int8": small}
        sizes = {name: file.stat().st_size for name, file in files.items()}
        logits, times = {}, {}
        for name, file in files.items():
            logits[name], times[name] = _run(file, judged)
    p = {name: calibrate(values, platt) for name, values in logits.items()}
    moved = np.abs(p["int8"] - p["float32"])
    return {
        "n_windows": len(judged),
        "bytes": sizes,
        "ms_per_window": times,
        "window_auc": {name: round(float(roc_auc_score(truth, values)), 4) for name, values in logits.items()},
        "mean_change_of_p": round(float(moved.mean()), 4),
        "largest_change_of_p": round(float(moved.max()), 4),
        "share_moved_over_0.05": round(float((moved > MOVED).mean()), 4),
    }


def _run(file: Path, rows: list[Inputs]) -> tuple[npt.NDArray[np.float64], float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    logits = [float(np.ravel(session.run(["logit"], row)[0])[0]) for row in rows]
    best = float("inf")
    for row in rows[:N_TIMED]:
        start = time.process_time()
        session.run(["logit"], row)
        best = min(best, time.process_time() - start)
    return np.array(logits), round(1e3 * best, 3)


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    limit: Annotated[int, typer.Option(help="Clips, drawn at random.")] = 400,
) -> None:
    """Compare a model with its eight-bit form on labelled clips."""
    out.parent.mkdir(parents=True, exist_ok=True)
    loaded = bundle.load(model)
    asked = Model(loaded)
    clips = [clip for clip in catalogue.load(manifest)[0] if not clip.oracle]
    order = np.random.default_rng(0).permutation(len(clips))[:limit]
    unit_fold, _ = splits.folds(clips, 2)
    rows: list[Inputs] = []
    separated, seen = [], []
    for clip in (clips[k] for k in order):
        try:
            window = next(iter(sounding(clip.path)), None)
        except UnreadableAudio as error:
            typer.echo(f"left out: {error}", err=True)
            continue
        if window is None:
            continue
        spectra = frontend.analyse(window)
        row = {"features": frontend.describe(spectra)[None]}
        row |= {"map": frontend.draw(spectra)[None]} if asked.needs_map else {}
        row |= {"onsets": frontend.draw_onsets(spectra)[None]} if asked.needs_onsets else {}
        rows.append(row)
        separated.append(clip.origin == "separated")
        seen.append(unit_fold[splits.unit_of(clip)] == 0)
    try:
        found = compare(loaded.model_file, rows, np.array(separated), np.array(seen), loaded.calibration)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)

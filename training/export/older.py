"""Graphs as older models have them, read and brought up to date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from training.export.graph import ML_OPSET, write
from training.export.trees import Forest
from training.labels import MAX_SDR_DB, MIN_SDR_DB
from training.perceptron import SCALE

_OFF_LINE_DB = 1e-3


class LineError(ValueError):
    """A head of SDR that no line can be taken off: names what was found and what is needed."""


def load(file: Path) -> onnx.ModelProto:
    """Read a graph; trees as older models have them, each node with a name for what it is, are written as now.

    Args:
        file: of a model, as :func:`training.export.export` wrote it at any time.

    Returns:
        A graph that says bit for bit what the file's says, in a third less.
    """
    model = onnx.load(file)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type != "TreeEnsembleRegressor":
            model.graph.node.append(node)
            continue
        old = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        leaf = np.array([mode == b"LEAF" for mode in old["nodes_modes"]])
        values, targets = np.zeros(len(leaf), np.float32), np.zeros(len(leaf), np.int64)
        values[leaf], targets[leaf] = old["target_weights"], old["target_ids"]  # leaves in the order of the nodes
        forest = Forest()
        names = ("nodes_featureids", "nodes_values", "nodes_truenodeids", "nodes_falsenodeids")
        for tree in np.split(np.arange(len(leaf)), np.flatnonzero(np.diff(old["nodes_treeids"])) + 1):
            own = [np.asarray(old[name])[tree] for name in names]
            forest.add(*own, leaf[tree], values[tree], int(targets[tree][leaf[tree]][0]))
        written, base = forest.written(node.output[0], old["base_values"])
        model.graph.node.extend(written)
        model.graph.initializer.append(base)
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = ML_OPSET
    return model


def take_off_line(source: Path, file: Path) -> tuple[float, float]:
    """Write a graph again whose SDR is what its perceptron says, between the least and the most that is learnt.

    Models up to 2026-11-29 laid it on a line: slope and intercept were multiplied into the last steps.

    Args:
        source: the graph.
        file: where to write.

    Returns:
        Slope and intercept in dB of the line; 1 and 0 of a graph that had none.

    Raises:
        LineError: its bounds are not those of a line.
    """
    model = load(source)
    constants = {value.name: value for value in model.graph.initializer}
    if "sdr_median" not in constants:  # trees, which no line was ever laid under
        write(model, file)
        return 1.0, 0.0
    added = next(node for node in model.graph.node if "sdr_median" in node.input)
    scaled = next(node for node in model.graph.node if node.output[0] in added.input)
    factor = next(name for name in scaled.input if name in constants)
    names = (factor, median, least, most) = (factor, "sdr_median", "sdr_least", "sdr_most")
    scale, middle, low, high = (float(numpy_helper.to_array(constants[name])) for name in names)
    slope, intercept = scale / SCALE, low - scale / SCALE * MIN_SDR_DB
    if scale == SCALE:
        slope, intercept = 1.0, 0.0
    elif abs((high - intercept) / slope - MAX_SDR_DB) > _OFF_LINE_DB:
        raise LineError(f"{source}: found SDR of {low:.2f} to {high:.2f} dB; needed: bounds on one line with its scale")
    else:
        of_none = {factor: SCALE, median: (middle - intercept) / slope, least: MIN_SDR_DB, most: MAX_SDR_DB}
        for name, now in of_none.items():
            constants[name].CopyFrom(numpy_helper.from_array(np.asarray(now, np.float32), name))
    write(model, file)
    return slope, intercept

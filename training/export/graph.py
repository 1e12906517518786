"""A graph under construction, and how it gets into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, ML_OPSET = 18, 5
Array = npt.NDArray[np.float32]
_LEAST_HALVED = 1024
"""Fewer weights than these are not worth a node."""


class Graph:
    """A graph under construction: nodes, constants, and names that do not clash.

    Values are known by their names: what adds something takes those of its inputs and returns that of its output.

    Args:
        own: with which the names of its values begin, where it is to be put beside another.
    """

    def __init__(self, own: str = "") -> None:
        self._own = own
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def name(self, what: str) -> str:
        """Return a name that nothing has yet."""
        self._count += 1
        return f"{self._own}{what}_{self._count}"

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add a constant under its own name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weights(self, name: str, value: Array) -> str:
        """Add weights, in half precision where that loses nothing: they are read back to single once, at load."""
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if value.size < _LEAST_HALVED or not np.array_equal(half.astype(np.float32), value):
            return self.constant(name, value)
        return self.node("Cast", [self.constant(name, half)], to=TensorProto.FLOAT)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node of one output."""
        name = self.name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def named(self, value: str, name: str) -> None:
        """Give a value a name of one's own, as an output has."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def flat(self, value: str) -> str:
        """Add a value's reshaping to (n,)."""
        shape = "flat_shape"
        if all(c.name != shape for c in self.constants):
            self.constant(shape, np.array([-1], np.int64))
        return self.node("Reshape", [value, shape])

    def scaled(self, value: str, factor: float) -> str:
        """Add a value's multiple."""
        return self.node("Mul", [value, self.constant(self.name("factor"), np.float32(factor))])

    def mean(self, values: list[str]) -> str:
        """Add the mean, shape (n,), of values that hold n each."""
        return self.node("Mean", [self.flat(value) for value in values])

    def linear(self, value: str, layer: Any, name: str) -> str:
        """Add a linear layer of torch; names of its constants begin with ``name``."""
        weight = self.weights(f"{name}_weight", layer.weight.detach().numpy())
        return self.node("Gemm", [value, weight, self.constant(f"{name}_bias", layer.bias.detach().numpy())], transB=1)


def write(model: onnx.ModelProto, file: Path) -> None:
    """Check a model and write it.

    Args:
        model: whole.
        file: where to.

    Raises:
        onnx.checker.ValidationError: it is no graph of ONNX.
    """
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())

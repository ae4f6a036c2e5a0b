"""Write a module as an ONNX graph, and see that ONNX Runtime computes what the module does."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.deployment.agreement import TOLERANCE, disagreement
from skprune.deployment.requirements import require
from skprune.deployment.torch_export import quiet_torch, reason_of
from skprune.exceptions import NotDeployableError
from skprune.network.forward import first_output, run_module

__all__ = ["INPUT", "OUTPUT", "module_to_onnx"]

# What an input that has no name of its own, and the output, are called in the graph.
INPUT, OUTPUT = "X", "output"
# Of the exporter that goes through torch.export: recurrent layers are single operations in it, and
# every runtime of the last two years reads it.
_OPSET = 20


def module_to_onnx(
    module: nn.Module, example: Tensor | Mapping[str, Tensor], *, tolerance: float = TOLERANCE
) -> bytes:
    """Write a module as an ONNX model for any number of rows.

    The model has one output, ``"output"``, with the module's own numbers: the first of several
    outputs, and no nonlinearity beyond those of the module. It is computed by ONNX Runtime for one
    row, for the example and for more rows, and compared with the module's outputs.

    Parameters
    ----------
    module : Module
        The network; it is left as it is.
    example : Tensor or mapping of str to Tensor
        A few rows of input. A mapping's keys become the names of the model's inputs, in their
        order; a tensor's input is called ``"X"``.
    tolerance : float, default=1e-5
        The largest difference of the outputs that is taken for rounding, relative to the largest
        output.

    Returns
    -------
    model : bytes
        The ONNX model, serialized, of opset 20. The rows are its free dimension ``"batch"``.

    Raises
    ------
    ImportError
        If the extra ``onnx`` is not installed.
    NotDeployableError
        If the module cannot be exported, or ONNX Runtime computes something else.

    Examples
    --------
    >>> import torch
    >>> from skprune.deployment.onnx_graph import module_to_onnx
    >>> model = module_to_onnx(torch.nn.Linear(3, 2), torch.randn(2, 3))
    >>> type(model)
    <class 'bytes'>
    """
    require("onnxscript", "onnx", "Writing an ONNX model")
    module = deepcopy(module).eval().requires_grad_(False).cpu()
    # torch.export takes a dimension of zero or one for a constant.
    example = _rows(example, max(2, _n_rows(example)))
    names = list(example) if isinstance(example, Mapping) else [INPUT]
    rows = list(example.values()) if isinstance(example, Mapping) else [example]
    with torch.no_grad():
        plain = isinstance(example, Tensor) and isinstance(run_module(module, example), Tensor)
    free: Any = ({0: "batch"},) * len(rows)
    try:
        with quiet_torch(), torch.no_grad():
            program = torch.onnx.export(
                module if plain else _Plain(module, names if isinstance(example, Mapping) else ()),
                tuple(rows),
                input_names=names,
                output_names=[OUTPUT],
                dynamic_shapes=free if plain else (free,),
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        raise NotDeployableError(
            f"{type(module).__name__} cannot be written as an ONNX model: {reason_of(error)}"
        ) from error
    proto = program.model_proto  # type: ignore[union-attr]
    _strip(proto)
    model = proto.SerializeToString()
    _check(model, proto, module, example, tolerance)
    return model


class _Plain(nn.Module):
    """A module with its inputs in an order, and one output: the first that it has."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.names = tuple(names)

    def forward(self, *rows: Tensor) -> Tensor:
        inputs: Any = dict(zip(self.names, rows, strict=True)) if self.names else rows
        return first_output(run_module(self.module, inputs))


def _n_rows(example: Any) -> int:
    parts = list(example.values()) if isinstance(example, Mapping) else [example]
    return len(parts[0])


def _rows(example: Any, n_rows: int) -> Any:
    """Give so many rows, those of the example again and again."""
    if isinstance(example, Mapping):
        return {name: _rows(part, n_rows) for name, part in example.items()}
    example = example.detach().cpu()
    return example[torch.arange(n_rows) % len(example)]


def _strip(proto: Any) -> None:
    """Take out where in the user's files each operation came from, and what can be inferred."""
    graph = proto.graph
    del proto.metadata_props[:]
    del graph.metadata_props[:]
    del graph.value_info[:]
    for part in [*graph.node, *graph.initializer, *graph.input, *graph.output, graph]:
        part.ClearField("doc_string")
        del part.metadata_props[:]


def _check(model: bytes, proto: Any, module: nn.Module, example: Any, tolerance: float) -> None:
    from skprune.deployment.runtimes.onnx import session_of

    require("onnx", "onnx", "Checking an ONNX model").checker.check_model(proto, full_check=True)
    session = session_of(model)
    n_rows = _n_rows(example)
    for rows in (1, n_rows, 3 * n_rows + 1):
        inputs = _rows(example, rows)
        with torch.no_grad():
            expected = first_output(run_module(module, inputs)).numpy()
        parts = inputs.items() if isinstance(inputs, Mapping) else [(INPUT, inputs)]
        known = {each.name for each in session.get_inputs()}
        feed = {name: part.numpy() for name, part in parts if name in known}
        found = session.run([OUTPUT], feed)[0]
        difference = disagreement(found, np.asarray(expected))
        if not difference <= tolerance:
            raise NotDeployableError(
                f"ONNX Runtime computes other outputs for {rows} rows than "
                f"{type(module).__name__} does: of shape {found.shape} instead of "
                f"{tuple(expected.shape)}, and different by {difference:.2g} of the largest; at "
                f"most {tolerance:g} is rounding."
            )

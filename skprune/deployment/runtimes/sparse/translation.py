"""Translate a module's graph, as torch.export gives it, into a program of sparse steps."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skprune.deployment.runtimes.sparse.builder import Builder
from skprune.deployment.runtimes.sparse.program import Program
from skprune.deployment.runtimes.sparse.rules import RULES, Batch, Call, Refused
from skprune.deployment.torch_export import exported_program, reason_of
from skprune.exceptions import NotDeployableError

__all__ = ["program_of"]

# Rows of the example in the graph: a number that no other dimension is likely to have.
_N_ROWS = 7


def program_of(module: nn.Module, example: Tensor | Mapping[str, Tensor]) -> Program:
    """Translate a module.

    Parameters
    ----------
    module : Module
        The network; it is left as it is.
    example : Tensor
        A few rows of input.

    Returns
    -------
    program : Program
        What computes its outputs, the first if it has several.

    Raises
    ------
    NotDeployableError
        If the module takes something else than one tensor of real numbers, or does something with
        it that has no rule here.

    Examples
    --------
    >>> import torch
    >>> from skprune.deployment.runtimes.sparse.translation import program_of
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> len(program_of(module, torch.zeros(1, 4)).steps)
    2
    """
    name = type(module).__name__
    if isinstance(example, Mapping):
        raise NotDeployableError(f"runtime='sparse' cannot take the named inputs of {name}.")
    if not example.dtype.is_floating_point:
        raise NotDeployableError(
            f"runtime='sparse' takes real numbers, and {name} is given {example.dtype}."
        )
    rows = example.detach().cpu()[torch.arange(_N_ROWS) % len(example)]
    try:
        program = exported_program(module, rows)
    except Exception as error:
        raise NotDeployableError(
            f"runtime='sparse' cannot follow {name}: {reason_of(error)}"
        ) from error
    dtype = np.float64 if example.dtype == torch.float64 else np.float32
    builder = Builder(tuple(example.shape[1:]), dtype)
    values: dict[Any, Any] = {}
    private: dict[Any, bool] = {}
    for node in program.graph.nodes:
        try:
            if node.op == "placeholder":
                values[node] = _given(program, node, builder)
            elif node.op == "output":
                (outputs, *_), *_ = node.args
                return builder.build(Batch.lines_of(values.get(outputs, outputs)))
            elif node.op == "call_function":
                values[node] = _computed(builder, node, values, private)
                private[node] = _is_private(node, values, private)
            else:
                raise Refused(f"{node.op} has no rule")
        except Refused as refused:
            raise NotDeployableError(
                f"runtime='sparse' cannot compute {_place(node)} of {name}: {refused}. "
                "runtime='onnx' and runtime='torch' may."
            ) from refused
    raise AssertionError("a graph ends in its output")


def _given(program: Any, node: Any, builder: Builder) -> Any:
    """Give what a placeholder stands for: the input, or a tensor of the module's."""
    signature = program.graph_signature
    if node.name in signature.user_inputs:
        return Batch(builder.inputs)
    for names, tensors in (
        (signature.inputs_to_parameters, program.state_dict),
        (signature.inputs_to_buffers, {**program.constants, **program.state_dict}),
        (signature.inputs_to_lifted_tensor_constants, program.constants),
    ):
        if node.name in names:
            return tensors[names[node.name]].detach().cpu().double().numpy()
    return None


def _is_private(node: Any, values: Mapping[Any, Any], private: Mapping[Any, bool]) -> bool:
    """Whether the lines of a value are read by one operation alone, also under other names."""
    if len(node.users) != 1:
        return False
    own = _all_lines(values[node])
    return all(
        private.get(source, False)
        for source in node.all_input_nodes
        if np.isin(own, _all_lines(values[source])).any()
    )


def _all_lines(value: Any) -> np.ndarray:
    values = value if isinstance(value, (list, tuple)) else [value]
    lines = [each.lines.reshape(-1) for each in values if isinstance(each, Batch)]
    return np.concatenate(lines) if lines else np.empty(0)


def _computed(
    builder: Builder, node: Any, values: Mapping[Any, Any], private: Mapping[Any, bool]
) -> Any:
    """Apply the rule of an operation to the values that it is given."""

    def look_up(argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return values[argument]
        if isinstance(argument, (list, tuple)):
            return [look_up(each) for each in argument]
        return argument

    arguments = [look_up(argument) for argument in node.args]
    options = {key: look_up(value) for key, value in node.kwargs.items()}
    name = getattr(node.target, "__name__", "")
    rule: Callable[..., Any] | None = RULES.get(name.partition(".")[0])
    if rule is None:
        raise Refused(f"there is no rule for {name!r}")
    value = node.meta.get("val")
    shape = tuple(value.shape) if isinstance(value, Tensor) else None
    if shape is not None and _has_batch(arguments) and (not shape or shape[0] != _N_ROWS):
        raise Refused("it mixes the rows of a batch")
    alone = all(
        private.get(source, False)
        for source in node.all_input_nodes
        if isinstance(values[source], (Batch, list, tuple))
    )
    result = rule(Call(builder, shape, alone), *arguments, **options)
    if isinstance(result, Batch) and shape is not None and result.lines.shape != shape[1:]:
        raise Refused(f"it gives shape {shape[1:]}, and its rule {result.lines.shape}")
    return result


def _has_batch(arguments: Any) -> bool:
    return any(
        _has_batch(each) if isinstance(each, list) else isinstance(each, Batch)
        for each in arguments
    )


def _place(node: Any) -> str:
    """Say where in a module an operation stands."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return f"{path!r}" if path else "the forward"

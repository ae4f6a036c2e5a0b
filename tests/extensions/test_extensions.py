"""What users add from outside: each is one file and one line, and is held to the laws."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from skprune import PrunedClassifier, Strategy, prune
from skprune.network import Layer, register_layer
from skprune.network.layers import layer_for, registry
from skprune.network.network import Network
from skprune.strategies import IMPORTANCES
from skprune.structures import NM, STRUCTURES, Block
from tests.extensions.importance import RelativeMagnitude
from tests.extensions.layer import Gains
from tests.extensions.structure import Row
from tests.helpers import fit_untrained, forward, make_data, make_net
from tests.networks import NETWORKS, ConvBatchNorm, Example, Gained, OwnLayers, Perceptron

ROOT = Path(__file__).parents[2]


def law_abiding(chosen: str) -> int:
    """Run the laws with the new lines in the tables, in a process of its own; count the tests."""
    command = [sys.executable, "-m", "pytest", "tests/test_laws.py", "-q", "-p", "no:xdist"]
    command += ["-p", "tests.extensions.lines", "-o", "required_plugins=", "-k", chosen]
    # What the outer run of pytest tells its workers is not meant for this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    return int(re.search(r"^(\d+) passed", run.stdout, re.MULTILINE)[1])


@pytest.mark.parametrize(
    ("name", "others", "n_tests"),
    [
        ("own_importance", "feature", 25),
        ("own_structure", "gradual_magnitude or rigl", 80),
        ("own_layer", "gradual_magnitude", 30),
    ],
)
def test_the_laws_hold_for_what_is_new(name: str, others: str, n_tests: int) -> None:
    """With a few of the others that it can be combined with; with all of them below."""
    assert law_abiding(f"{name} and not own_layers and ({others}) and not slow") >= n_tests


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "n_tests"), [("own_importance", 300), ("own_structure", 1000), ("own_layer", 700)]
)
def test_all_of_the_laws_hold_for_what_is_new(name: str, n_tests: int) -> None:
    assert law_abiding(f"{name} and not own_layers") >= n_tests


# An importance.


def fit(**params: Any) -> PrunedClassifier:
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    net = make_net("PrunedClassifier", Perceptron)
    return PrunedClassifier(net, fine_tune_epochs=0, random_state=0, **params).fit(X, y)


def test_an_importance_scores_as_its_definition_says() -> None:
    net = make_net("PrunedClassifier", NETWORKS["mlp"].build(), max_epochs=0)
    X, y = make_data("PrunedClassifier", NETWORKS["mlp"])
    strategy = Strategy(RelativeMagnitude(), "global")
    pruned = PrunedClassifier(net, strategy=strategy, sparsity=0.5, fine_tune_epochs=0).fit(X, y)
    scores = {}
    for name, weight in net.module.named_parameters():
        if weight.dim() == 2:
            squares = weight.detach().numpy().astype(float) ** 2
            scores[name] = squares / squares.mean()
    threshold = np.sort(np.concatenate([s.ravel() for s in scores.values()]))[-(48 + 64 + 24) // 2]
    for name, score in scores.items():
        np.testing.assert_array_equal(pruned.masks_[name], score >= threshold)


def test_an_object_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    by_object = fit(strategy=Strategy(RelativeMagnitude()), structure=Row(), sparsity=0.4)
    monkeypatch.setitem(IMPORTANCES, "own_importance", RelativeMagnitude)
    monkeypatch.setitem(STRUCTURES, "own_structure", Row)
    by_name = fit(strategy=Strategy("own_importance"), structure="own_structure", sparsity=0.4)
    by_set_params = fit()
    by_set_params.set_params(
        strategy__importance="own_importance", structure="own_structure", sparsity=0.4
    )
    by_set_params.fit(*make_data("PrunedClassifier", NETWORKS["mlp"]))
    for other in (by_name, by_set_params):
        for name, mask in by_object.masks_.items():
            np.testing.assert_array_equal(other.masks_[name], mask)


# A structure.


def elements_of(structure: Any, module: nn.Module, example: Example) -> Any:
    return structure.elements(Network(module, torch.from_numpy(example.inputs(4)), forward), ())


def test_the_elements_are_the_rows() -> None:
    module = ConvBatchNorm().eval()
    elements = elements_of(Row(), module, NETWORKS["conv_batch_norm"])
    assert elements.sizes == {"conv1": 4, "conv2": 6, "linear1": 8, "linear2": 3}
    kept = {name: torch.arange(size) % 3 != 1 for name, size in elements.sizes.items()}
    elements.keep(kept)
    for name, rows in kept.items():
        weight = module.get_submodule(name).weight.detach().flatten(1)
        assert torch.equal(weight.ne(0).all(1), rows)
        assert torch.equal(weight.ne(0).any(1), rows)


# A type of layer.


def test_units_of_a_new_type_of_layer_are_removed() -> None:
    X, y = make_data("PrunedClassifier", Example(Gains, (6,)))
    net = make_net("PrunedClassifier", Gains)
    pruned = PrunedClassifier(net, structure="unit", sparsity=0.5, random_state=0).fit(X, y)
    module = pruned.module_
    assert module.enter.weight.shape == (module.enter.n_outputs, 6)
    assert module.enter.gain.shape == (module.enter.n_outputs,)
    assert module.middle.in_features == module.enter.n_outputs
    assert module.again.weight.shape == (module.again.n_outputs, module.middle.out_features)
    widths = (module.enter.n_outputs, module.middle.out_features, module.again.n_outputs)
    assert sum(widths) == 10  # of 8 + 5 + 7
    units = pruned.report_.to_frame()["units_after"]
    assert units["again"] == module.again.n_outputs


def test_patterns_lie_along_the_inputs_whatever_way_round_a_weight_is() -> None:
    """``Gained`` has a table of inputs and outputs: the other way round than torch's layers."""
    module, example = OwnLayers().eval(), NETWORKS["own_layers"]
    table = module.enter.table.detach().abs()  # 6 x 8
    required = elements_of(NM(1, 3), module, example).must_keep({"enter.table": table.flatten()})
    kept = required["enter.table"].view(6, 8)
    for output in range(8):
        for first in (0, 3):
            group = table[first : first + 3, output]
            expected = [i == int(group.argmax()) for i in range(3)]
            assert kept[first : first + 3, output].tolist() == expected
    elements = elements_of(Block((4, 3)), module, example)  # 4 outputs by 3 inputs
    assert elements.sizes["enter.table"] == 2 * 2
    blocks = elements.expand_to_weights({"enter.table": torch.arange(4)})["enter.table"]
    assert blocks.tolist() == [[0] * 4 + [2] * 4] * 3 + [[1] * 4 + [3] * 4] * 3


@pytest.mark.parametrize("flag", ["has_input_rows", "multiplies_rows"])
def test_rows_of_inputs_need_rows_of_outputs(flag: str) -> None:
    axes = {"out_axes": {"table": 1}, "in_axes": {"table": 0}, "has_weights": True, flag: True}
    with pytest.raises(TypeError, match=r"'table'; out_axes says 1"):
        register_layer(Gained)(type("Wrong", (Layer,), axes))
    assert type(layer_for(Gained(2, 3))).__name__ == "GainedLayer"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"out_axes": {"tabel": 1, "gain": 0}}, "has no 'tabel'. Let out_axes and in_axes name"),
        ({"in_axes": {"weight": 0}}, "has no 'weight'. Let out_axes and in_axes name"),
        ({"out_widths": ("width",)}, "has no 'width'. Let out_widths and in_widths name"),
    ],
)
@pytest.mark.parametrize("structure", ["unit", "weight"])
def test_a_class_that_names_what_is_not_there_is_refused(
    wrong: dict[str, Any], message: str, structure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = type(layer_for(Gained(2, 3)))
    monkeypatch.setitem(registry._REGISTERED, Gained, type("Wrong", (described,), wrong))
    with pytest.raises(TypeError, match=f"Wrong is registered for Gained, which {message}"):
        prune(OwnLayers(), torch.zeros(2, 6), structure=structure)


def test_what_makes_no_layers_is_not_registered() -> None:
    with pytest.raises(TypeError, match="register_layer decorates a subclass of Layer"):
        register_layer(Gained)({"out_axes": {"table": 1}})
    assert type(layer_for(Gained(2, 3))).__name__ == "GainedLayer"


class Named(nn.Module):
    """A linear layer whose weight has another name."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs = n_inputs, n_outputs
        self.matrix = nn.Parameter(torch.randn(n_outputs, n_inputs))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(input, self.matrix)


@register_layer(Named)
class NamedLayer(Layer):
    out_axes, out_widths = {"matrix": 0}, ("n_outputs",)
    in_axes, in_widths = {"matrix": 1}, ("n_inputs",)
    has_weights = has_input_rows = multiplies_rows = True
    channels_last = True

    def input_rows(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.reshape(1, -1, inputs.shape[-1])


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("importance", ["wanda", "apoz", "layer_obs", "fisher", "obd", "obs"])
def test_scores_do_not_depend_on_the_name_of_a_weight(importance: str, structure: str) -> None:
    torch.manual_seed(0)
    named = nn.Sequential(Named(6, 8), nn.ReLU(), Named(8, 7), nn.ReLU(), nn.Linear(7, 3))
    linear = nn.Sequential(*(nn.Linear(6, 8, bias=False), nn.ReLU()), *named[2:])
    linear[0].weight = nn.Parameter(named[0].matrix.detach().clone())
    example = Example(nn.Sequential, (6,))
    one, other = (
        fit_untrained(
            "PrunedClassifier",
            module,
            example,
            strategy=Strategy(importance),
            structure=structure,
            sparsity=0.5,
        )
        for module in (named, linear)
    )
    np.testing.assert_array_equal(one.masks_["0.matrix"], other.masks_["0.weight"])
    for name in ("2.matrix", "4.weight"):
        np.testing.assert_array_equal(one.masks_[name], other.masks_[name])

"""Which layers a user protects: by name, by pattern, by type."""

import re
from typing import Any

import pytest
from sklearn.base import clone
from torch import nn

from skprune import PrunedClassifier
from skprune.network.protection import protected_modules
from tests.helpers import fit_untrained
from tests.networks import NETWORKS, Perceptron


def block() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4))


def network() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.ModuleList([block(), block()]), "head": nn.Linear(4, 3)})


def modules(protect: list[Any]) -> set[str]:
    """The protected modules that are layers."""
    known = dict(network().named_modules())
    return {name for name in protected_modules(network(), protect) if name in known}


@pytest.mark.parametrize(
    ("protect", "expected"),
    [
        (["head"], {"head"}),
        (["encoder.1"], {"encoder.1", "encoder.1.0", "encoder.1.1", "encoder.1.2"}),
        (["encoder.*.0"], {"encoder.0.0", "encoder.1.0"}),
        (["encoder.?.[02]"], {"encoder.0.0", "encoder.0.2", "encoder.1.0", "encoder.1.2"}),
        (["h*"], {"head"}),
        ([nn.LayerNorm], {"encoder.0.2", "encoder.1.2"}),
        ([nn.Linear, "encoder.0.2"], {"encoder.0.0", "encoder.1.0", "head", "encoder.0.2"}),
        ([nn.Sequential], {f"encoder.{i}{j}" for i in (0, 1) for j in ("", ".0", ".1", ".2")}),
        # What is inside has weights, be it that some of it has none.
        (["encoder.0.*"], {"encoder.0.0", "encoder.0.1", "encoder.0.2"}),
    ],
)
def test_layers_are_protected_with_all_that_is_inside(
    protect: list[Any], expected: set[str]
) -> None:
    assert modules(protect) == expected


def test_a_parameter_is_protected_by_its_name_or_a_pattern() -> None:
    assert protected_modules(network(), ["head.weight"]) == ("head.weight",)
    assert protected_modules(network(), ["*.0.weight"]) == (
        "encoder.0.0.weight",
        "encoder.1.0.weight",
    )


def test_nothing_stands_twice() -> None:
    names = protected_modules(network(), ["head", "he*", nn.Linear])
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("protect", "message"),
    [
        ("haed", "unknown layer 'haed'. Did you mean 'head'? Layers: 'encoder'"),
        (
            "encoder.*.nrom",
            "pattern 'encoder.*.nrom', which matches nothing. Did you mean 'encoder.1",
        ),
        (nn.Conv2d, "type Conv2d, of which the network has no layer. Types of its layers: Layer"),
        (nn.ReLU, "names <class 'torch.nn.modules.activation.ReLU'>, a ReLU, which has no weights"),
        ("encoder.*.1", "names 'encoder.*.1', a ReLU, which has no weights and no units"),
        (3, "protect takes names of layers, patterns of names, and types of layers; got 3"),
        (nn.Linear(2, 2), "types of layers; got Linear(in_features=2"),
    ],
    ids=str,
)
def test_what_protects_nothing_is_told(protect: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        protected_modules(network(), [protect])


@pytest.mark.parametrize("protect", [["hidden?"], [nn.Linear], ["hidden0", "*1"]], ids=str)
@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_an_estimator_protects_what_it_is_told(protect: list[Any], structure: str) -> None:
    example = NETWORKS["mlp"]
    if protect == [nn.Linear] or structure == "unit":
        with pytest.raises(ValueError, match=r"nothing to prune|no units that can be removed"):
            fit_untrained(
                "PrunedClassifier", example.build(), example, structure=structure, protect=protect
            )
        return
    estimator = fit_untrained(
        "PrunedClassifier", example.build(), example, sparsity=0.5, protect=protect
    )
    assert estimator.masks_["hidden0.weight"].all()
    assert estimator.masks_["hidden1.weight"].all()
    assert int(estimator.masks_["output.weight"].sum()) == 12


def test_types_survive_a_clone() -> None:
    estimator = clone(PrunedClassifier(protect=[nn.LayerNorm, "head"]))
    assert estimator.protect == [nn.LayerNorm, "head"]
    assert Perceptron in clone(PrunedClassifier(protect=[Perceptron])).protect

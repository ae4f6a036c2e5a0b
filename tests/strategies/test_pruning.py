"""The pruning loop."""

import pytest
import torch

from skprune import Strategy, UnreachableSparsityError
from skprune.network.network import Network
from skprune.strategies import Cubic, FineTune, Importance
from skprune.strategies.importance import Scoring
from skprune.strategies.pruning import target_sparsity
from skprune.structures import STRUCTURES, Weight
from tests.helpers import Disturb, forward, run_loop
from tests.networks import NETWORKS


class Constant(Importance):
    """Scores every element the same."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def scores(self, scoring: Scoring) -> dict[str, torch.Tensor]:
        return {
            name: torch.full((size,), self.value) for name, size in scoring.elements.sizes.items()
        }


class Recorder(Importance):
    """Notes what it is given."""

    def __init__(self, seen: list | None = None) -> None:
        self.seen = seen

    def scores(self, scoring: Scoring) -> dict[str, torch.Tensor]:
        self.seen.append({name: weight.clone() for name, weight in scoring.weights.items()})
        return Constant().scores(scoring)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_scores_have_to_be_finite(value: float, structure: str) -> None:
    example = NETWORKS["mlp"]
    sparsity = None if structure == "2:4" else 0.5
    with pytest.raises(ValueError, match=r"Constant\(.*\) gave scores that are not finite in"):
        run_loop(example.build(), example, Strategy(Constant(value)), structure, sparsity)


def test_weights_that_overflow_when_squared_are_noticed() -> None:
    module = NETWORKS["mlp"].build()
    with torch.no_grad():
        module.hidden1.weight[0, 0] = 1e25
    with pytest.raises(ValueError, match=r"not finite in layer 'hidden1'.*too large to be squared"):
        run_loop(module, NETWORKS["mlp"], "magnitude", "weight", 0.5)


def test_an_importance_sees_the_weights_as_they_are_at_each_step() -> None:
    example, seen = NETWORKS["mlp"], []
    strategy = Strategy(Recorder(seen), schedule=Cubic(n_steps=4))
    run = run_loop(example.build(), example, strategy, "weight", 0.5)
    assert len(seen) == 4
    for given, weights in zip(seen, run.weights_seen, strict=True):
        assert given.keys() == weights.keys()
        assert all(torch.equal(given[name], weights[name]) for name in given)
    assert not torch.equal(seen[0]["hidden0.weight"], seen[1]["hidden0.weight"])


def test_removed_weights_are_zero_when_the_next_step_looks() -> None:
    example = NETWORKS["mlp"]
    run = run_loop(example.build(), example, "gradual_magnitude", "weight", 0.5)
    for kept, weights in zip(run.kept, run.weights_seen[1:], strict=False):
        for name, mask in kept.items():
            assert not weights[f"{name}.weight"].flatten()[~mask].any()


def test_training_follows_each_step_that_has_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[tuple[int, float | None]] = []
    monkeypatch.setattr(
        Disturb, "train", lambda self, epochs, *, lr=None, hooks=(): stages.append((epochs, lr))
    )
    example = NETWORKS["mlp"]
    strategy = Strategy(schedule=Cubic(n_steps=4, end=0.5), recovery=FineTune(lr=0.01))
    run_loop(example.build(), example, strategy, "weight", 0.5, epochs=4)
    assert stages == [(1, 0.01), (1, 0.01), (2, 0.01)]  # the first of four steps has none


@pytest.mark.parametrize("structure", [name for name in STRUCTURES if name != "2:4"])
def test_nothing_is_removed_at_sparsity_zero(structure: str) -> None:
    example = NETWORKS["residual"]
    module = example.build()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    run_loop(module, example, "gradual_magnitude", structure, 0.0, epochs=0)
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_equal_scores_keep_the_first() -> None:
    example = NETWORKS["mlp"]
    run = run_loop(example.build(), example, Strategy(Constant(), "uniform"), "weight", 0.5)
    for kept in run.kept[-1].values():
        assert kept.sum() * 2 == len(kept)
        assert kept[: len(kept) // 2].all()


def test_fine_tuning_checks_its_rate() -> None:
    with pytest.raises(ValueError, match="The 'lr' parameter of FineTune must be"):
        Strategy(recovery=FineTune(lr=0.0)).resolved()


def test_the_largest_sparsity_that_an_error_names_can_be_reached() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(64, 2000), torch.nn.Linear(2000, 1250))
    network = Network(module, torch.zeros(2, 64), forward)
    elements, uniform = Weight().elements(network, ()), Strategy(allocation="uniform").resolved()
    with pytest.raises(UnreachableSparsityError) as error:
        target_sparsity(elements, uniform, 0.99999999)
    largest = float(str(error.value).split()[-1].rstrip("."))
    assert target_sparsity(elements, uniform, largest) == largest

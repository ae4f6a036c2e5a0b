"""The loss of distillation against loops over rows and outputs, and its gradient against
differences of that.

Each network is one layer, trained for one step on all rows at once, so that what the step did to
its weights is the gradient.
"""

from collections.abc import Callable
from math import exp, log
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor, Strategy
from skprune.strategies import Distill
from skprune.strategies.recovery.distillation_loss import divergence, soften
from tests.helpers import snapshot

N_ROWS, N_FEATURES, N_OUTPUTS = 12, 4, 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N_ROWS, N_FEATURES))
CODES = np.arange(N_ROWS) % N_OUTPUTS
LABELS = (RNG.random((N_ROWS, N_OUTPUTS)) < 0.5).astype(int)
VALUES = RNG.standard_normal((N_ROWS, N_OUTPUTS))
WEIGHTS = RNG.integers(0, 4, N_ROWS).astype(float)
LR = 0.01


class Layer(nn.Module):
    """One layer, and what may come after it."""

    def __init__(self, n_outputs: int = N_OUTPUTS, last: Any = None) -> None:
        super().__init__()
        self.layer = nn.Linear(N_FEATURES, n_outputs, dtype=torch.float64)
        self.last = last

    def forward(self, X: Tensor) -> Tensor:
        outputs = self.layer(X)
        return outputs if self.last is None else self.last(outputs)


def make(cls: type[NeuralNet], n_outputs: int = N_OUTPUTS, last: Any = None, **options: Any) -> Any:
    """A net with weights of its own, which is pruned without being trained before."""
    torch.manual_seed(1)
    return cls(
        Layer,
        module__n_outputs=n_outputs,
        module__last=last,
        optimizer=torch.optim.SGD,
        lr=LR,
        batch_size=-1,
        train_split=None,
        verbose=0,
        **options,
    ).initialize()


# The loss by hand: of a row, given the outputs of the layer. `z` are those of the network, `d`
# those of the dense one or the logits of another teacher, `y` is the row of the target.


def softmax(z: np.ndarray, temperature: float) -> list[float]:
    powers = [exp((value - max(z)) / temperature) for value in z]
    return [power / sum(powers) for power in powers]


def sigmoid(z: float) -> float:
    return 1 / (1 + exp(-z))


def entropy_of_two(p: float, q: float) -> float:
    return sum(a * log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def hard_classes(z: np.ndarray, y: Any) -> float:
    return -log(softmax(z, 1.0)[int(y)])


def soft_classes(z: np.ndarray, d: np.ndarray, temperature: float) -> float:
    pairs = zip(softmax(d, temperature), softmax(z, temperature), strict=True)
    return sum(p * log(p / q) for p, q in pairs if p > 0)


def hard_labels(z: np.ndarray, y: Any) -> float:
    pairs = list(zip(z, np.ravel(y), strict=True))
    return sum(-log(sigmoid(a) if b else 1 - sigmoid(a)) for a, b in pairs) / len(pairs)


def soft_labels(z: np.ndarray, d: np.ndarray, temperature: float) -> float:
    pairs = [
        (sigmoid(a / temperature), sigmoid(b / temperature)) for a, b in zip(d, z, strict=True)
    ]
    return sum(entropy_of_two(p, q) for p, q in pairs) / len(pairs)


def hard_values(z: np.ndarray, y: np.ndarray) -> float:
    return sum((a - b) ** 2 for a, b in zip(z, y, strict=True)) / len(z)


def soft_values(z: np.ndarray, d: np.ndarray, temperature: float) -> float:
    return hard_values(z, d) / temperature**2  # the temperature does nothing


class Case:
    def __init__(
        self, net: Callable[[], NeuralNet], y: np.ndarray, hard: Any, soft: Any, rtol: float = 1e-6
    ) -> None:
        self.net, self.y, self.hard, self.soft, self.rtol = net, y, hard, soft, rtol


CASES = {
    "logits": Case(
        lambda: make(NeuralNetClassifier, criterion=nn.CrossEntropyLoss),
        CODES,
        hard_classes,
        soft_classes,
    ),
    "probabilities": Case(
        lambda: make(NeuralNetClassifier, last=nn.Softmax(-1)), CODES, hard_classes, soft_classes
    ),
    "logits summed": Case(
        lambda: make(
            NeuralNetClassifier, criterion=nn.CrossEntropyLoss, criterion__reduction="sum"
        ),
        CODES,
        hard_classes,
        soft_classes,
    ),
    "one logit": Case(
        lambda: make(NeuralNetBinaryClassifier, 1), CODES > 0, hard_labels, soft_labels
    ),
    "one probability": Case(
        lambda: make(NeuralNetBinaryClassifier, 1, nn.Sigmoid(), criterion=nn.BCELoss),
        CODES > 0,
        hard_labels,
        soft_labels,
    ),
    "labels": Case(
        lambda: make(NeuralNetClassifier, criterion=nn.BCEWithLogitsLoss),
        LABELS,
        hard_labels,
        soft_labels,
    ),
    "probabilities of labels": Case(
        lambda: make(NeuralNetClassifier, last=nn.Sigmoid(), criterion=nn.BCELoss),
        LABELS,
        hard_labels,
        soft_labels,
    ),
    "values": Case(lambda: make(NeuralNetRegressor), VALUES, hard_values, soft_values),
}


def by_hand(
    case: Case,
    theta: np.ndarray,
    teacher: np.ndarray,
    weights: np.ndarray,
    alpha: float,
    temperature: float,
    summed: bool,
) -> float:
    """The loss of all rows; `theta` has the layer's weights and then its biases."""
    n_outputs = teacher.shape[1]
    W, b = theta[: n_outputs * N_FEATURES].reshape(n_outputs, -1), theta[n_outputs * N_FEATURES :]
    total = 0.0
    for x, y, d, weight in zip(X, case.y, teacher, weights, strict=True):
        z = W @ x + b
        hard, soft = case.hard(z, y), case.soft(z, d, temperature)
        total += weight * ((1 - alpha) * hard + alpha * temperature**2 * soft)
    return total if summed else total / weights.sum()


def slope(function: Callable[[np.ndarray], float], theta: np.ndarray) -> np.ndarray:
    result = np.empty_like(theta)
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        result[i] = (function(theta + step) - function(theta - step)) / 2e-5
    return result


def flat(state: dict[str, Tensor]) -> np.ndarray:
    return np.concatenate([state["layer.weight"].flatten(), state["layer.bias"]])


def one_step(net: NeuralNet, y: np.ndarray, weights: Any, recovery: Distill) -> Any:
    cls = PrunedRegressor if isinstance(net, NeuralNetRegressor) else PrunedClassifier
    return cls(
        net,
        strategy=Strategy(recovery=recovery),
        sparsity=0.3,
        fine_tune_epochs=1,
        random_state=0,
    ).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("alpha", "temperature"), [(0.3, 3.0), (1.0, 0.5)])
def test_the_loss_and_its_gradient_are_those_of_the_paper(
    case: str, weighted: bool, alpha: float, temperature: float
) -> None:
    chosen = CASES[case]
    net = chosen.net()
    before = flat(snapshot(net.module_))
    weights = WEIGHTS if weighted else np.ones(N_ROWS)
    estimator = one_step(
        net,
        chosen.y,
        weights if weighted else None,
        Distill(alpha=alpha, temperature=temperature),
    )
    n_outputs = net.module_.layer.out_features
    dense = X @ before[: n_outputs * N_FEATURES].reshape(n_outputs, -1).T
    dense += before[n_outputs * N_FEATURES :]
    mask = np.concatenate([estimator.masks_["layer.weight"].ravel(), np.ones(n_outputs, bool)])
    start = before * mask

    def loss(theta: np.ndarray) -> float:
        summed = "summed" in case
        return by_hand(chosen, theta, dense, weights, alpha, temperature, summed)

    expected = start - LR * slope(loss, start) * mask
    np.testing.assert_allclose(flat(snapshot(estimator.module_)), expected, rtol=1e-7, atol=1e-9)
    assert estimator.history_[-1, "train_loss"] == pytest.approx(loss(start), rel=1e-7)


FORESTS = {
    "logits": RandomForestClassifier(5, max_depth=2, random_state=0).fit(X, CODES),
    "one logit": RandomForestClassifier(5, max_depth=2, random_state=0).fit(X, CODES > 0),
    "labels": RandomForestClassifier(5, max_depth=2, random_state=0).fit(X, LABELS),
    "values": RandomForestRegressor(5, max_depth=2, random_state=0).fit(X, VALUES),
}


def logits_by_hand(case: str) -> np.ndarray:
    """What a layer would put out that has the probabilities of the forest."""
    forest = FORESTS[case]
    if case == "values":
        return forest.predict(X)
    probabilities = forest.predict_proba(X)
    if case == "logits":
        odds = probabilities
    else:
        ones = [p[:, 1] for p in probabilities] if case == "labels" else [probabilities[:, 1]]
        p = np.stack(ones, axis=1)
        odds = p / np.maximum(1 - p, 1e-300)
    return np.log(np.maximum(odds, 1e-300))


@pytest.mark.parametrize("case", FORESTS)
def test_another_teacher_gives_its_own_probabilities(case: str) -> None:
    chosen = CASES[case]
    net = chosen.net()
    before = flat(snapshot(net.module_))
    estimator = one_step(
        net, chosen.y, WEIGHTS, Distill(FORESTS[case], alpha=0.75, temperature=2.0)
    )
    n_outputs = net.module_.layer.out_features
    mask = np.concatenate([estimator.masks_["layer.weight"].ravel(), np.ones(n_outputs, bool)])
    start = before * mask

    def loss(theta: np.ndarray) -> float:
        return by_hand(chosen, theta, logits_by_hand(case), WEIGHTS, 0.75, 2.0, False)

    expected = start - LR * slope(loss, start) * mask
    np.testing.assert_allclose(flat(snapshot(estimator.module_)), expected, rtol=1e-7, atol=1e-9)
    assert estimator.history_[-1, "train_loss"] == pytest.approx(loss(start), rel=1e-7)


def test_hot_soft_targets_are_those_of_hinton() -> None:
    """At a high temperature the gradient is the difference of the centred logits over the number
    of classes, when it is multiplied by the square of the temperature (section 2.1)."""
    z = torch.tensor([[1.0, -2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[-3.0, 1.0, 2.0]], dtype=torch.float64)
    T = 1e4
    divergence(soften(v, T, "classes"), z, T, "classes").sum().backward()
    np.testing.assert_allclose(T**2 * z.grad, (z.detach() - v) / 3, rtol=1e-3)


def test_class_weights_count_for_the_teacher_too() -> None:
    def fitted(class_weight: Any, weights: Any) -> dict[str, Tensor]:
        net = make(NeuralNetClassifier, criterion=nn.CrossEntropyLoss)
        strategy = Strategy(recovery=Distill(alpha=0.5))
        estimator = PrunedClassifier(
            net, strategy=strategy, sparsity=0.3, class_weight=class_weight, random_state=0
        )
        return snapshot(estimator.fit(X, CODES, sample_weight=weights).module_)

    by_class = fitted({0: 1.0, 1: 5.0, 2: 0.0}, None)
    by_row = fitted(None, np.array([1.0, 5.0, 0.0])[CODES])
    assert all(torch.equal(by_class[name], by_row[name]) for name in by_class)
    assert not torch.equal(by_class["layer.weight"], fitted(None, None)["layer.weight"])


class Focal(nn.Module):
    """A criterion that is given logits, and does not say so by its class."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.dim() == 1:
            losses = nn.functional.binary_cross_entropy_with_logits(
                outputs, targets.to(outputs.dtype), reduction="none"
            )
        else:
            losses = nn.functional.cross_entropy(outputs, targets, reduction="none")
        losses = (1 - torch.exp(-losses)) ** 2 * losses
        return losses if self.reduction == "none" else losses.mean()


@pytest.mark.parametrize("teacher", [None, RandomForestClassifier(random_state=0).fit(X, CODES)])
@pytest.mark.parametrize(
    ("last", "message"),
    [
        (None, r"outputs of NeuralNetClassifier lie between -.*Set that to what makes prob"),
        (lambda z: z + 50, r"lie between 4.* and 5.*the criterion Focal and predict_nonl"),
        (torch.sigmoid, "do not sum to one in each row"),
    ],
)
def test_outputs_that_are_no_probabilities_are_told(teacher: Any, last: Any, message: str) -> None:
    net = make(NeuralNetClassifier, criterion=Focal, last=last)
    with pytest.raises(ValueError, match=message):
        one_step(net, CODES, None, Distill(teacher))


def test_an_output_for_two_classes_that_is_no_probability_is_told() -> None:
    net = make(NeuralNetBinaryClassifier, n_outputs=1, criterion=Focal)
    with pytest.raises(ValueError, match="outputs of NeuralNetBinaryClassifier lie between -"):
        one_step(net, CODES % 2, None, Distill())


def test_a_nonlinearity_makes_probabilities_of_any_outputs() -> None:
    own = make(NeuralNetClassifier, criterion=nn.CrossEntropyLoss)
    net = make(NeuralNetClassifier, criterion=Focal, predict_nonlinearity=lambda z: z.softmax(-1))
    one, other = (
        flat(snapshot(one_step(each, CODES, None, Distill(FORESTS["logits"], alpha=1.0)).module_))
        for each in (own, net)
    )
    np.testing.assert_allclose(one, other, rtol=1e-10)


class Penalized(NeuralNetClassifier):
    """Adds to the loss, as users do."""

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        assert X.shape[1:] == (N_FEATURES,)
        return super().get_loss(y_pred, y_true, X=X, training=training) + 10.0


def test_a_get_loss_of_the_nets_own_still_counts() -> None:
    losses = [
        one_step(
            make(cls, criterion=nn.CrossEntropyLoss), CODES, None, Distill(alpha=0.25)
        ).history_[-1, "train_loss"]
        for cls in (NeuralNetClassifier, Penalized)
    ]
    assert losses[1] == pytest.approx(losses[0] + 0.75 * 10.0)


def test_the_loss_of_rows_held_out_is_the_nets_own() -> None:
    def fitted(recovery: Any) -> Any:
        from skorch.dataset import ValidSplit

        net = make(NeuralNetClassifier, criterion=nn.CrossEntropyLoss)
        net.set_params(train_split=ValidSplit(3), lr=1e-30)
        return one_step(net, CODES, WEIGHTS + 1, recovery).history_[-1]

    plain, taught = fitted("fine_tune"), fitted(Distill(alpha=0.5))
    assert plain["valid_loss"] == taught["valid_loss"]
    assert plain["train_loss"] != taught["train_loss"]


def test_nothing_stays_on_the_net() -> None:
    estimator = one_step(
        make(NeuralNetClassifier, criterion=nn.CrossEntropyLoss),
        CODES,
        None,
        Distill(hints=["layer"]),
    )
    assert not {"loss_term_", "hooks_"} & vars(estimator.net_).keys()
    assert not any(part._forward_hooks for part in estimator.module_.modules())


# Hints.


class Hidden(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(N_FEATURES, 6, dtype=torch.float64)
        self.layer = nn.Linear(6, N_OUTPUTS, dtype=torch.float64)

    def forward(self, X: Tensor) -> Tensor:
        return self.layer(self.hidden(X).tanh())


def hidden_net(**options: Any) -> NeuralNetRegressor:
    torch.manual_seed(2)
    options = {"lr": LR, "batch_size": -1, "train_split": None, "verbose": 0, **options}
    return NeuralNetRegressor(Hidden, optimizer=torch.optim.SGD, **options).initialize()


def test_the_loss_of_hints_is_the_relative_difference_of_activations() -> None:
    net = hidden_net()
    before = snapshot(net.module_)
    estimator = one_step(
        net, VALUES, WEIGHTS, Distill(alpha=0.0, hints=["hidden"], hint_weight=0.7)
    )
    masks = estimator.masks_
    W, b, V, c = (
        before[name].numpy() * masks.get(name, 1)
        for name in ("hidden.weight", "hidden.bias", "layer.weight", "layer.bias")
    )
    wanted = X @ before["hidden.weight"].numpy().T + before["hidden.bias"].numpy()
    scale = (wanted**2).mean()

    def loss(theta: np.ndarray) -> float:
        total = 0.0
        for x, y, h, weight in zip(X, VALUES, wanted, WEIGHTS, strict=True):
            seen = theta.reshape(W.shape) @ x + b
            hint = sum((s - t) ** 2 for s, t in zip(seen, h, strict=True)) / len(h) / scale
            total += weight * (hard_values(V @ np.tanh(seen) + c, y) + 0.7 * hint)
        return total / WEIGHTS.sum()

    start = W.ravel()
    expected = start - LR * slope(loss, start) * masks["hidden.weight"].ravel()
    np.testing.assert_allclose(
        estimator.module_.hidden.weight.detach().numpy().ravel(), expected, rtol=1e-7, atol=1e-9
    )
    assert estimator.history_[-1, "train_loss"] == pytest.approx(loss(start), rel=1e-7)


def test_hints_reach_a_layer_that_has_lost_units_through_a_linear_map() -> None:
    """With the best map, the loss of the first batch is that of a least-squares fit."""
    net = hidden_net()
    before = snapshot(net.module_)
    strategy = Strategy(recovery=Distill(alpha=0.0, hints=["hidden"], lr=1e-30))
    estimator = PrunedRegressor(
        net, strategy=strategy, structure="unit", sparsity=0.5, fine_tune_epochs=1, random_state=0
    ).fit(X, VALUES)
    left = estimator.masks_["hidden.weight"].any(1)
    assert left.sum() == 3
    wanted = X @ before["hidden.weight"].numpy().T + before["hidden.bias"].numpy()
    best, *_ = np.linalg.lstsq(wanted[:, left], wanted, rcond=None)
    residual = ((wanted[:, left] @ best - wanted) ** 2).mean() / (wanted**2).mean()
    outputs = estimator.predict(X)
    own = ((outputs - VALUES) ** 2).mean()
    assert residual > 0.01
    assert estimator.history_[-1, "train_loss"] == pytest.approx(own + residual, rel=1e-3)


def test_the_map_is_learned_beside_the_network() -> None:
    """The network stands still, so that only a better map can make the loss smaller."""
    net = hidden_net(lr=1e-30)
    strategy = Strategy(recovery=Distill(alpha=0.0, hints=["hidden"]))
    estimator = PrunedRegressor(
        net, strategy=strategy, structure="unit", sparsity=0.5, fine_tune_epochs=50, random_state=0
    ).fit(X, VALUES)
    losses = estimator.history_[:, "train_loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_hints_bring_the_activations_nearer() -> None:
    def distance(hint_weight: float) -> float:
        net = hidden_net(lr=0.02)
        rows = torch.from_numpy(X)
        wanted = net.module_.hidden(rows).detach()
        strategy = Strategy(recovery=Distill(alpha=0.0, hints=["hidden"], hint_weight=hint_weight))
        estimator = PrunedRegressor(
            net, strategy=strategy, sparsity=0.3, fine_tune_epochs=100, random_state=0
        ).fit(X, VALUES)
        return float((estimator.module_.hidden(rows).detach() - wanted).norm())

    assert distance(3.0) < 0.9 * distance(0.0)


def test_hints_of_convolutions_are_mapped_along_the_channels() -> None:
    """One map for all places: the loss of the first batch is that of a fit to all of them."""

    class Convolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, dtype=torch.float64)
            self.head = nn.Linear(4, N_OUTPUTS, dtype=torch.float64)

        def forward(self, X: Tensor) -> Tensor:
            return self.head(self.conv(X).relu().mean((2, 3)))

    rows = np.random.default_rng(1).standard_normal((N_ROWS, 1, 6, 6))
    net = NeuralNetRegressor(Convolution, batch_size=-1, train_split=None, verbose=0).initialize()
    before = snapshot(net.module_)
    strategy = Strategy(recovery=Distill(alpha=0.0, hints=["conv"], lr=1e-30))
    estimator = PrunedRegressor(
        net, strategy=strategy, structure="unit", sparsity=0.5, fine_tune_epochs=1, random_state=0
    ).fit(rows, VALUES)
    left = estimator.masks_["conv.weight"].reshape(4, -1).any(1)
    assert left.sum() == estimator.module_.conv.out_channels == 2
    kernels, shifts = before["conv.weight"].numpy()[:, 0], before["conv.bias"].numpy()
    wanted = np.array(
        [
            [
                (row[0, i : i + 3, j : j + 3] * kernel).sum() + b
                for kernel, b in zip(kernels, shifts, strict=True)
            ]
            for row in rows
            for i in range(4)
            for j in range(4)
        ]
    )
    best, *_ = np.linalg.lstsq(wanted[:, left], wanted, rcond=None)
    residual = ((wanted[:, left] @ best - wanted) ** 2).mean() / (wanted**2).mean()
    own = ((estimator.predict(rows) - VALUES) ** 2).mean()
    assert residual > 0.01
    assert estimator.history_[-1, "train_loss"] == pytest.approx(own + residual, rel=1e-3)


def test_a_layer_that_is_not_run_gives_no_hints() -> None:
    class Spare(Hidden):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Linear(2, 2, dtype=torch.float64)

    net = hidden_net()
    net.set_params(module=Spare)
    net.initialize()
    with pytest.raises(ValueError, match="names layer 'spare', which the network does not run"):
        one_step(net, VALUES, None, Distill(hints=["spare"]))

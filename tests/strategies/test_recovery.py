"""What training goes back to, and what it learns from."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback
from torch import Tensor, nn

from skprune import PrunedClassifier, PrunedRegressor, Strategy
from skprune.components import resolve
from skprune.estimators.path import pruning_path
from skprune.network.network import Network, all_tensors
from skprune.strategies import Distill, FineTune, Iterative, Recovery, Rewind
from skprune.structures import STRUCTURES
from tests.helpers import forward, same_state, snapshot
from tests.networks import NETWORKS, Perceptron
from tests.training.common import make_data, make_net

X, y = make_data()


class Noisy(nn.Module):
    """Draws from the generator and keeps running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden0 = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.hidden1 = nn.Linear(8, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, X: Tensor) -> Tensor:
        X = nn.functional.dropout(self.norm(self.hidden0(X)).relu(), 0.2, self.training)
        return self.output(self.hidden1(X).relu())


def fit(recovery: Any = "fine_tune", net: Any = None, **params: Any) -> PrunedClassifier:
    schedule = params.pop("schedule", "one_shot")
    return PrunedClassifier(
        make_net() if net is None else net,
        strategy=Strategy(schedule=schedule, recovery=recovery),
        **{"sparsity": 0.5, "fine_tune_epochs": 2, "random_state": 0, **params},
    ).fit(X, y)


def untrained(net: Any, epochs: int = 0) -> dict[str, Tensor]:
    """The network after some epochs of dense training, which a pruned one has begun with."""
    net = clone(net).set_params(max_epochs=epochs)
    return snapshot(fit(net=net, sparsity=0.0, fine_tune_epochs=0).module_)


# Rewinding.


def assert_what_is_left_is_as_in(estimator: PrunedClassifier, state: dict[str, Tensor]) -> None:
    """Compare parameters bit for bit, where only weights are masked."""
    for name, parameter in estimator.module_.named_parameters():
        mask = torch.from_numpy(estimator.masks_.get(name, np.array(True)))
        assert parameter.shape == state[name].shape
        assert torch.equal(
            parameter[mask.expand_as(parameter)], state[name][mask.expand_as(state[name])]
        )
        assert not parameter[~mask.expand_as(parameter)].any()


@pytest.mark.parametrize("network", ["conv_batch_norm", "residual", "concatenation", "depthwise"])
def test_units_that_are_left_go_back_to_what_they_were(network: str) -> None:
    """Removing units and going back commute."""
    example = NETWORKS[network]
    inputs = torch.from_numpy(example.inputs(8))
    torch.manual_seed(0)
    now, then = (example.build().train() for _ in range(2))
    with torch.no_grad():
        for tensor in [*all_tensors(now).values(), *all_tensors(then).values()]:
            tensor.copy_(torch.rand(tensor.shape) * 100)
    early = {name: tensor.clone() for name, tensor in all_tensors(then).items()}
    networks = [Network(module, inputs, forward) for module in (now, then)]
    both = [resolve("unit", STRUCTURES, "structure").elements(each, ()) for each in networks]
    for part in (0.7, 0.4):  # twice, since places shift
        kept = {
            name: torch.rand(len(k)).argsort() < part * len(k) for name, k in both[0].kept.items()
        }
        kept = {name: mask & both[0].kept[name] for name, mask in kept.items()}
        for name, mask in kept.items():
            mask[both[0].kept[name].nonzero()[0]] |= not mask.any()
        for elements in both:
            elements.keep({name: mask.clone() for name, mask in kept.items()})
    assert any(now_.shape != early[name].shape for name, now_ in all_tensors(now).items())
    assert not same_state(all_tensors(now), all_tensors(then))
    networks[0].restore(early)
    assert same_state(all_tensors(now), all_tensors(then))


def test_masked_weights_stay_masked_when_the_others_go_back() -> None:
    module = Perceptron()
    early = {name: tensor.clone() + 1 for name, tensor in all_tensors(module).items()}
    network = Network(module, torch.zeros(2, 6), forward)
    masks = {name: torch.rand(weight.shape) < 0.5 for name, weight in network.weights.items()}
    network.set_masks(masks)
    network.restore(early)
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, early[name] * masks.get(name, torch.tensor(1.0)))


@pytest.mark.parametrize("schedule", ["one_shot", Iterative(n_steps=2, end=1.0)])
def test_a_ticket_begins_with_the_initial_weights(schedule: Any) -> None:
    net = make_net(optimizer=torch.optim.SGD)
    estimator = fit(Rewind(lr=1e-30), net, schedule=schedule)
    assert_what_is_left_is_as_in(estimator, untrained(net))
    assert not same_state(snapshot(fit(FineTune(lr=1e-30), net).module_), untrained(net))


class Watch(Callback):
    """Notes the whole state at the beginning of each stage."""

    states: ClassVar[list[dict[str, Tensor]]] = []

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.states.append({n: t.detach().clone() for n, t in all_tensors(net.module_).items()})


def test_every_round_begins_with_the_early_weights() -> None:
    net = make_net(module=Noisy, callbacks=[Watch()])
    Watch.states.clear()
    estimator = fit(Rewind(epoch=2), net, schedule=Iterative(n_steps=3), fine_tune_epochs=6)
    dense, early, *rounds = Watch.states
    assert same_state(dense, early)  # the first epochs are trained twice
    assert len(rounds) == 3
    expected = untrained(make_net(module=Noisy), epochs=2)
    counts = []
    for state in rounds:
        masks = {name: state[name] != 0 for name in estimator.masks_}
        counts.append(sum(int(mask.sum()) for mask in masks.values()))
        for name, tensor in state.items():
            assert torch.equal(tensor, expected[name] * masks.get(name, 1)), name
    assert counts[0] > counts[1] > counts[2]


@pytest.mark.parametrize("epoch", [1, 3])
def test_early_weights_are_those_that_plain_training_comes_to(epoch: int) -> None:
    """The oracle is a plain loop: rows in their order, and nothing that is drawn."""
    net = make_net(iterator_train__shuffle=False, max_epochs=3)
    estimator = fit(Rewind(epoch=epoch, lr=1e-30), net.set_params(optimizer__weight_decay=0.0))
    module = Perceptron()
    module.load_state_dict(untrained(net))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for _ in range(epoch):
        for start in range(0, len(X), 16):
            rows = slice(start, start + 16)
            loss = nn.functional.cross_entropy(
                module(torch.from_numpy(X[rows])), torch.from_numpy(y[rows])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert_what_is_left_is_as_in(estimator, snapshot(module))


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_restored_dense_network_is_rewound_to_the_same(
    structure: str, epoch: int, tmp_path: Any
) -> None:
    options = {"net": make_net(module=Noisy), "structure": structure, "schedule": "iterative"}
    one, cold, warm = (
        snapshot(fit(Rewind(epoch), memory=memory, **options).module_)
        for memory in (None, str(tmp_path), str(tmp_path))
    )
    assert same_state(one, cold)
    assert same_state(one, warm)


def test_any_optimizer_sees_its_first_epochs_again() -> None:
    net = make_net(optimizer=torch.optim.LBFGS, optimizer__max_iter=3)
    estimator = fit(Rewind(2, lr=1e-30), net, fine_tune_epochs=1, sparsity=0.2)
    assert_what_is_left_is_as_in(estimator, untrained(net, epochs=2))


def test_rounds_are_as_long_as_what_they_repeat() -> None:
    assert Rewind(3).default_epochs(max_epochs=10, n_steps=4) == 4 * 7
    estimator = fit(Rewind(1), schedule=Iterative(n_steps=2), fine_tune_epochs=None)
    assert len(estimator.history_) == 3 + 2 * 2


def test_weights_of_a_trained_net_have_no_beginning() -> None:
    net = make_net().fit(X, y)
    for given in (net, FrozenEstimator(net), make_net().initialize()):
        with pytest.raises(ValueError, match="whose earlier ones are not known"):
            fit(Rewind(), given)


def test_a_dense_training_that_is_too_short_is_told() -> None:
    with pytest.raises(ValueError, match=r"Rewind\(epoch=4\).* which has 3"):
        fit(Rewind(4))
    strategies = [Strategy(recovery=Rewind(epoch)) for epoch in (1, 4)]
    with pytest.raises(ValueError, match=r"Rewind\(epoch=4\).* which has 3"):
        pruning_path(PrunedClassifier(make_net()), X, y, sparsities=[0.5], strategies=strategies)


# Distillation: what it does to the loss is in tests/training/test_distillation.py.

FOREST = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0).fit(X, y)
TREES = RandomForestRegressor(n_estimators=5, random_state=0).fit(X, X[:, :3])


class OwnStep(NeuralNetClassifier):
    """Has a training step of its own, so that nobody knows what rows it makes."""

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        return super().train_step_single(batch, **fit_params)


@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("cls", [NeuralNetClassifier, OwnStep])
@pytest.mark.parametrize("teacher", [None, FOREST], ids=["dense", "forest"])
def test_a_teacher_that_does_not_count_changes_no_bit(
    structure: str, cls: type, teacher: Any
) -> None:
    net = make_net(cls, Noisy)
    options = {"net": net, "structure": structure, "schedule": "iterative"}
    plain, taught = fit(**options), fit(Distill(teacher, alpha=0.0), **options)
    assert same_state(snapshot(plain.module_), snapshot(taught.module_))
    assert plain.history_[:, "train_loss"] == taught.history_[:, "train_loss"]


def test_a_teacher_that_does_not_count_changes_no_bit_of_a_regression() -> None:
    net = make_net(NeuralNetRegressor, Noisy)
    states = [
        snapshot(
            PrunedRegressor(net, strategy=Strategy(recovery=recovery), random_state=0)
            .fit(X, X[:, :3])
            .module_
        )
        for recovery in ("fine_tune", Distill(alpha=0.0), Distill(TREES, alpha=0.0))
    ]
    assert same_state(states[0], states[1])
    assert same_state(states[0], states[2])


@pytest.mark.parametrize("teacher", [None, FOREST], ids=["dense", "forest"])
def test_targets_that_do_not_count_are_ignored(teacher: Any) -> None:
    net = make_net(module=Noisy).fit(X, y)
    params = {"random_state": 0, "sparsity": 0.5}
    states = {}
    for alpha in (0.9, 1.0):
        strategy = Strategy(recovery=Distill(teacher, alpha=alpha))
        states[alpha] = [
            snapshot(PrunedClassifier(net, strategy=strategy, **params).fit(X, t).module_)
            for t in (y, (y + 1) % 3)
        ]
    assert same_state(*states[1.0])
    assert not same_state(*states[0.9])


class Asked(LogisticRegression):
    """Notes how many rows it is asked about."""

    asked: ClassVar[list[int]] = []

    def predict_proba(self, X: Any) -> np.ndarray:
        self.asked.append(len(X))
        return super().predict_proba(X)


def test_an_estimator_is_asked_once_for_all_rows_or_for_each_batch() -> None:
    teacher = Asked().fit(X, y)
    counts = {}
    states = []
    for cls in (NeuralNetClassifier, OwnStep):
        Asked.asked.clear()
        estimator = fit(Distill(teacher), make_net(cls), schedule=Iterative(n_steps=3))
        counts[cls] = list(Asked.asked)
        states.append(snapshot(estimator.module_))
    # Before anything is trained, two rows show that it can be asked.
    assert counts[NeuralNetClassifier] == [2, len(X)]
    assert counts[OwnStep] == [2, *[16, 16, 16, 12] * 2]
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name])


def test_the_dense_network_says_the_same_of_all_rows_as_of_each_batch() -> None:
    states = [
        snapshot(fit(Distill(alpha=0.9), make_net(cls, Noisy), structure="unit").module_)
        for cls in (NeuralNetClassifier, OwnStep)
    ]
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name])


class Shift(torch.utils.data.Dataset):
    """Rows that are others each time."""

    def __init__(self, X: Any, y: Any = None) -> None:
        self.X, self.y = X, y

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: int) -> Any:
        shifted = self.X[i] + np.float32(torch.rand(()).item())
        return shifted, np.int64(0 if self.y is None else self.y[i])


def test_a_teacher_sees_the_rows_that_the_network_sees() -> None:
    seen = []

    class Sees(LogisticRegression):
        def predict_proba(self, X: Any) -> np.ndarray:
            seen.append(X)
            return super().predict_proba(X)

    net = make_net(dataset=Shift, iterator_train__shuffle=False)
    fit(Distill(Sees().fit(X, y)), net, fine_tune_epochs=2)
    _, *asked = seen  # two rows before anything is trained
    rows = np.concatenate(asked).reshape(2, *X.shape)
    shift = rows - X
    np.testing.assert_allclose(shift, np.broadcast_to(shift[..., :1], shift.shape), atol=1e-6)
    assert len(np.unique(shift[..., 0].round(5))) > len(X)


def test_the_classes_of_a_teacher_are_put_in_order() -> None:
    labels = np.array(["ant", "bee", "cow"])

    class Reordered(LogisticRegression):
        def fit(self, X: Any, y: Any) -> "Reordered":
            super().fit(X, y)
            self.sorted_, self.classes_ = self.classes_, self.classes_[[2, 0, 1]]
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            return super().predict_proba(X)[:, [2, 0, 1]]

    states = [
        snapshot(
            PrunedClassifier(
                make_net(), strategy=Strategy(recovery=Distill(teacher)), random_state=0
            )
            .fit(X, labels[y])
            .module_
        )
        for teacher in (cls().fit(X, labels[y]) for cls in (LogisticRegression, Reordered))
    ]
    assert same_state(*states)


def seeded_net() -> NeuralNetClassifier:
    """A teacher that is the same whatever was drawn before."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_net().fit(X, y)


TEACHERS = {
    "forest": FOREST,
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y),
    "net": seeded_net(),
    "pruned": PrunedClassifier(random_state=0, sparsity=0.2).fit(X, y),
    "frozen": FrozenEstimator(LogisticRegression().fit(X, y)),
}


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
def test_any_fitted_classifier_can_teach(teacher: Any) -> None:
    rows = X.astype(np.float64)
    net = make_net(max_epochs=0)
    strategy = Strategy(recovery=Distill(teacher, alpha=1.0))
    estimator = PrunedClassifier(
        net, strategy=strategy, sparsity=0.2, fine_tune_epochs=60, random_state=0
    ).fit(rows, np.roll(y, 1))  # it cannot have learned from these
    agreement = (estimator.predict(rows) == np.asarray(teacher.predict(X))).mean()
    assert agreement > 0.8


def test_a_teacher_may_choose_columns_of_a_data_frame_by_name() -> None:
    frame = pd.DataFrame(X, columns=list("abcdef"))
    teacher = LogisticRegression().fit(frame, y)
    by_name = PrunedClassifier(
        make_net(), strategy=Strategy(recovery=Distill(teacher)), random_state=0
    ).fit(frame, y)
    assert by_name.score(frame, y) > 0.3


# One dense training for several strategies.


@pytest.mark.parametrize("structure", ["weight", "unit"])
def test_strategies_that_share_a_dense_training_come_to_what_each_comes_to(structure: str) -> None:
    recoveries = ["fine_tune", Rewind(), Rewind(2), Distill(), Distill(FOREST)]
    estimator = PrunedClassifier(
        make_net(module=Noisy), structure=structure, fine_tune_epochs=2, random_state=0
    )
    strategies = [Strategy(recovery=recovery, schedule="iterative") for recovery in recoveries]
    path = pruning_path(estimator, X, y, sparsities=[0.25, 0.5], strategies=strategies)
    assert len(path.estimators) == 2 * len(recoveries)
    for shared in path.estimators:
        alone = clone(shared).fit(X, y)
        assert same_state(snapshot(shared.module_), snapshot(alone.module_))
    assert len({shared.score(X, y) for shared in path.estimators}) > 1


def test_a_chain_of_sparsities_keeps_its_first_teacher() -> None:
    """The teacher's weights are counted each time that it is asked."""
    asked = []

    class Counts(NeuralNetClassifier):
        def infer(self, x: Any, **fit_params: Any) -> Any:
            if not any(p.requires_grad for p in self.module_.parameters()):
                asked.append(int(sum(p.count_nonzero() for p in self.module_.parameters())))
            return super().infer(x, **fit_params)

    estimator = PrunedClassifier(make_net(Counts), fine_tune_epochs=2, random_state=0)
    strategies = [Strategy(recovery=Distill())]
    pruning_path(estimator, X, y, sparsities=[0.3, 0.5], strategies=strategies, path="chained")
    assert len(asked) == 2
    assert asked[0] == asked[1]


# What clones do.


def test_clones_and_searches_share_the_fitted_teacher() -> None:
    recovery = Distill(FOREST, hints=None, temperature=2.0)
    copy = clone(recovery)
    assert copy is not recovery
    assert copy.teacher is FOREST
    assert copy.get_params(deep=False) == recovery.get_params(deep=False)
    estimator = PrunedClassifier(
        make_net(), strategy=Strategy(recovery=recovery), fine_tune_epochs=1, random_state=0
    )
    assert clone(estimator).strategy.recovery.teacher is FOREST
    search = GridSearchCV(estimator, {"strategy__recovery__alpha": [0.0, 1.0]}, cv=2)
    search.fit(X, y)
    assert search.best_estimator_.strategy.recovery.teacher is FOREST


def test_a_search_chooses_between_frozen_teachers() -> None:
    teachers = [FrozenEstimator(FOREST), FrozenEstimator(LogisticRegression().fit(X, y))]
    estimator = PrunedClassifier(
        make_net(), strategy=Strategy(recovery=Distill()), fine_tune_epochs=1, random_state=0
    )
    grid = {"strategy__recovery__teacher": [None, *teachers]}
    search = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["strategy__recovery__teacher"] in (None, *teachers)


def test_clones_do_not_share_what_can_be_changed() -> None:
    recovery = Distill(hints=["hidden0"])
    copy = clone(recovery)
    copy.hints.append("hidden1")
    assert recovery.hints == ["hidden0"]


def test_parameters_of_the_teacher_are_reached() -> None:
    strategy = Strategy(recovery=Distill(LogisticRegression()))
    assert strategy.get_params()["recovery__teacher__C"] == 1.0
    strategy.set_params(recovery__teacher__C=2.0, recovery__alpha=0.25)
    assert strategy.recovery.teacher.C == 2.0
    assert strategy.recovery.alpha == 0.25


# What cannot teach.


class Never(NeuralNetClassifier):
    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("trained")


def test_a_teacher_that_is_not_fitted_is_told_before_anything_is_trained() -> None:
    with pytest.raises(NotFittedError, match="teacher of Distill, a RandomForestClassifier, is"):
        fit(Distill(RandomForestClassifier()), make_net(Never))
    with pytest.raises(NotFittedError, match="teacher of Distill, a Pipeline, is not fitted"):
        fit(Distill(make_pipeline(StandardScaler(), LogisticRegression())), make_net(Never))
    with pytest.raises(NotFittedError, match="teacher of Distill, a NeuralNetClassifier, is not"):
        fit(Distill(make_net()), make_net(Never))
    with pytest.raises(ValueError, match=r"is the class LogisticRegression\. Give it a fitted"):
        fit(Distill(LogisticRegression), make_net(Never))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (LogisticRegression().fit(X[:, :4], y), "fitted with 4 features, and X has 6"),
        (LogisticRegression().fit(X, y + 1), r"does not know \[0\], and y has no \[3\]"),
        (LogisticRegression().fit(X, y > 0), r"does not know \[2\]"),
        (Ridge().fit(X, y), "is a regressor, Ridge, and the network learns classes"),
        (LinearSVC().fit(X, y), "LinearSVC, has no predict_proba. Fit a CalibratedClassifierCV"),
        ("forest", "'teacher' parameter of Distill must be"),
    ],
)
def test_a_teacher_that_does_not_suit_is_told(teacher: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(Distill(teacher))


def test_a_regression_needs_a_regressor() -> None:
    class NeverToo(NeuralNetRegressor):
        train_step = Never.train_step

    def learn(teacher: Any, cls: type[NeuralNetRegressor] = NeverToo) -> None:
        net = make_net(cls)
        strategy = Strategy(recovery=Distill(teacher))
        PrunedRegressor(net, strategy=strategy, random_state=0).fit(X, X[:, :3])

    with pytest.raises(ValueError, match="RandomForestClassifier, and the network learns a regr"):
        learn(FOREST)
    with pytest.raises(ValueError, match=r"predicts rows of shape \(2,\), and y has .* \(3,\)"):
        learn(Ridge().fit(X, X[:, :2]))
    learn(TREES, NeuralNetRegressor)


def test_a_net_with_other_outputs_cannot_teach() -> None:
    class Wide(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(6, 4))

    wide = make_net(module=Wide).fit(X, y)
    for teacher in (wide, FrozenEstimator(wide)):
        with pytest.raises(ValueError, match=r"of shape \(2, 4\), and y has 3 classes"):
            fit(Distill(teacher), make_net(Never))


def test_probabilities_may_be_a_little_beyond_one() -> None:
    class Rounded(LogisticRegression):
        def predict_proba(self, X: Any) -> np.ndarray:
            return np.array([[1.0 + 1e-15, -1e-15, 0.0]] * len(X))

    history = fit(Distill(Rounded().fit(X, y))).history_
    assert np.isfinite(history[:, "train_loss"]).all()


def test_predictions_that_are_not_finite_are_told() -> None:
    class Nothing(LogisticRegression):
        def predict_proba(self, X: Any) -> np.ndarray:
            return super().predict_proba(X) * np.nan

    with pytest.raises(ValueError, match="Nothing, gives predictions that are not finite"):
        fit(Distill(Nothing().fit(X, y)))


def test_there_is_no_dense_network_at_init() -> None:
    def at_init(recovery: Recovery) -> PrunedClassifier:
        strategy = Strategy(recovery=recovery, start="init")
        return PrunedClassifier(make_net(), strategy=strategy, random_state=0).fit(X, y)

    with pytest.raises(ValueError, match="Give it a fitted teacher, or use start='trained'"):
        at_init(Distill())
    assert at_init(Distill(FOREST)).score(X, y) > 0.3


def test_hints_of_what_is_not_there_are_told() -> None:
    with pytest.raises(ValueError, match=r"unknown layer 'hiden0'. Did you mean 'hidden0'"):
        fit(Distill(hints=["hiden0"]))
    with pytest.raises(ValueError, match="Use teacher=None, or leave hints out"):
        fit(Distill(FOREST, hints=["hidden0"]))


def test_a_get_loss_that_hides_the_rows_is_told() -> None:
    class Hides(NeuralNetClassifier):
        def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
            rows, targets = batch
            loss = self.get_loss(outputs := self.infer(rows), targets, training=True)
            loss.backward()
            return {"loss": loss, "y_pred": outputs}

    with pytest.raises(ValueError, match="calls get_loss without X"):
        fit(Distill(), make_net(Hides))

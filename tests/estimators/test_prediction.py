"""Predictions without a DataLoader are those that the net itself makes."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import Dataset
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from skprune import PrunedClassifier, PrunedRegressor
from skprune.estimators.base import BasePruned
from skprune.network import MLP, chunks
from skprune.network.chunks import chunk_length, forward_in_chunks
from tests.helpers import same_state, snapshot
from tests.training.common import CASES, make_data, make_net, pruned

X, Y = make_data()
X_NEW = make_data(40, seed=1)[0]
LABELS = (X[:, :3] > 0).astype(int)
NUMBERS = X[:, :2] * 3 + 1
NAMES = np.array(["ant", "bee", "cat"])


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def mlp_net(
    cls: type[NeuralNet] = NeuralNetClassifier, n_outputs: int = 3, **parameters: Any
) -> Any:
    """A net that predicts otherwise than it trains: by dropout, and by batch norm."""
    defaults = {
        "module__n_features": 6,
        "module__n_outputs": n_outputs,
        "module__hidden_layer_sizes": (8, 8),
        "module__dropout": 0.3,
        "module__batch_norm": True,
    }
    return make_net(cls, MLP, **{**defaults, **parameters})


def fit(net: NeuralNet, y: Any = Y, case: str = "weight", X: Any = X, **parameters: Any) -> Any:
    kind = PrunedRegressor if isinstance(net, NeuralNetRegressor) else PrunedClassifier
    return pruned(net, case, kind, **parameters).fit(X, y)


def same_numbers(ours: Any, theirs: Any) -> None:
    # Sums of float32 are rounded at the scale of what is summed, which a small sum does not show.
    rounding = np.finfo(np.float32).eps * np.abs(np.asarray(theirs)).max()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=rounding)


def same_as_the_net(estimator: BasePruned, X: Any = X_NEW) -> None:
    same_numbers(estimator.predict_proba(X), estimator.net_.predict_proba(X))
    expected = estimator.classes_[estimator.net_.predict(X)]
    np.testing.assert_array_equal(estimator.predict(X), expected)


def test_scores_through_a_softmax(case: str) -> None:
    estimator = fit(mlp_net(), NAMES[Y], case)
    same_as_the_net(estimator)
    probabilities = estimator.predict_proba(X_NEW)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-15)
    assert set(estimator.predict(X_NEW)) <= set(NAMES)
    np.testing.assert_allclose(estimator.predict_log_proba(X_NEW), np.log(probabilities))


def test_probabilities_of_the_module(case: str) -> None:
    estimator = fit(mlp_net(criterion=nn.NLLLoss), case=case)
    same_as_the_net(estimator)
    np.testing.assert_allclose(estimator.predict_proba(X_NEW).sum(1), 1, rtol=1e-15)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_two_classes_by_one_output(case: str, threshold: float) -> None:
    net = mlp_net(NeuralNetBinaryClassifier, 1, threshold=threshold)
    estimator = fit(net, np.where(X[:, 0] > 0, "yes", "no"), case)
    same_as_the_net(estimator)
    above = estimator.predict_proba(X_NEW)[:, 1] > threshold
    assert 0 < above.sum() < len(above) or threshold != 0.5
    np.testing.assert_array_equal(estimator.predict(X_NEW), np.where(above, "yes", "no"))


class WithSigmoid(MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


def test_two_classes_by_one_probability(case: str) -> None:
    net = mlp_net(NeuralNetBinaryClassifier, 1, criterion=nn.BCELoss)
    net.set_params(module=WithSigmoid)
    same_as_the_net(fit(net, (X[:, 0] > 0).astype(int), case))


def test_several_labels_a_row(case: str) -> None:
    estimator = fit(mlp_net(criterion=nn.BCEWithLogitsLoss), LABELS, case)
    expected = torch.sigmoid(estimator.net_.forward(X_NEW)).numpy()
    same_numbers(estimator.predict_proba(X_NEW), expected)
    np.testing.assert_array_equal(estimator.predict(X_NEW), expected > 0.5)


def test_several_probabilities_a_row(case: str) -> None:
    net = mlp_net(criterion=nn.BCELoss).set_params(module=WithSigmoid)
    estimator = fit(net, LABELS, case)
    same_numbers(estimator.predict_proba(X_NEW), estimator.net_.forward(X_NEW).numpy())


@pytest.mark.parametrize(
    ("n_outputs", "y"), [(1, NUMBERS[:, 0]), (1, NUMBERS[:, :1]), (2, NUMBERS)]
)
def test_numbers(case: str, n_outputs: int, y: np.ndarray) -> None:
    estimator = fit(mlp_net(NeuralNetRegressor, n_outputs), y, case)
    predictions = estimator.predict(X_NEW)
    assert predictions.shape == (40, *y.shape[1:])
    assert predictions.dtype == np.float64
    same_numbers(predictions, estimator.net_.predict(X_NEW).reshape(predictions.shape))


class Sides(nn.Module):
    """Takes a mapping of numbers and of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.table = nn.Embedding(9, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, numbers: Tensor, tokens: Tensor) -> Tensor:
        return self.output((self.hidden(numbers) + self.table(tokens).mean(1)).relu())


def sides(n_rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((n_rows, 2))
    return {"numbers": numbers, "tokens": rng.integers(9, size=(n_rows, 4), dtype=np.int32)}


def test_mapping(case: str) -> None:
    estimator = fit(make_net(module=Sides), case=case, X=sides(60, 0))
    new = sides(40, 1)
    expected = {"numbers": new["numbers"].astype(np.float32), "tokens": new["tokens"].astype(int)}
    same_numbers(estimator.predict_proba(new), estimator.net_.predict_proba(expected))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.table(x).mean(1).relu())


def test_tokens(case: str) -> None:
    tokens = sides(60, 0)["tokens"]
    estimator = fit(make_net(module=Tokens), case=case, X=tokens)
    same_as_the_net(estimator, tokens)


def test_predict_nonlinearity_of_the_user(case: str) -> None:
    net = mlp_net(predict_nonlinearity=lambda outputs: (outputs * 3).softmax(-1))
    estimator = fit(net, case=case)
    same_as_the_net(estimator)
    expected = (estimator.net_.forward(X_NEW) * 3).softmax(-1)
    same_numbers(estimator.predict_proba(X_NEW), expected)


def test_no_predict_nonlinearity(case: str) -> None:
    estimator = fit(mlp_net(predict_nonlinearity=None), case=case)
    same_as_the_net(estimator)
    same_numbers(estimator.predict_proba(X_NEW), estimator.net_.forward(X_NEW))


def test_predict_nonlinearity_of_several_labels(case: str) -> None:
    net = mlp_net(criterion=nn.BCEWithLogitsLoss, predict_nonlinearity=lambda z: (z + 1).sigmoid())
    estimator = fit(net, LABELS, case)
    expected = (estimator.net_.forward(X_NEW) + 1).sigmoid().numpy()
    same_numbers(estimator.predict_proba(X_NEW), expected)
    np.testing.assert_array_equal(estimator.predict(X_NEW), expected > 0.5)


def test_scores_that_nearly_add_up_to_one_are_left_as_they_are() -> None:
    """Only the rounding of probabilities is put right, and row by row."""

    def scores(outputs: Tensor) -> Tensor:
        return torch.tensor([0.3, 0.3, 0.395]).expand(len(outputs), 3)

    estimator = fit(mlp_net(predict_nonlinearity=scores))
    np.testing.assert_allclose(estimator.predict_proba(X_NEW), [[0.3, 0.3, 0.395]] * 40, rtol=1e-6)


class WithAttention(MLP):
    """Puts out more than the prediction."""

    def forward(self, x: Tensor) -> Any:
        scores = super().forward(x)
        return scores, x * 2


class FirstOfSeveral(NeuralNetClassifier):
    def get_loss(self, y_pred: Any, *args: Any, **kwargs: Any) -> Tensor:
        return super().get_loss(y_pred[0], *args, **kwargs)


class FirstOfSeveralNumbers(NeuralNetRegressor):
    def get_loss(self, y_pred: Any, *args: Any, **kwargs: Any) -> Tensor:
        return super().get_loss(y_pred[0], *args, **kwargs)


class FirstOfSeveralBinary(NeuralNetBinaryClassifier):
    def get_loss(self, y_pred: Any, *args: Any, **kwargs: Any) -> Tensor:
        return super().get_loss(y_pred[0], *args, **kwargs)


def test_tuple_of_outputs(case: str) -> None:
    estimator = fit(mlp_net(FirstOfSeveral).set_params(module=WithAttention), case=case)
    same_as_the_net(estimator)
    net = mlp_net(FirstOfSeveralNumbers, 2).set_params(module=WithAttention)
    estimator = fit(net, NUMBERS, case)
    same_numbers(estimator.predict(X_NEW), estimator.net_.predict(X_NEW))
    net = mlp_net(FirstOfSeveralBinary, 1).set_params(module=WithAttention)
    same_as_the_net(fit(net, (X[:, 0] > 0).astype(int), case))


# -------------------------------------------------------------- what a user's class does in its way


class OwnInfer(NeuralNetClassifier):
    def infer(self, x: Any, **fit_params: Any) -> Any:
        return super().infer(torch.as_tensor(x) * 2 - 1, **fit_params)


class WithEncoder(NeuralNetClassifier):
    """Has a second module, which predicts otherwise than it trains, too."""

    def initialize_module(self) -> Any:
        super().initialize_module()
        self.encoder_ = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6))
        return self

    def infer(self, x: Any, **fit_params: Any) -> Any:
        return super().infer(self.encoder_(torch.as_tensor(x)), **fit_params)


@pytest.mark.parametrize("fine_tune_epochs", [0, 4])
@pytest.mark.parametrize("trained", [True, False])
def test_second_module(case: str, trained: bool, fine_tune_epochs: int) -> None:
    net = mlp_net(WithEncoder)
    estimator = fit(net.fit(X, Y) if trained else net, case=case, fine_tune_epochs=fine_tune_epochs)
    ours = [estimator.predict_proba(X_NEW), estimator.predict_proba(X_NEW)]
    np.testing.assert_array_equal(*ours)
    same_as_the_net(estimator)


class OwnProba(NeuralNetClassifier):
    def predict_proba(self, X: Any) -> np.ndarray:
        return np.roll(super().predict_proba(X), 1, axis=1)


class OwnPredict(NeuralNetClassifier):
    def predict(self, X: Any) -> np.ndarray:
        return (super().predict(X) + 1) % 3


class OwnEvaluation(NeuralNetClassifier):
    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        return super().evaluation_step(batch, training) * 5


class OwnForward(NeuralNetClassifier):
    def forward_iter(self, *args: Any, **kwargs: Any) -> Any:
        for outputs in super().forward_iter(*args, **kwargs):
            yield outputs * 5


class OwnIterator(NeuralNetClassifier):
    """Standardizes the rows as it loads them, say."""

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        return DataLoader(
            dataset, batch_size=9, collate_fn=lambda rows: default_collate(rescaled(rows))
        )


class OwnDataset(NeuralNetClassifier):
    def get_dataset(self, X: Any, y: Any = None) -> Any:
        return Rescaled(X, y)


class Rescaled(Dataset):
    def transform(self, X: Any, y: Any) -> Any:
        return super().transform(X * 2 - 1, y)


class RescalingLoader(DataLoader):
    def __init__(self, dataset: Any, **kwargs: Any) -> None:
        super().__init__(Rescaled(dataset.X, dataset.y), **kwargs)


def rescaled(rows: Any) -> Any:
    return [(x * 2 - 1, y) for x, y in rows]


def collate_rescaled(rows: Any) -> Any:
    return default_collate(rescaled(rows))


@pytest.mark.parametrize(
    "cls",
    [OwnInfer, OwnProba, OwnPredict, OwnEvaluation, OwnForward, OwnIterator, OwnDataset],
)
def test_own_ways(case: str, cls: type[NeuralNet]) -> None:
    estimator = fit(mlp_net(cls), case=case)
    same_as_the_net(estimator)
    plain = as_plain(estimator.net_)
    if cls is OwnPredict:
        assert (estimator.predict(X_NEW) != plain.predict(X_NEW)).all()
    else:
        assert not np.allclose(estimator.predict_proba(X_NEW), plain.predict_proba(X_NEW))


def as_plain(net: NeuralNet) -> NeuralNetClassifier:
    """The same net without what its class does in its own way."""
    plain = object.__new__(NeuralNetClassifier)
    vars(plain).update(vars(net))
    return plain


@pytest.mark.parametrize(
    "options",
    [
        {"dataset": Rescaled},
        {"iterator_train": RescalingLoader, "iterator_valid": RescalingLoader},
        {
            "iterator_train__collate_fn": collate_rescaled,
            "iterator_valid__collate_fn": collate_rescaled,
        },
    ],
    ids=["dataset", "loader", "collation"],
)
def test_own_ways_to_load(case: str, options: dict) -> None:
    estimator = fit(mlp_net(**options), case=case)
    same_as_the_net(estimator)
    other = estimator.net_.module_(torch.from_numpy(X_NEW)).softmax(1).detach()
    assert np.abs(estimator.predict_proba(X_NEW) - other.numpy()).max() > 1e-3


class OwnNumbers(NeuralNetRegressor):
    def predict(self, X: Any) -> np.ndarray:
        return super().predict(X) * 100


class OwnOutputs(NeuralNetRegressor):
    def predict_proba(self, X: Any) -> np.ndarray:
        return super().predict_proba(X) * 100


@pytest.mark.parametrize("cls", [OwnNumbers, OwnOutputs])
def test_own_way_to_predict_numbers(case: str, cls: type[NeuralNet]) -> None:
    estimator = fit(mlp_net(cls, 2), NUMBERS, case)
    predictions = estimator.predict(X_NEW)
    same_numbers(predictions, estimator.net_.predict(X_NEW))
    same_numbers(predictions, 100 * estimator.net_.forward(X_NEW).numpy())


def test_own_way_to_predict_labels(case: str) -> None:
    class Own(NeuralNetClassifier):
        def predict(self, X: Any) -> np.ndarray:
            return (self.forward(X).numpy() > -0.1).astype(np.uint8)

    net = mlp_net(Own, criterion=nn.BCEWithLogitsLoss, callbacks__valid_acc=None)
    estimator = fit(net, LABELS, case)
    np.testing.assert_array_equal(estimator.predict(X_NEW), estimator.net_.predict(X_NEW))


# ------------------------------------------------------------------------------------------- chunks


@pytest.fixture
def chunks_of_16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "chunk_length", lambda *args: 16)


@pytest.mark.parametrize("n_rows", [1, 2, 15, 16, 17, 32, 33, 40])
@pytest.mark.usefixtures("chunks_of_16")
def test_every_row_by_itself(case: str, n_rows: int) -> None:
    estimator = fit(mlp_net(), case=case)
    rows = X_NEW[:n_rows]
    probabilities = estimator.predict_proba(rows)
    assert probabilities.shape == (n_rows, 3)
    same_numbers(
        probabilities, np.concatenate([estimator.predict_proba(row[None]) for row in rows])
    )
    same_numbers(probabilities, estimator.net_.predict_proba(rows))


@pytest.mark.usefixtures("chunks_of_16")
def test_every_row_of_numbers_and_of_mappings_by_itself(case: str) -> None:
    regressor = fit(mlp_net(NeuralNetRegressor, 1), NUMBERS[:, 0], case)
    same_numbers(regressor.predict(X_NEW), [regressor.predict(row[None])[0] for row in X_NEW])
    classifier = fit(make_net(module=Sides), case=case, X=sides(60, 0))
    new = sides(40, 1)
    rows = [{key: value[i : i + 1] for key, value in new.items()} for i in range(40)]
    one_by_one = np.concatenate([classifier.predict_proba(row) for row in rows])
    same_numbers(classifier.predict_proba(new), one_by_one)


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5, 8, 9])
def test_chunks_are_cut_and_joined(n_rows: int) -> None:
    seen = []

    def forward(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        assert not torch.is_grad_enabled()
        return rows.double() * 2

    numbers = np.arange(3 * n_rows, dtype=np.float32).reshape(n_rows, 3)
    outputs = forward_in_chunks(forward, numbers, n_rows=4)
    np.testing.assert_array_equal(outputs, numbers * 2)
    assert outputs.dtype == np.float64
    assert seen == [4] * (n_rows // 4) + [n_rows % 4] * (n_rows % 4 > 0)


def test_chunks_of_a_mapping() -> None:
    data = {"a": np.arange(5.0), "b": np.arange(10.0).reshape(5, 2)}
    outputs = forward_in_chunks(lambda rows: rows["a"] + rows["b"].sum(1), data, n_rows=2)
    np.testing.assert_array_equal(outputs, data["a"] + data["b"].sum(1))


def test_length_of_a_chunk() -> None:
    lengths = [chunk_length(n_bytes) for n_bytes in (0, 1, 64, 1024, 4096, 2**16, 2**40)]
    assert lengths == sorted(lengths, reverse=True)
    assert (lengths[0], lengths[-1]) == (16384, 256)
    assert chunk_length(2**28 // 1000, "cuda") == 1000


# ------------------------------------------------------------------------------------------- memory


def test_memory_that_cannot_be_written_to(case: str, tmp_path: Any) -> None:
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "Xy")
    estimator = fit(mlp_net(), y, case, mapped)
    expected = fit(mlp_net(), Y, case).predict_proba(X)
    # Where an array begins in memory decides which kernel multiplies it, up to rounding.
    np.testing.assert_allclose(estimator.predict_proba(mapped), expected, rtol=1e-5)
    np.testing.assert_allclose(estimator.predict_proba(mapped[::2]), expected[::2], rtol=1e-5)
    estimator.partial_fit(mapped, y)


def test_chunks_of_memory_that_cannot_be_written_to() -> None:
    numbers = np.arange(12.0).reshape(6, 2)
    numbers.flags.writeable = False
    outputs = forward_in_chunks(lambda rows: rows * 2, numbers, n_rows=4)
    np.testing.assert_array_equal(outputs, numbers * 2)


def test_mapping_in_memory_that_cannot_be_written_to(case: str) -> None:
    frozen, free = sides(60, 0), sides(60, 0)
    for value in frozen.values():
        value.flags.writeable = False
    one, two = (fit(make_net(module=Sides), case=case, X=data) for data in (frozen, free))
    np.testing.assert_array_equal(one.predict_proba(frozen), two.predict_proba(free))


@pytest.mark.parametrize(
    "view",
    [
        lambda X: np.asfortranarray(X),
        lambda X: X[:, ::-1],
        lambda X: X[::-2],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.astype(np.float64),
        lambda X: X.round().astype(np.int8),
        lambda X: X.tolist(),
    ],
    ids=["fortran", "reversed", "strided", "spread", "doubles", "whole", "list"],
)
@pytest.mark.usefixtures("chunks_of_16")
def test_layouts(case: str, view: Callable) -> None:
    estimator = fit(mlp_net(), case=case)
    rows = view(X_NEW)
    plain = np.ascontiguousarray(rows, dtype=np.float32)
    np.testing.assert_array_equal(estimator.predict_proba(rows), estimator.predict_proba(plain))
    same_numbers(estimator.predict_proba(rows), estimator.net_.predict_proba(plain))


def test_predictions_belong_to_the_caller() -> None:
    """Not to the inputs, nor to the network: a write to them changes neither."""
    estimator = fit(mlp_net(NeuralNetRegressor, 2), NUMBERS)
    before = X_NEW.copy()
    first = estimator.predict(X_NEW)
    first *= 0
    np.testing.assert_array_equal(X_NEW, before)
    assert estimator.predict(X_NEW).any()


# ----------------------------------------------------------------------------------------- training


def test_predictions_leave_no_trace_in_the_training(case: str) -> None:
    quiet, asked = (fit(mlp_net(), case=case) for _ in range(2))
    for _ in range(2):
        before = snapshot(asked.module_)
        asked.predict(X_NEW)
        asked.predict_proba(X_NEW[:1])
        assert same_state(snapshot(asked.module_), before)
        quiet.partial_fit(X, Y)
        asked.partial_fit(X, Y)
    assert same_state(snapshot(quiet.module_), snapshot(asked.module_))


class Caching(MLP):
    """Keeps what it has computed for a batch of some length, for the next one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scales: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if len(x) not in self.scales:
            self.scales[len(x)] = x.new_full((len(x), 1), 0.1)
        return super().forward(x) * self.scales[len(x)]


def test_training_goes_on_with_what_a_prediction_has_kept(case: str) -> None:
    estimator = fit(mlp_net(batch_size=60).set_params(module=Caching), case=case)
    estimator.predict(X_NEW[:33])
    assert 33 in estimator.module_.scales
    estimator.partial_fit(X[:33], Y[:33])
    estimator.predict(X_NEW[:34])
    estimator.net_.partial_fit(X[:34], Y[:34])


def test_pickled(case: str) -> None:
    estimator = fit(mlp_net(), NAMES[Y], case)
    estimator.predict(X_NEW)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict_proba(X_NEW), estimator.predict_proba(X_NEW))
    np.testing.assert_array_equal(copy.predict(X_NEW), estimator.predict(X_NEW))


def test_no_rows(case: str) -> None:
    estimator = fit(mlp_net(), case=case)
    for method in (estimator.predict, estimator.predict_proba):
        with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
            method(X_NEW[:0])
    estimator = fit(make_net(module=Sides), case=case, X=sides(60, 0))
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        estimator.predict(sides(0, 0))

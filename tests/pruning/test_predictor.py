"""A predictor is made of a module alone, and predicts what its outputs mean."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix, issparse
from sklearn.metrics import log_loss
from torch import Tensor, nn

from skprune.network import chunks
from skprune.network.removals import Removals
from skprune.pruning import (
    BinaryOutputs,
    ClassOutputs,
    InputSpec,
    LabelOutputs,
    Outputs,
    Predictor,
    ValueOutputs,
)

SCORES = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0], [-2.0, -4.0, -1.0], [1.0, 0.5, 0.75]])
ROWS = SCORES.astype(np.float32)


class Same(nn.Module):
    """Puts out what it is given."""

    def __init__(self, columns: Any = slice(None)) -> None:
        super().__init__()
        self.columns = columns
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, X: Tensor) -> Tensor:
        return X[:, self.columns] * self.scale


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores)
    return powers / powers.sum(1, keepdims=True)


def sigmoid(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-scores))


def doubled(outputs: Tensor) -> Tensor:
    return torch.softmax(2 * outputs, dim=1)


def both(outputs: Tensor) -> Tensor:
    return torch.stack((1 - outputs, outputs), 1)


def test_scores_of_classes() -> None:
    predictor = Predictor(Same(), ClassOutputs(["a", "b", "c"]))
    assert predictor.predict(ROWS).tolist() == ["a", "b", "c", "a"]
    probabilities = predictor.predict_proba(ROWS)
    np.testing.assert_allclose(probabilities, softmax(SCORES), rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-15)
    np.testing.assert_array_equal(predictor.decision_function(ROWS), SCORES)
    assert log_loss(["a", "b", "c", "a"], probabilities) < 1


def test_scores_of_two_classes_are_one_number() -> None:
    predictor = Predictor(Same(slice(2)), ClassOutputs([False, True]))
    assert predictor.predict(ROWS).tolist() == [False, True, False, False]
    scores = predictor.decision_function(ROWS)
    np.testing.assert_array_equal(scores, SCORES[:, 1] - SCORES[:, 0])
    # It is the log-odds of the second class.
    np.testing.assert_allclose(sigmoid(scores), predictor.predict_proba(ROWS)[:, 1], rtol=1e-6)


def test_classes_without_names_are_numbers() -> None:
    assert Predictor(Same(), ClassOutputs()).predict(ROWS).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("nonlinearity", [None, doubled])
def test_probabilities_of_classes(nonlinearity: Any) -> None:
    predictor = Predictor(Same(), ClassOutputs(nonlinearity=nonlinearity))
    rows = softmax(SCORES).astype(np.float32)
    expected = rows if nonlinearity is None else softmax(2 * rows)
    np.testing.assert_allclose(predictor.predict_proba(rows), expected, rtol=1e-6)
    np.testing.assert_array_equal(predictor.predict(rows), expected.argmax(1))
    assert not hasattr(predictor, "decision_function")


def test_probabilities_that_do_not_add_up_to_one_stay() -> None:
    rows = np.array([[0.3, 0.3, 0.395], [0.2, 0.5, 0.3]])
    network = Same().double()
    found = Predictor(network, ClassOutputs(nonlinearity=None)).predict_proba(rows)
    np.testing.assert_array_equal(found[0], rows[0])
    assert found[1].sum() == 1


@pytest.mark.parametrize("column", [2, slice(2, 3)], ids=["(n,)", "(n, 1)"])
@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_two_classes_by_one_output(column: Any, threshold: float) -> None:
    predictor = Predictor(Same(column), BinaryOutputs(["no", "yes"], threshold=threshold))
    second = sigmoid(SCORES[:, 2])
    probabilities = predictor.predict_proba(ROWS)
    np.testing.assert_allclose(probabilities, np.column_stack((1 - second, second)), rtol=1e-6)
    expected = np.where(second > threshold, "yes", "no")
    np.testing.assert_array_equal(predictor.predict(ROWS), expected)
    np.testing.assert_allclose(predictor.decision_function(ROWS), SCORES[:, 2], rtol=1e-7)


@pytest.mark.parametrize("nonlinearity", [None, both])
def test_two_classes_by_one_probability(nonlinearity: Any) -> None:
    predictor = Predictor(Same(0), BinaryOutputs(nonlinearity=nonlinearity))
    rows = np.array([[0.25], [0.75]], dtype=np.float32)
    np.testing.assert_array_equal(predictor.predict_proba(rows), [[0.75, 0.25], [0.25, 0.75]])
    assert predictor.predict(rows).tolist() == [0, 1]
    assert not hasattr(predictor, "decision_function")


def test_two_classes_need_one_output() -> None:
    with pytest.raises(ValueError, match=r"output has shape \(4, 3\); two classes by one output"):
        Predictor(Same(), BinaryOutputs()).predict(ROWS)


@pytest.mark.parametrize("sparse", [False, True])
def test_labels(sparse: bool) -> None:
    predictor = Predictor(Same(), LabelOutputs(sparse=sparse))
    labels = predictor.predict(ROWS)
    assert issparse(labels) == sparse
    np.testing.assert_array_equal(labels.toarray() if sparse else labels, SCORES > 0)
    np.testing.assert_allclose(predictor.predict_proba(ROWS), sigmoid(SCORES), rtol=1e-6)
    np.testing.assert_array_equal(predictor.decision_function(ROWS), SCORES)
    given = Predictor(Same(), LabelOutputs(nonlinearity=None))
    np.testing.assert_allclose(given.predict_proba(ROWS), SCORES)
    np.testing.assert_array_equal(given.predict(ROWS), SCORES > 0.5)


@pytest.mark.parametrize(
    ("columns", "shape", "expected"),
    [
        (slice(1), (), SCORES[:, 0]),
        (0, (1,), SCORES[:, :1]),
        (slice(2), (2,), SCORES[:, :2]),
        (slice(2), None, SCORES[:, :2]),
    ],
)
def test_values(columns: Any, shape: Any, expected: np.ndarray) -> None:
    predictor = Predictor(Same(columns), ValueOutputs(shape))
    predictions = predictor.predict(ROWS)
    assert predictions.dtype == np.float64
    np.testing.assert_array_equal(predictions, expected)
    assert not hasattr(predictor, "predict_proba")
    assert not hasattr(predictor, "decision_function")
    np.testing.assert_array_equal(Predictor(Same()).predict(ROWS), SCORES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassOutputs(nonlinearity="sofmax"), "Did you mean 'softmax'. Known: 'softmax'"),
        (lambda: ClassOutputs(nonlinearity="sigmoid"), "ClassOutputs has no nonlinearity"),
        (lambda: BinaryOutputs(nonlinearity="softmax"), "Known: 'sigmoid', None, or a function"),
        (lambda: LabelOutputs(nonlinearity="softmax"), "LabelOutputs has no nonlinearity"),
        (lambda: ValueOutputs(nonlinearity="log"), "Known: 'softmax', 'sigmoid', None"),
    ],
)
def test_unknown_nonlinearity(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------------------------------- inputs


class Sides(nn.Module):
    """Takes its inputs by name, and puts out more than the prediction."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 2)

    def forward(self, numbers: Tensor, tokens: Tensor) -> Any:
        return numbers + self.table(tokens), tokens


def sides() -> dict[str, Tensor]:
    return {"numbers": torch.randn(4, 2), "tokens": torch.tensor([0, 3, 8, 3])}


def test_mapping() -> None:
    network, rows = Sides(), sides()
    predictor = Predictor(network, example=rows)
    assert predictor.inputs == InputSpec(
        row_shape={"numbers": (2,), "tokens": ()},
        dtype={"numbers": torch.float32, "tokens": torch.int64},
        keys=("numbers", "tokens"),
    )
    expected = rows["numbers"] + network.table.weight[rows["tokens"]]
    for given in (rows, {key: part.numpy() for key, part in rows.items()}):
        np.testing.assert_allclose(predictor.predict(given), expected.detach(), rtol=1e-6)
    as_lists = {"numbers": rows["numbers"].tolist(), "tokens": rows["tokens"].int().tolist()}
    np.testing.assert_allclose(predictor.predict(as_lists), expected.detach(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"keys \['numbers'\], but Predictor was fitted with keys"):
        predictor.predict({"numbers": rows["numbers"]})
    with pytest.raises(ValueError, match=r"fitted with a mapping that has keys .* X is a ndarray"):
        predictor.predict(ROWS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        predictor.predict({"numbers": rows["numbers"], "tokens": [1]})
    with pytest.raises(ValueError, match=r"Input X\['numbers'\] contains NaN"):
        predictor.predict({**rows, "numbers": rows["numbers"] * torch.nan})
    with pytest.raises(ValueError, match="empty mapping"):
        predictor.predict({})


def test_what_the_example_tells() -> None:
    example = torch.zeros(2, 3)
    predictor = Predictor(Same(), example=example)
    assert predictor.inputs == InputSpec((3,), torch.float32, n_features=3)
    np.testing.assert_array_equal(predictor.predict(predictor.example), np.zeros((2, 3)))
    for rows in (torch.zeros(2, 4), np.zeros((2, 4)), csr_matrix(np.zeros((2, 4)))):
        with pytest.raises(ValueError, match="4 features, but Predictor is expecting 3 features"):
            predictor.predict(rows)
    with pytest.raises(ValueError, match=r"has keys .*, but Predictor was fitted with no mapping"):
        predictor.predict({"a": ROWS})
    image = Predictor(nn.Flatten(), example=torch.zeros(2, 1, 4, 4))
    assert image.inputs == InputSpec((1, 4, 4), torch.float32)
    assert image.predict(torch.ones(3, 1, 4, 4)).shape == (3, 16)


@pytest.mark.parametrize("example", [(torch.zeros(2),), [1.0], {}, {"a": np.zeros(2)}])
def test_other_examples_are_refused(example: Any) -> None:
    with pytest.raises(TypeError, match="must be a tensor, or a mapping of names to tensors"):
        Predictor(Same(), example=example)


def test_rows_that_are_numbers() -> None:
    network = nn.Embedding(5, 2)
    predictor = Predictor(network, example=torch.tensor([0, 1]))
    np.testing.assert_array_equal(predictor.predict([4, 2]), network.weight[[4, 2]].detach())


def test_forms_of_a_table() -> None:
    predictor = Predictor(Same(), ClassOutputs(), example=torch.zeros(2, 3))
    forms = [ROWS, SCORES, SCORES.tolist(), csr_matrix(SCORES), np.asfortranarray(ROWS)]
    forms += [torch.tensor(SCORES, requires_grad=True), SCORES.astype(object), ROWS[:, ::-1]]
    read_only = ROWS.copy()
    read_only.flags.writeable = False
    for rows in [*forms[:-1], read_only]:
        np.testing.assert_array_equal(predictor.decision_function(rows), SCORES)
    np.testing.assert_array_equal(predictor.decision_function(forms[-1]), SCORES[:, ::-1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_that_are_not_finite(value: float, dtype: type) -> None:
    rows = SCORES.astype(dtype)
    rows[2, 1] = value
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        Predictor(Same(), example=torch.zeros(2, 3)).predict(rows)


def test_numbers_too_large() -> None:
    predictor = Predictor(Same(), example=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"a value too large for dtype\('float32'\)"):
        predictor.predict(SCORES * 1e300)
    # Their squares are beyond float32, they are not.
    np.testing.assert_array_equal(predictor.predict(ROWS * 1e30), ROWS * np.float32(1e30))


def test_names_of_columns() -> None:
    names = ("a", "b", "c")
    inputs = InputSpec((3,), torch.float32, n_features=3, feature_names=names)
    predictor = Predictor(Same(), inputs=inputs, name="Model")
    frame = pd.DataFrame(SCORES, columns=list(names))
    np.testing.assert_array_equal(predictor.predict(frame), SCORES)
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        predictor.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="but Model was fitted with feature names"):
        predictor.predict(SCORES)


def test_a_dataset_is_refused() -> None:
    rows = torch.utils.data.TensorDataset(torch.zeros(2, 3))
    with pytest.raises(TypeError, match="for arrays and mappings of arrays; X is a TensorDataset"):
        Predictor(Same()).predict(rows)


# ---------------------------------------------------------------------------------- what it leaves


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, X: Tensor) -> Tensor:
        return self.drop(self.norm(X))


def test_it_predicts_in_evaluation_mode_and_changes_nothing() -> None:
    network = Dropping().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generators = torch.get_rng_state()
    predictor = Predictor(network)
    rows = ROWS.copy()
    # A norm that has seen no data divides by the root of 1 + eps.
    np.testing.assert_allclose(predictor.predict(rows), SCORES, rtol=1e-5)
    np.testing.assert_array_equal(rows, ROWS)
    assert torch.equal(torch.get_rng_state(), generators)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(p.grad is not None for p in network.parameters())


def test_it_shares_the_module() -> None:
    network = Same()
    predictor = Predictor(network)
    with torch.no_grad():
        network.scale.mul_(-1)
    np.testing.assert_array_equal(predictor.predict(ROWS), -SCORES)


def test_threads_predict_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_FEWEST_ROWS", 7)
    monkeypatch.setattr(chunks, "chunk_length", lambda *args: 7)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 32), nn.Dropout(0.5), nn.ReLU(), nn.Linear(32, 3)).train()
    predictor = Predictor(network, ClassOutputs(), example=torch.zeros(2, 5))
    rng = np.random.default_rng(0)
    tables = [rng.standard_normal((60, 5)).astype(np.float32) for _ in range(8)]
    # torch counts its own threads for each thread that asks, and more of them round otherwise.
    with ThreadPoolExecutor(8, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(predictor.predict_proba, tables * 20))
    expected = [predictor.predict_proba(rows) for rows in tables] * 20
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rows_come_out_one_by_one_as_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_FEWEST_ROWS", 2)
    monkeypatch.setattr(chunks, "chunk_length", lambda *args: 3)
    for outputs in (ClassOutputs(), LabelOutputs(), ValueOutputs()):
        predictor = Predictor(Same(), outputs)
        one_by_one = np.concatenate([predictor.predict(row[None]) for row in ROWS])
        np.testing.assert_array_equal(predictor.predict(ROWS), one_by_one)


# ------------------------------------------------------------------------------------------ keeping


def pruned() -> tuple[nn.Module, Removals]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    removals = Removals()
    keep = torch.tensor([True, False] * 4)
    removals.cut(network, "0", "out", keep)
    removals.cut(network, "2", "in", keep)
    return network, removals


@pytest.mark.parametrize("keep", ["pickle", "joblib"])
def test_a_pickle_has_all_of_it(keep: str) -> None:
    network, removals = pruned()
    predictor = Predictor(
        network,
        BinaryOutputs(["no", "yes"], threshold=0.4),
        masks={"0.weight": torch.ones(4, 3, dtype=torch.bool)},
        removals=removals,
        example=torch.zeros(2, 3),
        name="Model",
    )
    file = io.BytesIO()
    {"pickle": pickle.dump, "joblib": joblib.dump}[keep](predictor, file)
    file.seek(0)
    restored = {"pickle": pickle.load, "joblib": joblib.load}[keep](file)
    assert isinstance(restored, Predictor)
    assert (restored.name, restored.inputs) == ("Model", predictor.inputs)
    assert (restored.outputs.threshold, restored.outputs.nonlinearity) == (0.4, "sigmoid")
    assert restored.masks["0.weight"].all()
    assert torch.equal(restored.example, predictor.example)
    assert len(restored.removals) == len(removals)


def test_removals_are_replayed() -> None:
    network, removals = pruned()
    predictor = Predictor(network, removals=removals)
    fresh = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    smaller = predictor.removals.replay(fresh)
    smaller.load_state_dict(predictor.module.state_dict())
    np.testing.assert_array_equal(Predictor(smaller).predict(ROWS), predictor.predict(ROWS))


def test_it_shows_what_it_is() -> None:
    assert repr(Predictor(Same(), ClassOutputs())) == "Predictor(Same, ClassOutputs)"
    assert Predictor(Same()).masks == {}
    assert len(Predictor(Same()).removals) == 0


def test_outputs_of_ones_own() -> None:
    class Signs(Outputs):
        def __init__(self) -> None:
            super().__init__(None)

        def predictions(self, activated: np.ndarray) -> np.ndarray:
            return np.sign(activated)

        def decoded(self, codes: np.ndarray) -> np.ndarray:
            return codes

    np.testing.assert_array_equal(Predictor(Same(), Signs()).predict(ROWS), np.sign(SCORES))

"""The textbook experiment runs on a small file, and keeps apart what it says it keeps apart."""

import importlib.util
import re

import numpy as np
import pytest
from sklearn.base import clone

from skprune import PrunedClassifier
from tests.examples.common import EXAMPLES, run_example


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location(
        "random_pruning_mnist", EXAMPLES / "random_pruning_mnist.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def digits():
    """Ten random pictures in black and white, each with many noisy copies."""
    rng = np.random.default_rng(0)
    y = np.arange(700) % 10
    X = 255 * rng.integers(0, 2, (10, 784))[y] + rng.integers(-20, 21, (700, 784))
    return X.clip(0, 255).astype(np.uint8), y


@pytest.fixture
def file(digits, tmp_path):
    X, y = digits
    path = tmp_path / "digits.npz"
    np.savez(path, X_train=X[:600], y_train=y[:600], X_test=X[600:], y_test=y[600:])
    return path


@pytest.mark.slow
def test_prints_every_evaluation(file, tmp_path):
    output = run_example(
        "random_pruning_mnist.py",
        *("--data", str(file), "--rounds", "3", "--restarts", "2"),
        *("--epochs", "10", "--rows", "500"),
        cwd=tmp_path,
    )

    assert output.startswith("500 training rows, a sixth of them for validation; 100 test rows\n")
    rounds = [float(score) for score in re.findall(r"random_state=\d;, score=(\d\.\d+)", output)]
    lines = output.partition("\naccuracy ")[2].splitlines()[1:]
    table = {name: [float(n) for n in rest.split()] for name, rest in map(_split, lines)}
    mask = f"mask of round {np.argmax(rounds)}"
    assert list(table) == [
        "dense, validation",
        "3 rounds, validation",
        f"{mask}, test",
        f"{mask}, 5 folds",
        f"{mask}, 2 restarts, validation",
    ]
    assert table["3 rounds, validation"] == pytest.approx(
        [np.mean(rounds), np.std(rounds), np.max(rounds)], abs=1e-3
    )
    assert [len(numbers) for numbers in table.values()] == [1, 3, 1, 3, 3]
    chance = 0.1
    assert all(3 * chance < numbers[0] <= 1 for numbers in table.values())


def _split(line):
    name, numbers = line[:40], line[40:]
    return name.strip(), numbers


def test_mask_and_initial_weights_are_drawn_apart(example, digits):
    X, y = digits[0] / np.float32(255), digits[1]
    model = PrunedClassifier(
        example.untrained_net(seed=0),
        strategy="random",
        sparsity=0.5,
        fine_tune_epochs=0,
        random_state=0,
    ).fit(X, y)
    other_mask = clone(model).set_params(random_state=1).fit(X, y)
    restart = clone(model).set_params(estimator=example.untrained_net(seed=1)).fit(X, y)

    name = "hidden1.weight"
    weights = {
        key: dict(fitted.module_.named_parameters())[name].detach().numpy()
        for key, fitted in {"model": model, "mask": other_mask, "restart": restart}.items()
    }
    both = model.masks_[name] & other_mask.masks_[name]
    assert not np.array_equal(model.masks_[name], other_mask.masks_[name])
    np.testing.assert_array_equal(weights["model"][both], weights["mask"][both])
    np.testing.assert_array_equal(model.masks_[name], restart.masks_[name])
    assert not np.isclose(weights["model"], weights["restart"])[model.masks_[name]].any()
    for mask in model.masks_.values():
        assert mask.sum() == mask.size / 2


def test_reads_a_file(example, file, digits):
    X, y, X_test, y_test = example.load_mnist(file)
    np.testing.assert_allclose(X, digits[0][:600] / 255, rtol=1e-6)
    assert X.dtype == X_test.dtype == np.float32
    np.testing.assert_array_equal(y, digits[1][:600])
    np.testing.assert_array_equal(y_test, digits[1][600:])


def test_fetches_from_openml_without_a_file(example, monkeypatch):
    pixels = np.repeat([[0.0], [255.0]], [60_000, 10_000], axis=0)
    labels = np.arange(70_000).astype(str)

    def fetch(name, *, return_X_y, as_frame):
        assert (name, return_X_y, as_frame) == ("mnist_784", True, False)
        return pixels, labels

    monkeypatch.setattr(example, "fetch_openml", fetch)
    X, y, X_test, y_test = example.load_mnist(None)
    assert X.shape == (60_000, 1)
    assert X.max() == 0
    assert X_test.min() == 1
    assert y[-1] == "59999"
    assert y_test[0] == "60000"

"""Files that were written once can be read for ever: those of each version of the format.

``python -m tests.deployment.test_format`` writes the file of the present version, where there is
none yet. A file that is here is never written again.
"""

from pathlib import Path

import numpy as np
import pytest

import skprune
from skprune import PrunedClassifier
from skprune.deployment.saving.container import FORMAT
from tests.estimators.common import blobs

FILES = Path(__file__).parent / "files"
X, Y = blobs()
X = X.astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])[Y]


def write() -> None:
    path = FILES / f"format_{FORMAT}.skprune"
    if path.exists():
        raise FileExistsError(f"{path} is there, and has to stay as it is.")
    pruned = PrunedClassifier(sparsity=0.7, class_weight="balanced", random_state=0)
    pruned.set_params(estimator__max_epochs=5, estimator__module__hidden_layer_sizes=(20, 10))
    pruned.fit(X, NAMES)
    skprune.save(pruned, path, training=True)
    np.save(path.with_suffix(".npy"), pruned.predict_proba(X))


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_a_file_of_each_version_can_be_read(version: int) -> None:
    path = FILES / f"format_{version}.skprune"
    loaded = skprune.load(path)
    expected = np.load(path.with_suffix(".npy"))
    np.testing.assert_allclose(loaded.predict_proba(X), expected, rtol=1e-5, atol=1e-6)
    assert loaded.classes_.tolist() == ["ant", "bee", "cat"]
    assert {name: mask.shape for name, mask in loaded.masks_.items()} == {
        "hidden0.weight": (20, 4),
        "hidden1.weight": (10, 20),
        "output.weight": (3, 10),
    }
    assert loaded.sparsity_ == pytest.approx(0.7, abs=0.01)
    n_epochs = len(loaded.history_)
    loaded.partial_fit(X, NAMES)
    assert len(loaded.history_) == n_epochs + 1


if __name__ == "__main__":
    write()

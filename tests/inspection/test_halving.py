"""The rules, the front and the pictures look at the same candidates of a successive halving."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

from skprune import PrunedClassifier
from skprune.inspection import ParetoDisplay, PruningPathDisplay
from skprune.metrics import macs_scorer
from skprune.model_selection import pareto_front, sparsest_within
from skprune.training.nets import default_classifier_net


def score_and_macs(estimator, X, y):
    return {"score": estimator.score(X, y), "macs": macs_scorer(estimator)}


@pytest.fixture(scope="module")
def search():
    net = default_classifier_net().set_params(max_epochs=4)
    return HalvingGridSearchCV(
        PrunedClassifier(net, fine_tune_epochs=1, structure="unit", random_state=0),
        {"sparsity": [0.1, 0.3, 0.5, 0.6, 0.8, 0.9, 0.95]},
        scoring=score_and_macs,
        refit="score",
        cv=2,
        factor=2,
        min_resources=36,  # 7 candidates, then 4 of them, then 2
        random_state=0,
    ).fit(*load_iris(return_X_y=True))


def by_hand():
    """The best score of all, and the least cost, are those of candidates that were dropped."""
    score = np.array([0.99, 0.60, 0.70, 0.98, 0.80, 0.78, 0.75])
    return {
        "iter": np.array([0, 0, 0, 0, 1, 1, 1]),
        "n_resources": np.array([10, 10, 10, 10, 30, 30, 30]),
        "param_sparsity": np.ma.array([0.4, 0.98, 0.9, 0.3, 0.5, 0.8, 0.7]),
        "mean_test_score": score,
        "split0_test_score": score - 0.01,
        "split1_test_score": score + 0.01,
        "mean_test_macs": np.array([-60.0, -2.0, -10.0, -70.0, -50.0, -20.0, -30.0]),
    }


def assert_all_look_at(last, results, best_index):
    """Compare all that reads a search with what a loop over the last iteration finds."""
    score, macs = results["mean_test_score"], results["mean_test_macs"]
    sparsity = np.asarray(results["param_sparsity"], dtype=float)
    best = max(last, key=lambda i: score[i])
    assert sparsest_within(tolerance=0.0)(results) in [i for i in last if score[i] == score[best]]
    cheapest = [i for i in last if macs[i] == max(macs[last])]
    assert sparsest_within(tolerance=1.0)(results) in cheapest
    sparsest = max(last, key=lambda i: sparsity[i])
    assert sparsest_within(tolerance=1.0, cost="sparsity")(results) == sparsest

    for cost, values in {"macs": macs, "sparsity": sparsity}.items():
        beaten = {
            i
            for i in last
            for j in last
            if (score[j], values[j]) != (score[i], values[i])
            and score[j] >= score[i]
            and values[j] >= values[i]
        }
        best_pairs = {(score[i], values[i]) for i in last if i not in beaten}
        front = pareto_front(results, cost=cost)
        assert set(front) <= set(last)
        assert {(score[i], values[i]) for i in front} == best_pairs

        picture = ParetoDisplay.from_cv_results(results, cost=cost, best_index=best_index)
        sign = -1 if cost == "macs" else 1
        np.testing.assert_array_equal(picture.scores, score[last])
        np.testing.assert_array_equal(picture.costs, sign * values[last])
        drawn = zip(picture.scores[picture.front], picture.costs[picture.front], strict=True)
        assert [(s, sign * c) for s, c in drawn] == [(score[i], values[i]) for i in front]
        assert picture.chosen == (sign * values[best_index], score[best_index])

    path = PruningPathDisplay.from_cv_results(results, best_index=best_index)
    order = sorted(last, key=lambda i: sparsity[i])
    np.testing.assert_array_equal(path.sparsities["pruned"], sparsity[order])
    np.testing.assert_allclose(path.scores["pruned"].mean(axis=1), score[order])
    assert path.chosen == (sparsity[best_index], score[best_index])

    for display in (ParetoDisplay, PruningPathDisplay):
        with pytest.raises(ValueError, match="Candidate 0 cannot be compared: those of the last"):
            display.from_cv_results(results, best_index=0)


def test_a_halving_search(search):
    results = search.cv_results_
    assert np.bincount(results["iter"]).tolist() == [7, 4, 2]
    last = [11, 12]
    assert (results["n_resources"][last] == results["n_resources"].max()).all()
    # scikit-learn chooses among the same.
    assert search.best_index_ == max(last, key=lambda i: results["mean_test_score"][i])
    assert_all_look_at(last, results, search.best_index_)


def test_a_table_made_by_hand():
    assert_all_look_at([4, 5, 6], by_hand(), best_index=5)


def test_the_pictures_of_a_fitted_search(search):
    pareto, path = (d.from_estimator(search) for d in (ParetoDisplay, PruningPathDisplay))
    assert pareto.score_name == path.score_name == "score"
    assert len(pareto.scores) == 2
    assert pareto.chosen[1] == path.chosen[1] == search.best_score_
    assert plt.get_fignums()

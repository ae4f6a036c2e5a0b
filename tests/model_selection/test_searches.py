"""Scorers and refit rules inside the searches of scikit-learn and of Optuna."""

import re
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GridSampler
from optuna_integration import OptunaSearchCV
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifier
from skprune.metrics import (
    compression_scorer,
    latency_scorer,
    macs_scorer,
    n_parameters_scorer,
    size_scorer,
    sparsity_scorer,
)
from skprune.model_selection import pareto_front, sparsest_within
from skprune.training.nets import default_classifier_net

X, y = load_iris(return_X_y=True)
CV = StratifiedKFold(2, shuffle=True, random_state=0)
SPARSITIES = [0.25, 0.5, 0.75, 0.95]
SPARSITY = "prunedclassifier__sparsity"


def model():
    net = default_classifier_net().set_params(
        max_epochs=20,
        lr=0.02,
        module__hidden_layer_sizes=(20,),
        module__activation="tanh",  # no unit is dead, and all are counted
    )
    return make_pipeline(StandardScaler(), PrunedClassifier(net, structure="unit", random_state=0))


def sizes(sparsity):
    """What is left of a float64 network of 4-20-3."""
    units = round(20 * (1 - sparsity))
    parameters = (4 + 1) * units + (units + 1) * 3
    return {
        "sparsity": sparsity,
        "macs": -(4 + 3) * units,
        "n_parameters": -parameters,
        "size": -8 * parameters,
        "compression": (5 * 20 + 21 * 3) / parameters,
    }


def score_and_sizes(estimator, X, y):
    """Several scores from one scorer, which is how a halving search takes them."""
    return {
        "score": estimator.score(X, y),
        "sparsity": sparsity_scorer(estimator, X, y),
        "macs": macs_scorer(estimator, X, y),
        "n_parameters": n_parameters_scorer(estimator, X, y),
        "size": size_scorer(estimator, X, y),
        "compression": compression_scorer(estimator, X, y),
        "latency": latency_scorer(estimator, X, y),
    }


# Searches of scikit-learn


@pytest.mark.parametrize(
    ("search", "options"),
    [
        (GridSearchCV, {}),
        (RandomizedSearchCV, {"n_iter": 4}),
        (HalvingGridSearchCV, {"factor": 2, "min_resources": 30}),
        (HalvingRandomSearchCV, {"factor": 2, "n_candidates": 4, "random_state": 0}),
    ],
)
def test_every_scorer_in_every_search(search, options):
    fitted = search(
        model(),
        {SPARSITY: SPARSITIES},
        scoring=score_and_sizes,
        refit="score",
        cv=CV,
        error_score="raise",
        **options,
    ).fit(X, y)

    results = fitted.cv_results_
    assert {params[SPARSITY] for params in results["params"]} == set(SPARSITIES)
    for i, params in enumerate(results["params"]):
        for name, expected in sizes(params[SPARSITY]).items():
            assert results[f"mean_test_{name}"][i] == pytest.approx(expected, rel=1e-12)
    assert (results["mean_test_latency"] < 0).all()


@pytest.mark.parametrize("cost", ["macs", "sparsity"])
def test_a_rule_applied_to_a_halving_search(cost):
    search = HalvingGridSearchCV(
        model(),
        {SPARSITY: SPARSITIES},
        factor=2,
        min_resources=30,
        scoring=score_and_sizes,
        refit="score",
        cv=CV,
        error_score="raise",
    ).fit(X, y)
    assert search.n_iterations_ == 3
    last = np.flatnonzero(search.cv_results_["iter"] == 2)

    chosen = sparsest_within(tolerance=1.0, cost=cost)(search.cv_results_)

    sparsities = search.cv_results_[f"param_{SPARSITY}"]
    assert chosen == max(last, key=lambda i: sparsities[i])
    assert set(pareto_front(search.cv_results_, cost=cost)) <= set(last)


def test_a_rule_given_to_a_halving_search_is_not_asked():
    """Says so once scikit-learn asks it: the documentation of the rules is to change then."""
    asked = []
    HalvingGridSearchCV(
        model(), {SPARSITY: SPARSITIES}, cv=CV, refit=lambda results: asked.append(1)
    ).fit(X, y)
    assert not asked


# Optuna's

of_optuna = pytest.mark.filterwarnings(
    # its own search calls it
    "ignore:`optuna.terminator` module has been deprecated:FutureWarning"
)


def optuna_search(estimator, candidates, **options):
    name, values = candidates
    study = optuna.create_study(direction="maximize", sampler=GridSampler({name: values}, seed=0))
    with pytest.warns(ExperimentalWarning, match="OptunaSearchCV is experimental"):
        return OptunaSearchCV(
            estimator,
            {name: CategoricalDistribution(values)},
            **{"cv": CV, "study": study, "n_trials": len(values), **options},
        )


@of_optuna
def test_a_scorer_as_the_aim_of_optuna():
    search = optuna_search(model(), (SPARSITY, SPARSITIES), scoring=sparsity_scorer).fit(X, y)
    assert search.best_params_ == {SPARSITY: 0.95}
    assert search.best_score_ == pytest.approx(0.95)
    assert sparsity_scorer(search) == pytest.approx(0.95)


@of_optuna
def test_a_trade_off_as_the_aim_of_optuna():
    def accuracy_less_macs(estimator, X, y):
        return estimator.score(X, y) + 0.002 * macs_scorer(estimator)

    search = optuna_search(model(), (SPARSITY, SPARSITIES), scoring=accuracy_less_macs)
    search.fit(X, y)

    accuracy = [
        cross_validate(model().set_params(**{SPARSITY: s}), X, y, cv=CV)["test_score"].mean()
        for s in SPARSITIES
    ]
    traded = [a + 0.002 * sizes(s)["macs"] for a, s in zip(accuracy, SPARSITIES, strict=True)]
    assert search.best_params_ == {SPARSITY: SPARSITIES[np.argmax(traded)]}
    assert search.best_score_ == pytest.approx(max(traded))


def with_sparsities(search):
    sparsities = [trial.params[SPARSITY] for trial in search.trials_]
    return {**search.cv_results_, "param_sparsity": sparsities}


@of_optuna
@pytest.mark.parametrize("tolerance", [0.0, 0.1, 1.0, None])
def test_a_rule_applied_to_an_optuna_search(tolerance):
    grid = GridSearchCV(
        model(),
        {SPARSITY: SPARSITIES},
        cv=CV,
        refit=sparsest_within(tolerance=tolerance, cost="sparsity"),
    ).fit(X, y)
    search = optuna_search(model(), (SPARSITY, SPARSITIES), refit=False).fit(X, y)

    index = grid.refit(with_sparsities(search))

    assert search.trials_[index].params == grid.best_params_
    chosen = clone(search.estimator).set_params(**search.trials_[index].params).fit(X, y)
    np.testing.assert_array_equal(chosen.predict_proba(X), grid.predict_proba(X))


@of_optuna
def test_a_trial_that_fails_is_not_chosen():
    candidates = (SPARSITY, [0.5, 0.999])
    search = optuna_search(model(), candidates, refit=False)
    with pytest.warns(RuntimeWarning, match="Mean of empty slice|Degrees of freedom"):
        search.fit(X, y)

    index = sparsest_within(cost="sparsity")(with_sparsities(search))

    assert search.trials_[index].params == {SPARSITY: 0.5}


@of_optuna
def test_a_fold_that_fails_leaves_the_others():
    def fails_once(estimator, X_test, y_test):
        if sparsity_scorer(estimator) == 0.25 and np.array_equal(X_test, X[test]):
            raise RuntimeError("wanted")
        return estimator.score(X_test, y_test)

    _, test = next(CV.split(X, y))
    search = optuna_search(model(), (SPARSITY, [0.25, 0.5]), scoring=fails_once, refit=False)
    with pytest.warns(UserWarning, match=r"(?s)Scoring failed.*wanted"):
        search.fit(X, y)
    results = with_sparsities(search)
    assert np.isnan(results["split0_test_score"]).sum() == 1

    assert sparsest_within(n_std_err=0, cost="sparsity")(results) == np.argmax(
        results["mean_test_score"]
    )


def test_pareto_front_is_that_of_a_study_of_two_aims():
    def objective(trial):
        candidate = model().set_params(
            **{SPARSITY: trial.suggest_categorical(SPARSITY, SPARSITIES)},
            prunedclassifier__fine_tune_epochs=trial.suggest_categorical("epochs", [0, 5]),
        )
        scores = cross_validate(
            candidate, X, y, cv=CV, scoring={"accuracy": "accuracy", "macs": macs_scorer}
        )
        means = {key: values.mean() for key, values in scores.items()}
        for key, value in means.items():
            trial.set_user_attr(f"mean_{key}", value)
        return means["test_accuracy"], means["test_macs"]

    study = optuna.create_study(
        directions=["maximize", "maximize"],
        sampler=GridSampler({SPARSITY: SPARSITIES, "epochs": [0, 5]}, seed=0),
    )
    study.optimize(objective)
    assert len(study.trials) == 8

    table = study.trials_dataframe().rename(columns=lambda name: name.removeprefix("user_attrs_"))
    front = pareto_front(table, "accuracy")

    best = {tuple(trial.values) for trial in study.best_trials}
    assert [tuple(study.trials[i].values) for i in front] == sorted(best, key=lambda v: -v[1])


# The guide


@pytest.mark.slow
@of_optuna
@pytest.mark.filterwarnings("ignore:OptunaSearchCV is experimental")
def test_the_guide_does_what_it_says():
    guide = Path(__file__).parents[2] / "docs" / "how-to-refit-rules.md"
    code = re.findall(r"^```python\n(.*?)^```$", guide.read_text("utf-8"), re.M | re.S)
    scope = {"__name__": "guide"}
    for block in code:
        exec(block, scope)

    costs = scope["results"]["mean_test_macs"]
    assert scope["index"] in scope["front"]
    assert costs[scope["index"]] >= costs[scope["results"]["mean_test_accuracy"].idxmax()]
    best = {tuple(trial.values) for trial in scope["study"].best_trials}
    assert {tuple(scope["study"].trials[i].values) for i in scope["front"]} == best

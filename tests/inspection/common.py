"""Results of searches made by hand, and what makes a picture readable."""

from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from sklearn.datasets import load_iris

from skprune import PrunedClassifierCV
from skprune.metrics import macs_scorer
from skprune.model_selection import sparsest_within
from skprune.training.nets import default_classifier_net

STYLES = ["default", "dark_background"]
STRATEGIES = [
    "magnitude",
    "random",
    "hessian",
    "gradient",
    "dynamic",
    "lottery_ticket",
    "distillation",
    "sparse_optimization",
]
METRICS = {"acc": "accuracy", "f1": "f1_macro", "macs": macs_scorer}
# Ways for a search to choose by several metrics, and which of them decides.
SELECTIONS = [("one_std_err", "acc"), (sparsest_within("f1"), "f1"), (lambda _: 1, "acc")]
SPARSITIES = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98]
N_SPLITS = 4


def make_results(n_strategies: int = 2, sparsities: Any = SPARSITIES) -> dict[str, Any]:
    """``cv_results_`` of a grid over sparsity and strategy in a pipeline, with two metrics."""
    rng = np.random.default_rng(0)
    rows = [(sp, st) for sp in sparsities for st in STRATEGIES[:n_strategies]]
    accuracy = rng.uniform(0.5, 1.0, (len(rows), N_SPLITS))
    macs = [[-round(10_000 * (1 - s)) - 10.0 * len(n)] * N_SPLITS for s, n in rows]
    results: dict[str, Any] = {
        "param_pruned__sparsity": np.ma.array([s for s, _ in rows]),
        "param_pruned__strategy": np.ma.array([n for _, n in rows], dtype=object),
        "params": [{"pruned__sparsity": s, "pruned__strategy": n} for s, n in rows],
    }
    for name, scores in {"accuracy": accuracy, "macs": np.array(macs)}.items():
        results |= {f"split{i}_test_{name}": scores[:, i] for i in range(N_SPLITS)}
        results[f"mean_test_{name}"] = scores.mean(axis=1)
        results[f"std_test_{name}"] = scores.std(axis=1)
    return results


def make_search(n_strategies: int = 2, n_classes: int = 3) -> SimpleNamespace:
    """What a fitted cross-validated estimator shows of itself."""
    rng = np.random.default_rng(1)
    stability = {}
    for name in STRATEGIES[:n_strategies]:
        mask = np.array([np.nan, *rng.uniform(0.1, 0.9, len(SPARSITIES) - 1)])
        stability[name] = {
            "sparsity": np.array(SPARSITIES),
            "mask": mask,
            "mask_lower": mask - 0.1,
            "mask_upper": mask + 0.1,
            "churn": rng.uniform(0, 0.5, len(SPARSITIES)),
            "recall_change": rng.uniform(-0.5, 0.1, (len(SPARSITIES), n_classes)),
        }
    return SimpleNamespace(
        cv_results_=make_results(n_strategies),
        best_index_=1,
        dense_scores_={"accuracy": np.array([0.9, 0.8, 0.9, 1.0])},
        stability_=stability,
        classes_=np.array([f"class {i}" for i in range(n_classes)]),
    )


def fitted_search(strategies: Any = "magnitude", **params: Any) -> Any:
    """A cross-validated estimator, fitted quickly."""
    net = default_classifier_net().set_params(max_epochs=2)
    search = PrunedClassifierCV(
        net, strategies=strategies, fine_tune_epochs=1, cv=2, random_state=0
    )
    return search.set_params(**params).fit(*load_iris(return_X_y=True))


def assert_readable(display: Any) -> None:
    """All text is in the figure, an axis' labels do not touch, nothing fades into the ground."""
    figure, ax = display.figure_, display.ax_
    figure.canvas.draw()
    for axes in (ax, *ax.child_axes):
        texts = [axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            labels = [
                tick.label2 if tick.label2.get_visible() else tick.label1
                for tick in axis.get_major_ticks()
                if low <= tick.get_loc() <= high
            ]
            labels = [label for label in labels if label.get_visible() and label.get_text()]
            boxes = [label.get_window_extent() for label in labels]
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
            texts += labels
        if axes.get_legend() is not None:
            texts += axes.get_legend().get_texts()
        for text in texts:
            if not text.get_text():
                continue
            box = text.get_window_extent()
            assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
            assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text
            assert contrast(text.get_color(), figure.get_facecolor()) > 4.5
    for line in ax.get_lines():
        mark = line.get_markeredgecolor() if line.get_linestyle() == "None" else line.get_color()
        assert contrast(mark, ax.get_facecolor()) > 2


def linear_rgb(colour: Any) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: Any, other: Any) -> float:
    """Ratio of luminances as the Web Content Accessibility Guidelines define it."""
    light = sorted(float(linear_rgb(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return light[1] / light[0]

"""
Which strategy? An honest estimate
==================================

The best of many candidates looks better than it is: its score was the reason to choose it. Nested
cross-validation scores the whole procedure, choice included, on data that had no part in it.
"""

# %%
# Choose among strategies and sparsities
# --------------------------------------
#
# All strategies share one dense network a fold. The search minds accuracy and
# multiply-accumulates, and takes the cheapest network within one standard error of the best.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skprune import PrunedClassifierCV
from skprune.inspection import ParetoDisplay, PruningPathDisplay
from skprune.metrics import macs_scorer
from skprune.model_selection import sparsest_within

torch.set_num_threads(1)  # layers this small gain nothing from a second thread

X, y = load_breast_cancer(return_X_y=True)

search = PrunedClassifierCV(
    strategies=["magnitude", "lamp", "random"],
    sparsities=[0.5, 0.75, 0.9, 0.95, 0.98],
    structure="unit",
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
    scoring={"accuracy": "accuracy", "macs": macs_scorer},
    selection=sparsest_within("accuracy", cost="macs"),
    random_state=0,
)
pipeline = make_pipeline(StandardScaler(), search).fit(X, y)
search = pipeline[-1]
print(f"Chosen: {search.best_params_}, cross-validated accuracy {search.best_score_:.3f}.")

# %%
# The honest estimate
# -------------------
#
# Each outer fold repeats scaling, choice and last fit on its training part. What varies over the
# folds is the procedure's own uncertainty.

outer = cross_validate(
    pipeline,
    X,
    y,
    cv=StratifiedKFold(4, shuffle=True, random_state=1),
    scoring={"accuracy": "accuracy", "macs": macs_scorer},
    return_estimator=True,
)
print(
    f"Nested: accuracy {outer['test_accuracy'].mean():.3f} ± {outer['test_accuracy'].std():.3f}, "
    f"{-outer['test_macs'].mean():,.0f} MACs of "
    f"{search.report_.total_before.macs:,} on average."
)
for number, fitted in enumerate(outer["estimator"]):
    print(f"  outer fold {number} chose {fitted[-1].best_params_}")

# %%
# The candidates
# --------------
#
# Left, accuracy along each strategy's path; right, accuracy against what a prediction costs.

fig, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
PruningPathDisplay.from_estimator(search, scoring="accuracy", ax=axes[0])
ParetoDisplay.from_estimator(search, scoring="accuracy", cost="macs", ax=axes[1])
fig.savefig("choose_strategy.png", dpi=150)
print("The candidates are in choose_strategy.png.")

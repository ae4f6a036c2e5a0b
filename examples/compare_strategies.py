"""
All families of strategies in one search
========================================

A strategy is a hyperparameter: one ``GridSearchCV`` compares the families that the literature has,
each under its name. With ``memory=`` all of them prune the same dense network of each fold.
"""

# %%
# One search
# ----------
#
# Pruning at random is the baseline: what it loses shows how hard a sparsity is for this network.

from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

from skprune import PrunedClassifier
from skprune.inspection import PruningPathDisplay

FAMILIES = {
    "random": "baseline",
    "magnitude": "magnitude",
    "sparse_optimization": "sparse optimisation",
    "gradient": "gradients",
    "hessian": "the Hessian",
    "dynamic": "dynamic",
    "distillation": "knowledge transfer",
    "lottery_ticket": "lottery tickets",
    "synflow": "before training",
}

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.5, random_state=0, stratify=y
)

with TemporaryDirectory() as folder:
    search = GridSearchCV(
        PrunedClassifier(memory=folder, random_state=0),
        {"strategy": list(FAMILIES), "sparsity": [0.8, 0.9, 0.95]},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        n_jobs=2,
    ).fit(X_train, y_train)

# %%
# The best of each family
# -----------------------
#
# The differences between neighbours are often smaller than those between folds.

results = search.cv_results_
print(f"{'family':<20}  {'strategy':<20}  " + "  ".join(f"{s:>11.0%}" for s in (0.8, 0.9, 0.95)))
for name, family in FAMILIES.items():
    mine = [i for i, params in enumerate(results["params"]) if params["strategy"] == name]
    cells = [
        f"{results['mean_test_score'][i]:.3f}±{results['std_test_score'][i]:.3f}" for i in mine
    ]
    print(f"{family:<20}  {name:<20}  " + "  ".join(cells))
print(f"Chosen: {search.best_params_}.")
print(f"Accuracy on new images: {search.score(X_test, y_test):.3f}.")

# %%
# The picture
# -----------

figure, ax = plt.subplots(figsize=(9, 5.5), layout="constrained")
PruningPathDisplay.from_cv_results(results, ax=ax)
ax.set_ylim(0.86, 0.985)  # which pruning at random leaves
ax.set_title("Families of strategies on the digits, weights removed")
figure.savefig("compare_strategies.png", dpi=150)
print("The comparison is in compare_strategies.png.")

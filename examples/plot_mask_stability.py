"""
Is the pruned network stable?
=============================

Two networks of the same accuracy can disagree on many rows, and a pruned one can lose one class
while the average hides it. ``PrunedClassifierCV`` measures on its folds how much the masks agree,
how many predictions pruning changes, and what it does to each class.
"""

# %%
# A path with its stability
# -------------------------
#
# All folds begin with the same seed, so that random masks agree by construction: what they tell is
# how many predictions change although nothing was chosen.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from skprune import PrunedClassifier, PrunedClassifierCV
from skprune.inspection import StabilityDisplay
from skprune.model_selection import mask_stability, prediction_churn

torch.set_num_threads(1)  # layers this small gain nothing from a second thread

X, y = load_digits(return_X_y=True)
X = X / 16

search = PrunedClassifierCV(
    strategies=["magnitude", "random"],
    sparsities=[0.5, 0.8, 0.9, 0.95, 0.98],
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
    random_state=0,
).fit(X, y)

for strategy, stability in search.stability_.items():
    print(f"{strategy}:")
    for row in zip(
        stability["sparsity"],
        stability["mask"],
        stability["churn"],
        stability["churn_between_folds"],
        stability["recall_change"].min(axis=1),
        strict=True,
    ):
        print(
            "  sparsity {:.2f}: masks agree {:.2f}, {:.1%} of the predictions differ from the "
            "dense network's, {:.1%} between folds; the worst class' recall changes by "
            "{:+.3f}".format(*row)
        )

# %%
# Over seeds
# ----------
#
# The folds begin with the same weights. With a seed of its own, each network finds other weights to
# keep, and is as good: the mask of one fit says little about which weights matter.

fits = [
    PrunedClassifier(sparsity=0.9, random_state=seed).fit(X[:1400], y[:1400]) for seed in range(4)
]
agreement = mask_stability([fit.masks_ for fit in fits])
predictions = [fit.predict(X[1400:]) for fit in fits]
churn = np.mean([prediction_churn(predictions[0], other) for other in predictions[1:]])
print(
    f"Over four seeds at sparsity 0.90: masks agree {agreement.stability:.2f} "
    f"[{agreement.lower:.2f}, {agreement.upper:.2f}], accuracies "
    f"{', '.join(f'{fit.score(X[1400:], y[1400:]):.3f}' for fit in fits)}, {churn:.1%} of the "
    "predictions differ."
)

# %%
# Pictures
# --------

fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
for ax, kind in zip(axes, ["mask", "churn", "recall_change"], strict=True):
    StabilityDisplay.from_estimator(search, kind=kind, ax=ax)
fig.savefig("mask_stability.png", dpi=150)
print("The pictures are in mask_stability.png.")

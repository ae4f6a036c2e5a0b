"""
How much can be pruned?
=======================

``PrunedClassifierCV`` answers as ``LassoCV`` does for a linear model: each fold trains one dense
network and prunes it to a whole path of sparsities. The choice is the sparsest network whose
accuracy is within one standard error of the best one's.
"""

# %%
# A path of sparsities, cross-validated
# -------------------------------------
#
# A number of sparsities stands for so many, evenly spread by the ratio of what is left. To learn
# from 300 images the network needs fewer weights than it has: accuracy falls only far along the
# path.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skprune import PrunedClassifierCV
from skprune.inspection import LayerSparsityDisplay, MaskDisplay, PruningPathDisplay

torch.set_num_threads(1)  # layers this small gain nothing from a second thread

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=300, random_state=0, stratify=y
)

search = PrunedClassifierCV(strategies=["magnitude", "random"], sparsities=8, cv=5, random_state=0)
search.fit(X_train, y_train)

chosen, best = search.best_score_, search.cv_results_["mean_test_score"].max()
print(
    f"Chosen: strategy={search.strategy_!r}, sparsity={search.best_params_['sparsity']:.3f}.\n"
    f"Its cross-validated accuracy is {chosen:.3f}; the best of all is {best:.3f}, the dense "
    f"networks' {search.dense_scores_['score'].mean():.3f}.\n"
    f"Accuracy on new images: {search.score(X_test, y_test):.3f}, with "
    f"{search.report_.total_after.weights:,} of {search.report_.total_before.weights:,} weights."
)

# %%
# The path
# --------
#
# Pruning at random shows how much of the path is due to the choice of the weights, and how much to
# a network that was too large in the first place.

fig, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained", width_ratios=[2, 1, 1.2])
PruningPathDisplay.from_estimator(search, ax=axes[0])
axes[0].set_title("Accuracy along the path")

# %%
# What was kept
# -------------
#
# The fitted estimator is that of the chosen point, on all the data: where its weights are, and
# which pixels it still looks at.

LayerSparsityDisplay.from_estimator(search, ax=axes[1])
axes[1].set_title("Layers")
MaskDisplay.from_estimator(search, "hidden0", image_shape=(8, 8), ax=axes[2])
axes[2].set_title("Weights that read each pixel")
fig.savefig("pruning_path.png", dpi=150)
print("The path is in pruning_path.png.")

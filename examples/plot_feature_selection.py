"""
Which features matter?
======================

Five of fifty features make up the target, and only in products and a square. A network is
trained on all of them and pruned to few; beside it stand what people use: LassoNet, an L1 penalty
on a logistic regression, a random forest, and mutual information.
"""

# %%
# Features that a linear model does not see
# -----------------------------------------
#
# No single feature is correlated with the class: only the products of two of them are.

from time import process_time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFromModel, SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression

from skprune import PrunedFeatureSelector, PrunedFeatureSelectorCV
from skprune.inspection import FeatureImportanceDisplay, FeaturePathDisplay

torch.set_num_threads(1)  # layers this small gain nothing from a second thread

rng = np.random.default_rng(0)
X = rng.normal(size=(600, 50)).astype(np.float32)
y = (X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] + (X[:, 4] ** 2 - 1) / 2 > 0).astype(int)
relevant = range(5)

# %%
# Five features each
# ------------------

selectors = {
    "pruned network": PrunedFeatureSelector(n_features_to_select=5, random_state=0),
    "random forest": SelectFromModel(
        RandomForestClassifier(random_state=0), max_features=5, threshold=-np.inf
    ),
    "L1 logistic regression": SelectFromModel(
        LogisticRegression(l1_ratio=1.0, solver="liblinear"), max_features=5, threshold=-np.inf
    ),
    "mutual information": SelectKBest(lambda X, y: mutual_info_classif(X, y, random_state=0), k=5),
}
found, seconds = {}, {}
for name, selector in selectors.items():
    began = process_time()
    found[name] = selector.fit(X, y).get_support(indices=True)
    seconds[name] = process_time() - began

# %%
# LassoNet, where it is installed (``pip install lassonet``), finds its features along a path of
# penalties, of which each feature leaves at one.

try:
    from lassonet import LassoNetClassifier
except ImportError:
    print("lassonet is not installed: it is left out.")
else:
    began = process_time()
    lassonet = LassoNetClassifier(
        n_iters=(200, 20), path_multiplier=1.1, verbose=0, random_state=0, torch_seed=0
    )
    lassonet.path(X, y, disable_lambda_warning=True)
    found["LassoNet (short path)"] = np.argsort(-lassonet.feature_importances_.numpy())[:5]
    seconds["LassoNet (short path)"] = process_time() - began

recovered = {name: len({*relevant} & {*map(int, chosen)}) for name, chosen in found.items()}
for name, number in recovered.items():
    print(f"{name:>24}: {number} of 5 found, {seconds[name]:.2f} s of computing time")

# %%
# How many features?
# ------------------
#
# Cross-validation says. Each fold trains one network and prunes it to each number of features; the
# folds agree on those that matter, and on little else.

search = PrunedFeatureSelectorCV(candidates=[50, 10, 7, 5, 4, 2], cv=3, random_state=0)
search.fit(X, y)
print(f"{search.n_features_} features are chosen: {search.get_support(indices=True).tolist()}.")

fig, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
names = list(recovered)
axes[0, 0].barh(names, [recovered[name] for name in names], color="#0072B2")
axes[0, 0].set(xlabel="Relevant features among the five selected", xlim=(0, 5))
axes[0, 0].invert_yaxis()
FeatureImportanceDisplay.from_estimator(selectors["pruned network"], ax=axes[0, 1])
FeaturePathDisplay.from_estimator(search, ax=axes[1, 0])
FeaturePathDisplay.from_estimator(search, kind="features", ax=axes[1, 1])
axes[1, 1].tick_params(axis="y", labelsize=6)
fig.savefig("feature_selection.png", dpi=100)

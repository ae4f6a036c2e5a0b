"""
Which pixels does a network need?
=================================

A network that reads handwritten digits is pruned to ever fewer pixels. Those that are left lie
where the digits differ; the border, which is the same in all images, goes first.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

from skprune import PrunedFeatureSelector
from skprune.inspection import FeatureImportanceDisplay

torch.set_num_threads(1)

# %%
# The digits
# ----------
#
# 3,000 images of MNIST, of 28 x 28 pixels. Without a network, the small digits that come with
# scikit-learn stand in for them.

try:
    X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
    X, y, side = X / 255, y.astype(int), 28
except OSError as error:
    print(f"MNIST cannot be fetched ({error}); the digits of scikit-learn are used.")
    X, y = load_digits(return_X_y=True)
    X, side = X / 16, 8
rng = np.random.default_rng(0)
rows = rng.choice(len(X), min(len(X), 5000), replace=False)
X_train, X_test, y_train, y_test = train_test_split(
    X[rows].astype(np.float32), y[rows], train_size=0.6, random_state=0, stratify=y[rows]
)

# %%
# Ever fewer pixels
# -----------------

fig, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
for share, ax in zip((0.25, 0.125, 1 / 16), axes, strict=True):
    selector = PrunedFeatureSelector(n_features_to_select=share, random_state=0)
    selector.fit(X_train, y_train)
    accuracy = selector.score(X_test, y_test)
    print(f"{selector.n_features_:>4} of {side * side} pixels: accuracy {accuracy:.3f}")
    FeatureImportanceDisplay.from_estimator(selector, image_shape=(side, side), ax=ax)
    ax.set_xlabel(f"accuracy on new images: {accuracy:.3f}")
fig.savefig("mnist_pixels.png", dpi=100)

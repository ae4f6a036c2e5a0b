"""
Hidden layers as features
=========================

A pruned network's hidden layer is a compact representation: a search for neighbours in it looks at
a third of the numbers, and is about as accurate as one among the pixels. An autoencoder makes such
a representation without labels, and tells which images are unlike the others.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skprune import PrunedAutoencoder, PrunedClassifier, PrunedTransformer

torch.set_num_threads(1)

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=900, random_state=0)

# %%
# Neighbours among the pixels, and in the layer before the output
# ----------------------------------------------------------------

neighbours = KNeighborsClassifier().fit(X_train, y_train)
pruned = PrunedClassifier(structure="unit", sparsity=0.8, random_state=0)
embedding = make_pipeline(PrunedTransformer(pruned), KNeighborsClassifier())
embedding.fit(X_train, y_train)
print(
    f"Neighbours among {X.shape[1]} pixels: {neighbours.score(X_test, y_test):.3f}\n"
    f"Neighbours in {embedding[0].n_features_out_} hidden units: "
    f"{embedding.score(X_test, y_test):.3f}"
)

# %%
# Without labels
# --------------
#
# The autoencoder has never seen a nine: it gives them back worse than other digits.

known = y_train != 9
autoencoder = PrunedAutoencoder(n_components=12, random_state=0)
autoencoder.set_params(estimator__max_epochs=200).fit(X_train[known])
explained = autoencoder.score(X_test[y_test != 9])
print(
    f"{autoencoder.n_components_} numbers give back {explained:.0%} of the variance of new images."
)
strangeness = -autoencoder.score_samples(X_test)
print(
    f"Nines are told from the others with an AUC of {roc_auc_score(y_test == 9, strangeness):.3f}."
)

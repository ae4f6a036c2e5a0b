"""
Prune a digit classifier
========================

A network that tells handwritten digits apart loses nine tenths of its weights, or of its hidden
units. The pruned networks are scikit-learn estimators: ``cross_val_score`` says what pruning costs
in accuracy, and ``GridSearchCV`` finds out how much of it the network can take.
"""

# %%
# The network
# -----------
#
# Two hidden layers of 256 units are more than these images of 8 x 8 pixels need.

from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from skprune import PrunedClassifier
from skprune.metrics import predict_latency
from skprune.model_selection import sparsest_within
from skprune.network import MLP

torch.set_num_threads(1)  # layers this small gain nothing from a second thread
torch.manual_seed(0)

X, y = load_digits(return_X_y=True)
X = X.astype("float32")

net = NeuralNetClassifier(
    MLP,
    module__n_features=64,
    module__n_outputs=10,
    module__hidden_layer_sizes=(256, 256),
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.003,
    max_epochs=15,
    batch_size=200,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
)

# %%
# Dense against pruned
# --------------------
#
# Four models, each in a pipeline and each scored on the same five folds:
#
# - the net as it is;
# - the same dense network inside ``PrunedClassifier``, which predicts without skorch's data loader:
#   it tells what that alone does for the speed;
# - nine tenths of the weights removed;
# - nine tenths of the hidden units removed.
#
# Both are pruned step by step, and what is left is trained for 30 more epochs. The dense network
# would not gain from those: it is as good after 15 epochs as it gets. ``memory`` keeps the dense
# network of each fold, so that the models to come start from it and not from the beginning.

dense_networks = TemporaryDirectory()
pruning = {
    "strategy": "gradual_magnitude",
    "sparsity": 0.9,
    "fine_tune_epochs": 30,
    "random_state": 0,
    "memory": dense_networks.name,
}
models = {
    "dense (skorch)": net,
    "dense (skprune)": PrunedClassifier(net, sparsity=0.0, fine_tune_epochs=0, random_state=0),
    "weights pruned": PrunedClassifier(net, structure="weight", **pruning),
    "units pruned": PrunedClassifier(net, structure="unit", **pruning),
}
folds = StratifiedKFold(5, shuffle=True, random_state=0)
scores, fitted = {}, {}
for name, model in models.items():
    pipeline = make_pipeline(StandardScaler(), model)
    scores[name] = cross_val_score(pipeline, X, y, cv=folds)
    fitted[name] = clone(pipeline).fit(X, y)

# %%
# What it brought
# ---------------
#
# The times are those of each model's own ``predict``, for all the images at once. Of 15 times the
# shortest counts, which other work of the computer disturbs least.

classifiers = {name: fitted[name][-1] for name in models if name != "dense (skorch)"}
sparsity = {"dense (skorch)": 0.0, **{name: c.sparsity_ for name, c in classifiers.items()}}
sizes = {
    "dense (skorch)": classifiers["units pruned"].report_.total_before,
    **{name: c.report_.total_after for name, c in classifiers.items()},
}

X_scaled = StandardScaler().fit_transform(X)
times = pd.DataFrame(
    {
        name: predict_latency(fitted[name][-1].predict, X_scaled, repeats=1, warm_up=1)
        for name in models
    }
    for _ in range(15)
).min()

table = pd.DataFrame(
    {
        "accuracy": {name: f"{s.mean():.3f} ± {s.std():.3f}" for name, s in scores.items()},
        "sparsity": {name: f"{sparsity[name]:.2f}" for name in models},
        "parameters": {name: f"{sizes[name].parameters:,}" for name in models},
        "MACs": {name: f"{sizes[name].macs:,}" for name in models},
        "bytes": {name: f"{sizes[name].bytes:,}" for name in models},
        "predict (ms)": {name: f"{1000 * times[name]:.2f}" for name in models},
    }
)
print(f"5-fold accuracy (± standard deviation), size, and time to predict {len(X):,} digits:\n")
print(table.to_string(), "\n")

dense, pruned = sizes["dense (skorch)"], sizes["units pruned"]
change = 100 * (scores["units pruned"].mean() - scores["dense (skorch)"].mean())
print(
    f"Without {sparsity['units pruned']:.0%} of its hidden units, the network has "
    f"{dense.parameters / pruned.parameters:.0f} times fewer parameters and "
    f"{dense.macs / pruned.macs:.0f} times fewer MACs.\n"
    f"Its accuracy changes by {change:+.1f} points; the standard deviation over the folds is "
    f"{100 * scores['units pruned'].std():.1f}.\n"
    f"It predicts {times['dense (skorch)'] / times['units pruned']:.0f} times faster than the "
    f"dense skorch net, and {times['dense (skprune)'] / times['units pruned']:.1f} times faster "
    "than the dense network in skprune.\n"
    "Single weights that are pruned stay in memory as zeros. To make the network itself smaller "
    "and faster, remove whole units.\n"
)

# %%
# How much, and by which strategy?
# --------------------------------
#
# Sparsity and strategy are hyperparameters like any other. The highest accuracy alone would favour
# a large network for a gain that is chance, so ``refit`` takes the sparsest model whose accuracy is
# within one standard error of the highest.

grid = {
    "prunedclassifier__strategy": ["gradual_magnitude", "magnitude", "random"],
    "prunedclassifier__sparsity": [0.5, 0.8, 0.9, 0.95],
}


pipeline = make_pipeline(StandardScaler(), models["units pruned"])
search = GridSearchCV(
    pipeline, grid, cv=folds, refit=sparsest_within("score", cost="sparsity")
).fit(X, y)

results = pd.DataFrame(search.cv_results_)
chosen = results.loc[search.best_index_]
print(
    f"GridSearchCV chose strategy={chosen['param_prunedclassifier__strategy']!r} and "
    f"sparsity={chosen['param_prunedclassifier__sparsity']}. Its accuracy is "
    f"{chosen['mean_test_score']:.3f}; the highest of all is "
    f"{results['mean_test_score'].max():.3f}. Its report_:\n"
)
print(search.best_estimator_[-1].report_, "\n")

# %%
# Accuracy against sparsity
# -------------------------
#
# On images this easy much can go before it shows, and what is left learns again even where units
# were removed at random.

styles = {
    "gradual_magnitude": {"color": "#0072B2", "marker": "o"},
    "magnitude": {"color": "#D55E00", "marker": "s"},
    "random": {"color": "#009E73", "marker": "^"},
}
levels = grid["prunedclassifier__sparsity"]
places = np.arange(len(levels))
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")

mean, std = scores["dense (skorch)"].mean(), scores["dense (skorch)"].std()
ax.axhline(mean, color="black", linestyle="--", label="dense")
ax.axhspan(mean - std, mean + std, color="black", alpha=0.08, linewidth=0)
for shift, (strategy, style) in zip([-0.07, 0, 0.07], styles.items(), strict=True):
    of_strategy = results[results["param_prunedclassifier__strategy"] == strategy]
    of_strategy = of_strategy.set_index("param_prunedclassifier__sparsity").loc[levels]
    ax.errorbar(
        places + shift,
        of_strategy["mean_test_score"],
        of_strategy["std_test_score"],
        label=strategy,
        capsize=3,
        **style,
    )
    if strategy == chosen["param_prunedclassifier__strategy"]:
        place = levels.index(chosen["param_prunedclassifier__sparsity"]) + shift
        ax.annotate(
            "chosen",
            (place, chosen["mean_test_score"]),
            xytext=(-60, -50),
            textcoords="offset points",
            arrowprops={"arrowstyle": "->"},
        )
ax.set_xticks(places, [f"{level:.0%}\n({512 * (1 - level):.0f} left)" for level in levels])
ax.set(
    title="Pruning the 512 hidden units of a digit classifier",
    xlabel="sparsity: hidden units removed",
    ylabel="accuracy (mean ± standard deviation, 5 folds)",
)
ax.legend(loc="lower left")
dense_networks.cleanup()
fig.savefig("quickstart_accuracy.png", dpi=150)
print("The accuracy against the sparsity is in quickstart_accuracy.png.")

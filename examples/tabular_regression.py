"""
A transformer for tables loses half its units
=============================================

In an FT-Transformer (Gorishniy et al. 2021) each column of a table becomes a token, and attention
compares the columns. Half of all its units go: dimensions of the tokens, heads, dimensions inside
the heads, hidden units. It is a regressor in a pipeline, whose targets are scaled as well.
"""

# %%
# The network
# -----------
#
# The weights of the tokens are bare parameters, which no layer owns. skprune finds out by itself
# which of their entries go with which units.

import argparse
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_friedman1
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor
from torch import nn

from skprune import PrunedRegressor, Strategy
from skprune.metrics import predict_latency


class FTTransformer(nn.Module):
    def __init__(self, n_features=10, width=32, n_heads=4, n_layers=2):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_features, width) / n_features**0.5)
        self.bias = nn.Parameter(torch.zeros(n_features, width))
        layer = nn.TransformerEncoderLayer(
            width, n_heads, dim_feedforward=2 * width, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.output = nn.Linear(width, 1)

    def forward(self, X):
        tokens = X.unsqueeze(-1) * self.weight + self.bias
        return self.output(self.encoder(tokens).mean(dim=1))


def make_model(*, width=32, epochs=15, fine_tune_epochs=15, memory=None, random_state=0):
    net = NeuralNetRegressor(
        FTTransformer,
        module__width=width,
        optimizer=torch.optim.Adam,
        lr=0.002,
        max_epochs=epochs,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    pruned = PrunedRegressor(
        net,
        strategy=Strategy(importance="taylor", allocation="uniform", schedule="iterative"),
        structure="unit",
        sparsity=0.5,
        fine_tune_epochs=fine_tune_epochs,
        memory=memory,
        random_state=random_state,
    )
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), pruned), transformer=StandardScaler()
    )


# %%
# Dense against pruned
# --------------------
#
# The target is a function of five columns of ten, with noise (Friedman 1991); no model can reach an
# R2 above 0.96. The dense network is the same estimator at a sparsity of 0: it is trained for as
# many epochs as the pruned one. Through ``memory`` both start from the same trained network of each
# fold.


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    X, y = make_friedman1(args.rows, n_features=10, noise=1.0, random_state=0)
    X, y = X.astype("float32"), y.astype("float32")
    folds = KFold(args.folds, shuffle=True, random_state=0)
    with TemporaryDirectory() as memory:
        model = make_model(
            width=args.width, epochs=args.epochs, fine_tune_epochs=args.epochs, memory=memory
        )
        results = {
            name: cross_validate(
                clone(model).set_params(regressor__prunedregressor__sparsity=sparsity),
                *(X, y),
                cv=folds,
                return_estimator=True,
                error_score="raise",
            )
            for name, sparsity in {"dense": 0.0, "pruned": 0.5}.items()
        }
    print(results["pruned"]["estimator"][0].regressor_[-1].report_, "\n")
    print(compare(results, X))


# %%
# What it brought
# ---------------
#
# Sizes and times are those of the first fold's networks. A time is that of ``predict`` for all rows
# at once; of several the shortest counts, which other work of the computer disturbs least.


def compare(results, X):
    """Make a table of scores, sizes and times."""
    fitted = {name: result["estimator"][0] for name, result in results.items()}
    seconds = pd.DataFrame(
        {name: predict_latency(f.predict, X, repeats=1, warm_up=1) for name, f in fitted.items()}
        for _ in range(9)
    ).min()
    rows = {}
    for name, result in results.items():
        scores, left = result["test_score"], fitted[name].regressor_[-1].report_.total_after
        rows[name] = {
            "R2": f"{scores.mean():.3f} ± {scores.std():.3f}",
            "parameters": f"{left.parameters:,}",
            "MACs": f"{left.macs:,}",
            "bytes": f"{left.bytes:,}",
            "predict (ms)": f"{1000 * seconds[name]:.2f}",
            "times faster": f"{seconds['dense'] / seconds[name]:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").to_string()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Prune a transformer that reads tables.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1500, help="how many rows to generate")
    parser.add_argument("--width", type=int, default=32, help="dimensions of a token")
    parser.add_argument(
        "--epochs", type=int, default=15, help="of the dense training, and of the fine-tuning"
    )
    parser.add_argument("--folds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()

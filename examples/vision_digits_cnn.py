"""
A residual network loses three quarters of its channels
=======================================================

A small ResNet learns to read scikit-learn's digits, images of 8 x 8 pixels. The blocks of a stage
add to one another, so their channels can only go together: skprune finds out which, removes 75 % of
them, and trains the smaller network that is left.
"""

# %%
# The network
# -----------
#
# Nothing in it is written for pruning. In the pipeline the pixels are scaled and become images.

import argparse
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier, Strategy
from skprune.metrics import predict_latency


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, X):
        inside = self.norm2(self.conv2(self.norm1(self.conv1(X)).relu()))
        return (inside + self.shortcut(X)).relu()


class ResNet(nn.Module):
    """Three stages of residual blocks; each halves the image and doubles the channels."""

    def __init__(self, width=24, n_blocks=1, n_outputs=10):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks, n_in = [], width
        for stage in range(3):
            n_out = width * 2**stage
            for place in range(n_blocks):
                blocks.append(Block(n_in, n_out, stride=2 if stage and place == 0 else 1))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(n_in, n_outputs)

    def forward(self, X):
        return self.output(self.blocks(self.stem(X)).mean(dim=(2, 3)))


def as_images(X):
    return X.reshape(-1, 1, 8, 8).astype("float32")


def make_model(*, width=24, epochs=10, fine_tune_epochs=20, memory=None, random_state=0):
    net = NeuralNetClassifier(
        ResNet,
        module__width=width,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=epochs,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    pruned = PrunedClassifier(
        net,
        strategy=Strategy(allocation="uniform", schedule="cubic"),
        structure="unit",
        sparsity=0.75,
        fine_tune_epochs=fine_tune_epochs,
        memory=memory,
        random_state=random_state,
    )
    return make_pipeline(MinMaxScaler(), FunctionTransformer(as_images), pruned)


# %%
# Dense against pruned
# --------------------
#
# The dense network is the same estimator at a sparsity of 0: it is trained for as many epochs as
# the pruned one. Through ``memory`` both start from the same trained network of each fold.
#
# Removing the same part of each stage (``allocation="uniform"``) makes the network cheap: most
# multiply-accumulates are in the first stages, whose images are large.


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    X, y = X[: args.rows], y[: args.rows]
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=0)
    with TemporaryDirectory() as memory:
        model = make_model(
            width=args.width,
            epochs=args.epochs,
            fine_tune_epochs=2 * args.epochs,
            memory=memory,
        )
        results = {
            name: cross_validate(
                clone(model).set_params(prunedclassifier__sparsity=sparsity),
                *(X, y),
                cv=folds,
                return_estimator=True,
                error_score="raise",
            )
            for name, sparsity in {"dense": 0.0, "pruned": 0.75}.items()
        }
    print(results["pruned"]["estimator"][0][-1].report_, "\n")
    print(compare(results, X))


# %%
# What it brought
# ---------------
#
# Sizes and times are those of the first fold's networks. A time is that of ``predict`` for all the
# images at once; of several the shortest counts, which other work of the computer disturbs least.


def compare(results, X):
    """Make a table of scores, sizes and times."""
    fitted = {name: result["estimator"][0] for name, result in results.items()}
    seconds = pd.DataFrame(
        {name: predict_latency(f.predict, X, repeats=1, warm_up=1) for name, f in fitted.items()}
        for _ in range(9)
    ).min()
    rows = {}
    for name, result in results.items():
        scores, left = result["test_score"], fitted[name][-1].report_.total_after
        rows[name] = {
            "accuracy": f"{scores.mean():.3f} ± {scores.std():.3f}",
            "parameters": f"{left.parameters:,}",
            "MACs": f"{left.macs:,}",
            "bytes": f"{left.bytes:,}",
            "predict (ms)": f"{1000 * seconds[name]:.2f}",
            "times faster": f"{seconds['dense'] / seconds[name]:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").to_string()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Prune a small ResNet that reads digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--width", type=int, default=24, help="channels of the first stage")
    parser.add_argument(
        "--epochs",
        type=int,
        default=10,
        help="of the dense training; the fine-tuning takes twice as many",
    )
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="how many images to use; all if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()

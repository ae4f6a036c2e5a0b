"""
A recurrent network loses half its hidden units
===============================================

An LSTM hears who says a vowel: nine speakers, 640 utterances, each a series of 7 to 29 moments with
12 numbers of the voice (Japanese Vowels, Kudo et al. 1999). Half of its hidden units go, which
makes each of its four gates, and what it hands from one moment to the next, half as wide.

The recordings are carried by the package aeon. Without ``--data`` the script reads them where aeon
is installed; else download the package and point to what is in it::

    pip download --no-deps aeon
    unzip aeon-*.whl 'aeon/datasets/data/JapaneseVowels/*'
    python speech_speakers.py --data aeon/datasets/data/JapaneseVowels
"""

# %%
# The recordings
# --------------
#
# Each line of a file is an utterance: its twelve series, and then the speaker. Short ones are
# filled up with NaN. Those that publish them trained on 270 and tested on 370, recorded at other
# times; here they are taken together and cross-validated.

import argparse
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier
from skprune.metrics import predict_latency

LENGTH = 29


def load_japanese_vowels(folder):
    """Give the utterances, of shape (n, LENGTH, 12) and with NaN after their end, and speakers."""
    if folder is None:
        aeon = find_spec("aeon")
        if aeon is None:
            raise SystemExit(
                "The recordings are those of the package aeon, which is not installed. Install it, "
                "or say by --data where its folder JapaneseVowels is."
            )
        folder = Path(aeon.submodule_search_locations[0], "datasets", "data", "JapaneseVowels")
    utterances, speakers = [], []
    for part in ("TRAIN", "TEST"):
        lines = Path(folder, f"JapaneseVowels_{part}.ts").read_text(encoding="utf-8").splitlines()
        for line in lines[lines.index("@data") + 1 :]:
            *series, speaker = line.split(":")
            values = np.array([s.split(",") for s in series], dtype=np.float32).T
            utterances.append(
                np.pad(values, [(0, LENGTH - len(values)), (0, 0)], constant_values=np.nan)
            )
            speakers.append(int(speaker))
    return np.stack(utterances), np.array(speakers)


# %%
# The network
# -----------
#
# In the pipeline the twelve series are standardized, and what is missing becomes zero. The network
# takes the mean of what the LSTM knows at each moment of the utterance.


class Standardize(TransformerMixin, BaseEstimator):
    """Standardize each series over all moments of all utterances; what is missing becomes 0."""

    def fit(self, X, y=None):
        self.mean_ = np.nanmean(X, axis=(0, 1))
        self.scale_ = np.nanstd(X, axis=(0, 1))
        return self

    def transform(self, X):
        check_is_fitted(self)
        return np.nan_to_num((X - self.mean_) / self.scale_)


class Listener(nn.Module):
    def __init__(self, n_hidden=128, n_series=12, n_outputs=9):
        super().__init__()
        self.lstm = nn.LSTM(n_series, n_hidden, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(n_hidden, n_outputs)

    def forward(self, X):
        heard = (X != 0).any(dim=2, keepdim=True)
        states, _ = self.lstm(X)
        mean = (states * heard).sum(dim=1) / heard.sum(dim=1).clamp(min=1)
        return self.output(self.dropout(mean))


def make_model(*, n_hidden=128, epochs=30, fine_tune_epochs=30, memory=None, random_state=0):
    net = NeuralNetClassifier(
        Listener,
        module__n_hidden=n_hidden,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.005,
        max_epochs=epochs,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    pruned = PrunedClassifier(
        net,
        strategy="gradual_magnitude",
        structure="unit",
        sparsity=0.5,
        fine_tune_epochs=fine_tune_epochs,
        memory=memory,
        random_state=random_state,
    )
    return make_pipeline(Standardize(), pruned)


# %%
# Dense against pruned
# --------------------
#
# The dense network is the same estimator at a sparsity of 0: it is trained for as many epochs as
# the pruned one. Through ``memory`` both start from the same trained network of each fold.


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    X, y = load_japanese_vowels(args.data)
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=0)
    with TemporaryDirectory() as memory:
        model = make_model(
            n_hidden=args.hidden, epochs=args.epochs, fine_tune_epochs=args.epochs, memory=memory
        )
        results = {
            name: cross_validate(
                clone(model).set_params(prunedclassifier__sparsity=sparsity),
                *(X, y),
                cv=folds,
                return_estimator=True,
                error_score="raise",
            )
            for name, sparsity in {"dense": 0.0, "pruned": 0.5}.items()
        }
    print(results["pruned"]["estimator"][0][-1].report_, "\n")
    print(compare(results, X))


# %%
# What it brought
# ---------------
#
# Sizes and times are those of the first fold's networks. A time is that of ``predict`` for all
# utterances at once; of several the shortest counts, which other work of the computer disturbs
# least.


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
        description="Prune hidden units of an LSTM that recognizes speakers.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts; without it, those of the "
        "installed aeon",
    )
    parser.add_argument("--hidden", type=int, default=128, help="hidden units of the LSTM")
    parser.add_argument(
        "--epochs", type=int, default=30, help="of the dense training, and of the fine-tuning"
    )
    parser.add_argument("--folds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()

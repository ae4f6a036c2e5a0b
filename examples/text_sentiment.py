"""
A transformer loses half its heads
==================================

A small transformer tells whether a snippet of a movie review is positive. skprune finds the heads
of its attention, the hidden units of its feed-forward layers and the dimensions of its embedding by
following the data through the network. Here half of the heads and half of the feed-forward units
go; the embedding stays as wide as it is.

The reviews are in a file that you name. Without it the script fetches two of the 20 newsgroups::

    python text_sentiment.py --data movie_reviews.tsv
    python text_sentiment.py
"""

# %%
# The network
# -----------
#
# Texts become rows of numbers, one for each word, filled up with zeros. What is zero is hidden from
# the attention and left out of the mean.

import argparse
import csv
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import fetch_20newsgroups
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from torch import nn

from skprune import PrunedClassifier, Strategy
from skprune.metrics import predict_latency


class Words(TransformerMixin, BaseEstimator):
    """Turn texts into the numbers of their words: 0 for none, 1 for one that is not known."""

    def __init__(self, n_words=4000, length=32):
        self.n_words = n_words
        self.length = length

    def fit(self, X, y=None):
        counts = CountVectorizer(max_features=self.n_words - 2, token_pattern=r"\w+|[!?]").fit(X)
        self.numbers_ = {word: i for i, word in enumerate(counts.get_feature_names_out(), start=2)}
        self.split_ = counts.build_analyzer()
        return self

    def transform(self, X):
        check_is_fitted(self)
        rows = np.zeros((len(X), self.length), dtype=np.int64)
        for row, text in zip(rows, X, strict=True):
            words = self.split_(text)[: self.length]
            row[: len(words)] = [self.numbers_.get(word, 1) for word in words]
        return rows


class Transformer(nn.Module):
    def __init__(self, n_words, length=32, width=32, n_heads=4, n_layers=2, n_outputs=2):
        super().__init__()
        self.embedding = nn.Embedding(n_words, width, padding_idx=0)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, n_heads, dim_feedforward=4 * width, dropout=0.3, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(width, n_outputs)

    def forward(self, X):
        empty = X == 0
        hidden = self.encoder(self.embedding(X) + self.places, src_key_padding_mask=empty)
        hidden = hidden.masked_fill(empty.unsqueeze(-1), 0)
        n_words = (~empty).sum(1, keepdim=True).clamp(min=1)
        return self.output(self.dropout(hidden.sum(1) / n_words))


# %%
# Which units go
# --------------
#
# An allocation by names says what each group of units loses. With ``sparsity=None`` those that it
# does not name are left alone: the embedding, and the dimensions of each head.


def half_of_heads(n_layers, sparsity=0.5):
    groups = {}
    for number in range(n_layers):
        layer = f"encoder.layers.{number}"
        groups |= {f"{layer}.self_attn:heads": sparsity, f"{layer}.linear1": sparsity}
    return Strategy(importance="taylor", allocation=groups, schedule="iterative")


def make_model(
    *, n_words=4000, n_layers=2, epochs=3, fine_tune_epochs=3, memory=None, random_state=0
):
    net = NeuralNetClassifier(
        Transformer,
        module__n_words=n_words,
        module__n_layers=n_layers,
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
        strategy=half_of_heads(n_layers),
        structure="unit",
        sparsity=None,
        fine_tune_epochs=fine_tune_epochs,
        memory=memory,
        random_state=random_state,
    )
    return make_pipeline(Words(n_words), pruned)


# %%
# Dense against pruned
# --------------------
#
# The dense network is the same estimator without anything to remove: it is trained for as many
# epochs as the pruned one. Through ``memory`` both start from the same trained network of each
# fold.


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    X, y = load_texts(args.data)
    X, y = X[: args.rows], y[: args.rows]
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=0)
    with TemporaryDirectory() as memory:
        pruned = make_model(
            n_words=args.words, epochs=args.epochs, fine_tune_epochs=args.epochs, memory=memory
        )
        dense = clone(pruned).set_params(
            prunedclassifier__strategy="magnitude", prunedclassifier__sparsity=0.0
        )
        results = {
            name: cross_validate(model, X, y, cv=folds, return_estimator=True, error_score="raise")
            for name, model in {"dense": dense, "pruned": pruned}.items()
        }
    print(results["pruned"]["estimator"][0][-1].report_, "\n")
    print(compare(results, X))


def load_texts(path):
    """Give texts, and of each whether it is positive, or from the second of two newsgroups."""
    if path is not None:
        table = pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE)
        return table["text"].to_numpy(dtype=object), (table["rating"] > 0).to_numpy()
    news = fetch_20newsgroups(
        subset="all",
        categories=["rec.autos", "rec.motorcycles"],
        remove=("headers", "footers", "quotes"),
    )
    return np.array(news.data, dtype=object), news.target == 1


# %%
# What it brought
# ---------------
#
# Sizes and times are those of the first fold's networks. A time is that of ``predict`` for all
# texts at once; of several the shortest counts, which other work of the computer disturbs least.


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
        description="Prune heads and feed-forward units of a small transformer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data",
        metavar="FILE.tsv",
        help="with the columns text and rating, which is above 0 for a positive text; without it, "
        "two of the 20 newsgroups are fetched",
    )
    parser.add_argument("--words", type=int, default=4000, help="size of the vocabulary")
    parser.add_argument(
        "--epochs", type=int, default=3, help="of the dense training, and of the fine-tuning"
    )
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="how many texts to use; all if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""
Pruning a torch module, without skorch
======================================

``prune`` takes a module and your own training loop, and gives a smaller module. ``Pruner`` hands
the module out for each stage of training, so that the loop may do what it likes. Both know nothing
of scikit-learn: here a convolutional network loses three quarters of its channels and neurons, by
the one and by the other, and is saved and loaded.
"""

# %%
# A module, and a loop that trains it
# -----------------------------------

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from skprune import Pruner, prune
from skprune.metrics import predict_latency


def make_module(width):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 10),
    )


def make_loop(loader):
    def train(module, epochs):
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.003)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
        module.train()
        for _ in range(epochs):
            for inputs, targets in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(inputs), targets).backward()
                optimizer.step()
                schedule.step()

    return train


@torch.inference_mode()
def accuracy(module, X, y):
    return float((module.eval()(X).argmax(dim=1) == y).float().mean())


# %%
# In one call
# -----------
#
# The trained module is copied, pruned and fine-tuned by the loop. All that ``prune`` wants to know
# of the data is what the inputs look like.


def in_one_call(module, example, train, epochs):
    return prune(
        module, example, structure="unit", sparsity=0.75, train=train, fine_tune_epochs=epochs
    )


# %%
# Step by step
# ------------
#
# A strategy with several steps has several stages. Units leave ``pruner.module`` in place, and the
# loop makes a new optimizer for what is left each time that it is called.


def step_by_step(module, example, train, epochs):
    pruner = Pruner(
        module,
        example,
        structure="unit",
        strategy="iterative_magnitude",
        sparsity=0.75,
        fine_tune_epochs=epochs,
    )
    for stage in pruner:
        print(f"  {stage.epochs} epochs at a sparsity of {stage.sparsity:.2f}")
        train(pruner.module, stage.epochs)
    return pruner.result


# %%
# All of it
# ---------


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 1, 8, 8).astype("float32")[: args.rows] / 16
    parts = train_test_split(X, y[: args.rows], test_size=1 / 3, random_state=0)
    X, X_test, y, y_test = map(torch.as_tensor, parts)
    train = make_loop(DataLoader(TensorDataset(X, y), batch_size=64, shuffle=True))

    dense = make_module(args.width)
    train(dense, args.epochs)
    print("Step by step:")
    pruned = {
        "step by step": step_by_step(dense, X[:8], train, 2 * args.epochs),
        "in one call": in_one_call(dense, X[:8], train, 2 * args.epochs),
    }
    print(pruned["step by step"].report, "\n")

    before = pruned["in one call"].report.total_before
    modules = {"dense": dense, **{name: each.module for name, each in pruned.items()}}
    sizes = {"dense": before, **{name: each.report.total_after for name, each in pruned.items()}}
    seconds = {}
    with torch.inference_mode():
        for _ in range(9):
            for name, module in modules.items():
                now = predict_latency(module.eval(), X_test, repeats=1, warm_up=1)
                seconds[name] = min(now, seconds.get(name, now))
    print(f"{'':<14}accuracy  parameters       MACs  milliseconds")
    for name, module in modules.items():
        print(
            f"{name:<14}{accuracy(module, X_test, y_test):>8.3f}{sizes[name].parameters:>12,}"
            f"{sizes[name].macs:>11,}{1000 * seconds[name]:>14.2f}"
        )

    # A module of the code as it was is cut to the shape of the pruned one, and takes its weights.
    with TemporaryDirectory() as folder:
        path = Path(folder, "pruned.pt")
        torch.save(pruned["in one call"].module.state_dict(), path)
        loaded = pruned["in one call"].removals.replay(make_module(args.width))
        loaded.load_state_dict(torch.load(path))
    print(f"\nSaved and loaded: {accuracy(loaded, X_test, y_test):.3f}")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Prune a torch module by a training loop of one's own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer")
    parser.add_argument(
        "--epochs",
        type=int,
        default=8,
        help="of the dense training; the fine-tuning takes twice as many",
    )
    parser.add_argument("--rows", type=int, help="how many images to use; all if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()

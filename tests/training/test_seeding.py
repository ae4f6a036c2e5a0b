"""Equal seeds give equal fits, whoever else draws random numbers, and nobody else notices."""

import os
import pickle
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.utils import check_random_state
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset, ValidSplit

from skprune import PrunedClassifier, PrunedRegressor, seeding
from skprune.estimators.base import BasePruned
from skprune.network import MLP
from skprune.seeding import GeneratorStates, derive_seeds, given_back, preserve_rng, seeded
from skprune.training.samples import NetSamples
from tests.helpers import same_state, snapshot
from tests.training.common import CASES, make_data, make_net, pruned

X, Y = make_data()


def random_net(cls: type[NeuralNet] = NeuralNetClassifier, **parameters: Any) -> NeuralNet:
    """A net that draws from the generators of torch and of numpy, in every epoch."""
    defaults = {
        "module__n_features": 6,
        "module__n_outputs": 3,
        "module__hidden_layer_sizes": (8, 8),
        "module__dropout": 0.3,
        "train_split": ValidSplit(0.3),
    }
    return make_net(cls, MLP, **{**defaults, **parameters})


def states() -> list[Any]:
    numpy_state = np.random.get_state()  # noqa: NPY002
    return [
        torch.get_rng_state().tolist(),
        [numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]],
        random.getstate(),
    ]


@contextmanager
def generators_untouched() -> Iterator[None]:
    before = states()
    yield
    assert states() == before


def same(one: BasePruned, other: BasePruned) -> bool:
    return same_state(snapshot(one.module_), snapshot(other.module_)) and all(
        np.array_equal(mask, other.masks_[name]) for name, mask in one.masks_.items()
    )


class PredictsByItself(NeuralNetClassifier):
    """Predicts over skorch's loader, which draws a seed, and at random."""

    def predict_proba(self, X: Any) -> np.ndarray:
        random.random()
        noise = 1e-3 * np.random.random()  # noqa: NPY002
        return super().predict_proba(X) + noise

    def predict(self, X: Any) -> np.ndarray:
        return super().predict(X)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: random_net(),
        lambda: random_net(PredictsByItself),
        lambda: random_net(iterator_train__num_workers=1),
        lambda: None,
    ],
    ids=["net", "own_prediction", "workers", "default"],
)
def test_nothing_draws_from_the_global_generators(make: Callable, case: str) -> None:
    net = make()
    estimator = pruned(net, case) if net is not None else PrunedClassifier(random_state=0)
    with generators_untouched():
        estimator.fit(X, Y)
        estimator.predict(X)
        estimator.predict_proba(X)
        estimator.partial_fit(X, Y)
        estimator.score(X, Y)


def test_nor_does_the_default_regressor() -> None:
    with generators_untouched():
        PrunedRegressor(random_state=0).fit(X, Y).partial_fit(X, Y).predict(X)


class Fail(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.count_ = 0

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.count_ += 1
        if self.count_ == self.epoch:
            raise RuntimeError("wanted")


@pytest.mark.parametrize("epoch", [2, 5])
def test_nor_does_a_fit_that_fails(epoch: int) -> None:
    estimator = pruned(random_net(callbacks=[Fail(epoch)]))
    with generators_untouched(), pytest.raises(RuntimeError, match="wanted"):
        estimator.fit(X, Y)


def test_nor_do_partial_fit_and_predict_that_fail() -> None:
    class Broken(PredictsByItself):
        def predict_proba(self, X: Any) -> np.ndarray:
            super().predict_proba(X)
            raise RuntimeError("wanted")

    net = random_net(Broken, callbacks=[Fail(8)], callbacks__valid_acc=None)
    estimator = pruned(net).fit(X, Y)
    for method in (estimator.partial_fit, lambda X, y: estimator.predict(X)):
        with generators_untouched(), pytest.raises(RuntimeError, match="wanted"):
            method(X, Y)


def test_seeded_gives_the_same_numbers_and_puts_the_generators_back() -> None:
    def draw() -> list[float]:
        return [torch.rand(1).item(), np.random.random(), random.random()]  # noqa: NPY002

    with generators_untouched():
        with seeded(3):
            ours = draw()
            with seeded(4):
                others = draw()
            following = draw()
        with preserve_rng():
            draw()
            with seeded(3):
                assert draw() == ours
                assert draw() == following
        with pytest.raises(ZeroDivisionError), seeded(2**63):
            draw()[0] / 0
    assert not set(ours) & set(others)


def test_seeds_of_several_uses() -> None:
    generator = np.random.RandomState(0)
    reference = np.random.RandomState(0)
    seeds = derive_seeds(generator, "a", "b", "c")
    assert len(set(seeds.values())) == 3
    # One number is drawn for all of them, and who comes last changes nobody's before it.
    reference.randint(2**31 - 1)
    assert generator.randint(2**31) == reference.randint(2**31)
    assert derive_seeds(np.random.RandomState(0), "a", "b") == {
        name: seeds[name] for name in ("a", "b")
    }
    assert derive_seeds(np.random.RandomState(1), "a")["a"] != seeds["a"]


@pytest.mark.parametrize("case", CASES)
def test_whole_number_as_seed(case: str) -> None:
    one = pruned(random_net(), case, random_state=1).fit(X, Y)
    torch.rand(3)
    assert same(one, pruned(random_net(), case, random_state=1).fit(X, Y))
    assert not same(one, pruned(random_net(), case, random_state=2).fit(X, Y))
    first = snapshot(one.module_)
    assert same_state(first, snapshot(one.fit(X, Y).module_))


def test_generator_as_seed() -> None:
    generator = np.random.RandomState(1)
    one, two = (pruned(random_net(), random_state=generator).fit(X, Y) for _ in range(2))
    assert not same(one, two)
    generator = np.random.RandomState(1)
    for expected in (one, two):
        assert same(expected, pruned(random_net(), random_state=generator).fit(X, Y))
    assert same(one, pruned(random_net(), random_state=1).fit(X, Y))


def test_no_seed_is_the_generator_of_numpy() -> None:
    def fit() -> BasePruned:
        return pruned(random_net(), random_state=None).fit(X, Y)

    with preserve_rng():
        np.random.seed(1)  # noqa: NPY002
        torch_state, python_state = torch.get_rng_state(), random.getstate()
        one, two = fit(), fit()
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert random.getstate() == python_state
        assert not same(one, two)
        np.random.seed(1)  # noqa: NPY002
        assert same(fit(), one)
        assert same(fit(), two)
    assert same(one, pruned(random_net(), random_state=1).fit(X, Y))


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("case", CASES)
def test_partial_fit_goes_on_alike_in_copies(case: str, seed: int | None) -> None:
    estimator = pruned(random_net(), case, random_state=seed).fit(X, Y)
    copies = [estimator, deepcopy(estimator), pickle.loads(pickle.dumps(estimator))]
    for copy in copies:
        copy.partial_fit(X, Y).partial_fit(X, Y)
    assert same(estimator, copies[1])
    assert same(estimator, copies[2])


def test_every_partial_fit_has_a_seed_of_its_own() -> None:
    class RecordDrawn(Callback):
        def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
            net.history.record("drawn", torch.rand(1).item())

    estimator = pruned(random_net(callbacks=[RecordDrawn()])).fit(X, Y)
    estimator.partial_fit(X, Y).partial_fit(X, Y)
    drawn = estimator.history_[:, "drawn"]
    assert len(drawn) == len(set(drawn)) == 9


def test_partial_fit_that_fails_leaves_no_trace() -> None:
    failing = pruned(random_net(callbacks=[Fail(8)])).fit(X, Y)
    fine = pruned(random_net()).fit(X, Y)
    with pytest.raises(RuntimeError, match="wanted"):
        failing.partial_fit(X, Y)
    assert same(failing, fine)
    dict(failing.net_.callbacks_)["Fail"].epoch = 0
    assert same(failing.partial_fit(X, Y), fine.partial_fit(X, Y))
    assert [row["epoch"] for row in failing.history_] == list(range(1, 9))


def fit_and_continue(seed: int, case: str) -> BasePruned:
    estimator = pruned(random_net(), case, random_state=seed).fit(X, Y)
    estimator.predict(X)
    return estimator.partial_fit(X, Y)


@pytest.mark.parametrize("case", CASES)
def test_threads_give_what_one_gives(case: str) -> None:
    with generators_untouched():
        serial = [fit_and_continue(seed, case) for seed in range(6)]
        with Parallel(n_jobs=2, backend="threading") as parallel:
            threaded = parallel(delayed(fit_and_continue)(seed, case) for seed in range(6))
    assert all(map(same, serial, threaded))


class DrawsMeanwhile(Callback):
    """Has other threads ask for random numbers in mid-stage, as fits and predictions do."""

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        self.meanwhile = meanwhile

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        thread = threading.Thread(target=self.meanwhile, daemon=True)
        thread.start()
        thread.join(0.05)


def test_other_threads_do_not_disturb_a_fit() -> None:
    predicts = pruned(random_net(PredictsByItself)).fit(X, Y)

    def meanwhile() -> None:
        derive_seeds(check_random_state(None), "a")
        predicts.predict(X)

    class Numpy(Callback):
        """Depends on the generator of numpy, too."""

        def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
            noise = 1e-3 * np.random.random()  # noqa: NPY002
            net.module_.output.bias.data.add_(noise)

    disturbed = pruned(random_net(callbacks=[DrawsMeanwhile(meanwhile), Numpy()])).fit(X, Y)
    alone = pruned(random_net(callbacks=[Numpy()])).fit(X, Y)
    assert same(disturbed, alone)


def assert_free() -> None:
    """Another thread can borrow the generators."""

    def borrow() -> None:
        with preserve_rng():
            pass

    thread = threading.Thread(target=borrow, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_batches_that_nobody_asks_for_any_more_hold_nothing() -> None:
    net = random_net().initialize()
    samples = NetSamples(net, X, Y)
    own_class = type(net)
    with generators_untouched():
        batches = samples.batches()
        next(batches)
        assert type(net) is own_class
        assert_free()
    with generators_untouched():
        del batches


def test_batches_draw_on_where_they_were() -> None:
    class Noisy(Dataset):
        def __getitem__(self, i: int) -> Any:
            X, y = super().__getitem__(i)
            return X + torch.rand(len(X)).numpy(), y

    samples = NetSamples(random_net(dataset=Noisy, train_split=None).initialize(), X, Y)
    with generators_untouched():
        batches = list(samples.batches())
    noise = np.concatenate([batch.inputs for batch in batches]) - X
    assert len(batches) > 2
    assert len(np.unique(noise.round(5)[:, 0])) > 50
    with seeded(0):
        ours = [batch.inputs for batch in samples.batches()]
    with seeded(0):
        theirs = [(batch.inputs, torch.rand(1))[0] for batch in samples.batches()]
    assert all(map(torch.equal, ours, theirs))


class Tripwire:
    """Raises an error before the n-th line of the module of the generators."""

    def __init__(self, number: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.number, self.error, self.count = number, error, 0

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        return self.line if frame.f_code.co_filename == seeding.__file__ else None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self.number:
                raise self.error
        return self.line


def borrow_in_many_ways() -> None:
    states = GeneratorStates()
    with seeded(1):
        torch.rand(1)
        with preserve_rng():
            np.random.random()  # noqa: NPY002
            derive_seeds(check_random_state(0), "a")
        with states.resumed(onward=True):
            random.random()
    with preserve_rng():
        random.random()


def traced(tripwire: Tripwire) -> None:
    before = sys.gettrace()
    with given_back():
        sys.settrace(tripwire)
        try:
            borrow_in_many_ways()
        finally:
            sys.settrace(before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_anywhere_leaves_nothing_borrowed(error: type[BaseException]) -> None:
    counter = Tripwire(0)
    traced(counter)
    assert counter.count > 60
    for number in range(1, counter.count + 1):
        with generators_untouched():
            try:
                traced(Tripwire(number, error))
            except error:  # while it is alive, so are the frames that it went through
                assert_free()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_while_a_thread_fits_can_fit() -> None:
    borrowed, over = threading.Event(), threading.Event()

    def fit() -> None:
        with seeded(1):
            borrowed.set()
            over.wait(60)

    def child() -> int:
        signal.alarm(20)  # which ends a child that waits
        inherited = states()
        with seeded(2):
            random.random()
        if states() != inherited:
            return 1
        # Python seeds its own generator anew in a child.
        return 0 if inherited[:2] == before[:2] and inherited[2] != before[2] else 2

    before = states()
    thread = threading.Thread(target=fit)
    thread.start()
    borrowed.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads
        pid = os.fork()
    if pid == 0:
        code = 3
        try:
            code = child()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_by_a_borrower_goes_on() -> None:
    with seeded(1):
        expected = torch.rand(1)
    before = states()
    with seeded(1):
        pid = os.fork()
        drawn = torch.rand(1)
    if pid == 0:
        os._exit(0 if drawn == expected and states() == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

"""Changes that must miss, and differences that must hit: the table of what a key depends on."""

import importlib
import os
import re
import sys
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring, LRScheduler
from torch import nn

from skprune.network import MLP
from skprune.training.dense_key import key_of
from skprune.training.fingerprint import Uncacheable, fingerprint

X, y = make_classification(20, 4, random_state=0)
X = X.astype(np.float32)

# Source of a `thing`; an @ that is no decorator stands for a number that is changed from 1 to 2.
HEAD = """
import contextlib, dataclasses, enum, functools, operator, typing
import numpy as np
import torch
from torch import nn
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
"""
SOURCES = {
    "constant": "def thing(x): return x + @",
    "nested function": "def thing(x):\n  def g(y): return y + @\n  return g(x)",
    "lambda": "thing = lambda x: x * @",
    "comprehension": "def thing(x): return [a * @ for a in x]",
    "default": "def thing(x=@): return x",
    "keyword default": "def thing(*, x=@): return x",
    "global": "a = @\ndef thing(x): return x * a",
    "global of a helper": "a = @\ndef g(x): return x * a\ndef thing(x): return g(x)",
    "global list": "a = [0, @]\ndef thing(x): return x * a[1]",
    "global array": "a = np.array([@])\ndef thing(x): return x * a",
    "global lambda": "g = lambda x: x * @\ndef thing(x): return g(x)",
    "closure": "def f(a):\n  def g(x): return x * a\n  return g\nthing = f(@)",
    "closure of a closure": "def f(a):\n  def g():\n    def h(x): return x * a\n    return h\n"
    "  return g()\nthing = f(@)",
    "attribute of a function": "def thing(x): return x * thing.a\nthing.a = @",
    "attribute of a helper": "def g(): pass\ng.a = @\ndef thing(x): return x * g.a",
    "optimizer's step": "class thing(torch.optim.SGD):\n"
    "  def step(self, closure=None): return super().step(closure) or @",
    "forward under autocast": "class thing(nn.Module):\n"
    "  @torch.autocast('cpu')\n  def forward(self, x): return x * @",
    "forward under enable_grad": "class thing(nn.Module):\n"
    "  @torch.enable_grad()\n  def forward(self, x): return x * @",
    "helper under no_grad": "@torch.no_grad()\ndef g(x): return x * @\ndef thing(x): return g(x)",
    "helper under inference_mode": "@torch.inference_mode()\ndef thing(x): return x * @",
    "helper with set_grad_enabled": "@torch.set_grad_enabled(True)\ndef thing(x): return x * @",
    "contextmanager": "@contextlib.contextmanager\ndef g(): yield @\n"
    "def thing(x):\n  with g() as a: return x * a",
    "singledispatch": "@functools.singledispatch\ndef g(x): return x\n"
    "@g.register\ndef _(x: int): return x * @\ndef thing(x): return g(x)",
    "singledispatch's default": "@functools.singledispatch\ndef thing(x): return x * @",
    "singledispatchmethod": "class thing:\n  @functools.singledispatchmethod\n"
    "  def f(self, x): return x * @",
    "lru_cache": "@functools.lru_cache\ndef g(x): return x * @\ndef thing(x): return g(x)",
    "cache": "@functools.cache\ndef thing(x): return x * @",
    "lru_cache's size": "@functools.lru_cache(@)\ndef thing(x): return x",
    "cached_property": "class thing:\n  @functools.cached_property\n  def f(self): return @",
    "wraps": "def d(f):\n  @functools.wraps(f)\n  def g(x): return f(x) * @\n  return g\n"
    "@d\ndef thing(x): return x",
    "wraps an installed function": "@functools.wraps(nn.functional.relu)\n"
    "def thing(x): return x * @",
    "decorated get_loss": "class thing(NeuralNetClassifier):\n  @torch.enable_grad()\n"
    "  def get_loss(self, *a, **k): return super().get_loss(*a, **k) * @",
    "get_loss": "class thing(NeuralNetClassifier):\n"
    "  def get_loss(self, *a, **k): return super().get_loss(*a, **k) * @",
    "decorated callback": "class thing(Callback):\n  @torch.no_grad()\n"
    "  def on_batch_end(self, net, **k): net.lr = @",
    "callback": "class thing(Callback):\n  def on_batch_end(self, net, **k): net.lr = @",
    "total_ordering": "@functools.total_ordering\nclass thing:\n  def __lt__(self, o): return @\n",
    "method": "class thing:\n  def f(self): return @",
    "class attribute": "class thing:\n  a = @",
    "private attribute": "class thing:\n  __a = @",
    "base's method": "class b:\n  def f(self): return @\nclass thing(b): pass",
    "mixin": "class m:\n  def f(self): return @\nclass thing(m, nn.Linear): pass",
    "property": "class thing:\n  @property\n  def f(self): return @",
    "property's setter": "class thing:\n  f = property(fset=lambda self, x: @)",
    "subclass of property": "class p(property):\n  def __get__(self, o, t): return @\n"
    "class thing:\n  f = p()",
    "own descriptor": "class p:\n  def __get__(self, o, t): return @\nclass thing:\n  f = p()",
    "classmethod": "class thing:\n  @classmethod\n  def f(cls): return @",
    "staticmethod": "class thing:\n  @staticmethod\n  def f(): return @",
    "metaclass": "class m(type):\n  def f(cls): return @\nclass thing(metaclass=m): pass",
    "metaclass's call": "class m(type):\n  def __call__(cls): return @\n"
    "class thing(metaclass=m): pass",
    "nested class": "class thing:\n  class a:\n    b = @",
    "instance": "class c:\n  def __init__(self, a): self.a = a\nthing = c(@)",
    "instance's class": "class c:\n  a = @\nthing = c()",
    "slots": "class c:\n  __slots__ = ('a',)\nthing = c()\nthing.a = @",
    "private slots": "class c:\n  __slots__ = ('__a',)\n  def __init__(self): self.__a = @\n"
    "thing = c()",
    "reduce to a name": "class c:\n  def __reduce__(self): return 'thing'\n"
    "thing = c()\nthing.a = @",
    "reduce to nothing": "class c:\n  def __reduce__(self): return (c, ())\n"
    "thing = c()\nthing.a = @",
    "getstate": "class c:\n  def __getstate__(self): return {}\nthing = c()\nthing.a = @",
    "subclass of str": "class s(str):\n  def f(self): return @\nthing = s('a')",
    "attribute of a str": "class s(str): pass\nthing = s('a')\nthing.a = @",
    "subclass of float": "class s(float):\n  def f(self): return @\nthing = s(1)",
    "subclass of int": "class s(int):\n  def f(self): return @\nthing = s(1)",
    "subclass of dict": "class s(dict):\n  def __missing__(self, k): return @\nthing = s(a=1)",
    "attribute of a dict": "class s(dict): pass\nthing = s(a=1)\nthing.a = @",
    "subclass of list": "class s(list):\n  def f(self): return @\nthing = s([1])",
    "subclass of tuple": "class s(tuple):\n  def f(self): return @\nthing = s([1])",
    "subclass of set": "class s(set):\n  def f(self): return @\nthing = s([1])",
    "Enum's method": "class e(enum.Enum):\n  a = 1\n  def f(self): return @\nthing = e.a",
    "Enum's value": "class e(enum.Enum):\n  a = @\nthing = e.a",
    "IntEnum's method": "class e(enum.IntEnum):\n  a = 1\n  def f(self): return @\nthing = e.a",
    "NamedTuple's method": "class n(typing.NamedTuple):\n  a: int\n  def f(self): return @\n"
    "thing = n(1)",
    "NamedTuple's default": "class n(typing.NamedTuple):\n  a: int = @\nthing = n",
    "dataclass": "@dataclasses.dataclass\nclass c:\n  a: int = @\nthing = c()",
    "dataclass's method": "@dataclasses.dataclass\nclass c:\n  a: int = 1\n"
    "  def f(self): return @\nthing = c()",
    "bound builtin": "thing = torch.tensor(float(@)).mul",
    "bound builtin of a list": "thing = [@].index",
    "method wrapper": "thing = (@).__add__",
    "frompyfunc": "thing = np.frompyfunc(lambda x: x * @, 1, 1)",
    "vectorize": "thing = np.vectorize(lambda x: x * @)",
    "partial": "thing = functools.partial(operator.mul, @)",
    "partial's keyword": "thing = functools.partial(dict, a=@)",
    "partialmethod": "class thing:\n  def f(self, x): return x\n"
    "  g = functools.partialmethod(f, @)",
    "itemgetter": "thing = operator.itemgetter(@)",
    "bound method": "class c:\n  def __init__(self, a): self.a = a\n  def f(self): pass\n"
    "thing = c(@).f",
    "globals()": "a = @\ndef thing(x): return globals()['a'] * x",
    "import by name": "def thing(x):\n  import importlib\n"
    "  return importlib.import_module('some' + 'where').a * @",
    "exec": "a = 'x * @'\ndef thing(x): return exec(a)",
    "match": "def thing(x):\n  match x:\n    case @: return 0",
    "generator": "def thing(x): yield @",
    "async": "async def thing(x): return @",
    "f-string": "def thing(x): return f'{x}@'",
    "exception": "def thing(x):\n  try: return x\n  except ValueError: return @",
    "module's hook": "thing = nn.Linear(2, 2).requires_grad_(False)\nnn.init.ones_(thing.weight)\n"
    "nn.init.ones_(thing.bias)\nthing.register_forward_hook(lambda m, i, o: o * @)",
    "tensor's hook": "thing = torch.ones(2, requires_grad=True)\n"
    "thing.register_hook(lambda g: g * @)",
    "parameter's attribute": "thing = nn.Parameter(torch.ones(2))\nthing.a = @",
    "replaced method": "thing = nn.Identity()\nthing.forward = lambda x: x * @",
    "tensor subclass": "class t(torch.Tensor):\n  def f(self): return @\n"
    "thing = torch.ones(2).as_subclass(t)",
    "array subclass": "class t(np.ndarray):\n  def f(self): return @\nthing = np.ones(2).view(t)",
}


def bits(number):
    return np.array([0x7FF8000000000000 + number], dtype=np.uint64).view(np.float64)


def structured(name):
    return np.zeros(2, dtype=[("a", "f8"), (name, "i4")])


VALUES = {
    "NaN payload of an array": (bits(1), bits(2)),
    "NaN payload of a number": (bits(1)[0], bits(2)[0]),
    "NaN payload of a float": (bits(1).tolist()[0], bits(2).tolist()[0]),
    "sign of zero": (0.0, -0.0),
    "mask": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
    "masked or not": (np.ma.array([1, 2]), np.array([1, 2])),
    "fill value": (np.ma.array([1], fill_value=1), np.ma.array([1], fill_value=2)),
    "names of columns": (structured("b"), structured("c")),
    "order of bytes": (np.zeros(1, ">f8"), np.zeros(1, "<f8")),
    "unit of time": (np.zeros(1, "M8[s]"), np.zeros(1, "M8[ms]")),
    "object array": (np.array([1, "a"], object), np.array([1, "b"], object)),
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "float and np.float64": (1.0, np.float64(1.0)),
    "str and bytes": ("a", b"a"),
    "list and tuple": ([1], (1,)),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "order of an OrderedDict": (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    "nesting": ([[1], 2], [[1, 2]]),
    "text with separators": (["a\0b"], ["a", "b"]),
    "one object twice": ([[1]] * 2, [[1], [1]]),
    "type of a tensor": (torch.zeros(2), torch.zeros(2).double()),
    "shape": (torch.zeros(2, 3), torch.zeros(3, 2)),
    "requires_grad": (torch.zeros(2), torch.zeros(2, requires_grad=True)),
    "conjugate": (torch.tensor([1j]), torch.tensor([1j]).conj()),
    "state of a generator": (torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)),
    "random state": (np.random.RandomState(1), np.random.RandomState(2)),
    "numpy's generator": (np.random.default_rng(1), np.random.default_rng(2)),
    "installed function": (nn.functional.relu, nn.functional.gelu),
    "ufunc": (np.add, np.subtract),
    "partial of another": (partial(np.add, 1), partial(np.subtract, 1)),
    "dropout": (nn.Dropout(0.1), nn.Dropout(0.2)),
}

# Files of the user's, each before and after an edit. `main` is what a net is made of.
FILES = {
    "edited function": ("import part\ndef main(x): return part.f(x)", "def f(x): return x * @"),
    "hidden from sight": (
        "import part\ndef main(x): return part.f(x)",
        "import torch\nf = torch.no_grad()(lambda x: x * @)",
    ),
    "imported name": ("from part import f\ndef main(x): return f(x)", "def f(x): return x * @"),
    "imported inside": (
        "def main(x):\n  import part\n  return part.f(x)",
        "def f(x): return x * @",
    ),
    "constant": ("import part\ndef main(x): return x * part.A", "A = @"),
    "by getattr": ("import part\ndef main(x): return getattr(part, 'f')(x)", "f = lambda x: x * @"),
    "by a computed name": (
        "import part\ndef main(x): return getattr(part, 'f' + 'g')(x)",
        "fg = lambda x: x * @",
    ),
    "module in a closure": (
        "import part\ndef make(m):\n  def g(x): return m.f(x)\n  return g\nmain = make(part)",
        "def f(x): return x * @",
    ),
    "module in an attribute": (
        "import part\nclass main:\n  m = part\n  def f(self, x): return self.m.f(x)",
        "def f(x): return x * @",
    ),
    "star": ("from part import *\ndef main(x): return f(x)", "def f(x): return x * @"),
    "in a registry": (
        "import part\nR = {}\npart.add(R)\ndef main(x): return R['f'](x)",
        "def add(r): r['f'] = lambda x: x * @",
    ),
    "a comment": ("import part\ndef main(x): return part.f(x)", "def f(x): return x  # @"),
    "a base class": (
        "import part\nclass main(part.B): pass",
        "class B:\n  def f(self): return @",
    ),
    "a metaclass": (
        "import part\nclass main(metaclass=part.M): pass",
        "class M(type):\n  def f(self): return @",
    ),
    "not used": ("import part\ndef main(x): return x", "A = @"),
}


def made(source, number):
    scope = {"__name__": "notebook"}
    exec(HEAD + re.sub(r"@(?![a-z])", str(number), source), scope)
    return scope["thing"]


def in_files(name, number, folder, loaded=None):
    """Load the user's files, or write them without loading them again."""
    main, part = FILES[name]
    (folder / "part.py").write_text(part.replace("@", str(number)))
    (folder / "whole.py").write_text(main.replace("@", str(number)))
    if loaded is not None:
        return loaded
    for module in ("part", "whole"):
        sys.modules.pop(module, None)
    importlib.invalidate_caches()
    return importlib.import_module("whole").main


def net(**parameters):
    made_net = NeuralNetClassifier(
        **{"module": MLP, "criterion": nn.CrossEntropyLoss, "train_split": None, **parameters},
        module__n_features=4,
        module__n_outputs=2,
        verbose=0,
    )
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    return made_net.initialize()


class Switch:
    """Switch something of torch's for a while."""

    def __init__(self, on, off):
        self.on, self.off = on, off

    def __enter__(self):
        self.handle = self.on()

    def __exit__(self, *error):
        self.off(self.handle)


def hook_of(register):
    return Switch(lambda: register(lambda *a: None), lambda handle: handle.remove())


def switched(setter, on, off):
    return Switch(lambda: setter(on), lambda _: setter(off))


def patched(owner, name, value):
    old = getattr(owner, name)
    return Switch(lambda: setattr(owner, name, value), lambda _: setattr(owner, name, old))


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "matmul precision": lambda: switched(torch.set_float32_matmul_precision, "medium", "highest"),
    "deterministic": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "flush_denormal": lambda: switched(torch.set_flush_denormal, True, False),
    "default type": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "threads": lambda: switched(torch.set_num_threads, 3, torch.get_num_threads()),
    "hook on all forwards": lambda: hook_of(nn.modules.module.register_module_forward_hook),
    "hook before all forwards": lambda: hook_of(nn.modules.module.register_module_forward_pre_hook),
    "hook on all backwards": lambda: hook_of(nn.modules.module.register_module_full_backward_hook),
    "hook on all optimizers": lambda: hook_of(
        importlib.import_module("torch.optim.optimizer").register_optimizer_step_post_hook
    ),
    "mkldnn": lambda: switched(torch._C._set_mkldnn_enabled, False, True),
    "variable of MKL": lambda: patched(os, "environ", {**os.environ, "MKL_CBWR": "AVX"}),
    "a patched class": lambda: patched(nn.Linear, "forward", lambda self, x: x),
    "numpy's generator": lambda: switched(np.random.seed, 1, 0),
    "torch's generator": lambda: switched(torch.manual_seed, 1, 0),
}
SETTINGS = {
    "lr": {"lr": 0.2},
    "epochs": {"max_epochs": 11},
    "batch size": {"batch_size": 7},
    "optimizer": {"optimizer": torch.optim.Adam},
    "momentum": {"optimizer__momentum": 0.9},
    "module": {"module__hidden_layer_sizes": (7,)},
    "activation": {"module__activation": "tanh"},
    "criterion": {"criterion__label_smoothing": 0.1},
    "shuffle": {"iterator_train__shuffle": True},
    "scheduler": {"callbacks": [LRScheduler()]},
    "scoring": {"callbacks": [EpochScoring("accuracy")]},
    "nonlinearity": {"predict_nonlinearity": None},
}
READERS = {
    "open": "def thing(x): return open('a').read()",
    "numpy": "def thing(x): return np.load('a')",
    "torch": "def thing(x): return torch.load('a')",
    "environ": "import os\ndef thing(x): return os.environ['A']",
    "getenv": "import os\ndef thing(x): return os.getenv('A')",
    "another name": "from os import getenv as g\ndef thing(x): return g('A')",
    "builtin's other name": "o = open\ndef thing(x): return o('A')",
    "Path": "from pathlib import Path\ndef thing(x): return Path('a').read_text()",
    "sys.modules": "import sys\ndef thing(x): return sys.modules['a'].f(x)",
    "eval": "def thing(x): return eval('x')",
    "forward": "class thing(nn.Module):\n  def forward(self, x): return x * np.load('a')",
    "decorated": "class thing(nn.Module):\n"
    "  @torch.no_grad()\n  def forward(self, x): return x * open('a')",
}

MUST_MISS = [
    *(("source", name) for name in SOURCES),
    *(("value", name) for name in VALUES),
    *(("file", name) for name in FILES),
    *(("file not loaded again", name) for name in FILES if name != "a comment"),
    *(("surroundings", name) for name in SURROUNDINGS),
    *(("setting", name) for name in SETTINGS),
    *(("reader", name) for name in READERS),
]


def key(*objects):
    """Give the key; none that is equal to it for what is not kept at all."""
    try:
        return fingerprint(*objects)
    except Uncacheable:
        return object()


def two_keys(kind, name, folder):
    if kind == "source":
        return key(made(SOURCES[name], 1)), key(made(SOURCES[name], 2))
    if kind == "value":
        return tuple(map(key, VALUES[name]))
    if kind == "file":
        return tuple([key(in_files(name, number, folder)) for number in (1, 2)])
    if kind == "file not loaded again":
        loaded = in_files(name, 1, folder)
        first = key(loaded)
        return first, key(in_files(name, 2, folder, loaded))
    if kind == "reader":
        return key(made(READERS[name], 1)), key(made(READERS[name], 1))
    if kind == "setting":
        return key_of(net(), (X, y), 0), key_of(net(**SETTINGS[name]), (X, y), 0)
    plain = net()
    first = key_of(plain, (X, y), 0)
    with SURROUNDINGS[name]():
        return first, key_of(plain, (X, y), 0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for module in ("part", "whole"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(("kind", "name"), MUST_MISS, ids=lambda part: part.replace(" ", "-"))
def test_a_change_misses(kind, name, folder):
    with torch.random.fork_rng():
        first, second = two_keys(kind, name, folder)
    assert first != second


# What the user's own serialization says, or compiled code made of, is not kept at all.
NOT_KEPT = {"frompyfunc", "globals()", "import by name", "exec"}
MUST_HIT = [
    *(("source", name) for name in SOURCES if name not in NOT_KEPT),
    *(("file", name) for name in FILES),
    *(("setting", name) for name in SETTINGS),
    ("order of memory", ""),
    ("order of a set", ""),
    ("another path", ""),
]


@pytest.mark.parametrize(("kind", "name"), MUST_HIT, ids=lambda part: part.replace(" ", "-"))
def test_what_is_made_again_hits(kind, name, folder, tmp_path_factory, monkeypatch):
    with torch.random.fork_rng():
        if kind == "source":
            keys = [fingerprint(made(SOURCES[name], 1)) for _ in range(2)]
        elif kind == "file":
            keys = [fingerprint(in_files(name, 1, folder)) for _ in range(2)]
        elif kind == "setting":
            keys = [key_of(net(**SETTINGS[name]), (X, y), 0) for _ in range(2)]
        elif kind == "order of memory":
            keys = [key_of(net(), (data, y), 0) for data in (X, np.asfortranarray(X))]
        elif kind == "order of a set":
            keys = [fingerprint({"a", "b", 1}), fingerprint({1, "b", "a"})]
        else:
            other = tmp_path_factory.mktemp("other")
            keys = [fingerprint(in_files("constant", 1, folder))]
            monkeypatch.syspath_prepend(other)
            keys.append(fingerprint(in_files("constant", 1, other)))
    assert keys[0] == keys[1]

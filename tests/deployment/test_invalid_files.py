"""What is in a file never runs, and what is no file of skprune's is an error that says why."""

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as safetensors_load
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skprune
from skprune import InvalidFileError, PrunedClassifier
from skprune.deployment.saving.container import _COMMON_TEXT, FORMAT
from skprune.pruning import ClassOutputs, Predictor
from tests.estimators.common import blobs, classifier_net

X, Y = blobs()
X32 = X.astype(np.float32)
PREFIX = struct.Struct("<8sI")
LIMIT = 1 << 24


def bytes_of(estimator: Any, folder: Path) -> bytes:
    path = folder / "file"
    skprune.save(estimator, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def estimator_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    pipeline = make_pipeline(
        StandardScaler(),
        PrunedClassifier(random_state=0).set_params(
            estimator__max_epochs=2, estimator__module__hidden_layer_sizes=(40, 30)
        ),
    )
    return bytes_of(pipeline.fit(X, Y), tmp_path_factory.mktemp("estimator"))


@pytest.fixture(scope="module")
def predictor_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        module[0].weight[2:] = 0
    predictor = Predictor(
        module, ClassOutputs(["a", "b", "c"]), masks={"0.weight": module[0].weight != 0}
    )
    return bytes_of(predictor, tmp_path_factory.mktemp("predictor"))


def load(data: bytes, folder: Path, **options: Any) -> Any:
    path = folder / "crafted"
    path.write_bytes(data)
    return skprune.load(path, **options)


def frame(content: bytes, *, size: int | None = None) -> bytes:
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True, dict_data=_COMMON_TEXT)
    if size is None:
        return compressor.compress(content)
    parts = compressor.compressobj(size=size)
    return parts.compress(content) + parts.flush()


def file_of(content: bytes, version: int = FORMAT) -> bytes:
    return PREFIX.pack(b"SKPRUNE\n", version) + frame(content)


def content_of(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor(dict_data=_COMMON_TEXT).decompress(data[PREFIX.size :])


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description and the streams of a file."""
    tensors = safetensors_load(content_of(data))
    about = json.loads(tensors.pop("about").tobytes())
    return about, {name: array.tobytes() for name, array in tensors.items()}


def closed(about: Any, streams: dict[str, bytes]) -> bytes:
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    header: dict[str, Any] = {}
    data = b""
    for name, part in {"about": text, **streams}.items():
        offsets = [len(data), len(data) + len(part)]
        header[name] = {"dtype": "U8", "shape": [len(part)], "data_offsets": offsets}
        data += part
    head = json.dumps(header).encode()
    return file_of(struct.pack("<Q", len(head)) + head + data)


def changed(data: bytes, change: Callable[[dict[str, Any], dict[str, bytes]], Any]) -> bytes:
    about, streams = opened(data)
    change(about, streams)
    return closed(about, streams)


def test_a_file_is_safetensors_and_json(estimator_file: bytes, tmp_path: Path) -> None:
    about, streams = opened(estimator_file)
    assert about["skprune"] == skprune.__version__
    assert all(name.startswith("data/") for name in streams)
    loaded = load(closed(about, streams), tmp_path)
    np.testing.assert_array_equal(
        loaded.predict_proba(X), load(estimator_file, tmp_path).predict_proba(X)
    )


# -------------------------------------------------------------------------------- whole files


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no file of skprune: it has 0 bytes"),
        (b"SKPRUNE\n", "no file of skprune: it has 8 bytes"),
        (pickle.dumps(Runs()), "no file of skprune: it begins with"),
        (b"SKPRUNE\n\x01\0\0\0" + pickle.dumps(Runs()), "damaged"),
        (b"PK\x03\x04" + bytes(100), "no file of skprune: it begins with"),
        (file_of(pickle.dumps(Runs()) + bytes(200)), "damaged: its header has"),
        (file_of(b"", version=2), r"has version 2 of the format, and this skprune reads 1 to 1"),
        (file_of(b"", version=0), "has version 0"),
        (file_of(b"1234567"), "does not say how long"),
        (file_of(bytes(8)), "no JSON"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:30],
)
def test_what_is_no_file_of_skprunes(
    data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidFileError, match=message):
        load(data, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["crafted"]


def test_a_file_that_ends_too_early(estimator_file: bytes, tmp_path: Path) -> None:
    step = max(1, len(estimator_file) // 40)
    assert step < 1024
    # The last bytes are a checksum, without which all numbers are there.
    ends = range(len(estimator_file) - 8, len(estimator_file))
    for length in (*range(0, len(estimator_file), step), *ends):
        with pytest.raises(InvalidFileError):
            load(estimator_file[:length], tmp_path)
    with pytest.raises(InvalidFileError, match="something follows after its end"):
        load(estimator_file + b"more", tmp_path)
    again = estimator_file + frame(b"more")
    with pytest.raises(InvalidFileError, match="something follows after its end"):
        load(again, tmp_path)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_no_damage_of_bytes_is_anything_but_an_error(
    estimator_file: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The file has a checksum, so that every change of it is seen."""
    place = data.draw(st.integers(0, len(estimator_file) - 1))
    length = data.draw(st.integers(0, 8))
    new = data.draw(st.binary(max_size=8))
    damaged = estimator_file[:place] + new + estimator_file[place + length :]
    if damaged == estimator_file:
        return
    with pytest.raises(InvalidFileError):
        load(damaged, tmp_path_factory.getbasetemp())


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=300))
def test_no_content_is_anything_but_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    with pytest.raises(InvalidFileError):
        load(file_of(content), tmp_path_factory.getbasetemp())
    with pytest.raises(InvalidFileError):
        load(closed(content, {"data/0": content}), tmp_path_factory.getbasetemp())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "gaps", "float32", "torch.nn:Linear", "os:system", "name", "made"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    else:
        items = ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_change_of_the_description_is_more_than_an_error(
    estimator_file: bytes,
    predictor_file: bytes,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    """It may be another estimator, which is harmless; mostly it is none."""
    about, streams = opened(data.draw(st.sampled_from([estimator_file, predictor_file])))
    *path, last = data.draw(st.sampled_from(list(places(about))[1:]))
    value = about
    for key in path:
        value = value[key]
    if data.draw(st.booleans()):
        value[last] = data.draw(JSON)
    elif isinstance(value, dict):
        del value[last]
    try:
        load(closed(about, streams), tmp_path_factory.getbasetemp(), max_bytes=1 << 22)
    except InvalidFileError as error:
        assert len(str(error)) > 20  # noqa: PT017


# ------------------------------------------------------------------------------------ the header


def with_header(header: Any, data: bytes = b"{}" + bytes(98)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return file_of(struct.pack("<Q", len(text)) + text + data)


def entry(start: Any, stop: Any, dtype: str = "U8", shape: Any = None) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "shape": [stop - start] if shape is None else shape,
        "data_offsets": [start, stop],
    }


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"about": entry(0, 2), "x": entry(-98, 0)}, "'x' is said to lie from -98 to 0"),
        ({"about": entry(0, 60), "x": entry(40, 100)}, "'x' is said to lie from 40 to 100"),
        ({"about": entry(0, 2), "x": entry(10, 100)}, "what comes before it ends at 2"),
        ({"about": entry(0, 2), "x": entry(2, 1000)}, "its header speaks of"),
        ({"about": entry(0, 2), "x": entry(2, 100, "F32")}, "'x' is "),
        ({"about": entry(0, 2), "x": entry(2, 100, shape=[1 << 60])}, "'x' is "),
        ({"about": entry(0, 2), "x": entry(2.0, 100.0)}, "'x' is said to lie from 2.0"),
        ({"about": entry(0, 2), "x": entry(True, 100)}, "is said to lie from True"),
        ({"about": entry(0, 2), "x": {"dtype": "U8"}}, "its header has KeyError"),
        ({"about": entry(0, 2), "x": "y"}, "its header has TypeError"),
        ({"x": entry(0, 100)}, "no description"),
        ({"about": entry(0, 2), "data/x": entry(2, 50), "x": entry(50, 100)}, "a name twice"),
        ({}, "its header speaks of"),
        ([], "its header is no table"),
        (b'{"about": 1, "about": 2}', "has a key twice"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "no JSON"),
        (b'{"about": NaN}', "has the number NaN"),
        (b'{"about": -Infinity}', "has the number -Infinity"),
        (b'{"about": 1e999}', "has the number 1e999"),
        (b'{"about": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"\xff\xfe", "no JSON"),
    ],
    ids=lambda value: value[:25] if isinstance(value, str) else None,
)
def test_headers_that_lie(header: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=message):
        load(with_header(header), tmp_path)


def test_a_header_as_long_as_it_likes(tmp_path: Path) -> None:
    for length in (1 << 40, 1 << 63, (1 << 64) - 1, LIMIT + 1):
        with pytest.raises(InvalidFileError, match="its header has"):
            load(file_of(struct.pack("<Q", length) + bytes(100)), tmp_path)


# ----------------------------------------------------------------------------- the description


def set_in(*path: Any) -> Callable[[Any], Callable[[dict[str, Any], dict[str, bytes]], None]]:
    def with_value(new: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
        def change(about: dict[str, Any], streams: dict[str, bytes]) -> None:
            value: Any = about
            for key in path[:-1]:
                value = value[key]
            assert not isinstance(value, dict) or path[-1] in value
            value[path[-1]] = new

        return change

    return with_value


NETWORK = ("object", "network")
MADE = (*NETWORK, "made", "layers", "parts", 0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("arrays", "0.weight", "shape")([1 << 20, 1 << 20]), "more than 1,073,741,824 byt"),
        (set_in("arrays", "0.weight", "shape")([-8, -4]), "'shape' is \\[-8, -4\\]"),
        (set_in("arrays", "0.weight", "shape")([8.0, 4]), "'shape' is"),
        (set_in("arrays", "0.weight", "shape")([1] * 100), "'shape' is"),
        (set_in("arrays", "0.weight", "shape")([4, 8]), "not those of the Sequential"),
        (set_in("arrays", "0.bias", "dtype")("float64"), "bytes of numbers, and not 64"),
        (set_in("arrays", "0.bias", "dtype")("object"), "the type 'object' is not known"),
        (set_in(*NETWORK, "state", "0.bias")("2.bias"), "not those of the Sequential"),
        (set_in(*NETWORK, "state", "0.bias")("none"), "there is no array 'none'"),
        (set_in(*NETWORK, "masks")(["2.bias", "../0"]), "no weight for the mask of '../0'"),
        (set_in(*NETWORK, "frozen")(["../../etc/passwd"]), "does not fit together"),
        (set_in(*MADE, "class")("Module.__init__"), "no layer of torch's"),
        (set_in(*MADE, "class")("Parameter"), "no layer of torch's"),
        (set_in(*MADE, "class")("init"), "no layer of torch's"),
        (set_in(*MADE, "arguments", "out_features")(1 << 40), "takes .* bytes before it is pruned"),
        (set_in(*MADE, "arguments", "out_features")("many"), "does not fit together"),
        (
            set_in(*MADE)(
                {
                    "class": "LSTM",
                    "arguments": {"input_size": 1, "hidden_size": 1, "num_layers": 10**9},
                }
            ),
            "many more layers than",
        ),
        (
            set_in(*MADE)(
                {"class": "Transformer", "arguments": {"d_model": 8, "num_encoder_layers": 10**9}}
            ),
            "many more layers than",
        ),
        (
            set_in(*NETWORK, "made")(
                {"as": "call", "arguments": {}, "call": {"//": "name", "is": "os:system"}}
            ),
            "os.system, which is not trusted",
        ),
        (
            set_in(*NETWORK, "made")(
                {
                    "as": "call",
                    "arguments": {},
                    "call": {"//": "name", "is": "torch.nn:Linear.__init__"},
                }
            ),
            "has the name",
        ),
        (
            set_in(*NETWORK, "made")(
                {"as": "call", "arguments": {}, "call": {"//": "name", "is": "../../evil:run"}}
            ),
            "has the name",
        ),
        (
            set_in(*NETWORK, "made")(
                {"as": "call", "arguments": {"X": 1}, "call": {"//": "name", "is": "torch:sigmoid"}}
            ),
            "does not fit together",
        ),
        (set_in("object")({"//": "evil"}), "kind 'evil' are not known"),
        (set_in("object")({"//": ["a"]}), "are not known"),
        (set_in("object")("estimator"), "nothing in it speaks of"),
        (
            set_in("object")({"//": "made", "class": "subprocess:Popen", "params": {}}),
            "subprocess.Popen, which is not trusted",
        ),
        (
            set_in("object")({"//": "learned", "class": "torch:load", "state": {}}),
            "torch.load, which is not trusted",
        ),
        (
            set_in("object")({"//": "estimator", "class": "skprune.network:MLP"}),
            "no estimator of skprune",
        ),
        (set_in("object", "inputs", "row_shape")({"//": "tuple", "is": ["a"]}), "shape of a row"),
        (set_in("object", "outputs", "kind")("functions"), "outputs of the kind 'functions'"),
        (set_in("object", "outputs", "nonlinearity")("evil"), "no nonlinearity 'evil'"),
        (
            set_in("object", "outputs", "classes")(
                {"//": "array", "dtype": "<U4000", "shape": [200_000], "is": ["a"] * 200_000}
            ),
            "takes more than 1,073,741,824 bytes",
        ),
        (
            set_in("object", "outputs", "classes")(
                {"//": "array", "dtype": "|O", "shape": [1 << 40], "bits": ""}
            ),
            "takes more than",
        ),
        (
            set_in("object", "outputs", "classes")(
                {"//": "array", "dtype": "<M8[s]", "shape": [1], "is": [1]}
            ),
            "no type of NumPy's",
        ),
        (
            set_in(*NETWORK, "example")({"shape": [1 << 40, 4], "dtype": "float32"}),
            "takes more than",
        ),
        (set_in("arrays")({}), "there is no array"),
        (set_in("arrays")([]), "a table is expected"),
    ],
)
def test_descriptions_that_lie(
    change: Any, message: str, predictor_file: bytes, tmp_path: Path
) -> None:
    data = changed(predictor_file, change)
    with pytest.raises(InvalidFileError, match=message):
        load(data, tmp_path)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "the last gap has no end|bytes of numbers"),
        (bytes([255] * 8), "the last gap has no end|position lies outside"),
        (bytes([200] * 8), "a position lies outside"),
        (bytes(33), "a position lies outside"),
    ],
)
def test_positions_that_lie(
    stream: bytes, message: str, predictor_file: bytes, tmp_path: Path
) -> None:
    def change(about: dict[str, Any], streams: dict[str, bytes]) -> None:
        kept = about["arrays"]["0.weight"]["kept"]
        streams.pop(f"data/0.weight.{kept['as']}")
        kept.update({"as": "gaps", "by": "rows"})
        streams["data/0.weight.gaps"] = stream

    with pytest.raises(InvalidFileError, match=message):
        load(changed(predictor_file, change), tmp_path)


def test_what_nothing_speaks_of(predictor_file: bytes, tmp_path: Path) -> None:
    data = changed(predictor_file, lambda about, streams: streams.update({"data/z": b"payload"}))
    with pytest.raises(InvalidFileError, match="nothing in it speaks of 'z'"):
        load(data, tmp_path)


def test_nesting_without_end(predictor_file: bytes, tmp_path: Path) -> None:
    deep = b"[" * 900 + b"]" * 900
    for text in (b"[" * 500_000, b'{"object":' + deep + b',"skprune":"","arrays":{}}'):
        with pytest.raises(InvalidFileError):
            load(closed(text, {}), tmp_path)


# ------------------------------------------------------------------------------------ memory


LOADS = """
import resource, sys
from pathlib import Path
import skprune
from skprune.deployment import load
import skorch

for path in sorted(Path(sys.argv[1]).iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load(path)
    except skprune.InvalidFileError as error:
        print(path.name, error)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < int(sys.argv[2]), (path, grown)
"""


def bombs() -> dict[str, bytes]:
    zeros = bytes(1 << 26)
    header = json.dumps({"about": entry(0, len(zeros))}).encode()
    nested = zstandard.ZstdCompressor(
        level=3, write_checksum=True, dict_data=_COMMON_TEXT
    ).compress(zeros * 12)
    about = {
        "skprune": "",
        "object": None,
        "arrays": {"x": {"dtype": "float64", "shape": [1 << 20, 1 << 20], "kept": {"as": "none"}}},
    }
    layers = {
        "skprune": "",
        "arrays": {},
        "object": {
            "//": "predictor",
            "network": {
                "//": "network",
                "made": {
                    "as": "call",
                    "call": {"//": "name", "is": "skprune.network:MLP"},
                    "arguments": {
                        "n_features": 1,
                        "n_outputs": 1,
                        "hidden_layer_sizes": [1] * 1_000_000,
                    },
                },
                "example": None,
                "removals": {"cuts": [], "biases": {}, "widths": []},
                "state": {},
                "masks": [],
                "frozen": [],
                "original": {},
                "kept": {},
            },
            "outputs": {},
            "inputs": {},
            "name": "",
        },
    }
    return {
        "zeros": PREFIX.pack(b"SKPRUNE\n", FORMAT) + nested,
        "said to be longer": PREFIX.pack(b"SKPRUNE\n", FORMAT) + frame(bytes(100), size=100)[:-1],
        "description": file_of(struct.pack("<Q", len(header)) + header + zeros),
        "array": closed(about, {}),
        "layers": closed(layers, {}),
    }


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """Each is far smaller than what it stands for."""
    for name, data in bombs().items():
        assert len(data) < 1 << 20
        (tmp_path / name).write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-c", LOADS, tmp_path, "100"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == len(bombs())


def test_a_limit_that_the_caller_sets(estimator_file: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="pass a larger max_bytes"):
        load(estimator_file, tmp_path, max_bytes=2000)
    assert load(estimator_file, tmp_path, max_bytes=100_000).predict(X).shape == (60,)


# ------------------------------------------------------------------------------------- trust


MODULE = """
from pathlib import Path
from torch import nn
from os import system

Path("imported").touch()


class Network(nn.Module):
    def __init__(self, n_features=4, n_outputs=3):
        super().__init__()
        self.output = nn.Linear(n_features, n_outputs)

    def forward(self, X):
        return self.output(X)
"""


def test_a_class_of_the_users_is_looked_up_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "trusted_networks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    from trusted_networks import own  # type: ignore[import-not-found]

    estimator = PrunedClassifier(classifier_net(own.Network), random_state=0).fit(X32, Y)
    path = tmp_path / "file"
    skprune.save(estimator, path)
    for name in [name for name in sys.modules if name.startswith("trusted_networks")]:
        del sys.modules[name]
    (tmp_path / "imported").unlink()
    refusals: list[list[Any]] = [[], ["trusted"], ["trusted_networks.other"], ["torch"], [json]]
    for trusted in refusals:
        with pytest.raises(
            InvalidFileError,
            match=r"trusted_networks\.own\.Network, which is not trusted.*'trusted_networks.own'",
        ):
            skprune.load(path, trusted=trusted)
        assert not (tmp_path / "imported").exists()
    again = ["trusted_networks.own"], ["trusted_networks"], ["trusted_networks.own.Network"]
    for trusted in [*again, [own], [own.Network]]:
        loaded = skprune.load(path, trusted=trusted)
        np.testing.assert_array_equal(loaded.predict(X32), estimator.predict(X32))
    about, streams = opened(path.read_bytes())
    for name in ("system", "Path", "nn", "missing"):
        text = json.dumps(about).replace("own:Network", f"own:{name}")
        with pytest.raises(InvalidFileError, match=r"not trusted|cannot be imported"):
            load(closed(text.encode(), streams), tmp_path, trusted=["trusted_networks"])


@pytest.mark.parametrize("trusted", ["tests", json, nn.Linear, None, 3])
def test_trusted_is_a_list(trusted: Any, estimator_file: bytes, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="trusted must be a list"):
        load(estimator_file, tmp_path, trusted=trusted)
    with pytest.raises(TypeError, match="trusted must hold names of modules"):
        load(estimator_file, tmp_path, trusted=[3])


def test_callbacks_that_touch_files_have_to_be_trusted(tmp_path: Path) -> None:
    from skorch.callbacks import Checkpoint

    net = classifier_net(
        callbacks=[Checkpoint(monitor="train_loss_best", dirname=str(tmp_path / "points"))]
    )
    estimator = PrunedClassifier(net, random_state=0).fit(X32, Y)
    path = tmp_path / "file"
    skprune.save(estimator, path)
    with pytest.raises(InvalidFileError, match=r"Checkpoint, which is not trusted"):
        skprune.load(path, trusted=["tests"])
    loaded = skprune.load(path, trusted=["tests", "skorch.callbacks"])
    assert loaded.net_.callbacks[0].dirname == str(tmp_path / "points")


def test_a_value_is_no_estimator(tmp_path: Path) -> None:
    for value in (None, 1, [], {}, "text"):
        about = {"skprune": "", "arrays": {}, "object": value}
        with pytest.raises(InvalidFileError, match="it holds no estimator"):
            load(closed(about, {}), tmp_path)


def test_an_estimator_has_no_other_attributes(estimator_file: bytes, tmp_path: Path) -> None:
    about, streams = opened(estimator_file)
    text = json.dumps(about).replace('"sparsity_"', '"predict"')
    with pytest.raises(InvalidFileError, match=r"no attributes \['predict'\]"):
        load(closed(text.encode(), streams), tmp_path)

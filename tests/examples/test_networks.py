"""Examples of networks of several kinds: what they print holds, at the smallest size."""

import importlib.util
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tests.examples.common import EXAMPLES, comparison, run_example


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_vision_digits_cnn(tmp_path):
    arguments = ("--width", "8", "--epochs", "6", "--folds", "2", "--rows", "200")
    output = run_example("vision_digits_cnn.py", *arguments, cwd=tmp_path)

    dense, pruned = comparison(output, "dense", "pruned")
    assert dense["score"] > 0.2  # chance is 0.1
    # A quarter of the channels on both sides of a convolution is a sixteenth of it.
    assert pruned["MACs"] < dense["MACs"] / 10
    assert pruned["parameters"] < dense["parameters"] / 10
    assert pruned["bytes"] < dense["bytes"] / 8
    assert not list(tmp_path.iterdir())


# Texts


@pytest.fixture
def reviews(tmp_path):
    """A file in which one word tells whether a text is positive."""
    rng = np.random.default_rng(0)
    path = tmp_path / "reviews.tsv"
    lines = ["rating\ttext"]
    for number in range(120):
        words = [*rng.choice(["film", "plot", "the", 'a "star"'], 6), ["bad", "good"][number % 2]]
        lines.append(f"{[-1.5, 2.5][number % 2]}\t{' '.join(rng.permutation(words))}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.slow
def test_text_sentiment(reviews, tmp_path):
    arguments = ("--data", str(reviews), "--words", "20", "--epochs", "3", "--folds", "2")
    output = run_example("text_sentiment.py", *arguments, cwd=tmp_path)

    dense, pruned = comparison(output, "dense", "pruned")
    # All that is counted is in the layers that lose half of their heads or feed-forward units,
    # but for the output of 32 x 2.
    assert pruned["MACs"] - 64 == (dense["MACs"] - 64) / 2
    assert re.search(r"^embedding +640 +32 +640 ", output, re.M)
    for layer in range(2):
        linear = rf"^encoder\.layers\.{layer}\.linear1 +4,096 -> 2,048 +128 -> 64 "
        assert re.search(linear, output, re.M)
        heads = rf"^encoder\.layers\.{layer}\.self_attn +4,096 -> 2,048 "
        assert re.search(heads, output, re.M)


def test_texts_from_a_file(reviews):
    X, y = load("text_sentiment").load_texts(reviews)
    assert X.shape == y.shape == (120,)
    assert list(y[:4]) == [False, True, False, True]
    assert all(("good" in text) == positive for text, positive in zip(X, y, strict=True))


def test_texts_are_fetched_without_a_file(monkeypatch):
    example = load("text_sentiment")

    def fetch(*, subset, categories, remove):
        assert (subset, len(categories)) == ("all", 2)
        assert remove == ("headers", "footers", "quotes")
        return SimpleNamespace(data=["a car", "a bike"], target=np.array([0, 1]))

    monkeypatch.setattr(example, "fetch_20newsgroups", fetch)
    X, y = example.load_texts(None)
    assert list(X) == ["a car", "a bike"]
    assert list(y) == [False, True]


def test_words_become_numbers():
    words = load("text_sentiment").Words(n_words=4, length=3).fit(["the film the", "film!"])
    # The most frequent two in the order of the alphabet, from 2 on.
    np.testing.assert_array_equal(
        words.transform(["The film", "the unknown film is long", ""]),
        [[3, 2, 0], [3, 1, 2], [0, 0, 0]],
    )


# Speech


@pytest.fixture
def vowels(tmp_path):
    """Files like those of aeon, of speakers that differ in the mean of one series."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "vowels"
    folder.mkdir()
    for part, n_rows in {"TRAIN": 36, "TEST": 54}.items():
        lines = ["#From somewhere", "@problemName JapaneseVowels", "@data"]
        for number in range(n_rows):
            speaker = 1 + number % 9
            values = rng.normal(size=(12, 7 + number % 23))
            values[0] += speaker
            series = (",".join(f"{value:.4f}" for value in row) for row in values)
            lines.append(":".join([*series, str(speaker)]))
        path = folder / f"JapaneseVowels_{part}.ts"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_speech_speakers(vowels, tmp_path):
    arguments = ("--data", str(vowels), "--hidden", "12", "--epochs", "6", "--folds", "2")
    output = run_example("speech_speakers.py", *arguments, cwd=tmp_path)

    dense, pruned = comparison(output, "dense", "pruned")
    assert dense["score"] > 0.15  # chance is 0.11
    # Four gates read 12 series and the hidden units, in each of 29 moments; and then the output.
    assert dense["MACs"] == 29 * 4 * 12 * (12 + 12) + 12 * 9
    assert pruned["MACs"] == 29 * 4 * 6 * (12 + 6) + 6 * 9
    assert re.search(r"^lstm .* 12 -> 6 ", output, re.M)


def test_recordings_are_read(vowels):
    X, y = load("speech_speakers").load_japanese_vowels(vowels)
    assert X.shape == (90, 29, 12)
    assert list(y[:10]) == [*range(1, 10), 1]
    assert (~np.isnan(X).any(axis=2)).sum(axis=1)[:3].tolist() == [7, 8, 9]
    first = (vowels / "JapaneseVowels_TRAIN.ts").read_text(encoding="utf-8").splitlines()[3]
    np.testing.assert_allclose(X[0, :7, 1], [float(v) for v in first.split(":")[1].split(",")])


def test_recordings_of_an_installed_aeon(vowels, tmp_path, monkeypatch):
    example = load("speech_speakers")
    data = tmp_path / "aeon" / "datasets" / "data"
    data.mkdir(parents=True)
    vowels.rename(data / "JapaneseVowels")
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path / "aeon")])
    monkeypatch.setattr(example, "find_spec", lambda name: found)
    assert example.load_japanese_vowels(None)[0].shape == (90, 29, 12)
    monkeypatch.setattr(example, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="by --data where its folder JapaneseVowels is"):
        example.load_japanese_vowels(None)


def test_series_are_standardized():
    X = np.full((2, 3, 2), np.nan, dtype=np.float32)
    X[0] = [[1, 5], [3, 5], [5, 8]]
    X[1, 0] = [3, 6]
    Z = load("speech_speakers").Standardize().fit_transform(X)
    known = Z[~np.isnan(X)].reshape(-1, 2)
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(known.std(axis=0), 1, atol=1e-6)
    assert (Z[np.isnan(X)] == 0).all()


# Tables, torch alone, weights that come trained


@pytest.mark.slow
def test_tabular_regression(tmp_path):
    arguments = ("--rows", "200", "--width", "8", "--epochs", "6", "--folds", "2")
    output = run_example("tabular_regression.py", *arguments, cwd=tmp_path)

    dense, pruned = comparison(output, "dense", "pruned")
    assert dense["score"] > 0.1
    # A half of the units of both sides: at the most a quarter of the multiply-accumulates.
    assert pruned["MACs"] <= dense["MACs"] / 4
    assert pruned["parameters"] < dense["parameters"] / 3


def test_plain_torch(tmp_path):
    arguments = ("--width", "4", "--epochs", "3", "--rows", "400")
    output = run_example("plain_torch.py", *arguments, cwd=tmp_path)

    stages = re.findall(r"^  (\d+) epochs? at a sparsity of (0\.\d+)$", output, re.M)
    assert sum(int(epochs) for epochs, _ in stages) == 6
    assert [float(sparsity) for _, sparsity in stages] == sorted(float(s) for _, s in stages)
    assert stages[-1][1] == "0.75"
    rows = re.findall(r"^(dense|step by step|in one call) +(\S+) +(\S+) +(\S+) +\S+$", output, re.M)
    table = {name: [float(cell.replace(",", "")) for cell in cells] for name, *cells in rows}
    assert list(table) == ["dense", "step by step", "in one call"]
    for name in ("step by step", "in one call"):
        assert table[name][1] < table["dense"][1] / 4
        assert table[name][2] < table["dense"][2] / 3
    loaded = re.search(r"^Saved and loaded: (\S+)$", output, re.M)
    assert loaded is not None
    assert float(loaded[1]) == table["in one call"][0]
    assert not list(tmp_path.iterdir())


def test_pretrained(tmp_path):
    arguments = ("--width", "32", "--epochs", "8", "--fine-tune-epochs", "4", "--folds", "2")
    output = run_example("pretrained.py", *arguments, "--rows", "300", cwd=tmp_path)

    came, dense, pruned = comparison(output, "as it came", "dense", "pruned")
    assert came["score"] > 0.6
    assert came["parameters"] == dense["parameters"] == 65 * 32 + 33 * 32 + 33 * 10 + 4 * 32
    assert pruned["score"] > 0.3
    assert pruned["parameters"] < dense["parameters"] / 2
    assert not list(tmp_path.iterdir())

"""The small ResNet loses its channels, and the table says what that brought."""

from tests.examples.common import comparison, run_example


def test_a_small_one(tmp_path):
    output = run_example(
        "vision_digits_cnn.py",
        *("--width", "8", "--epochs", "6", "--folds", "2", "--rows", "200"),
        cwd=tmp_path,
    )

    dense, pruned = comparison(output, "dense", "pruned")
    assert dense["score"] > 0.2  # chance is 0.1
    # A quarter of the channels on both sides of a convolution is a sixteenth of it.
    assert pruned["MACs"] < dense["MACs"] / 10
    assert pruned["parameters"] < dense["parameters"] / 10
    assert pruned["bytes"] < dense["bytes"] / 8
    assert not list(tmp_path.iterdir())

"""Schedules against their formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skprune.strategies import SCHEDULES, Cubic, Iterative, OneShot
from skprune.strategies.schedule.base import spread_epochs

sparsities = st.floats(0, 1, exclude_max=True)


@given(sparsity=sparsities, epochs=st.integers(0, 200))
def test_one_shot_has_one_step(sparsity: float, epochs: int) -> None:
    assert OneShot().steps(sparsity, epochs) == [(sparsity, epochs)]


@given(sparsity=sparsities, n_steps=st.integers(1, 50))
def test_cubic_is_the_formula_of_zhu_and_gupta(sparsity: float, n_steps: int) -> None:
    """From 0 at step 0, ``s_f + (s_0 - s_f) * (1 - (t - t_0) / (n * dt)) ** 3``."""
    steps = Cubic(n_steps=n_steps).steps(sparsity, 10)
    start, dt = 5, 3
    expected = [
        sparsity + (0 - sparsity) * (1 - (start + dt * i - start) / (n_steps * dt)) ** 3
        for i in range(1, n_steps + 1)
    ]
    np.testing.assert_allclose([step.sparsity for step in steps], expected, atol=1e-12)


@given(sparsity=st.floats(0, 0.9999), n_steps=st.integers(1, 50))
def test_iterative_removes_the_same_fraction_of_what_is_left(sparsity: float, n_steps: int) -> None:
    density = [1.0, *(1 - step.sparsity for step in Iterative(n_steps).steps(sparsity, 10))]
    ratios = np.array(density[1:]) / density[:-1]
    np.testing.assert_allclose(ratios, (1 - sparsity) ** (1 / n_steps), rtol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(sparsity=sparsities, epochs=st.integers(0, 200))
def test_a_schedule_rises_to_the_target_and_uses_all_epochs(
    schedule: str, sparsity: float, epochs: int
) -> None:
    steps = SCHEDULES[schedule]().steps(sparsity, epochs)
    values = [step.sparsity for step in steps]
    assert values == sorted(values)
    assert values[0] >= 0
    assert values[-1] == sparsity
    assert sum(step.epochs for step in steps) == epochs
    assert all(step.epochs >= 0 for step in steps)
    assert epochs == 0 or steps[-1].epochs >= 1


def test_steps_without_an_epoch_between_them_come_at_once() -> None:
    """As the notes of Cubic have it."""
    steps = Cubic(n_steps=10).steps(0.9, 4)
    assert [i for i, step in enumerate(steps, 1) if step.epochs] == [5, 9, 10]


@given(epochs=st.integers(0, 100), n_steps=st.integers(1, 30), end=st.floats(0, 1))
def test_epochs_are_spread_evenly_up_to_the_end(epochs: int, n_steps: int, end: float) -> None:
    spread = spread_epochs(epochs, n_steps, end)
    assert len(spread) == n_steps
    assert sum(spread) == epochs
    before = spread[:-1]
    if before:
        assert max(before) - min(before) <= 1
        assert sum(before) <= epochs * end
        assert sum(before) == min(int(epochs * end), max(epochs - 1, 0))


@pytest.mark.parametrize("schedule", [Cubic, Iterative])
@pytest.mark.parametrize(
    ("parameter", "value"), [("n_steps", 0), ("n_steps", 2.5), ("end", -0.1), ("end", 1.1)]
)
def test_parameters_are_checked(schedule: type, parameter: str, value: float) -> None:
    with pytest.raises(
        ValueError, match=f"The '{parameter}' parameter of {schedule.__name__} must be"
    ):
        schedule(**{parameter: value}).validated()

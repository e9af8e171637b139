"""Comparisons: the error rate is kept, and "undecided" is an answer."""

from __future__ import annotations

import numpy as np
import pytest

from firedrill.grading.compare import Comparison, compare, scenarios_needed


def table(values: np.ndarray | list[float]) -> dict[str, list[float]]:
    return {f"s{i:03}": [float(v)] for i, v in enumerate(values)}


def rates(a: float, b: float, *, n: int, times: int, seed: int, repeats: int = 1) -> dict[str, float]:
    generator = np.random.Generator(np.random.PCG64(seed))
    seen = {"a_better": 0, "b_better": 0, "undecided": 0}
    for _ in range(times):
        # scenarios differ in difficulty, which both agents share
        hardness = generator.normal(0, 0.25, size=n)
        draws = []
        for level in (a, b):
            chance = np.clip(level + hardness, 0, 1)
            draws.append(generator.binomial(repeats, chance) / repeats)
        seen[compare(table(draws[0]), table(draws[1]), resamples=500).verdict] += 1
    return {key: value / times for key, value in seen.items()}


@pytest.mark.parametrize(("n", "repeats"), [(8, 1), (20, 3), (59, 3)])
def test_equal_agents_are_seldom_told_apart(n: int, repeats: int) -> None:
    """The promise of the test: a wrong verdict in at most 5 % (and noise of 200 experiments)."""
    found = rates(0.45, 0.45, n=n, times=200, seed=n, repeats=repeats)
    assert found["a_better"] + found["b_better"] <= 0.05 + 2.5 * (0.05 * 0.95 / 200) ** 0.5


def test_a_clear_difference_is_found_and_has_the_right_sign() -> None:
    found = rates(0.75, 0.35, n=59, times=50, seed=3, repeats=3)
    assert found["a_better"] >= 0.97
    assert found["b_better"] == 0


def test_the_number_of_scenarios_asked_for_would_have_told() -> None:
    """With as many scenarios as the planner asks for, about 80 % of experiments decide."""
    generator = np.random.Generator(np.random.PCG64(5))
    population = generator.choice([-1.0, 0.0, 1.0], p=[0.15, 0.5, 0.35], size=100_000)
    more = scenarios_needed(list(population[:4000]))
    assert more is not None
    total = int(((1.96 + 0.8416) * population.std() / abs(population.mean())) ** 2) + 1
    decided = 0
    for _ in range(100):
        draw = generator.choice(population, size=total)
        decided += compare(table(draw), table(np.zeros(total)), resamples=500).verdict == "a_better"
    assert 0.68 <= decided / 100 <= 0.92


def test_too_few_scenarios_can_never_decide() -> None:
    found = compare(table([1] * 5), table([0] * 5))
    assert found.verdict == "undecided"
    assert found.needed == 1
    assert "about 1 more scenario would tell" in found.sentence()
    assert compare(table([1] * 6), table([0] * 6)).verdict == "a_better"


def test_the_same_agent_twice_is_hopeless_to_tell() -> None:
    same = table([0.0, 0.5, 1.0])
    found = compare(same, same)
    assert (found.verdict, found.p, found.needed) == ("undecided", 1.0, None)
    assert "nothing that more scenarios" in found.sentence()


def test_only_common_scenarios_count_and_the_others_are_named() -> None:
    a = {"x": [1.0], "y": [1.0], "only-a": [0.0]}
    b = {"x": [0.0], "y": [1.0], "only-b": [1.0], "empty": []}
    found = compare(a, b)
    assert found.difference.n == 2
    assert (found.only_a, found.only_b) == (("only-a",), ("only-b",))
    assert found.a_mean == 1.0


def test_nothing_in_common_is_said_so() -> None:
    found = compare({"x": [1.0]}, {"y": [1.0]})
    assert found.difference.n == 0
    assert "no scenario in common" in found.sentence()


def test_swapping_the_agents_swaps_the_verdict() -> None:
    a, b = table([1.0] * 9), table([0.0, 0.5, 0.0] * 3)
    forth, back = compare(a, b), compare(b, a)
    assert (forth.verdict, back.verdict) == ("a_better", "b_better")
    assert forth.p == back.p
    assert forth.sentence("mine", "yours").startswith("mine is better than yours (n = 9")
    assert back.sentence("yours", "mine").startswith("mine is better than yours")


def test_thirds_that_are_equal_on_paper_are_equal() -> None:
    a = {"x": [1.0, 0.0, 0.0], "y": [0.1, 0.2, 0.3]}
    b = {"x": [0.0, 0.0, 1.0], "y": [0.3, 0.2, 0.1]}
    assert compare(a, b).p == 1.0


def test_one_scenario_plans_with_the_widest_spread() -> None:
    assert scenarios_needed([1.0]) == 7
    assert scenarios_needed([]) is None
    assert isinstance(compare({"x": [1.0]}, {"x": [0.0]}), Comparison)


def test_a_hair_of_a_difference_asks_for_nothing() -> None:
    assert scenarios_needed([1.0, -0.9999] * 10) is None

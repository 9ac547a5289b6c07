"""The expressions that analyze a release, compared with the same rule in Python, over generated metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jsonata
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.conftest import examples
from tests.terraform.support import SOURCE

MODULE = SOURCE / "modules" / "release"
BEGAN = "2026-11-24T08:00:30.000Z"
IDS = ("invocations", "errors", "errors_0", "slow")
KEYS = ("invocations", "failed", "baseline_invocations", "baseline_failed")
# By measure and version: the ids whose counts are added up.
FAILURES = {"errors": ("errors", "errors_0"), "slow": ("slow",)}
Minutes = Mapping[int, int]
Series = Mapping[str, Minutes]
Counts = tuple[int, int, int, int]


def evaluate(file: str, **variables: Any) -> Any:
    expression = jsonata.Jsonata((MODULE / file).read_text())
    frame = expression.create_frame()
    for name, value in variables.items():
        frame.bind(name, value)
    return expression.evaluate({}, frame)


def time(minute: int) -> str:
    return f"2026-11-24T{8 + minute // 60:02}:{minute % 60:02}:00Z"


def read(series: Series, *, first_step: bool) -> Any:
    results = [
        {"Id": id_, "Timestamps": list(map(time, minutes)), "Values": list(map(float, minutes.values()))}
        for id_, minutes in series.items()
    ]
    result = {"MetricDataResults": results}
    return evaluate("metrics.jsonata", states={"result": result}, step_began=BEGAN, first_step=first_step)


def counts(series: Series, measure: str, minutes: set[int]) -> Counts:
    """Return the invocations and failures of the new version, and those of the baseline, in some minutes."""

    def total(version: str, ids: tuple[str, ...]) -> int:
        return sum(series[f"{version}_{id_}"].get(minute, 0) for id_ in ids for minute in minutes)

    found = []
    for version in ("new", "baseline"):
        invocations = total(version, ("invocations",))
        found += [invocations, min(invocations, total(version, FAILURES[measure]))]
    return found[0], found[1], found[2], found[3]


def expected_metrics(series: Series, measure: str, *, first_step: bool) -> tuple[Counts, set[Counts]]:
    """Return the counts of all whole minutes, and those of each minute in which the new version failed most."""
    minutes = {minute for each in series.values() for minute in each if minute >= 1}
    invoked = {minute for minute in series["new_invocations"] if minute >= 1}
    if measure == "slow" and first_step and invoked:
        minutes -= {min(invoked)}
    failures = {
        minute: sum(series[f"new_{id_}"].get(minute, 0) for id_ in FAILURES[measure])
        for minute in minutes
        if any(minute in series[f"new_{id_}"] for id_ in FAILURES[measure])
    }
    most = max(failures.values(), default=0)
    worst = {counts(series, measure, {minute}) for minute, number in failures.items() if number == most}
    return counts(series, measure, minutes), worst or {(0, 0, 0, 0)}


SERIES = st.fixed_dictionaries(
    {
        f"{version}_{id_}": st.dictionaries(st.integers(0, 5), st.integers(0, 20), max_size=6)
        for version in ("new", "baseline")
        for id_ in IDS
    }
)


@given(SERIES, st.booleans())
@settings(max_examples=examples(50))
def test_metrics_are_those_of_whole_minutes(series: Series, first_step: bool) -> None:
    found = read(series, first_step=first_step)
    for measure in FAILURES:
        total, worst = expected_metrics(series, measure, first_step=first_step)
        assert tuple(found[measure][key] for key in KEYS) == total
        assert tuple(found[measure]["worst_minute"][key] for key in KEYS) in worst


def evidence(failed: int, others: int, share: float) -> float:
    """Return the likelihood ratio of a rate that is 2, 5, or 20 times the expected one, computed by logarithms."""
    if failed + others == 0:
        return 1
    found = []
    for r in (2, 5, 20):
        logarithm = failed * math.log(r) - (failed + others) * math.log1p((r - 1) * share)
        found.append(min(1e6, math.exp(min(logarithm, 100))))
    return sum(found) / 3


def wilson(failed: int, of: int, z: float) -> tuple[float, float]:
    """Return Wilson's interval as the roots of (p - rate)^2 = z^2 p (1 - p) / n."""
    rate = failed / of
    a, b, c = 1 + z * z / of, -(2 * rate + z * z / of), rate * rate
    root = math.sqrt(max(0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def bad(c: Counts, worst: Counts, limit: float, *, even_by_the_worst_minute: bool = False) -> bool:
    n, e, of, others = c
    if e < 3 or not of or evidence(e, others, n / (n + of)) < 100:
        return False
    rest = [total - part for total, part in zip(c, worst, strict=True)]
    if not even_by_the_worst_minute and (
        not rest[0] or not rest[2] or evidence(rest[1], rest[3], rest[0] / (rest[0] + rest[2])) < 10
    ):
        return False
    low, high = wilson(e, n, 2)[0], wilson(others, of, 2)[1]
    difference = e / n - others / of - math.hypot(e / n - low, high - others / of)
    return low > limit or difference > limit / 2


def good(c: Counts, worst: Counts, limit: float, least: int) -> bool:
    n, e, of, others = c
    if n < max(least, 1 / (2 * limit)) or bad(c, worst, limit, even_by_the_worst_minute=True):
        return False
    if e / n <= limit:
        return True
    if not of:
        return False
    alike = (e + others) / (n + of) <= limit and evidence(e, others, n / (n + of)) < 2
    return alike or (others >= 3 and evidence(others, e, of / (n + of)) >= 100)


def bad_in_bake(c: Counts, worst: Counts, limit: float, before: Counts) -> bool:
    n, e, *_ = c
    rest = n - worst[0], e - worst[1]
    return (
        e >= 3
        and wilson(e, n, 3)[0] > limit
        and rest[0] > 0
        and wilson(rest[1], rest[0], 1)[0] > limit
        and (not before[2] or e * before[2] > before[3] * n)
    )


@st.composite
def measures(draw: st.DrawFn) -> tuple[Counts, Counts]:
    """Return counts, and the part of them in the worst minute."""
    n, of = draw(st.integers(0, 3000)), draw(st.integers(0, 3000))
    # Near the limit, verdicts differ most.
    e, others = (draw(st.integers(0, min(9 + number // 20, number)) | st.integers(0, number)) for number in (n, of))
    worst_n, worst_of = draw(st.integers(0, n)), draw(st.integers(0, of))
    worst_e = draw(st.integers(max(0, e - (n - worst_n)), min(e, worst_n)))
    worst_others = draw(st.integers(max(0, others - (of - worst_of)), min(others, worst_of)))
    return (n, e, of, others), (worst_n, worst_e, worst_of, worst_others)


def described(measure: tuple[Counts, Counts]) -> dict[str, Any]:
    total, worst = (dict(zip(KEYS, each, strict=True)) for each in measure)
    return {**total, "worst_minute": worst}


RELEASE = {
    "stage": "live",
    "version": "8",
    "max_error_rate": 0.01,
    "max_p99_ms": 1000,
    "min_invocations": 50,
    "ignore_alarms_reason": "",
}


def analyze(**changes: Any) -> Any:
    variables = {
        "unhealthy_alarm": "unhealthy",
        "alarm_reason": "the error rate is too high",
        "baking": False,
        "firing": False,
        "from": "7",
        "last_look": 5,
        "looks": 5,
        "release": RELEASE,
        "weight": 0.1,
    }
    return evaluate("analysis.jsonata", **(variables | changes))


NONE: tuple[Counts, Counts] = (0, 0, 0, 0), (0, 0, 0, 0)
SOUND: tuple[Counts, Counts] = (100, 0, 900, 0), (0, 0, 0, 0)
BASELINE = {"errors": described(NONE), "slow": described(NONE)}


@given(measures(), st.sampled_from([0.001, 0.01, 0.05]))
@example(((100, 3, 900, 0), (10, 1, 90, 0)), 0.01)
@example(((100, 3, 3000, 0), (10, 1, 300, 0)), 0.01)
@example(((600, 12, 3000, 9), (10, 1, 300, 0)), 0.01)
@example(((1000, 6, 9000, 5), (100, 1, 900, 0)), 0.01)
@example(((200, 40, 200, 0), (100, 40, 100, 0)), 0.01)
@example(((200, 2, 1000, 0), (100, 1, 100, 0)), 0.01)
@example(((90, 1, 3, 3), (0, 0, 0, 0)), 0.01)
@settings(max_examples=examples(75))
def test_verdict_of_a_step(measure: tuple[Counts, Counts], limit: float) -> None:
    release = RELEASE | {"max_error_rate": limit}
    # At exactly these bounds, the rounding of numbers decides.
    n, e, *_ = measure[0]
    assume(not n or abs(e / n - limit) > 1e-9 or e / n == limit)
    slow = (5000, 0, 5000, 0), (0, 0, 0, 0)
    metrics = {"errors": described(measure), "slow": described(slow)}
    found = analyze(metrics=metrics, baseline=BASELINE, release=release)["verdict"]
    expected = "bad" if bad(*measure, limit) else "good" if good(*measure, limit, 50) else "inconclusive"
    assert found == expected
    early = analyze(metrics=metrics, baseline=BASELINE, release=release, looks=4)["verdict"]
    assert early == ("bad" if expected == "bad" else "none")


@given(measures(), measures())
@example(((10, 2, 0, 0), (5, 1, 0, 0)), NONE)
@example(((1000, 17, 0, 0), (100, 2, 0, 0)), NONE)
@example(((1000, 30, 0, 0), (100, 20, 0, 0)), NONE)
@example(((1000, 30, 0, 0), (100, 22, 0, 0)), NONE)
@example(((1000, 30, 0, 0), (100, 3, 0, 0)), ((100, 2, 100, 3), (0, 0, 0, 0)))
@example(((1000, 30, 0, 0), (100, 3, 0, 0)), ((100, 2, 100, 4), (0, 0, 0, 0)))
@settings(max_examples=examples(50))
def test_verdict_of_a_bake(measure: tuple[Counts, Counts], before: tuple[Counts, Counts]) -> None:
    metrics = {"errors": described(measure), "slow": described(SOUND)}
    baseline = {"errors": described(before), "slow": described(NONE)}
    expected = "bad" if bad_in_bake(*measure, 0.01, before[0]) else "good"
    assert analyze(metrics=metrics, baseline=baseline, baking=True, weight=1)["verdict"] == expected


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (((300, 15, 300, 15), (100, 5, 100, 5)), ("hold", "inconclusive")),
        (((300, 0, 300, 15), (100, 0, 100, 5)), ("hold", "inconclusive")),
        # The previous version is within its limit, or there is some evidence against the new one.
        (((300, 5, 300, 3), (100, 5, 100, 1)), ("bad", "bad")),
        (((300, 12, 300, 4), (100, 5, 100, 1)), ("bad", "bad")),
        (SOUND, ("bad", "bad")),
        (((300, 15, 0, 0), (100, 5, 0, 0)), ("bad", "bad")),
    ],
)
def test_alarm_is_blamed_on_the_new_version_unless_it_has_another_cause(
    measure: tuple[Counts, Counts], expected: tuple[str, str]
) -> None:
    metrics = {"errors": described(measure), "slow": described(SOUND)}
    found = tuple(analyze(metrics=metrics, baseline=BASELINE, firing=True, looks=looks)["verdict"] for looks in (4, 5))
    assert found == expected


@pytest.mark.parametrize(
    ("failed", "others", "share", "expected"),
    [(3, 27, 0.1, 0.154545), (3, 0, 0.1, 126.527), (180_000, 20_000, 0.1, 1e6), (20_000, 180_000, 0.9, 0)],
)
def test_evidence_of_python_agrees_with_figures(failed: int, others: int, share: float, expected: float) -> None:
    assert evidence(failed, others, share) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_many_invocations_do_not_exceed_the_largest_number() -> None:
    many: tuple[Counts, Counts] = (1_800_000, 180_000, 200_000, 20), (2000, 200, 200, 0)
    found = analyze(metrics={"errors": described(many), "slow": described(SOUND)}, baseline=BASELINE)
    assert found["reason"] == (
        "180,000 of 1,800,000 invocations of version 8 failed, and 20 of 200,000 of version 7 at 10 % of the traffic. "
        "Odds of 1,000,000 to 1 that version 8 fails more often (limit 1 %)."
    )

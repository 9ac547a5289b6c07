"""Metric math: expressions over time series.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import LarkError, VisitError
from lark.visitors import Interpreter

GRAMMAR = r"""
?start: disjunction
?disjunction: conjunction (("OR" | "||") conjunction)*
?conjunction: comparison (("AND" | "&&") comparison)*
?comparison: sum (COMPARE sum)?
?sum: product (ADD product)*
?product: unary (MULTIPLY unary)*
?unary: "-" unary -> negation
      | power
?power: atom ("^" unary)?
?atom: NUMBER -> number
     | STRING -> string
     | ID -> reference
     | NAME "(" [disjunction ("," disjunction)*] ")" -> call
     | NAME -> word
     | "[" disjunction ("," disjunction)* "]" -> array
     | "(" disjunction ")"
COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
ADD: "+" | "-"
MULTIPLY: "*" | "/"
ID: /[a-z][A-Za-z0-9_]*/
NAME: /[A-Z][A-Z0-9_]*/
STRING: /"[^"]*"|'[^']*'/
%import common.NUMBER
%import common.WS
%ignore WS
"""


class ExpressionError(ValueError):
    """An expression that cannot be parsed, or whose operands do not fit."""


@dataclass(frozen=True)
class Series:
    """A time series: values by the start of their period, and what it is called."""

    values: dict[float, float]
    period: float
    label: str = ""

    def map(self, function: Callable[[float], float]) -> Series:
        """Apply a function to each value, and drop the points for which it does not return a number."""
        return self.of({moment: function(value) for moment, value in self.values.items()})

    def of(self, values: Mapping[float, float]) -> Series:
        """Return a series with other values, without those that are no number, as of a division by zero."""
        kept = {moment: value for moment, value in values.items() if not math.isnan(value)}
        return Series(kept, self.period, self.label)


Value = float | Series | list[Series]
Fetch = Callable[[str], Value]


def parse(expression: str) -> Tree[Token]:
    """Return an expression's tree.

    Raises:
        ExpressionError: it is not written in metric math.
    """
    try:
        return _parser().parse(expression)
    except LarkError as error:
        raise ExpressionError(f"Unsupported expression: {str(error).splitlines()[0]}") from error


def evaluate(
    expression: str, fetch: Fetch, metrics: Callable[[str], list[Series]], moments: Sequence[float]
) -> list[Series]:
    """Return the series of an expression.

    ``fetch`` returns what an id stands for, ``metrics`` the metrics of the request whose id contains a text. A function
    whose result has no gaps gives a value for each of ``moments``.

    Raises:
        ExpressionError: it cannot be evaluated, or its result is a number.
    """
    try:
        value: Value = _Evaluator(fetch, metrics, moments).visit(parse(expression))
    except VisitError as error:
        raise error.orig_exc from error
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, Series) for each in found):
        raise ExpressionError("The final result must be a time series, or an array of them")
    return [_series(each).map(float) for each in found]


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


def _truth(function: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda left, right: float(function(left, right))


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except (OverflowError, ValueError):
        return math.nan


BINARY: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "^": _power,
    "==": _truth(operator.eq),
    "!=": _truth(operator.ne),
    "<=": _truth(operator.le),
    ">=": _truth(operator.ge),
    "<": _truth(operator.lt),
    ">": _truth(operator.gt),
    "AND": lambda left, right: float(bool(left) and bool(right)),
    "OR": lambda left, right: float(bool(left) or bool(right)),
}


def combine(symbol: str, left: Value, right: Value) -> Value:
    """Apply an operator. If one of two series has no value, it counts as 0. A division by 0 drops the point."""
    function = BINARY[symbol]
    if isinstance(left, list):
        return [_series(combine(symbol, each, right)) for each in left]
    if isinstance(right, list):
        return [_series(combine(symbol, left, each)) for each in right]
    if isinstance(left, Series) and isinstance(right, Series):
        moments = sorted(left.values.keys() | right.values.keys())
        made = {moment: function(left.values.get(moment, 0), right.values.get(moment, 0)) for moment in moments}
        return Series({}, max(left.period, right.period), left.label).of(made)
    if isinstance(left, Series):
        other = _number(right)
        return left.map(lambda value: function(value, other))
    number = _number(left)
    if isinstance(right, Series):
        return right.map(lambda value: function(number, value))
    return function(number, right)


def _series(value: Value) -> Series:
    if not isinstance(value, Series):
        raise ExpressionError("A time series is expected")
    return value


def _number(value: Value) -> float:
    if not isinstance(value, (int, float)):
        raise ExpressionError("A number is expected")
    return value


def _many(value: Value) -> list[Series]:
    if not isinstance(value, list):
        raise ExpressionError("An array of time series is expected")
    return value


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: function(value) if value > 0 else math.nan


# Of each value; and of all values, in time or across an array.
EACH: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": lambda value: float(math.ceil(value)),
    "FLOOR": lambda value: float(math.floor(value)),
    "LOG": _logarithm(math.log),
    "LOG10": _logarithm(math.log10),
}
ALL: dict[str, Callable[[Sequence[float]], float]] = {
    "AVG": lambda values: sum(values) / len(values),
    "DATAPOINT_COUNT": lambda values: float(len(values)),
    "MAX": max,
    "MIN": min,
    "SUM": sum,
}


def _each(function: Callable[[float], float], value: Value) -> Value:
    return [each.map(function) for each in value] if isinstance(value, list) else _series(value).map(function)


def _all(name: str, value: Value) -> Value:
    if isinstance(value, Series):
        values = list(value.values.values())
        # Of no data comes 0, as of any missing value.
        return ALL[name](values) if values else 0.0
    series, made = _many(value), {}
    for moment in sorted({moment for each in series for moment in each.values}):
        values = [each.values[moment] for each in series if moment in each.values]
        # A missing value counts as 0 in an average.
        made[moment] = sum(values) / len(series) if name == "AVG" else ALL[name](values)
    return Series(made, max((each.period for each in series), default=0.0))


def _if(condition: Value, yes: Value, no: Value | None = None) -> Value:
    if not isinstance(condition, Series):
        chosen = yes if condition else no
        return chosen if chosen is not None else Series({}, 0.0)
    made: dict[float, float] = {}
    for moment, value in condition.values.items():
        chosen = yes if value else no
        # A true condition with no value to return yields 0, a false one nothing.
        missing = 0.0 if value else None
        found = chosen.values.get(moment, missing) if isinstance(chosen, Series) else chosen
        if isinstance(found, list):
            raise ExpressionError("IF takes time series and numbers")
        if found is not None:
            made[moment] = found
    return Series(made, condition.period, condition.label)


def _running_sum(value: Value) -> Value:
    if isinstance(value, list):
        return [_series(_running_sum(each)) for each in value]
    series = _series(value)
    moments = sorted(series.values)
    sums = itertools.accumulate(series.values[moment] for moment in moments)
    return Series(dict(zip(moments, sums, strict=True)), series.period, series.label)


def _filler(series: Series, moment: float, filler: Value | str) -> float | None:
    if isinstance(filler, Series):
        return filler.values.get(moment)
    if isinstance(filler, (int, float)):
        return filler
    before = max((each for each in series.values if each < moment), default=None)
    after = min((each for each in series.values if each > moment), default=None)
    if before is None or (after is None and filler != "REPEAT"):
        return None
    if filler == "REPEAT":
        return series.values[before]
    if filler == "LINEAR" and after is not None:
        share = (moment - before) / (after - before)
        return series.values[before] * (1 - share) + series.values[after] * share
    raise ExpressionError(f"FILL does not take {filler}")


class _Evaluator(Interpreter[Token, Any]):
    def __init__(self, fetch: Fetch, metrics: Callable[[str], list[Series]], moments: Sequence[float]) -> None:
        self._fetch, self._moments = fetch, moments
        self._functions: dict[str, Callable[..., Value]] = {
            "FILL": self._fill,
            "FIRST": lambda value: _many(value)[0],
            "IF": _if,
            "LAST": lambda value: _many(value)[-1],
            "METRICS": lambda text="": metrics(text),
            "METRIC_COUNT": lambda value: float(len(_many(value))),
            "PERIOD": lambda value: _series(value).period,
            "RUNNING_SUM": _running_sum,
            "TIME_SERIES": lambda value: Series({moment: _number(value) for moment in moments}, 0.0),
            **{name: functools.partial(_each, function) for name, function in EACH.items()},
            **{name: functools.partial(_all, name) for name in ALL},
        }

    def number(self, tree: Tree[Token]) -> Value:
        return float(str(tree.children[0]))

    def string(self, tree: Tree[Token]) -> str:
        return str(tree.children[0])[1:-1]

    def word(self, tree: Tree[Token]) -> str:
        return str(tree.children[0])

    def reference(self, tree: Tree[Token]) -> Value:
        return self._fetch(str(tree.children[0]))

    def array(self, tree: Tree[Token]) -> Value:
        found: list[Series] = []
        for each in self.visit_children(tree):
            found += each if isinstance(each, list) else [_series(each)]
        return found

    def negation(self, tree: Tree[Token]) -> Value:
        return combine("*", self.visit_children(tree)[0], -1.0)

    def power(self, tree: Tree[Token]) -> Value:
        left, right = self.visit_children(tree)
        return combine("^", left, right)

    def operation(self, tree: Tree[Token]) -> Value:
        value: Value
        value, *rest = self.visit_children(tree)
        for symbol, operand in zip(rest[::2], rest[1::2], strict=True):
            value = combine(str(symbol), value, operand)
        return value

    comparison = product = sum = operation

    def conjunction(self, tree: Tree[Token]) -> Value:
        operands: list[Value] = self.visit_children(tree)
        return functools.reduce(functools.partial(combine, "AND"), operands)

    def disjunction(self, tree: Tree[Token]) -> Value:
        operands: list[Value] = self.visit_children(tree)
        return functools.reduce(functools.partial(combine, "OR"), operands)

    def call(self, tree: Tree[Token]) -> Value:
        name, *arguments = self.visit_children(tree)
        function = self._functions.get(str(name))
        if function is None:
            raise ExpressionError(f"Unknown function {name}")
        try:
            return function(*arguments)
        except (IndexError, TypeError) as error:
            raise ExpressionError(f"{name} does not take these arguments") from error

    def _fill(self, value: Value, filler: Value | str) -> Value:
        if isinstance(value, list):
            return [_series(self._fill(each, filler)) for each in value]
        series = _series(value)
        made: dict[float, float] = {}
        for moment in self._moments:
            found = series.values.get(moment)
            if found is None:
                found = _filler(series, moment, filler)
            if found is not None:
                made[moment] = found
        return Series(made, series.period, series.label)

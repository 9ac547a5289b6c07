"""The query language of CloudWatch Logs Insights.

It has the commands ``fields``, ``display``, ``filter``, ``parse``, ``stats``, ``sort``, and ``limit``.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

GRAMMAR = r"""
start: command ("|" command)*
?command: "fields"i columns -> fields
        | "display"i columns -> fields
        | "filter"i disjunction -> filter
        | "parse"i value REGEX -> parse_regex
        | "parse"i value STRING "as"i NAME ("," NAME)* -> parse_glob
        | "stats"i columns ["by"i columns] -> stats
        | "sort"i order ("," order)* -> sort
        | "limit"i NUMBER -> limit
columns: column ("," column)*
column: value ["as"i NAME]
order: value [DIRECTION]
?disjunction: conjunction ("or"i conjunction)+ -> disjunction
            | conjunction
?conjunction: condition ("and"i condition)+ -> conjunction
            | condition
?condition: "not"i condition -> negation
          | "(" disjunction ")"
          | value COMPARE value -> comparison
          | value LIKE pattern -> like
          | value "not"i LIKE pattern -> unlike
          | call
pattern: REGEX -> regex
       | STRING -> substring
?value: NAME -> field
      | NUMBER -> number
      | STRING -> string
      | call
call: NAME "(" [argument ("," argument)*] ")"
?argument: value | ALL | PERIOD
COMPARE: "!=" | "<=" | ">=" | "=" | "<" | ">"
DIRECTION: "asc"i | "desc"i
LIKE: "like"i | "=~"
ALL: "*"
NAME: /@?`[^`]+`|@?[a-z_][a-z0-9_.@]*/i
NUMBER: /-?[0-9]+(\.[0-9]+)?/
PERIOD.2: /[0-9]+(ms|[smhd])\b/
REGEX: /\/(\\.|[^\/\\])+\//
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/
COMMENT: /#[^\n]*/
%import common.WS
%ignore WS
%ignore COMMENT
"""

TIMESTAMP = "@timestamp"
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class QueryError(ValueError):
    """A query that is not written in the language, or uses a part of it that local AWS does not have."""


class Time(float):
    """A time, in milliseconds since 1970."""


Value = str | float | None
Record = Mapping[str, Value]


@dataclass(frozen=True)
class Column:
    """A value of a record, and its name in a result. An aggregate also has a value over a group of records."""

    name: str
    of: Callable[[Record], Value]
    over: Callable[[Sequence[Record]], float | None] | None = None


@dataclass(frozen=True)
class Table:
    """Records, the names of the fields that a result shows, and the number of records that passed every filter."""

    records: Sequence[Record]
    shown: tuple[str, ...]
    matched: int


Command = Callable[[Table], Table]


def parse(query: str) -> list[Command]:
    """Return the commands of a query.

    Raises:
        QueryError: it is not written in the language, or uses a part of it that local AWS does not have.
    """
    try:
        commands: list[Command] = _Commands().transform(_parser().parse(query))
    except VisitError as error:
        raise error.orig_exc from error
    except LarkError as error:
        raise QueryError(f"Local AWS does not support this query: {str(error).splitlines()[0]}") from error
    return commands


def run(commands: Sequence[Command], records: Sequence[Record]) -> Table:
    """Return the result of a query over records. Without a command that names fields, it shows each whole message."""
    table = Table(records, (TIMESTAMP, "@message"), len(records))
    for command in commands:
        table = command(table)
    return table


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)


def _number(value: Value) -> float | None:
    """Return a value as a number, or None. A text that looks like a number is one: logs of text contain no others."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compare(symbol: str, left: Value, right: Value) -> bool:
    """Compare numbers, or texts if one is no number. A field that a record lacks equals nothing."""
    if left is None or right is None:
        return symbol == "!="
    numbers = _number(left), _number(right)
    return COMPARISONS[symbol](*((str(left), str(right)) if None in numbers else numbers))


def _rank(value: Value) -> tuple[bool, float, str]:
    """Return the place of a value in an ascending order: texts, then numbers."""
    number = _number(value)
    return (False, 0.0, str(value or "")) if number is None else (True, number, "")


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Stats.html
AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "avg": lambda values: sum(values) / len(values),
    "max": max,
    "min": min,
    "sum": sum,
}


def _percentile(values: Sequence[float], percent: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _aggregate(name: str, function: Callable[[Sequence[float]], float], column: Column) -> Column:
    """Return an aggregate of the numbers that a column has in a group of records; None if there is none."""

    def over(records: Sequence[Record]) -> float | None:
        values = [number for record in records if (number := _number(column.of(record))) is not None]
        return function(values) if values else None

    return _column(name, over)


def _column(name: str, over: Callable[[Sequence[Record]], float | None]) -> Column:
    """Return an aggregate. After ``stats``, each record of the result has its value under its name."""
    return Column(name, lambda record: record.get(name), over)


def _bin(name: str, period: str) -> Column:
    """Return the start of the period that a record is in. After ``stats``, records have it under its name."""
    unit = period.lstrip("0123456789")
    width = int(period.removesuffix(unit)) * MILLISECONDS[unit]

    def of(record: Record) -> Value:
        moment = _number(record.get(TIMESTAMP))
        return record.get(name) if moment is None else Time(moment // width * width)

    return Column(name, of)


def _with(record: Record, columns: Sequence[Column]) -> Record:
    return {**record, **{column.name: column.of(record) for column in columns}}


def _parsed(value: Column, pattern: re.Pattern[str], fields: Callable[[re.Match[str]], Mapping[str, Value]]) -> Command:
    """Return a command that adds fields to each record whose value matches.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Parse.html
    """

    def with_fields(record: Record) -> Record:
        text = value.of(record)
        match = None if text is None else pattern.search(str(text))
        return {**record, **fields(match)} if match else record

    return lambda table: dataclasses.replace(table, records=[with_fields(record) for record in table.records])


def _name(token: Token) -> str:
    return token.replace("`", "")


def _text(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])


@v_args(inline=True)
class _Commands(Transformer[Token, list[Command]]):
    """Turns the tree of a query into functions. Each method stands for a rule of the grammar."""

    def start(self, *commands: Command) -> list[Command]:
        return list(commands)

    def fields(self, columns: Sequence[Column]) -> Command:
        return lambda table: dataclasses.replace(
            table,
            records=[_with(record, columns) for record in table.records],
            shown=tuple(column.name for column in columns),
        )

    def filter(self, condition: Column) -> Command:
        def command(table: Table) -> Table:
            kept = [record for record in table.records if condition.of(record)]
            return dataclasses.replace(table, records=kept, matched=len(kept))

        return command

    def parse_glob(self, value: Column, token: Token, *names: Token) -> Command:
        texts = [re.escape(text) for text in _text(token).split("*")]
        if len(texts) != len(names) + 1:
            raise QueryError(f"parse needs a name for each * of {token}")
        # Each * matches as little as possible, and one at the end the rest.
        pattern = "(.*?)".join(texts) + ("$" if not texts[-1] else "")
        fields = [_name(name) for name in names]
        found = re.compile(pattern, re.DOTALL)
        return _parsed(value, found, lambda match: dict(zip(fields, match.groups(), strict=True)))

    def parse_regex(self, value: Column, token: Token) -> Command:
        # Python writes (?P<name>...).
        pattern = self.regex(Token("REGEX", re.sub(r"\(\?<(?=[a-zA-Z])", "(?P<", token)))
        return _parsed(value, pattern, lambda match: match.groupdict())

    def stats(self, aggregates: Sequence[Column], groups: Sequence[Column] | None) -> Command:
        if plain := [column.name for column in aggregates if column.over is None]:
            raise QueryError(f"stats needs functions such as count(*), and {plain[0]} is none that local AWS has")
        by = groups or ()

        def command(table: Table) -> Table:
            found: dict[tuple[Value, ...], list[Record]] = {}
            for record in table.records:
                found.setdefault(tuple(column.of(record) for column in by), []).append(record)
            records = [
                dict(zip([column.name for column in by], key, strict=True))
                | {column.name: column.over(group) for column in aggregates if column.over}
                for key, group in found.items()
            ]
            shown = tuple(column.name for column in (*by, *aggregates))
            return dataclasses.replace(table, records=records, shown=shown)

        return command

    def sort(self, *orders: tuple[Column, bool]) -> Command:
        def command(table: Table) -> Table:
            records = list(table.records)
            for column, descending in reversed(orders):
                records.sort(key=lambda record, of=column.of: _rank(of(record)), reverse=descending)  # type: ignore[misc]
            return dataclasses.replace(table, records=records)

        return command

    def limit(self, number: Token) -> Command:
        return lambda table: dataclasses.replace(table, records=table.records[: int(float(number))])

    def columns(self, *columns: Column) -> Sequence[Column]:
        return columns

    def column(self, value: Column, alias: Token | None) -> Column:
        return dataclasses.replace(value, name=_name(alias)) if alias else value

    def order(self, value: Column, direction: Token | None) -> tuple[Column, bool]:
        return value, (direction or "asc").lower() == "desc"

    def field(self, token: Token) -> Column:
        name = _name(token)
        return Column(name, lambda record: record.get(name))

    def number(self, token: Token) -> Column:
        return Column(str(token), lambda _: float(token))

    def string(self, token: Token) -> Column:
        return Column(str(token), lambda _: _text(token))

    def call(self, function: Token, *arguments: Column | Token | None) -> Column:
        given = [argument for argument in arguments if argument is not None]
        name = f"{function}({', '.join(one.name if isinstance(one, Column) else one for one in given)})"
        match function.lower(), given:
            case "bin", [Token(type="PERIOD") as period]:
                found = _bin(name, period)
            case "ispresent", [Column() as column]:
                found = Column(name, lambda record: column.of(record) is not None)
            case "tomillis", [Column() as column]:
                found = Column(name, column.of)
            case "count", [] | [Token(type="ALL")]:
                found = _column(name, len)
            case "count", [Column() as column]:
                found = _column(name, lambda records: sum(column.of(record) is not None for record in records))
            case "count_distinct", [Column() as column]:
                found = _column(name, lambda records: len({column.of(record) for record in records} - {None}))
            case "pct", [Column() as column, Column(name=percent)] if NUMBER.fullmatch(percent):
                found = _aggregate(name, lambda values: _percentile(values, float(percent)), column)
            case aggregate, [Column() as column] if aggregate in AGGREGATES:
                found = _aggregate(name, AGGREGATES[aggregate], column)
            case _:
                raise QueryError(f"Local AWS does not support {name}")
        return found

    def disjunction(self, *conditions: Column) -> Column:
        return Column("or", lambda record: any(condition.of(record) for condition in conditions))

    def conjunction(self, *conditions: Column) -> Column:
        return Column("and", lambda record: all(condition.of(record) for condition in conditions))

    def negation(self, condition: Column) -> Column:
        return Column("not", lambda record: not condition.of(record))

    def comparison(self, left: Column, symbol: Token, right: Column) -> Column:
        return Column(symbol, lambda record: _compare(symbol, left.of(record), right.of(record)))

    def like(self, value: Column, _: Token, pattern: re.Pattern[str]) -> Column:
        return Column("like", lambda record: bool(pattern.search(str(found := value.of(record)))) and found is not None)

    def unlike(self, value: Column, token: Token, pattern: re.Pattern[str]) -> Column:
        return self.negation(self.like(value, token, pattern))

    def regex(self, token: Token) -> re.Pattern[str]:
        # Python allows flags only at the start, AWS anywhere: they apply to what follows.
        pattern = re.sub(r"^(.+?)\(\?i\)(.*)$", r"\1(?i:\2)", token[1:-1])
        try:
            return re.compile(pattern)
        except re.error as error:
            raise QueryError(f"{token} is not a regular expression: {error}") from error

    def substring(self, token: Token) -> re.Pattern[str]:
        return re.compile(re.escape(_text(token)))

"""The SQL of the store as its source has it: statements that change or lock rows, and the conjuncts that guard them.

A statement is a string literal. It is known by its module and the constant or function that has it:
``webhooks.rounds._LOCK``; the second one of a function is ``bulk.rows.settle#2``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

STORE = Path("pipeline/store")
_CHANGES = re.compile(
    r"\b(UPDATE\s+[\w{]|DELETE\s+FROM|INSERT\s+INTO|FOR\s+(NO\s+KEY\s+)?UPDATE|FOR\s+(KEY\s+)?SHARE)"
)
"""What changes or locks rows."""
_OPENING = re.compile(r"""[rRfF]*(\"\"\"|'''|"|')""")
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/                    # comments
      | '(?:[^']|'')*' | "[^"]*"              # texts, quoted names
      | \{(?:[^{}]|\{[^{}]*\})*\}             # what an f-string inserts
      | :?\w+(?:\.\w+)* | ::? | [^\w\s]""",
    re.VERBOSE | re.DOTALL,
)
_ENDS = frozenset(
    re.findall(
        r"\S+",
        """WHERE GROUP HAVING ORDER LIMIT OFFSET FETCH FOR RETURNING UNION EXCEPT INTERSECT WINDOW SET DO FROM ON JOIN
        CROSS INNER FULL USING ; WHEN THEN""",
    )
)
"""What ends a condition at its own depth; LEFT and RIGHT do too, unless they are functions."""
_OF_STATEMENTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "FROM", "JOIN", "SET", "WHERE"})
"""Words that a bare condition has only in parentheses."""
_CONDITION_AFTER = ("WHERE", "ON")


@dataclass(frozen=True, kw_only=True, slots=True)
class Conjunct:
    """One condition of a WHERE or ON clause. ``start``, ``end``: where it stands in its source file."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A statement, or a condition that statements share."""

    name: str
    path: Path
    changes: bool
    """It changes or locks rows."""
    conjuncts: Sequence[Conjunct]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    word: str
    depth: int
    start: int
    end: int


def find_statements(root: Path = Path(), store: Path = STORE) -> list[Statement]:
    """Return all SQL of the store but its migrations, in the order of the source."""
    paths = [p for p in sorted((root / store).rglob("*.py")) if "migrations" not in p.parts]
    return [one for path in paths for one in parse_module(path.read_text(), path.relative_to(root))]


def parse_module(source: str, path: Path) -> list[Statement]:
    """Return the string literals of a module that hold a condition or change rows."""
    module = ".".join(path.relative_to(STORE).with_suffix("").parts)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    encoded, found, seen = source.encode(), [], dict[str, int]()
    for owner, node in _list_literals(ast.parse(source), "", is_top=True):
        begin = starts[node.lineno - 1] + node.col_offset
        stop = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        offset, text = len(encoded[:begin].decode()), encoded[begin:stop].decode()
        conjuncts, changes = list_conjuncts(text, offset), _CHANGES.search(text) is not None
        if conjuncts or changes:
            seen[owner] = seen.get(owner, 0) + 1
            number = f"#{seen[owner]}" if seen[owner] > 1 else ""
            name = f"{module}.{owner}{number}"
            found.append(Statement(name=name, path=path, changes=changes, conjuncts=conjuncts))
    return found


def _list_literals(
    tree: ast.AST, owner: str, *, is_top: bool = False
) -> Iterator[tuple[str, ast.Constant | ast.JoinedStr]]:
    """Yield the string literals below a node that are no docstrings, each with the name of what has it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            yield owner, node
            continue
        yield from _list_literals(node, _name(node, is_top=is_top) or owner)


def _name(node: ast.AST, *, is_top: bool) -> str | None:
    if isinstance(node, ast.FunctionDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if is_top and isinstance(targets[0], ast.Name) else None


def list_conjuncts(literal: str, offset: int = 0) -> list[Conjunct]:
    """Return the conjuncts of all WHERE and ON clauses in a literal; of a bare condition, its own.

    ``offset`` is added to their places. A conjunct that is constantly true is left out.
    """
    tokens = _tokenize(literal)
    words = [t.word for t in tokens]
    clauses = [
        _read_clause(tokens, n + 1)
        for n, word in enumerate(words)
        if word in _CONDITION_AFTER
        and words[n + 1 : n + 2] != ["CONFLICT"]
        and words[n - 1 : n] != ["DISTINCT"]
    ]
    outermost = {t.word for t in tokens if t.depth == 0}
    if "AND" in outermost and not outermost & _OF_STATEMENTS:
        clauses.append(_read_clause(tokens, 0))
    pieces = [piece for clause in clauses for piece in _split(clause) if piece]
    found = [
        Conjunct(
            text=" ".join(literal[p[0].start : p[-1].end].split()),
            start=offset + p[0].start,
            end=offset + p[-1].end,
        )
        for p in pieces
    ]
    return [one for one in found if one.text.upper() != "TRUE"]


def _tokenize(literal: str) -> list[_Token]:
    """Return the tokens between the quotes. Parentheses, brackets and CASE … END are a level deeper."""
    opening = _OPENING.match(literal)
    first, last = (opening.end(), len(literal) - len(opening[1])) if opening else (0, len(literal))
    found, depth = [], 0
    for match in _TOKEN.finditer(literal, first, last):
        word = match[0] if match[0].isupper() else match[0].lower() if match[0].isalpha() else match[0]
        if word.startswith(("--", "/*")):
            continue
        depth -= word in {")", "]", "END"}
        found.append(_Token(word=word, depth=depth, start=match.start(), end=match.end()))
        depth += word in {"(", "[", "CASE"}
    return found


def _read_clause(tokens: Sequence[_Token], first: int) -> list[_Token]:
    """Return the tokens of the condition that begins at *first*."""
    depth = tokens[first].depth
    for n in range(first, len(tokens)):
        one = tokens[n]
        is_function = tokens[n + 1 : n + 2] and tokens[n + 1].word == "("
        is_end = one.word in _ENDS and not (one.word == "FROM" and tokens[n - 1].word == "DISTINCT")
        if one.depth < depth or (
            one.depth == depth and (is_end or (one.word in {"LEFT", "RIGHT"} and not is_function))
        ):
            return list(tokens[first:n])
    return list(tokens[first:])


def _split(clause: Sequence[_Token]) -> list[list[_Token]]:
    """Split a condition at its own ANDs, but not at those of BETWEEN; one of several alternatives stays whole."""
    depth = clause[0].depth if clause else 0
    if any(t.word == "OR" and t.depth == depth for t in clause):
        return [list(clause)]
    pieces: list[list[_Token]] = [[]]
    is_between = False
    for token in clause:
        if token.depth == depth and token.word == "AND" and not is_between:
            pieces.append([])
            continue
        if token.depth == depth and token.word in {"BETWEEN", "AND"}:
            is_between = token.word == "BETWEEN"
        pieces[-1].append(token)
    return pieces

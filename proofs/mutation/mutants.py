"""The changes that are made to a Python source, one at a time.

What only people read is left alone: docstrings, annotations, messages of errors.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMES = {"min": "max", "max": "min", "all": "any", "any": "all"}
_MESSAGES = {"msg", "detail", "name"}
_ERRORS = {"InvalidPayload", "ValueError", "TypeError"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one place.

    Attributes:
        path: Of the source.
        line: Of the place, from 1.
        lines: All lines of the statement that is changed.
        old, new: The place before and after.
        source: The whole source with the change.
    """

    path: Path
    line: int
    lines: range
    old: str
    new: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it also when lines have moved: file, old, new."""
        return (self.path.name, self.old, self.new)


def mutants_of(path: Path) -> list[Mutant]:
    """Return all mutants of a source, in its order, each once."""
    source = path.read_text("utf-8")
    found: dict[str, Mutant] = {}
    for statement, node, new in _Places().of(ast.parse(source)):
        old = ast.get_source_segment(source, node) or ""
        changed = _replaced(source, node, new)
        if changed not in found:
            lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
            if isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Match):
                lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            found[changed] = Mutant(path, node.lineno, lines, old, new, changed)
    return list(found.values())


Place = tuple[ast.stmt, ast.expr | ast.stmt, str]
"""The statement, what of it is replaced, and by which text."""


class _Places:
    """Walks a module, and knows in which statement it is."""

    def of(self, module: ast.Module) -> Iterator[Place]:
        yield from self._body(module.body)

    def _statement(self, node: ast.stmt) -> Iterator[Place]:
        if _is_left_alone(node):
            return
        for new in _other_statements(node):
            yield node, node, new
        match node:
            case ast.ClassDef(body=body):
                enum = any("Enum" in ast.unparse(base) for base in node.bases)
                kept = [one for one in body if not (enum and isinstance(one, ast.Assign))]
                yield from self._body(kept)
            case ast.FunctionDef(body=body):
                for default in [*node.args.defaults, *node.args.kw_defaults]:
                    if default is not None:
                        yield from self._expression(node, default)
                yield from self._body(body)
            case ast.Raise():
                return  # what it says is for people
            case _:
                yield from self._children(node)

    def _body(self, body: Iterable[ast.stmt]) -> Iterator[Place]:
        for inner in body:
            yield from self._statement(inner)

    def _children(self, node: ast.stmt) -> Iterator[Place]:
        if isinstance(node, ast.If | ast.While):
            yield from self._condition(node, node.test)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from self._statement(child)
            elif isinstance(child, ast.ExceptHandler | ast.match_case):
                yield from self._parts(node, child)
            elif isinstance(child, ast.withitem):
                yield from self._expression(node, child.context_expr)
            elif isinstance(child, ast.expr) and child is not getattr(node, "annotation", None):
                yield from self._expression(node, child)

    def _parts(self, node: ast.stmt, part: ast.ExceptHandler | ast.match_case) -> Iterator[Place]:
        if isinstance(part, ast.match_case) and part.guard is not None:
            yield from self._condition(node, part.guard)
            yield from self._expression(node, part.guard)
        yield from self._body(part.body)

    def _condition(self, node: ast.stmt, test: ast.expr) -> Iterator[Place]:
        yield node, test, f"(not ({ast.unparse(test)}))"

    def _expression(self, node: ast.stmt, found: ast.expr) -> Iterator[Place]:
        for child in self._walk(found):
            for new in _others(child):
                yield node, child, f"({new})" if isinstance(child, ast.BoolOp | ast.BinOp) else new
            for test in _conditions(child):
                yield from self._condition(node, test)

    def _walk(self, found: ast.expr) -> Iterator[ast.expr]:
        if isinstance(found, ast.JoinedStr):
            return  # texts for people
        if isinstance(found, ast.Call) and ast.unparse(found.func) in _ERRORS:
            return
        yield found
        for child in ast.iter_child_nodes(found):
            if isinstance(child, ast.expr):
                yield from self._walk(child)
            elif isinstance(child, ast.keyword | ast.comprehension):
                for inner in ast.iter_child_nodes(child):
                    if isinstance(inner, ast.expr):
                        yield from self._walk(inner)


def _conditions(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.IfExp):
        return [node.test]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return [test for generator in node.generators for test in generator.ifs]
    return []


def _is_left_alone(node: ast.stmt) -> bool:
    """Tell whether it is an import, a docstring, a type, or a message for people."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in _MESSAGES
    return False


def _other_statements(node: ast.stmt) -> Iterator[str]:
    """Yield what may stand in the place of a statement."""
    match node:
        case ast.Return(value=ast.expr() as value):
            if not _is_none(value):
                yield "return None"
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Return() | ast.Expr():
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case ast.AugAssign(target=target, op=operator, value=value):
            yield "pass"
            if type(operator) in _ARITHMETIC:
                yield ast.unparse(ast.AugAssign(target, _ARITHMETIC[type(operator)](), value))


def _others(node: ast.expr) -> Iterator[str]:
    """Yield what may stand in the place of an expression."""
    match node:
        case ast.Compare(ops=operators, left=left, comparators=right):
            for place, operator in enumerate(operators):
                others = list(operators)
                others[place] = _COMPARISONS[type(operator)]()
                yield ast.unparse(ast.Compare(left, others, right))
        case ast.BoolOp(op=operator, values=values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield ast.unparse(ast.BoolOp(other, values))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.BinOp(op=operator, left=left, right=right) if type(operator) in _ARITHMETIC:
            yield ast.unparse(ast.BinOp(left, _ARITHMETIC[type(operator)](), right))
        case ast.Constant(value=value):
            yield from _other_constants(value)
        case ast.Name(id=name) if name in _NAMES:
            yield _NAMES[name]


def _other_constants(value: object) -> Iterator[str]:
    match value:
        case bool():
            yield repr(not value)
        case int() | float():
            yield repr(value + 1)
        case str():
            yield repr(f"{value}X")
        case bytes():
            yield repr(value + b"X")


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _replaced(source: str, node: ast.expr | ast.stmt, new: str) -> str:
    lines = source.encode().splitlines(keepends=True)
    last = (node.end_lineno or node.lineno) - 1
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[last][node.end_col_offset :] + b"".join(lines[last + 1 :])
    return (before + new.encode() + after).decode()

"""Every command and its options, read from the program itself when the documentation is built (a hook of mkdocs)."""

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterator

from plenodream.cli.commands import commands


def on_page_markdown(markdown: str, page, **_) -> str:
    """Adds them to their page."""
    return markdown + everything() if page.file.src_uri == "commands.md" else markdown


def everything() -> str:
    """All commands, each with a table of its arguments."""
    return "".join(section(name, kind) for name, (kind, _) in commands().items())


def section(name: str, kind: type) -> str:
    """One command: what it does, then a row an argument."""
    head = f"\n## {name.replace('eval-', 'eval ')}\n\n{inspect.getdoc(kind)}\n\n"
    return head + "| argument | if left out | what it is |\n|---|---|---|\n" + "".join(rows(kind))


def rows(kind: type) -> Iterator[str]:
    """Of a class of arguments: its bases' but for those that it says anew, its own, those of classes that it holds."""
    for part in (part for part in reversed(kind.__mro__) if dataclasses.is_dataclass(part)):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        hints = typing.get_type_hints(part)
        for field, said in zip(tree.body, [*tree.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign):
                continue
            name = ast.unparse(field.target)
            if part is not next(one for one in kind.__mro__ if name in inspect.get_annotations(one)):
                continue
            if dataclasses.is_dataclass(held := hints[name]):
                yield from rows(held)
            elif isinstance(said, ast.Expr):
                yield row(field, ast.literal_eval(said.value))


def row(field: ast.AnnAssign, said: str) -> str:
    """One argument."""
    name = ast.unparse(field.target)
    shown = name.upper() if "Positional" in ast.unparse(field.annotation) else f"--{name.replace('_', '-')}"
    value = "" if field.value is None else ast.unparse(field.value).removeprefix("Path(").removesuffix(")")
    default = "" if value in ("None", "(", "()", "False") else f"`{value}`"
    cell = " ".join(said.split()).replace("|", "\\|")
    return f"| `{shown}` | {default} | {cell} |\n"

"""Every command and its options, read from the program itself when the documentation is built (a hook of mkdocs)."""

import ast
import inspect
import textwrap

from plenodream.cli.commands import commands


def on_page_markdown(markdown: str, page, **_) -> str:
    """Adds them to their page."""
    return markdown + everything() if page.file.src_uri == "commands.md" else markdown


def everything() -> str:
    """All commands, each with a table of its arguments."""
    return "".join(section(name, kind) for name, (kind, _) in commands().items())


def section(name: str, kind: type) -> str:
    """One command: what it does, then a row an argument."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    head = f"\n## {name.replace('eval-', 'eval ')}\n\n{inspect.getdoc(kind)}\n\n"
    text = head + "| argument | if left out | what it is |\n|---|---|---|\n"
    for field, said in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr):
            text += row(field, ast.literal_eval(said.value))
    return text


def row(field: ast.AnnAssign, said: str) -> str:
    """One argument."""
    name = ast.unparse(field.target)
    shown = name.upper() if "Positional" in ast.unparse(field.annotation) else f"--{name.replace('_', '-')}"
    value = "" if field.value is None else ast.unparse(field.value).removeprefix("Path(").removesuffix(")")
    default = "" if value in ("None", "(", "()", "False") else f"`{value}`"
    cell = " ".join(said.split()).replace("|", "\\|")
    return f"| `{shown}` | {default} | {cell} |\n"

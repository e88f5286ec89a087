"""The size of the code's parts: median function at most 10 lines of code, none over 60, no module over 300 lines.

Lines of code of a function are those of its body, docstring left out. Functions that return a config, and constructors
that register one, are lists of values and not counted.
"""

import ast
import statistics
import sys
from pathlib import Path

MEDIAN, FUNCTION, MODULE = 10, 60, 300


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    first = 1 if ast.get_docstring(function) is not None else 0
    return 0 if first == len(function.body) else function.end_lineno - function.body[first].lineno + 1


def is_config(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is but a list of values."""
    returns = ast.unparse(function.returns) if function.returns else ""
    registered = any("register_to_config" in ast.unparse(decorator) for decorator in function.decorator_list)
    return returns.endswith("Config") or registered


lengths, problems = [], []
for path in sorted(Path("src").rglob("*.py")):
    text = path.read_text()
    if (lines := len(text.splitlines())) > MODULE:
        problems.append(f"{path}: {lines} lines, expected at most {MODULE}")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_config(node):
            lengths.append(body_lines(node))
            if lengths[-1] > FUNCTION:
                problems.append(
                    f"{path}:{node.lineno}: {node.name} has {lengths[-1]} lines, expected at most {FUNCTION}"
                )
if (median := statistics.median(lengths)) > MEDIAN:
    problems.append(f"median function: {median} lines, expected at most {MEDIAN}")
print("\n".join(problems) or f"{len(lengths)} functions, median {median} lines, longest {max(lengths)}")
sys.exit(bool(problems))

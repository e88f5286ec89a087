"""The tests' import hook: shapes and kinds of all arrays are checked at every call of plenodream's functions.

jaxtyping's own hook wraps every function, with arrays or without, and has libraries that are imported meanwhile
compiled anew; both cost seconds in every process.
"""

import ast
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from importlib.util import cache_from_source, decode_source
from unittest.mock import patch

from beartype import BeartypeConf, beartype
from jaxtyping import jaxtyped

_BEARTYPE = beartype(conf=BeartypeConf(is_pep484_tower=True))


def install() -> None:
    """Have all of plenodream checked as it is imported."""
    sys.meta_path.insert(0, _Finder())


def checked(thing):
    """A function or class, its arrays checked at every call: how a decorator of all of plenodream's begins."""
    function = thing.__init__ if isinstance(thing, type) else thing
    return jaxtyped(thing, typechecker=_check) if _arrays(function) else thing


def _check(function):
    """Beartype on whatever an annotation says of arrays, and on nothing else: other values are checked by the functions
    themselves where users give them, and tests give wrong ones on purpose."""
    function.__annotations__ = _arrays(function)
    return _BEARTYPE(function)


def _arrays(function) -> dict:
    notes = getattr(function, "__annotations__", {})
    return {name: note for name, note in notes.items() if "Tensor" in str(note) or "ndarray" in str(note)}


class _Finder(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] != "plenodream":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname):
        """Compiled under a name of its own, beside that without checks."""
        with patch(
            "importlib._bootstrap_external.cache_from_source",
            lambda path: cache_from_source(path, optimization="shapes"),
        ):
            return super().get_code(fullname)

    def source_to_code(self, data, path, *, _optimize=-1):
        tree = ast.parse(decode_source(data), path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.decorator_list.append(_decorator(node))
            elif isinstance(node, ast.ClassDef):  # `dataclass` comes first
                node.decorator_list.insert(0, _decorator(node))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)


def _decorator(node):
    made = ast.parse("__import__('shapes').checked", mode="eval").body
    for part in ast.walk(made):
        ast.copy_location(part, node)
    return made

"""The tests' import hook is jaxtyping's, with beartype on whatever an annotation says of arrays, and on nothing else.

Other values are checked by the functions themselves where users give them, and tests give wrong ones on purpose.
"""

from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from unittest.mock import patch

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import _import_hook

_BEARTYPE = beartype(conf=BeartypeConf(is_pep484_tower=True))
_JAXTYPED = jaxtyping.jaxtyped


def install() -> None:
    """Have all of plenodream checked as it is imported."""
    _import_hook._JaxtypingLoader = _Loader
    jaxtyping.jaxtyped = _jaxtyped
    jaxtyping.install_import_hook("plenodream", "shapes.check")


def check(function):
    """`function`, checking its arrays."""
    function.__annotations__ = _arrays(function)
    return _BEARTYPE(function)


def _jaxtyped(*, typechecker):
    """What jaxtyping's hook puts on every function and class, left out where there is no array: it costs seconds."""

    def decorate(thing):
        function = thing.__init__ if isinstance(thing, type) else thing
        return _JAXTYPED(thing, typechecker=typechecker) if _arrays(function) else thing

    return decorate


def _arrays(function) -> dict:
    notes = getattr(function, "__annotations__", {})
    return {name: note for name, note in notes.items() if "Tensor" in str(note) or "ndarray" in str(note)}


class _Loader(_import_hook._JaxtypingLoader):
    """Keeps what it compiles under names of its own, as jaxtyping's does, which looks for libraries under these names
    too while a module that imports them is run: torch and diffusers would be compiled anew in every process."""

    def exec_module(self, module):
        SourceFileLoader.exec_module(self, module)

    def get_code(self, fullname):
        tag = "jaxtyping" + jaxtyping.__version__.replace(".", "")
        with patch(
            "importlib._bootstrap_external.cache_from_source", lambda path: cache_from_source(path, optimization=tag)
        ):
            return super().get_code(fullname)

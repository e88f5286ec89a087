"""The type checker of the tests' import hook: beartype on whatever an annotation says of arrays, and on nothing else.

Other values are checked by the functions themselves where users give them, and tests give wrong ones on purpose.
"""

from beartype import BeartypeConf, beartype

_BEARTYPE = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function):
    """`function`, checking its arrays."""
    notes = getattr(function, "__annotations__", {})
    arrays = {name: note for name, note in notes.items() if "Tensor" in str(note) or "ndarray" in str(note)}
    function.__annotations__ = arrays
    return _BEARTYPE(function) if arrays else function

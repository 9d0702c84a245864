"""`dataclass` for what every run loads: the same to those who use it, without compiling code for each class.

The standard library writes the methods of a dataclass as text and compiles it: 0.6 ms a class, which a short run with
two dozens of them feels. Here they are closures, made in an eighth of the time; an instance takes a few microseconds
more. Type checkers see the standard one. `dataclasses.fields`, `replace`, `asdict`, copies, pickles and
`inspect.signature` work as usual.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass

    __all__ = ("dataclass",)
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
        """Make a class a dataclass; the parameters are those of `dataclasses.dataclass`."""

        def make(cls: type) -> type:
            made = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots)
            _complete(made, frozen=frozen, eq=eq)
            return made

        return make if cls is None else make(cls)


def _complete(cls: Any, *, frozen: bool, eq: bool) -> None:
    fields = dataclasses.fields(cls)
    cls.__init__ = _initialise(cls, fields)
    cls.__signature__ = _Signature()
    cls.__repr__ = _represent([field.name for field in fields if field.repr])
    if eq:
        values = _values([field.name for field in fields if field.compare])
        cls.__eq__ = lambda self, other: values(self) == values(other) if type(other) is cls else NotImplemented
        cls.__hash__ = (lambda self: hash(values(self))) if frozen else None
    if frozen:
        cls.__setattr__ = _refuse_assignment
        cls.__delattr__ = _refuse_deletion
        names = [field.name for field in fields]
        cls.__getstate__ = lambda self: [getattr(self, name) for name in names]
        cls.__setstate__ = lambda self, state: _assign(self, dict(zip(names, state, strict=True)))


def _initialise(cls: type, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    names = tuple(field.name for field in fields)
    missing = dataclasses.MISSING
    defaults = {field.name: field.default for field in fields if field.default is not missing}
    factories = {field.name: field.default_factory for field in fields if field.default_factory is not missing}

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  it becomes the method of that name
        values = dict(zip(names, args, strict=False))
        wrong = [name for name in kwargs if name in values or name not in names]
        if wrong or len(args) > len(names):
            excess = f"{wrong[0]!r} is given twice or unknown" if wrong else f"{len(args)} given"
            raise TypeError(f"{cls.__name__}() takes {', '.join(names)}: {excess}")
        values |= kwargs
        if len(values) < len(names):
            values = {**defaults, **{name: make() for name, make in factories.items() if name not in values}, **values}
            if absent := [name for name in names if name not in values]:
                raise TypeError(f"{cls.__name__}() misses {', '.join(absent)}")
        _assign(self, values)

    __init__.__annotations__ = {field.name: field.type for field in fields}
    return __init__


def _assign(self: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        object.__setattr__(self, name, value)


def _values(names: list[str]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else lambda _: ()


def _represent(names: list[str]) -> Callable[[Any], str]:
    def represent(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return represent


def _refuse_assignment(self: Any, name: str, value: object) -> None:
    del self, value
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: Any, name: str) -> None:
    del self
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


class _Signature:
    """What `inspect.signature` finds; worked out when it looks."""

    def __get__(self, instance: object, owner: Any) -> Any:
        from inspect import Parameter, Signature

        parameters = []
        for field in dataclasses.fields(owner):
            default: Any = Parameter.empty if field.default is dataclasses.MISSING else field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory
            kind = Parameter.POSITIONAL_OR_KEYWORD
            parameters.append(Parameter(field.name, kind, default=default, annotation=field.type))
        return Signature(parameters, return_annotation=None)

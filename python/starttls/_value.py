"""Frozen values: what they are made of is what they show, compare and pickle."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Frozen:
    """A value whose attributes are set once, by its constructor, in the order of ``__slots__``."""

    __slots__: tuple[str, ...] = ()

    def _set(self, *values: object) -> None:
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def _state(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def to_dict(self) -> dict[str, Any]:
        """The value as dictionaries, lists, strings, numbers, booleans and ``None``, by the names of its attributes."""
        return {name: plain(getattr(self, name)) for name in self._shown()}

    def to_json(self) -> str:
        """``to_dict`` as JSON, in one line."""
        from json import dumps

        return dumps(self.to_dict())

    def _shown(self) -> tuple[str, ...]:
        return tuple(name.lstrip("_") for name in self.__slots__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._state()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name.lstrip('_')}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({shown})"


def plain(value: Any) -> Any:
    """What JSON has for it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Frozen):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: plain(it) for key, it in value.items()}
    if isinstance(value, tuple | list):
        return [plain(it) for it in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Exception):
        told = ("kind", "phase", "host", "advice", "transient", "reply")
        return {"message": str(value), **{name: plain(getattr(value, name, None)) for name in told}}
    return value.isoformat()  # a datetime, which is not imported for the question

"""Adapters by name: a new backend is one module in the adapter's package, with one registered class."""

import importlib
from collections.abc import Callable
from typing import Generic, TypeVar

from activities.errors import Refused

T = TypeVar("T")


class Registry(Generic[T]):
    """The implementations of one protocol, found by the name that the inventory gives."""

    def __init__(self, package: str, what: str) -> None:
        self._package = package
        self._what = what
        self._known: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Register the decorated class under a name, which is also its module's."""

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            self._known[name] = factory
            return factory

        return add

    def make(self, name: str, *args: object) -> T:
        """Return an adapter.

        Raises:
            Refused: there is no such adapter.
        """
        if name not in self._known:
            try:
                importlib.import_module(f"{self._package}.{name}")
            except ModuleNotFoundError:
                raise Refused(f"there is no {self._what} adapter named {name!r}") from None
        return self._known[name](*args)

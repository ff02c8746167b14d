"""A history that forgets: the newest items up to a number and a size, and how many went before them."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """At most `most` items of together at most `most_bytes`, as `size` measures them; but always the newest one.

    Items are numbered from 1 in the order they came, for as long as nothing is cleared. Not thread-safe.
    """

    def __init__(self, most: int, most_bytes: int, size: Callable[[T], int]) -> None:
        self._most, self._most_bytes, self._size = most, most_bytes, size
        self._items: deque[T] = deque()
        self.bytes = 0
        """What the kept ones measure together."""
        self.forgotten = 0
        """How many have been dropped to make room."""

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    @property
    def total(self) -> int:
        """How many came, the forgotten ones too."""
        return self.forgotten + len(self._items)

    def add(self, item: T) -> None:
        self._items.append(item)
        self.bytes += self._size(item)
        while len(self._items) > 1 and (len(self._items) > self._most or self.bytes > self._most_bytes):
            self.bytes -= self._size(self._items.popleft())
            self.forgotten += 1

    def get(self, number: int) -> T | None:
        """The item of that number; None if there is none, or none any more."""
        index = number - self.forgotten - 1
        return next(islice(self._items, index, None), None) if 0 <= index < len(self._items) else None

    def clear(self) -> None:
        self._items.clear()
        self.bytes = self.forgotten = 0

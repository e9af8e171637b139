"""What will happen: a heap of plain tuples. Nothing is taken out early; a late handler just returns."""

from __future__ import annotations

from heapq import heappop, heappush

Argument = str | int | tuple["Argument", ...]
Event = tuple[int, int, int, str, tuple[Argument, ...]]
"""(due in ms, priority, sequence number, name of the handler, its arguments)."""


class EventQueue:
    """Events in order of time, then priority (lower first), then the order in which they were put in."""

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[Event] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due: int, name: str, args: tuple[Argument, ...] = (), *, priority: int = 5) -> None:
        """Put in an event that is due at `due` ms."""
        self._sequence += 1
        heappush(self._heap, (due, priority, self._sequence, name, args))

    def next_due(self) -> int | None:
        """When the next event is due, in ms; None where none is waiting."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Event:
        """Take out the next event.

        Raises:
            IndexError: the queue is empty.
        """
        return heappop(self._heap)

    def fork(self) -> EventQueue:
        """An independent copy: events are immutable, so one copy of the list is enough."""
        twin = EventQueue()
        twin._heap = self._heap.copy()
        twin._sequence = self._sequence
        return twin

    def events(self) -> list[Event]:
        """All that waits, in the order in which it will happen."""
        return sorted(self._heap)

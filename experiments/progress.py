"""How far a run is: a progress bar on a terminal, plain lines elsewhere, or nothing."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Reporter(Protocol):
    """Whoever shows how far a run is: a progress bar, plain lines, or nobody."""

    def say(self, message: str) -> None:
        """One line about what begins or happened."""

    def plan(self, classifiers: int, steps: int) -> None:
        """So many more classifiers will be trained, each for so many steps."""

    def advance(self, made: int, spared: int) -> None:
        """So many steps of one classifier each have been made, and so many will not have to be.

        Spared is what an earlier try has stored, what is left to others, and what is retired.
        """


def silent() -> Reporter:
    """A reporter that says nothing."""
    return _Silent()


class _Silent:
    say: Callable[[str], None] = staticmethod(lambda message: None)
    plan: Callable[[int, int], None] = staticmethod(lambda classifiers, steps: None)
    advance: Callable[[int, int], None] = staticmethod(lambda made, spared: None)


@contextlib.contextmanager
def shown_on(console: Console) -> Iterator[Reporter]:
    """A progress bar on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Tally:
    """Classifiers done, steps a second since the first ones began, and how long what is left takes at that rate.

    A step that is spared brings the end nearer, but tells nothing about the rate.
    """

    def __init__(self) -> None:
        self.total, self.ahead, self.made, self.begun = 0, 0, 0, time.monotonic()
        self.classifiers = 0.0

    def plan(self, classifiers: int, steps: int) -> None:
        self.total, self.steps, self.ahead = self.total + classifiers, steps, self.ahead + classifiers * steps

    def advance(self, made: int, spared: int) -> None:
        self.made, self.ahead = self.made + made, self.ahead - made - spared
        self.classifiers += (made + spared) / self.steps

    def __str__(self) -> str:
        rate = self.made / max(time.monotonic() - self.begun, 1e-9)
        left = f", {timedelta(seconds=round(self.ahead / rate))} left" if rate else ""
        return f"{self.classifiers:,.0f} of {self.total:,} classifiers, {rate:,.0f} steps a second{left}"


class _Bar(_Tally):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress, self.task = progress, progress.add_task("", total=0)

    def say(self, message: str) -> None:
        self.progress.console.print(f"  {message}", markup=False)

    def plan(self, classifiers: int, steps: int) -> None:
        super().plan(classifiers, steps)
        self.progress.update(self.task, total=self.total, description=str(self))

    def advance(self, made: int, spared: int) -> None:
        super().advance(made, spared)
        self.progress.update(self.task, completed=self.classifiers, description=str(self))


class _Lines(_Tally):
    """One line for each message, and at most one every five seconds about progress."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console, self.last = console, time.monotonic()

    def say(self, message: str) -> None:
        self.console.print(f"  {message}", markup=False)

    def advance(self, made: int, spared: int) -> None:
        super().advance(made, spared)
        if time.monotonic() - self.last > 5:
            self.last = time.monotonic()
            self.say(str(self))

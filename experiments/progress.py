"""How far a run is: a progress bar on a terminal, plain lines elsewhere, or nothing."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter(Protocol):
    """Whoever shows how far a run is: a progress bar, plain lines, or nobody."""

    def say(self, message: str) -> None:
        """One line about what begins or happened."""

    def plan(self, classifiers: int, steps: int) -> None:
        """So many more classifiers will be trained, each for so many steps."""

    def advance(self, classifier_steps: int) -> None:
        """So many steps of one classifier each have been made."""


def silent() -> Reporter:
    """A reporter that says nothing."""
    return _Silent()


class _Silent:
    say: Callable[[str], None] = staticmethod(lambda message: None)
    plan: Callable[[int, int], None] = staticmethod(lambda classifiers, steps: None)
    advance: Callable[[int], None] = staticmethod(lambda classifier_steps: None)


@contextlib.contextmanager
def shown_on(console: Console) -> Iterator[Reporter]:
    """A progress bar on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Tally:
    """Classifiers done, and steps a second since the first ones began."""

    def __init__(self) -> None:
        self.classifiers, self.total, self.made, self.begun = 0.0, 0, 0, time.monotonic()

    def plan(self, classifiers: int, steps: int) -> None:
        self.total, self.steps = self.total + classifiers, steps

    def advance(self, classifier_steps: int) -> None:
        self.made += classifier_steps
        self.classifiers += classifier_steps / self.steps

    def __str__(self) -> str:
        rate = self.made / max(time.monotonic() - self.begun, 1e-9)
        return f"{self.classifiers:,.0f} of {self.total:,} classifiers, {rate:,.0f} steps a second"


class _Bar(_Tally):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress, self.task = progress, progress.add_task("", total=0)

    def say(self, message: str) -> None:
        self.progress.console.print(f"  {message}", markup=False)

    def plan(self, classifiers: int, steps: int) -> None:
        super().plan(classifiers, steps)
        self.progress.update(self.task, total=self.total, description=str(self))

    def advance(self, classifier_steps: int) -> None:
        super().advance(classifier_steps)
        self.progress.update(self.task, completed=self.classifiers, description=str(self))


class _Lines(_Tally):
    """One line for each message, and at most one every five seconds about progress."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console, self.last = console, time.monotonic()

    def say(self, message: str) -> None:
        self.console.print(f"  {message}", markup=False)

    def advance(self, classifier_steps: int) -> None:
        super().advance(classifier_steps)
        if time.monotonic() - self.last > 5:
            self.last = time.monotonic()
            self.say(str(self))

"""How far a run is: a progress bar on a terminal, plain lines elsewhere, or nothing."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ce_jax.comparing import Listener


@contextlib.contextmanager
def shown_on(console: Console) -> Iterator[Listener]:
    """A progress bar on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(console).listener
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress).listener


class _Tally:
    """Classifiers done, steps a second since the first ones began, and how long what is left takes at that rate.

    A step that is spared brings the end nearer, but tells nothing about the rate.
    """

    def __init__(self) -> None:
        self.total, self.ahead, self.made, self.begun = 0, 0, 0, time.monotonic()
        self.classifiers = 0.0

    @property
    def listener(self) -> Listener:
        return Listener(self.say, self.plan, self.advance)

    def say(self, message: str) -> None:
        raise NotImplementedError

    def plan(self, classifiers: int, steps: int) -> None:
        self.total, self.steps, self.ahead = self.total + classifiers, steps, self.ahead + classifiers * steps

    def advance(self, made: int, spared: int) -> None:
        self.made, self.ahead = self.made + made, self.ahead - made - spared
        # Waves report steps, which are added up as fractions of classifiers.
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
        self.progress.console.print(f"  {message}", markup=False, soft_wrap=True)

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
        self.console.print(f"  {message}", markup=False, soft_wrap=True)

    def advance(self, made: int, spared: int) -> None:
        super().advance(made, spared)
        if time.monotonic() - self.last > 5:
            self.last = time.monotonic()
            self.say(str(self))

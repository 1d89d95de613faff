"""What a wave has measured so far, and which of its hyperparameters it goes on with."""

from collections.abc import Callable, Mapping

import numpy as np

from ce_jax.training import AT_END

MEASURED = "measured"
"""Name of the curve that tells values measured from values that stand for a retired run's."""

Done = Callable[[dict[str, np.ndarray], np.ndarray], np.ndarray]
"""`done(curves, steps)`: which runs [s, l] need not go on, from what has been measured up to the last of steps [e] as
{metric: [s, l, e]}, and from nothing else: a run that goes on from a checkpoint has to be judged the same."""


class WaveCurves:
    """The curves [s, l, E] of one wave, filled in segment by segment; NaN where nothing has been measured yet.

    Those of `AT_END` are [s, l, K], of the last evaluation so far.
    """

    def __init__(
        self, lanes: tuple[int, int], intervals: np.ndarray, stored: Mapping[str, np.ndarray], *, mark: bool
    ) -> None:
        self.evaluated = intervals[..., 2] == 1
        self.steps = intervals[self.evaluated][:, 1]
        self.counts = self.evaluated.sum(axis=1).cumsum()
        self.shape, self.mark = (*lanes, len(self.steps)), mark
        # Copies, because `add` writes into them and the checkpoint they come from is the caller's.
        self.arrays = {name: curve.copy() for name, curve in stored.items()}

    def add(self, segment: int, columns: np.ndarray, measurements: Mapping[str, np.ndarray]) -> None:
        """Put in what a segment has measured under these hyperparameters, {metric: [s, columns, n]}.

        Those of `AT_END` are [s, columns, K, n].
        """
        # Segments hold different numbers of evaluations, so a segment's place in the curves is counted from its end.
        evaluated, last = self.evaluated[segment], self.counts[segment]
        for name, values in measurements.items():
            if name in AT_END:
                if evaluated.any():
                    latest = values[..., evaluated][..., -1]
                    empty = np.full((*self.shape[:2], latest.shape[-1]), np.nan, values.dtype)
                    self.arrays.setdefault(name, empty)[:, columns] = latest
                continue
            whole = self.arrays.setdefault(name, np.full(self.shape, np.nan, values.dtype))
            whole[:, columns, last - evaluated.sum() : last] = values[..., evaluated]
        if self.mark:
            marks = self.arrays.setdefault(MEASURED, np.zeros(self.shape, bool))
            marks[:, columns, last - evaluated.sum() : last] = True

    def so_far(self, segment: int, columns: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The arguments of `Done` after a segment, for these hyperparameters."""
        last = self.counts[segment]
        others = (MEASURED, *AT_END)
        curves = {name: curve[:, columns, :last] for name, curve in self.arrays.items() if name not in others}
        return curves, self.steps[:last]

    def retire(self, segment: int, columns: np.ndarray) -> None:
        """Let the last value of these hyperparameters stand for those to come: NaN for a run that has diverged.

        Runs that end here have no last evaluation, so nothing stands for what is measured `AT_END`.
        """
        last = self.counts[segment]
        for name, curve in self.arrays.items():
            if name in AT_END:
                curve[:, columns] = np.nan
            elif name != MEASURED:
                curve[:, columns, last:] = curve[:, columns, last - 1 : last]


def survivors(going: np.ndarray, segments_left: int) -> np.ndarray:
    """Columns of lanes [s, l] to train on: those where any is going on, filled up with others to a power of two.

    None, if none is going on. With one segment left, a narrower program would take longer to compile than it saves.

    >>> survivors(np.array([[True, False, False, False, True, False, False, True]]), 2).tolist()
    [0, 1, 4, 7]
    """
    wanted = np.flatnonzero(going.any(axis=0))
    # Powers of two, and nothing above half of the present width, so that few widths are ever compiled.
    width = 1 << max(len(wanted) - 1, 0).bit_length()
    if len(wanted) and (2 * width > going.shape[1] or segments_left < 2):
        return np.arange(going.shape[1])
    others = np.setdiff1d(np.arange(going.shape[1]), wanted)
    return np.sort(np.concatenate([wanted, others[: width - len(wanted)]])) if len(wanted) else wanted

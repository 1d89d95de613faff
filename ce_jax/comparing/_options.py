"""The settings of a comparison, with their defaults, which stand nowhere else."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ce_jax._checking import MOST_LISTED, check, check_choices, check_count, check_one_of, is_count, is_number
from ce_jax.training import SCHEDULES

Scale = Literal["standardize", "minmax", "unit", "none"]
TargetMetric = Literal[
    "validation_accuracy",
    "test_accuracy",
    "train_accuracy",
    "validation_balanced_accuracy",
    "test_balanced_accuracy",
    "train_balanced_accuracy",
    "validation_rare_accuracy",
    "test_rare_accuracy",
    "train_rare_accuracy",
]


@dataclass(frozen=True)
class SplitOptions:
    """The table [data.split].

    validation, test: a fraction below 1 or a whole number of examples; the rest is the training part.
    seed: "run" (every run seed draws its own split) or a whole number (one split for all runs).
    """

    validation: int | float = 0.2
    test: int | float = 0.2
    seed: int | Literal["run"] = "run"

    def __post_init__(self) -> None:
        for key, size in (("validation", self.validation), ("test", self.test)):
            fine = 0 < size < 1 if type(size) is float else is_count(size)
            check(fine, key, "a fraction between 0 and 1 or a whole number of examples from 1", size)
        check(
            is_count(self.seed, 0) or (isinstance(self.seed, str) and self.seed == "run"),
            "seed",
            "'run' or a whole number from 0",
            self.seed,
        )


@dataclass(frozen=True)
class Zipf:
    """`imbalance = { zipf = s }`: the class at rank k = 1, 2, ... has a frequency proportional to k^-s."""

    zipf: float

    def __post_init__(self) -> None:
        check(is_number(self.zipf) and self.zipf > 0, "zipf", "an exponent above 0", self.zipf)


@dataclass(frozen=True)
class PartOptions:
    """How arrays become a training, a validation and a test part: the keys of the table [data] that any data has.

    label_noise: fraction of the training labels replaced by another class drawn uniformly.
    scale: "standardize" (mean 0, variance 1), "minmax" (0..1), both per feature; "unit" (everything divided by the
        largest absolute value: digits / 16, MNIST / 255; better for images, whose rarely lit pixels standardizing blows
        up) or "none". Fitted on the training part.
    imbalance: ratio of the most to the least frequent class of the training and the validation part, frequencies
        between them geometric, or `Zipf`; 1 leaves the classes as frequent as the data have them. Every seed draws
        which class is how frequent (one draw for all where split.seed is a number), and which of its examples stay.
        Counts by rank are the same for every seed: those of a part are fractions of what its smallest class has, so
        classes of different sizes are first cut to the smallest.
    balanced_test: whether the test part keeps all its examples under `imbalance`; false thins it like the others.
    """

    label_noise: float = 0.0
    scale: Scale = "standardize"
    imbalance: float | Zipf = 1.0
    balanced_test: bool = True
    split: SplitOptions = field(default_factory=SplitOptions)

    def __post_init__(self) -> None:
        check(
            is_number(self.label_noise) and 0 <= self.label_noise <= 1,
            "label_noise",
            "a fraction between 0 and 1",
            self.label_noise,
        )
        check_choices(self)
        fine = isinstance(self.imbalance, Zipf) or (is_number(self.imbalance) and self.imbalance >= 1)
        check(fine, "imbalance", "a ratio from 1 or {zipf = exponent}", self.imbalance)

    @property
    def imbalanced(self) -> bool:
        """Whether classes are made less frequent than the data have them."""
        return self.imbalance != 1


@dataclass(frozen=True)
class TrainOptions:
    """Table [train]: how long a run is, what a step sees, and when it is evaluated.

    schedule: how the learning rate goes over the run, its peak being the rate that is swept: "constant"; "cosine" and
        "linear" (to 0 at the last step), "exponential" (to 1 % there), "warmup_cosine" (up over the first tenth, then
        down to 0) or "step" (a tenth from half of the run on, a hundredth from three quarters on).
    evaluation_rows: examples of the training part that an evaluation looks at, drawn once for all runs; None for all.
        Of the validation and the test part, which the results are about, it always looks at all.
    """

    steps: int = 1000
    schedule: str = "constant"
    batch_size: int | Literal["full"] = "full"
    evaluate_every: int | None = None
    evaluate_at: Literal["log"] = "log"
    evaluations: int = 64
    evaluation_rows: int | None = None
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        check_choices(self)
        check_count("steps", self.steps)
        check_one_of("schedule", self.schedule, SCHEDULES)
        if not (isinstance(self.batch_size, str) and self.batch_size == "full"):
            check(is_count(self.batch_size), "batch_size", "'full' or at least 1", self.batch_size)
        check_count("evaluations", self.evaluations, 2, MOST_LISTED)
        if self.evaluation_rows is not None:
            check_count("evaluation_rows", self.evaluation_rows)
        if self.evaluate_every is not None:
            check_count("evaluate_every", self.evaluate_every)
            least = -(-self.steps // MOST_LISTED)
            expected = f"at least {least}, so that no more than {MOST_LISTED:,} evaluations are made"
            check(self.evaluate_every >= least, "evaluate_every", expected, self.evaluate_every)


SMALLEST = 1e-30
"""The smallest rate; it and the largest, 1 / SMALLEST, are neither 0 nor infinite in float32."""


@dataclass(frozen=True)
class RateGrid:
    """`learning_rates = {low, high, count}`: a logarithmic grid, the same for every loss."""

    low: float = 1e-3
    high: float = 1e2
    count: int = 11

    def __post_init__(self) -> None:
        fine = is_number(self.low) and is_number(self.high) and SMALLEST <= self.low < self.high <= 1 / SMALLEST
        expected = f"0 < low < high, within {SMALLEST:g}..{1 / SMALLEST:g}"
        check(fine, "low, high", expected, (self.low, self.high))
        check_count("count", self.count, 2, MOST_LISTED)


@dataclass(frozen=True)
class SweepOptions:
    """Table [sweep]: what is tuned, and the seeds that tune and the fresh ones that report."""

    learning_rates: RateGrid = field(default_factory=RateGrid)
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the optimizer that are tuned with the rate, such as `{momentum = [0.0, 0.9]}`: any that are numbers.
    Each has a list of values or, in a random search, also `{low, high}` to draw from log-uniformly."""
    search: str = "grid"
    """`grid`: every rate with every combination of the options. `random`: `draws` points, their rates log-uniform
    between `low` and `high` (`count` is not used), each option drawn by itself. Either is the same for every loss."""
    draws: int = 32
    widen: int = 3
    """How often a grid may grow by four rates at an end where some loss has its best rate; draws are not added to."""
    seeds: int = 50
    tuning_seeds: int = 10
    first_seed: int = 0
    retire_reached: bool = False
    """Whether a rate is retired once each of its seeds in a wave has diverged, or has met the highest target and been
    trained for twice as long as that took. Steps to every target are those of a run to the end. What a retired run has
    measured last stands for the rest of its curves, final values included, and should it have diverged later, nobody
    knows."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name, least in (("draws", 2), ("widen", 0), ("seeds", 2), ("tuning_seeds", 1)):
            check_count(name, getattr(self, name), least, MOST_LISTED)
        # The last seed too has to fit the 32 bits that keys are made from: beyond them seeds would begin again at 0.
        check_count("first_seed", self.first_seed, 0, 2**32 - self.tuning_seeds - self.seeds)
        check_one_of("search", self.search, ("grid", "random"))
        # By name, so that the order in which they are written makes no other points.
        named = {name: self._values(f"options.{name}", self.options[name]) for name in sorted(self.options)}
        object.__setattr__(self, "options", named)

    def _values(self, key: str, given: Any) -> Any:
        """The values of one option as they are kept: a tuple of floats or a table."""
        if isinstance(given, dict):
            check(self.search == "random", key, "a list of numbers where search is 'grid'", given)
            fine = set(given) == {"low", "high"} and all(map(is_number, given.values()))
            check(fine and 0 < given["low"] < given["high"], key, "{low, high} with 0 < low < high", given)
            return {end: float(given[end]) for end in ("low", "high")}
        values = list(given) if isinstance(given, list | tuple) else [given]
        fine = bool(values) and all(map(is_number, values)) and len(set(values)) == len(values)
        check(fine, key, "a list of different numbers", given)
        return tuple(map(float, values))


@dataclass(frozen=True)
class AnalysisOptions:
    """Table [analysis]: what it is to be there, how rates are chosen, how sure intervals are."""

    targets: tuple[float, ...] = (0.9, 0.95)
    headline_target: float | None = None
    """The one of the targets that the headline is about; None for the highest."""
    target_metric: TargetMetric = "validation_accuracy"
    """An accuracy of a part: of all its rows; balanced, the mean of the accuracies within each class; or rare, that of
    the rarest half of the classes (K // 2, at least 1, by the training labels of the seed; of equal ones the class with
    the smaller number is the rarer)."""
    sustained: int = 1
    tune_by: Literal["time_to_target", "final_accuracy"] = "time_to_target"
    confidence: float = 0.95
    resamples: int = 4999

    def __post_init__(self) -> None:
        check(
            bool(self.targets) and all(is_number(t) and 0 < t <= 1 for t in self.targets),
            "targets",
            "accuracies in 0..1",
            self.targets,
        )
        check_choices(self)
        check_count("sustained", self.sustained)
        check(
            is_number(self.confidence) and 0 < self.confidence < 1,
            "confidence",
            "a level between 0 and 1",
            self.confidence,
        )
        check_count("resamples", self.resamples, 99, MOST_LISTED)
        object.__setattr__(self, "targets", tuple(sorted(set(self.targets))))
        check(
            self.headline_target is None or (is_number(self.headline_target) and self.headline_target in self.targets),
            "headline_target",
            f"one of the targets {', '.join(f'{target:g}' for target in self.targets)}",
            self.headline_target,
        )


def check_together(sweep: SweepOptions, analysis: AnalysisOptions) -> None:
    """Raise a ValueError where options that are fine by themselves contradict one another."""
    check(
        not (sweep.retire_reached and analysis.tune_by == "final_accuracy"),
        "sweep.retire_reached",
        "false where analysis.tune_by is 'final_accuracy', because retired runs have none",
        sweep.retire_reached,
    )

"""What the config of `compare` may hold."""

from __future__ import annotations

from pydantic import Field, field_validator

from hrembed.config.parts import BootstrapSection
from hrembed.config.section import Section


class AlternativeSection(Section):
    """Label and prices of a model."""

    model: str = Field(min_length=1, description="Name of a model in the eval runs, or a pattern with `*`.")
    label: str | None = Field(default=None, min_length=1, description="Column heading; null keeps the name.")
    setup: float = Field(
        default=0.0,
        ge=0,
        description="One-off cost besides machine time (labels, licences, work), in `prices.currency`.",
    )
    per_million_tokens: float | None = Field(
        default=None, ge=0, description="Price of an endpoint; null counts machine time instead."
    )


class PricesSection(Section):
    """Prices. The shipped numbers are examples; put your own."""

    currency: str = Field(default="EUR", min_length=1, description="Currency of all prices.")
    machine_hour: float = Field(default=0.10, ge=0, description="Price of one hour of a machine like this one.")
    watts: float = Field(default=30.0, gt=0, description="Assumed power of the busy machine, for the energy estimate.")
    alternatives: tuple[AlternativeSection, ...] = Field(default=(), description="Labels and prices of models.")


class LoadSection(Section):
    """Load test of each model, in a process of its own."""

    texts: int = Field(default=100, ge=10, description="Number of queries and documents timed one by one.")
    batch: int = Field(default=500, ge=40, description="Number of documents encoded in batches, to see how time grows.")
    sizes: tuple[int, ...] = Field(
        default=(1_000, 10_000, 100_000, 1_000_000), min_length=2, description="Index sizes for the search timings."
    )
    memory_mb: int = Field(
        default=2048, ge=64, description="Largest index that is built, in MB; larger ones are extrapolated."
    )
    seconds: float = Field(default=60, gt=0, description="Longest measurement; longer ones are extrapolated.")

    @field_validator("sizes")
    @classmethod
    def _rising(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 10 or list(values) != sorted(set(values)):
            raise ValueError(f"sizes must be increasing and at least 10, got {list(values)}")
        return values


class CompareConfig(Section):
    """`hrembed compare`: models side by side on latency, computation, cost, accuracy and scalability."""

    runs: tuple[str, ...] = Field(
        default=("eval/latest",),
        min_length=1,
        description="Eval runs whose models are compared, and bias-audit runs of the same models.",
    )
    reference: str | None = Field(
        default=None, description="Reference model; null is the first model of the first run."
    )
    delta: float = Field(
        default=0.02, gt=0, lt=1, description="Equivalence margin: the largest difference that does not matter to you."
    )
    prices: PricesSection = PricesSection()
    load: LoadSection | None = Field(
        default=LoadSection(), description="Load test; null compares accuracy and fairness only."
    )
    bootstrap: BootstrapSection = BootstrapSection()

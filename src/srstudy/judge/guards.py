"""Guards: what a run's history says went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from srstudy.settings import Guards


@dataclass(frozen=True)
class Event:
    """A guard that fired: after which step, which guard, what it saw, and its threshold, where it has one."""

    step: int
    guard: str
    value: float | None
    threshold: float | None

    def __str__(self) -> str:
        seen = "" if self.value is None else f", {self.value:.2f}"
        return f"{self.guard} (step {self.step}{seen})"


def guard_events(history: Sequence[Mapping[str, float]], guards: Guards, not_finite: int | None = None) -> list[Event]:
    """What the guards see in a history: each guard once per time that it begins to fire.

    `not_finite` is the step that ended the run because a loss or a gradient was not finite. A pure function of these,
    so that a resumed run tells what an uninterrupted one tells.
    """
    events = [Event(not_finite, "loss or gradient not finite", None, None)] if not_finite else []
    for name, threshold, seen in (
        ("discriminator won", guards.discriminator_won, _lasting(history, guards.patience, min)),
        ("discriminator lost", guards.discriminator_lost, _lasting(history, guards.patience, max)),
        ("output collapsed", guards.collapse, [row.get("diversity") for row in history]),
        ("colour drifts", guards.colour_shift, [_colour_shift(row) for row in history]),
    ):
        fires = np.less_equal if name in ("discriminator lost", "output collapsed") else np.greater_equal
        fired = False
        for row, value in zip(history, seen):
            if value is None:
                continue
            if fires(value, threshold) and not fired:
                events.append(Event(int(row["step"]), name, float(value), threshold))
            fired = bool(fires(value, threshold))
    return sorted(events, key=lambda event: event.step)


def _lasting(history: Sequence[Mapping[str, float]], patience: int, extreme: Callable) -> list[float | None]:
    """The discriminator's accuracy at its least (or most) over the last `patience` rows."""
    accuracy = [
        (row["real_accuracy"] + row["fake_accuracy"]) / 2 if "real_accuracy" in row else None for row in history
    ]
    windows = [accuracy[max(0, end - patience) : end] for end in range(1, len(history) + 1)]
    return [extreme(last) if len(last) == patience and None not in last else None for last in windows]


def _colour_shift(row: Mapping[str, float]) -> float | None:
    return float(np.hypot(row["shift_a"], row["shift_b"])) if "shift_a" in row else None

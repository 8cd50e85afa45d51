"""What is left to train, how long that takes on Kaggle's two cards, and which session takes what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from srstudy.study import Run, Study

LIMIT, MARGIN = 12.0, 0.5  # hours that a session lasts; of these, what start, reports and hashes may take
LEAST = 0.1  # hours: in less, no run is begun or gone on with
MIRRORED = 32  # from this batch on, both cards share one run
# Where nothing was measured: seconds of an update besides arithmetic; floating-point operations for each pixel of LR in
# the paper's networks (three passes of the generator, eight of the discriminator, three of VGG19 up to block3_conv4);
# operations a second of a T4, of which it reaches a quarter of the maker's 8.1e12, or a tenth of 65e12.
OVERHEAD, WORK, SPEED, SPEED_16 = 0.04, 6.0e7, 2.0e12, 6.0e12


@dataclass(frozen=True)
class Job:
    """A run with `left` updates to do, at `rate` updates a second, which was `measured` or assumed."""

    name: str
    left: int
    rate: float
    measured: bool
    mirrored: bool

    @property
    def hours(self) -> float:
        """Hours that it takes."""
        return self.left / self.rate / 3600


def kind_of(study: Study, run: Run) -> str:
    """What runs of equal speed share: recipe, LR side in px, batch size."""
    size = run.recipe.crop or study.sets[run.tile_set].lr_size
    return f"{study.profile_name}/{study.variants[run.name].recipe}/{size}/{run.recipe.batch_size}"


def assumed_rate(study: Study, run: Run) -> float:
    """Updates a second on one T4, reckoned by the constants above."""
    recipe, size = run.recipe, run.recipe.crop or study.sets[run.tile_set].lr_size
    half = (recipe.precision or study.training.precision) in ("auto", "mixed_float16")
    work = WORK * recipe.batch_size * size**2 * (recipe.generator.filters / 64) ** 2
    return 1 / (OVERHEAD + work / (SPEED_16 if half else SPEED))


def jobs(study: Study, names: Iterable[str], done: Mapping[str, int], rates: Mapping[str, float]) -> list[Job]:
    """A job for each of these runs; `done`: updates that a checkpoint has, `rates`: updates a second by `kind_of`."""
    found = []
    for run in map(study.run, names):
        rate, left = rates.get(kind_of(study, run)), run.steps - done.get(run.name, 0)
        mirrored = run.recipe.devices == "all" and run.recipe.batch_size >= MIRRORED
        found.append(Job(run.name, left, rate or assumed_rate(study, run), rate is not None, mirrored))
    return found


def sessions(waiting: Iterable[Job], hours: float = LIMIT - MARGIN) -> list[dict[str, list[tuple[Job, float]]]]:
    """Sessions of at most so many hours: for each card, "0", "1" or both, "0,1", jobs in turn and their hours in it.

    The longest jobs come first, each to the card that has less to do. One that a session cuts off leads the next one.
    """
    queues: dict[str, list[tuple[Job, float]]] = {"0,1": [], "0": [], "1": []}
    for job in sorted(waiting, key=lambda job: (-job.hours, job.name)):
        cards = ["0,1"] if job.mirrored else ["0", "1"]
        card = min(cards, key=lambda card: sum(left for _, left in queues[card]))
        queues[card].append((job, job.hours))
    made = []
    while any(queues.values()):
        both, used = _take(queues["0,1"], hours)
        made.append({"0,1": both} | {card: _take(queues[card], hours - used)[0] for card in ("0", "1")})
    return made


def _take(queue: list[tuple[Job, float]], room: float) -> tuple[list[tuple[Job, float]], float]:
    """What of a queue fits into so many hours, taken off it, and the hours that it needs."""
    taken = []
    while queue and room > (LEAST if taken else 0):
        job, left = queue.pop(0)
        part = min(left, room)
        taken.append((job, part))
        room -= part
        if part < left:
            queue.insert(0, (job, left - part))
    return taken, sum(part for _, part in taken)


def wall(session: Mapping[str, list[tuple[Job, float]]]) -> float:
    """Hours that a session bills: its wall clock, once for both cards."""
    hours = {card: sum(part for _, part in pieces) for card, pieces in session.items()}
    return hours["0,1"] + max(hours["0"], hours["1"])


def table(planned: list[dict[str, list[tuple[Job, float]]]], quota: float | None = None) -> str:
    """The plan to read; `quota`: GPU hours that are left this week."""
    lines = [f"{'session':>7} {'cards':5} {'run':28} {'updates':>12} {'updates/s':>9} {'':8} {'hours':>6}"]
    for number, session in enumerate(planned, 1):
        for card, pieces in session.items():
            for job, part in pieces:
                known, updates = "measured" if job.measured else "assumed", round(3600 * part * job.rate)
                lines.append(f"{number:7} {card:5} {job.name:28} {updates:12,} {job.rate:9.2f} {known:8} {part:6.1f}")
    lines.append(f"{len(planned)} session(s), {sum(map(wall, planned)):.1f} h of GPU quota for both cards together.")
    if any(not job.measured for one in planned for pieces in one.values() for job, _ in pieces):
        lines.append(f"assumed: {OVERHEAD} s an update, and {WORK / 1e6:.0f} MFLOP for each pixel of LR at")
        lines.append(f"{SPEED / 1e12:.0f} (float32) or {SPEED_16 / 1e12:.0f} (float16) TFLOP/s; a session measures it.")
    if quota is not None and planned:
        lines.append(f"quota: {quota:.1f} h left this week, {quota - wall(planned[0]):.1f} h after session 1.")
    return "\n".join(lines)

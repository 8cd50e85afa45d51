"""`python -m srstudy.report.summary` ends `make study`: result table, picture of the times, where the report is."""

from __future__ import annotations

import sys

from srstudy.config import load_study
from srstudy.errors import StudyError
from srstudy.figures.results import draw_times
from srstudy.judge.metrics import MAIN_MEASURES, MEASURES
from srstudy.report.scores import by_reading, load_scores, runs_table


def main() -> int:
    """Print mean scores of all runs over the test photos, draw the stages' times; return the exit code."""
    try:
        study = load_study()
        scores, _ = by_reading(study, load_scores(study))
        runs = runs_table(study)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    means = scores.groupby("method", sort=False)[list(MAIN_MEASURES)].mean()
    means = means.rename(columns={name: MEASURES[name][0] for name in MAIN_MEASURES})
    print(f"\nMeans over {scores.photo.nunique()} test photographs ({study.note}):\n")
    print(means.to_string(float_format=lambda value: f"{value:.3f}"))
    for run in runs[~runs.complete.str.startswith("yes")].itertuples():
        print(f"\n{run.run}: unfinished, {run.steps} steps; its figures are those of an unfinished run.")
    if (study.root / "reports" / "timings.csv").is_file():
        draw_times(study.root)  # the report's stage does so too, but rests when a run came out as it was
    print(f"\nReport: {study.root / 'reports' / '05_report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m srstudy.kaggle.command push`, `status`, `pull`, `stop`, and `plan`, which is of all runs."""

import argparse
import json
import secrets
import sys
import time

from srstudy import StudyError
from srstudy.kaggle import PREFIX, pack, plan
from srstudy.kaggle.ledger import ACTIVE, ENDED, Ledger, opened
from srstudy.kaggle.pull import dvc, inputs_of, pull, refresh
from srstudy.kaggle.service import Infrastructure, Service
from srstudy.study import Study, find_root, load_study

AT_ONCE = 2  # GPU sessions of an account


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 if all went well, 1 if something did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("plan", "push", "status", "pull", "stop"))
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--profile", help="other than params.yaml's, for a plan")
    parser.add_argument("--hours", type=float, default=plan.LIMIT - plan.MARGIN, help="of a session (%(default)s)")
    parser.add_argument("--anew", action="store_true", help="go on with no checkpoint, as when Kaggle's image is new")
    options = parser.parse_args(arguments)
    most = plan.LIMIT - plan.MARGIN
    try:
        if not 0 < options.hours <= most:
            raise StudyError(
                f"--hours {options.hours:g}: give more than 0, and at most {most:g}; saving takes the rest."
            )
        study = load_study(options.profile, find_root())
        with opened(study.root / "build" / "kaggle") as ledger:
            return COMMANDS[options.command](study, ledger, options)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C; run it again to go on.", file=sys.stderr)
        return 1


def due(study: Study, ledger: Ledger) -> list[plan.Job]:
    """Trainings that DVC finds due and no session is at work on. Raises StudyError where DVC can't say."""
    refresh(study)
    busy: set[str] = set()
    for one in ledger.of("pushing", *ACTIVE, *ENDED).values():
        busy.update(*one["cards"].values())
    stages = [f"train@{name}" for name in study.variants]
    changed = json.loads(dvc(study, "status", "--json", *stages))
    names = [name for name in study.variants if f"train@{name}" in changed and name not in busy]
    kept = {name: ledger.progress[name] for name in names if name in ledger.progress}
    done = {name: one["step"] for name, one in kept.items() if one["inputs"] == inputs_of(study, name)}
    return plan.jobs(study, names, done, ledger.rates)


def _plan(study: Study, ledger: Ledger, options: argparse.Namespace) -> int:
    print(plan.table(plan.sessions(plan.jobs(study, study.variants, {}, ledger.rates), options.hours)))
    return 0


def _push(study: Study, ledger: Ledger, options: argparse.Namespace) -> int:
    commit, service = pack.commit_of(study.root), _service(ledger)
    if ended := [*ledger.of(*ENDED)]:
        raise StudyError(f"{ended[0]}: has ended; run `make kaggle-pull` first.")
    active = ledger.of(*ACTIVE)
    if len(active) >= AT_ONCE or any(not one["cards"] for one in active.values()):
        raise StudyError(f"{', '.join(active)}: still run, and Kaggle runs {AT_ONCE} at a time; wait, or stop one.")
    busy = {name for one in active.values() for names in one["cards"].values() for name in names}
    for name, one in list(ledger.progress.items()):
        if (options.anew and name not in busy) or service.status(one["slug"]) is None:  # or was deleted on Kaggle
            del ledger.progress[name]
    quota = service.quota()
    if quota < plan.MARGIN + plan.LEAST:
        raise StudyError(f"quota: {quota:.1f} GPU hours are left this week; run again when Kaggle has renewed it.")
    hours = min(options.hours, quota - plan.MARGIN)
    planned = plan.sessions(due(study, ledger), hours)
    print(plan.table(planned, quota))
    if not planned:
        return 0
    if not _agreed(options, "Push session 1?"):
        return 1
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    slug = f"{PREFIX}{commit[:7]}-{moment}-{secrets.token_hex(2)}"  # two of one second are two
    cards = {card: [job.name for job, _ in pieces] for card, pieces in planned[0].items()}
    push(study, ledger, service, slug, cards, commit, hours)
    print(f"{slug}: pushed; `make kaggle-status` says how it is, `make kaggle-pull` brings the results.")
    return 0


def push(
    study: Study, ledger: Ledger, service: Service, slug: str, cards: dict[str, list[str]], commit: str, hours: float
) -> None:
    """Upload what these runs need, then push a session of them; the ledger knows of it before Kaggle does."""
    names, folder = [name for runs in cards.values() for name in runs], study.root / "build" / "kaggle"
    datasets = pack.write_datasets(study, names, folder, service.owner)
    for name in datasets:
        print(f"{name}: uploading, unless it is there, and waiting until it is ready", flush=True)
        service.dataset(folder / name, name)
    inputs = {name: inputs_of(study, name) for name in names}
    kept = [ledger.progress[name] for name in names if name in ledger.progress]
    earlier = sorted({one["slug"] for one in kept if one["inputs"] in inputs.values()})
    job = {"slug": slug, "commit": commit, "cards": cards, "inputs": inputs, "datasets": datasets}
    pack.write_notebook(study.root, folder / "notebook", {**job, "earlier": earlier, "hours": hours}, service.owner)
    ledger.note(slug, "pushing", cards=cards, inputs=inputs)
    try:
        service.push(folder / "notebook", slug)
    except StudyError as error:
        if not isinstance(error, Infrastructure) and service.status(slug) is None:
            ledger.note(slug, "gone")
        raise
    ledger.note(slug, "queued")


def _status(study: Study, ledger: Ledger, options: argparse.Namespace) -> int:
    service = _service(ledger)
    for slug, one in sorted(ledger.sessions.items()):
        print(f"{slug}  {one['state']:8}  {', '.join(name for names in one['cards'].values() for name in names)}")
    print(f"quota: {service.quota():.1f} GPU hours left this week.")
    return 0


def _pull(study: Study, ledger: Ledger, options: argparse.Namespace) -> int:
    service, failed = _service(ledger), 0
    if ledger.of(*ENDED):
        refresh(study)  # else a run of other settings would be taken for one of these
    for slug in (queue := [*ledger.of(*ENDED)]):  # it grows: a session may send for a run that an earlier one holds
        try:
            print("\n".join(pull(study, ledger, service, slug, ledger.path.parent)))
        except StudyError as error:  # of one session; the others are pulled all the same
            failed = 1
            print(f"error: {error}", file=sys.stderr)
        queue += [other for other in ledger.of(*ENDED) if other not in queue]
    print(f"still on Kaggle: {', '.join(ledger.of(*ACTIVE)) or 'nothing'}. `make study` judges what came.")
    return failed


def _stop(study: Study, ledger: Ledger, options: argparse.Namespace) -> int:
    service = _service(ledger)
    for slug in ledger.of(*ACTIVE):
        print(f"{slug}: Kaggle can't stop a session but by deleting its notebook, with all that it has saved.")
        if _agreed(options, f"Delete {slug}?"):
            service.delete(slug)
            ledger.note(slug, "gone")
    return 0


def _service(ledger: Ledger) -> Service:
    service = Service()
    print(f"Kaggle: {service.credential}")
    ledger.reconcile(service)
    return service


def _agreed(options: argparse.Namespace, question: str) -> bool:
    try:
        return options.yes or input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


COMMANDS = {"plan": _plan, "push": _push, "status": _status, "pull": _pull, "stop": _stop}

if __name__ == "__main__":
    sys.exit(main())

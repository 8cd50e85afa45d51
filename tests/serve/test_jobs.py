"""Who works at which job, in both stores: never two, never nobody."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from srstudy.serve.jobs import AFTER, ATTEMPTS, KEEP, STALE, Jobs, Lost


@pytest.fixture
def jobs(tmp_path, redis):
    """None yet, in a folder that is empty."""
    (tmp_path / "jobs").mkdir()
    return Jobs(tmp_path, redis)


def add(jobs):
    """The name of a job that is queued now."""
    jobs.place(name := jobs.new_name()).mkdir()
    return jobs.add(name, "clip", name="a.mp4")["id"]


def later(jobs, seconds):
    """So much later, somebody looks at what was left lying."""
    now = jobs.store.now() + seconds
    jobs.store.now = lambda: now
    jobs.sweep()


def test_each_job_is_taken_by_one_of_many_workers_though_it_was_brought_twice(jobs, tmp_path, redis):
    names = [add(jobs) for _ in range(25)]
    for name in names:
        jobs._send(jobs.store.read(name))

    def work(mine):
        waiting = iter(mine._queues["clip"].queue_size, 0)
        return [job["id"] for _ in waiting if (job := mine.take("clip", "me"))]

    with ThreadPoolExecutor(4) as pool:
        taken = chain(*pool.map(work, [Jobs(tmp_path, redis) for _ in range(4)]))
    assert sorted(taken) == sorted(names) and jobs.store.count("running") == 25


def test_a_message_that_the_queue_lost_is_sent_again_once(jobs):
    names, queue = {add(jobs), add(jobs)}, jobs._queues["clip"]
    queue.dequeue()  # and who took it is killed
    later(jobs, STALE - 1)
    assert queue.queue_size() == 1
    for _ in range(3):
        later(jobs, STALE + 1)
    assert queue.queue_size() == 2 and {jobs.take("clip", "me")["id"], jobs.take("clip", "me")["id"]} == names


def test_a_silent_holder_loses_the_job_and_learns_it_when_he_comes_back(jobs):
    add(jobs)
    silent = jobs.take("clip", "me")
    later(jobs, STALE - 1)
    jobs.beat(silent, 1, 2)
    later(jobs, STALE - 1)
    assert jobs.take("clip", "other") is None
    later(jobs, 2)
    other = jobs.take("clip", "other")
    for do in (lambda: jobs.beat(silent, 1, 2), lambda: jobs.end(silent, "done"), lambda: jobs.give_back(silent)):
        with pytest.raises(Lost):
            do()
    jobs.end(other, "done")
    assert [(job["id"], job["state"]) for job in jobs.store.all()] == [(silent["id"], "done")]


@pytest.mark.parametrize("further", [False, True])
def test_what_stops_its_worker_is_given_up_unless_it_comes_further(jobs, further):
    name = add(jobs)
    for attempt in range(1, ATTEMPTS + 2 * further + 1):
        jobs.beat(jobs.take("clip", "me"), attempt if further else 1, 9)
        jobs.gone("another")
        assert jobs.store.read(name)["state"] == "running"
        jobs.gone("me")
    job = jobs.store.read(name)
    said = None if further else f"a.mp4: stopped the worker {ATTEMPTS} times; look at the file, or leave it out."
    assert (job["state"], job["error"]) == ("queued" if further else "failed", said)


@pytest.mark.parametrize("then", [None, Jobs.give_back, lambda jobs, job: jobs.end(job, "done"),
                                  lambda jobs, _: later(jobs, STALE + 1)])  # fmt: skip
def test_what_is_cancelled_is_gone_whatever_its_holder_does(jobs, then):
    name = add(jobs)
    held = jobs.take("clip", "me") if then else None
    jobs.cancel(name)
    if then:
        assert jobs.beat(held, 0, 0)["cancel"] and jobs.place(name).is_dir()
        then(jobs, held)
    assert jobs.store.all() == [] and not jobs.place(name).exists() and jobs.take("clip", "me") is None


@pytest.mark.parametrize(("fetched", "stays"), [(False, KEEP), (True, AFTER)])
def test_files_stay_an_hour_and_a_minute_after_they_were_fetched(jobs, fetched, stays):
    name, upload = add(jobs), jobs.place(jobs.new_name())
    upload.mkdir()  # not a job yet
    jobs.end(jobs.take("clip", "me"), "done")
    if fetched:
        jobs.fetched(name)
    later(jobs, stays - 2)
    assert jobs.place(name).is_dir() and upload.is_dir()
    later(jobs, 4)
    assert not jobs.place(name).exists() and jobs.store.read(name) is None
    later(jobs, KEEP)
    assert not upload.exists()

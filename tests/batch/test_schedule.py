"""Who does which task next, and what becomes of those that fail."""

from plenodream.batch.schedule import ATTEMPTS, Place, Schedule, Task

GIB = 2**30


def tasks(*names, kind="", memory=0):
    return [Task(name, None, kind, memory) for name in names]


def test_every_task_is_given_once():
    schedule, places = Schedule(tasks("a", "b", "c")), [Place("one", GIB), Place("two", GIB)]
    taken = [schedule.take(place, places).task.name for place in (places[0], places[1], places[0])]
    assert sorted(taken) == ["a", "b", "c"]
    assert schedule.take(places[0], places) is None and schedule.waiting == 0


def test_a_worker_stays_with_the_model_that_it_has_loaded():
    schedule, place = (
        Schedule([*tasks("a", kind="nano"), *tasks("b", "c", "d", kind="mini")]),
        Place("one", GIB, "nano"),
    )
    assert [schedule.take(place).task.kind for _ in range(4)] == ["nano", "mini", "mini", "mini"]


def test_a_task_goes_only_where_it_fits():
    schedule = Schedule([*tasks("big", memory=80 * GIB), *tasks("small", memory=GIB)])
    small, big = Place("small", 24 * GIB), Place("big", 96 * GIB)
    assert schedule.take(small).task.name == "small"
    assert schedule.take(small) is None
    assert schedule.take(big).task.name == "big"


def test_what_fits_nowhere_is_given_back():
    schedule = Schedule([*tasks("big", memory=80 * GIB), *tasks("small", memory=GIB)])
    assert [task.name for task in schedule.unfit(24 * GIB)] == ["big"]
    assert schedule.waiting == 1


def test_a_failed_task_is_tried_elsewhere_and_set_aside_in_the_end():
    schedule, places = Schedule(tasks("a")), [Place("one", GIB), Place("two", GIB)]
    first = schedule.take(places[0], places)
    places[0].running.remove(first)
    assert schedule.failed(first, places[0], crashed=False)
    assert schedule.take(places[0], places) is None, "the other worker has not tried it yet"
    for place in (places[1], places[0])[: ATTEMPTS - 1]:
        attempt = schedule.take(place, places)
        place.running.remove(attempt)
        again = schedule.failed(attempt, place, crashed=False)
    assert not again and schedule.waiting == 0


def test_who_died_in_company_is_tried_alone_and_the_innocent_is_never_set_aside():
    schedule, outcome = Schedule(tasks("poison", "innocent")), {}
    for number in range(10):
        place = Place(f"worker {number}", GIB)
        while (attempt := schedule.take(place)) is not None:
            pass
        names = [attempt.task.name for attempt in place.running]
        if "poison" in names:  # kills the worker
            for attempt in list(place.running):
                if not schedule.failed(attempt, place, crashed=True):
                    outcome[attempt.task.name] = "set aside"
        else:
            outcome |= dict.fromkeys(names, "done")
    assert outcome == {"innocent": "done", "poison": "set aside"}

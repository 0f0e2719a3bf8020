"""What `/readyz` and `/livez` say: a process's own faults, and nobody else's."""

from brokerage.runtime.process import Process


def test_a_process_is_ready_from_the_first_time_it_does_its_job() -> None:
    process = Process("test")
    does_its_job = False
    before = process.ready
    process.ready_once(lambda: does_its_job)
    still_not = process.ready

    does_its_job = True

    assert (before, still_not, process.ready) == (False, False, True)


def test_what_goes_away_later_does_not_turn_it_unready() -> None:
    process = Process("test")
    does_its_job = True
    process.ready_once(lambda: does_its_job)
    assert process.ready

    does_its_job = False

    assert process.ready


def test_a_process_whose_part_died_is_unready_and_ends() -> None:
    process = Process("test")
    process.mark_ready()
    assert process.ready

    process.fail(RuntimeError("a part died"))

    assert not process.ready
    assert process.stopping.is_set()


def test_a_process_that_stops_is_unready_and_alive() -> None:
    process = Process("test")
    process.mark_ready()

    process.stopping.set()

    assert not process.ready
    assert process.heart.alive

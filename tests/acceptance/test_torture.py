"""The scenarios of `make torture` at a size for every day."""

from tests.acceptance.project import Project
from tests.torture import clocks, cut, kills, locked, pace, poison, rude, together


def test_three_dispatchers_deliver_each_mail_once(project: Project) -> None:
    together.run(project, size=300)


def test_whoever_is_killed_no_mail_is_lost_and_only_what_was_in_flight_is_repeated(project: Project) -> None:
    kills.run(project, size=300, kills=4)


def test_what_a_rude_server_does_to_a_mail_is_known_and_mended(project: Project) -> None:
    rude.run(project, size=300, away=2)


def test_an_application_that_locks_the_database_for_long_costs_no_outcome(project: Project) -> None:
    locked.run(project, size=150, seconds=1)


def test_dispatchers_go_on_when_their_connections_are_cut(project: Project) -> None:
    # More between two cuts than the workers have in hand: they must have come back for the next.
    cut.run(project, size=1000, times=3)


def test_a_clock_that_steps_by_an_hour_holds_no_mail(project: Project) -> None:
    clocks.run(project, size=120)


def test_poison_keeps_no_good_mail_from_going(project: Project) -> None:
    poison.run(project, size=120)


def test_four_processes_keep_a_rate(project: Project) -> None:
    pace.run(project, size=150, reached=0.5, bursts=2)

"""Rate limits, from who sets them to the shares that sidecars are told."""

from collections.abc import Callable
from dataclasses import replace

import nacl.public
import pytest

from control_plane.core.pages import Asked
from control_plane.core.projects import ProjectChange
from control_plane.core.rate_limits import Measure, RateLimit
from control_plane.core.rate_shares import RateLevel, RateShare
from control_plane.core.reports import Answer, Status
from control_plane.store import policy as policy_number
from control_plane.store import rate_limits as store
from control_plane.store import sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import policy, projects, rate_limits
from protos.values.errors import BursarError, InvalidArgumentError, NotFoundError
from tests.control_plane.desk import Desk
from tests.control_plane.leasing_world import World
from tests.control_plane.usecases.test_providers import put
from tests.control_plane.virtual_sidecar import VirtualSidecar

MINUTE = 60_000
SHARED = RateLimit("", Measure.REQUESTS, MINUTE, 60, provider="openai")


def set_limit(desk: Desk, limit: RateLimit) -> RateLimit:
    return desk.do(lambda tx, act: rate_limits.set_rate_limit(tx, limit, act))


def test_a_limit_is_set_anew_by_what_it_counts(desk: Desk) -> None:
    put(desk)
    before = desk.policy_version()
    made = set_limit(desk, SHARED)
    assert made.rate_limit_id.startswith("rlm_")
    assert desk.policy_version() == before + 1
    again = set_limit(desk, replace(SHARED, amount=90))
    assert (again.rate_limit_id, again.amount) == (made.rate_limit_id, 90)
    assert '"amount_before": 60' in desk.last_entry().detail_json
    other = set_limit(desk, replace(SHARED, window_ms=1_000))
    listed = desk.read(lambda tx: rate_limits.list_rate_limits(tx, Asked(50, "")))
    assert [one.rate_limit_id for one in listed.items] == [made.rate_limit_id, other.rate_limit_id]
    desk.do(lambda tx, act: rate_limits.delete_rate_limit(tx, made.rate_limit_id, act))
    assert [one.rate_limit_id for one in desk.read(store.everything)] == [other.rate_limit_id]
    with pytest.raises(NotFoundError, match="no rate limit"):
        desk.do(lambda tx, act: rate_limits.delete_rate_limit(tx, made.rate_limit_id, act))


def test_a_keys_limit_is_its_clients(desk: Desk) -> None:
    project, _ = desk.project()
    key, _ = desk.key(project, display_name="n8n")
    made = set_limit(desk, RateLimit("", Measure.CALLS, 0, 5, key_id=key.key_id))
    assert made.project_id == project.project_id
    other, _ = desk.project("Another")
    with pytest.raises(NotFoundError, match="no such key"):
        set_limit(desk, replace(made, project_id=other.project_id))


@pytest.mark.parametrize(
    ("limit", "error", "words"),
    [
        (replace(SHARED, provider=""), InvalidArgumentError, "name a client"),
        (replace(SHARED, amount=0), InvalidArgumentError, "from 1 to"),
        (replace(SHARED, window_ms=3_600_000), InvalidArgumentError, "a second or a minute"),
        (replace(SHARED, measure=Measure.CALLS), InvalidArgumentError, "no window"),
        (replace(SHARED, provider="nobody"), NotFoundError, "no provider 'nobody'"),
        (replace(SHARED, project_id="x"), InvalidArgumentError, "an id such as prj"),
    ],
)
def test_what_is_no_limit_is_refused_in_words(
    desk: Desk, limit: RateLimit, error: type[BursarError], words: str
) -> None:
    put(desk)
    with pytest.raises(error, match=words):
        set_limit(desk, limit)


def test_a_sidecar_is_told_of_the_limits_that_its_clients_can_meet(desk: Desk) -> None:
    put(desk)
    mine, _ = desk.project("Mine")
    other, _ = desk.project("Other")
    shared = set_limit(desk, SHARED)
    own = set_limit(desk, RateLimit("", Measure.TOKENS, 1_000, 9, project_id=mine.project_id))
    set_limit(desk, RateLimit("", Measure.TOKENS, 1_000, 9, project_id=other.project_id))
    public_key = nacl.public.PrivateKey(b"k" * 32).public_key
    sidecar = desk.sidecar("host", (mine.project_id,), bytes(public_key))
    told = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now))
    assert told.rate_limits == (shared, own)


def test_a_clients_weight_and_loops_are_its_own_to_change(desk: Desk) -> None:
    project, _ = desk.project()
    assert (project.rate_weight, project.loop_max) == (100, 0)

    def change(what: ProjectChange) -> Callable[..., object]:
        return lambda tx, act: projects.update_project(
            tx, project.project_id, project.etag, what, act
        )

    with pytest.raises(InvalidArgumentError, match=r"project\.rate_weight"):
        desk.do(change(ProjectChange(rate_weight=0)))
    with pytest.raises(InvalidArgumentError, match=r"project\.loop_max_count"):
        desk.do(change(ProjectChange(loop_max=1)))
    desk.do(change(ProjectChange(rate_weight=300, loop_max=50)))
    kept = desk.read(lambda tx: projects.get_project(tx, project.project_id))
    assert (kept.rate_weight, kept.loop_max) == (300, 50)


# --- Shares ----------------------------------------------------------------------------------


@pytest.fixture
def limit(world: World) -> RateLimit:
    made = replace(SHARED, rate_limit_id="rlm_1", updated_unix_ms=1)
    world.do(lambda tx: store.insert(tx, made))
    return made


def told(sidecar: VirtualSidecar, share: int = 0, used: int = 0, **wants: int) -> Answer:
    """The answer to a Sync that says so much of the limit."""
    level = RateLevel("rlm_1", share, used, wants)
    answer = sidecar.send(replace(sidecar.report(), rate_levels=(level,)))
    assert answer.status is Status.OK
    return answer


def share(answer: Answer) -> RateShare:
    [found] = answer.rate_shares
    return found


def test_the_second_sidecar_gets_what_the_first_has_given_up(
    world: World, limit: RateLimit
) -> None:
    one, two = world.sidecar("one"), world.sidecar("two")
    first = share(told(one, prj_a=90))
    assert (first.amount, first.floor) == (60, 1)
    assert first.parts == {"prj_a": 57}
    second = told(two, prj_b=90)
    assert share(second).amount == 0
    assert second.nudges == {"one"}
    assert told(two, prj_b=90).nudges == frozenset(), "it was just asked"
    lowered = share(told(one, 60, 60, prj_a=90))
    assert lowered.parts == {"prj_a": 29}
    assert share(told(two, prj_b=90)).amount == 0, "what was used has not left the window"
    assert share(told(one, lowered.amount, 30, prj_a=90)).amount == lowered.amount
    assert share(told(two, prj_b=90)).amount == 29


def test_a_sidecar_that_left_keeps_nothing_but_what_it_used(world: World, limit: RateLimit) -> None:
    one, two = world.sidecar("one"), world.sidecar("two")
    held = share(told(one, prj_a=90))
    told(one, held.amount, 20, prj_a=90)
    one.drain()
    assert share(told(two, prj_b=90)).amount == 0
    world.pass_ms(MINUTE)
    assert share(told(two, prj_b=90)).amount == 60


def test_a_sidecar_that_was_revoked_keeps_no_floor(world: World, limit: RateLimit) -> None:
    one, two = world.sidecar("one"), world.sidecar("two")
    assert share(told(one, prj_a=90)).floor == 1
    world.pass_ms(376_000 + MINUTE)
    assert share(told(two, prj_b=90)).amount == 59
    world.do(lambda tx: sidecars.revoke(tx, "one", world.now))
    assert share(told(two, 59, prj_b=90)).amount == 60


def test_after_a_start_no_share_is_raised_before_all_were_heard(
    world: World, limit: RateLimit
) -> None:
    one, two = world.sidecar("one"), world.sidecar("two")
    told(one, prj_a=90)
    world.pass_ms(1_000)
    world.restart()
    world.pass_ms(1)
    assert share(told(two, prj_b=90)).amount == 0
    assert share(told(one, 60, 60, prj_a=90)).amount == 30
    told(one, 30, 10, prj_a=90)
    assert share(told(two, prj_b=90)).amount == 29


def test_a_limit_that_is_gone_is_told_no_more(world: World, limit: RateLimit) -> None:
    one = world.sidecar("one")
    assert told(one, prj_a=1).rate_shares

    def delete(tx: Tx) -> None:
        store.delete(tx, "rlm_1")
        policy_number.bump(tx)

    world.do(delete)
    assert told(one, 60, prj_a=1).rate_shares == ()
    assert world.levels.rates.by_limit == {}


def test_a_sidecar_that_does_not_know_a_limit_is_told_nothing_of_it(
    world: World, limit: RateLimit
) -> None:
    one = world.sidecar("one")
    assert one.send(one.report()).rate_shares == ()


def test_many_sidecars_share_by_what_was_worked_out_a_moment_ago(
    world: World, limit: RateLimit
) -> None:
    many = [world.sidecar(f"host {number}") for number in range(12)]
    shares = {one.name: 0 for one in many}
    for _ in range(6):
        for one in many:
            held = shares[one.name]
            shares[one.name] = share(told(one, held, prj_a=90, prj_b=90)).amount
        world.pass_ms(1_000)
    assert sum(shares.values()) <= 60
    assert all(3 <= amount <= 6 for amount in shares.values()), shares

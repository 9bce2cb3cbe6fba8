"""The pool's plan: the connection used last is used next, and bounds hold."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.http import limits
from sidecar.http.pool import PoolPlan


def test_the_connection_used_last_is_used_next() -> None:
    pool: PoolPlan[str] = PoolPlan()
    for name in ("a", "b"):
        pool.opened()
        assert pool.keep(name, now_ms=0)
    assert [pool.reuse(1), pool.reuse(1), pool.reuse(1)] == ["b", "a", None]


def test_an_old_connection_is_closed_and_never_used() -> None:
    pool: PoolPlan[str] = PoolPlan()
    for now_ms, name in ((0, "old"), (1000, "young")):
        pool.opened()
        pool.keep(name, now_ms)
    assert pool.expired(limits.UPSTREAM_IDLE_MS) == ["old"]
    assert pool.reuse(limits.UPSTREAM_IDLE_MS) == "young"
    pool.keep("young", 0)
    assert pool.reuse(limits.UPSTREAM_IDLE_MS) is None


@given(st.lists(st.sampled_from(["take", "keep", "close", "expire"]), max_size=200))
def test_connections_are_counted_and_bounded_whatever_happens(steps: list[str]) -> None:
    pool: PoolPlan[int] = PoolPlan()
    used: list[int] = []
    idle = made = now_ms = 0
    for step in steps:
        now_ms += 10_000
        if step == "take":
            found = pool.reuse(now_ms)
            if found is None and pool.may_open:
                pool.opened()
                made += 1
                used.append(made)
            elif found is not None:
                idle -= 1
                used.append(found)
        elif step == "expire":
            for _ in pool.expired(now_ms):
                pool.gone()
                idle -= 1
        elif used:
            number = used.pop()
            if step == "keep" and pool.keep(number, now_ms):
                idle += 1
            else:
                pool.gone()
        assert pool.open_connections == len(used) + idle <= limits.UPSTREAM_MAX_CONNECTIONS
    assert len(pool.drained()) == idle

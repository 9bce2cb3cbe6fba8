"""The time kept out of two clocks: pauses that one of them missed, and the control plane's time."""

from sidecar.core.instants import Now
from sidecar.core.timekeeper import Kept, Timekeeper
from sidecar.limits import PAUSE_MS

NOON = 1_795_000_000_000
HOUR = 3_600_000


class Clocks:
    """The machine's clocks, and the time that is kept from them."""

    def __init__(self, keeper: Timekeeper | None = None) -> None:
        self.unix_ms = NOON
        self.boot_ms = 1_000_000
        self.keeper = keeper or Timekeeper()

    def now(self) -> Now:
        return self.keeper.read(Now(self.unix_ms, self.boot_ms))

    def run(self, ms: int) -> Now:
        self.unix_ms += ms
        self.boot_ms += ms
        return self.now()

    def step(self, ms: int) -> Now:
        """The wall clock is set, or the machine was paused: nobody can tell which."""
        self.unix_ms += ms
        return self.now()


def test_two_clocks_that_agree_are_taken_as_they_are() -> None:
    clocks = Clocks()
    assert clocks.now() == (NOON, 1_000_000)
    assert clocks.run(HOUR) == (NOON + HOUR, 1_000_000 + HOUR)
    assert not clocks.keeper.paused


def test_time_that_only_the_wall_clock_saw_counts_as_gone_by() -> None:
    clocks = Clocks()
    clocks.now()
    assert clocks.step(PAUSE_MS).boot_ms == 1_000_000
    assert clocks.step(1).boot_ms == 1_000_000 + PAUSE_MS + 1
    assert clocks.keeper.paused
    assert clocks.run(10).boot_ms == 1_000_000 + PAUSE_MS + 11


def test_many_small_pauses_add_up() -> None:
    clocks = Clocks()
    clocks.now()
    for _ in range(10):
        clocks.step(PAUSE_MS // 2)
    assert clocks.now().boot_ms >= 1_000_000 + 9 * (PAUSE_MS // 2)


def test_a_wall_clock_that_was_set_back_is_no_pause_and_hides_none_that_comes_later() -> None:
    clocks = Clocks()
    clocks.now()
    assert clocks.step(-HOUR).boot_ms == 1_000_000
    assert not clocks.keeper.paused
    assert clocks.step(10_000).boot_ms == 1_010_000
    assert clocks.keeper.paused


def test_the_time_kept_never_goes_back() -> None:
    clocks = Clocks()
    last = clocks.now().boot_ms
    for step in (HOUR, -HOUR, 5_000, -2 * HOUR, 3_000, 10):
        now = clocks.step(step).boot_ms
        assert now >= last
        last = now


def test_only_a_sync_that_went_out_after_the_pause_counts_as_having_asked() -> None:
    clocks = Clocks()
    before = clocks.now()
    after = clocks.step(10_000)
    clocks.keeper.asked(before.boot_ms)
    assert clocks.keeper.paused
    clocks.keeper.asked(after.boot_ms)
    assert not clocks.keeper.paused


def test_what_the_control_plane_said_goes_before_a_wall_clock_that_is_wrong() -> None:
    clocks = Clocks()
    now = clocks.now()
    clocks.keeper.told(NOON - 5 * HOUR, now.boot_ms, now.boot_ms)
    assert clocks.now().unix_ms == NOON - 5 * HOUR
    assert clocks.run(1_000).unix_ms == NOON - 5 * HOUR + 1_000
    # Set right by somebody: it changes nothing.
    assert clocks.step(-5 * HOUR).unix_ms == NOON - 5 * HOUR + 1_000
    # A pause that the boot clock did not see is not missing in it.
    assert clocks.step(60_000).unix_ms == NOON - 5 * HOUR + 61_000


def test_the_time_that_was_told_does_not_tremble_with_each_answer() -> None:
    clocks = Clocks()
    sent = clocks.now().boot_ms
    received = clocks.run(100).boot_ms
    clocks.keeper.told(NOON, sent, received)
    assert clocks.now().unix_ms == NOON + 50
    # Asked at the same time and answered later or earlier within the time that it took.
    for unix_ms in (NOON + 10, NOON, NOON + 50):
        clocks.keeper.told(unix_ms, received - 60, received)
        assert clocks.now().unix_ms == NOON + 50
    clocks.keeper.told(NOON + 70, received - 60, received)
    assert clocks.now().unix_ms == NOON + 70
    clocks.keeper.told(NOON - 70, received - 60, received)
    assert clocks.now().unix_ms == NOON - 10
    # An answer that took too long tells too little.
    clocks.keeper.told(NOON + HOUR, received - 5_000, received)
    assert clocks.now().unix_ms == NOON - 10


def test_the_next_process_of_the_same_boot_goes_on_and_misses_no_pause() -> None:
    clocks = Clocks()
    clocks.now()
    told = clocks.step(10_000)
    clocks.keeper.told(NOON + 77, told.boot_ms, told.boot_ms)
    kept = clocks.keeper.kept
    assert kept == Kept(NOON - 1_000_000 + 10_000, 10_000, NOON + 77 - told.boot_ms)
    next_one = Clocks(Timekeeper())
    next_one.unix_ms, next_one.boot_ms = clocks.unix_ms + 30_000, clocks.boot_ms + 5_000
    next_one.keeper.go_on(kept)
    now = next_one.now()
    assert now.boot_ms == told.boot_ms + 30_000
    assert now.unix_ms == NOON + 77 + 30_000
    assert next_one.keeper.paused


def test_nothing_is_kept_before_the_first_reading() -> None:
    assert Timekeeper().kept is None

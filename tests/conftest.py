"""What holds for every test: none fails by chance, and thousands are kept for the whole run."""

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "the same each time",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("the same each time")
# Examples are those of the last run, and no clock judges them: else a run that changes nothing may
# fail by what was drawn, or because the machine was busy.

ROOMS_OF_LONG_FILES = ("e2e", "simulation", "chaos", "mutants", "leasing", "bounds", "corpus")
"""They come first: a long file that began last would keep one core busy, and the others idle."""

WORKERS_PER_CORE = 2
"""Stories of real processes wait more than they compute: one worker leaves half of a core idle."""


def pytest_xdist_auto_num_workers() -> int:
    """How many workers `--numprocesses=auto` means."""
    return WORKERS_PER_CORE * (os.cpu_count() or 1)


def pytest_configure() -> None:
    """Let Ctrl-C be what it is at a terminal, also for whatever the tests start.

    A shell without one that starts them in the background has it ignored for all of them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage, which would go through all of them each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; what is in a file stays together and in its order."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(tests).parts[0] not in ROOMS_OF_LONG_FILES)

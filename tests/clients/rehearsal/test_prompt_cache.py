from clients.rehearsal.bill import Quantities
from clients.rehearsal.prompt_cache import PromptCache, Segment

LONG = Segment("a long system prompt", 100, "5m")
FOR_AN_HOUR = Segment("a manual", 40, "1h")
QUESTION = Segment("a question", 7, None)


def test_a_prefix_is_written_first_and_read_from_then_on() -> None:
    cache = PromptCache(10)
    assert cache.use("me", [LONG, QUESTION], remember=True) == Quantities(7, 0, 100, 0)
    assert cache.use("me", [LONG, QUESTION], remember=True) == Quantities(7, 100, 0, 0)


def test_only_what_lies_behind_the_longest_known_prefix_is_written() -> None:
    cache = PromptCache(10)
    cache.use("me", [LONG], remember=True)
    longer = [LONG, FOR_AN_HOUR, QUESTION]
    assert cache.use("me", longer, remember=True) == Quantities(7, 100, 0, 40)
    assert cache.use("me", longer, remember=True) == Quantities(7, 140, 0, 0)


def test_each_stretch_is_written_for_the_time_its_breakpoint_asks() -> None:
    used = PromptCache(10).use("me", [FOR_AN_HOUR, QUESTION, LONG], remember=True)
    assert used == Quantities(0, 0, 107, 40)


def test_another_owner_or_another_beginning_reads_nothing() -> None:
    cache = PromptCache(10)
    cache.use("me", [LONG], remember=True)
    assert cache.use("you", [LONG], remember=True).cached_tokens == 0
    assert cache.use("me", [QUESTION, LONG], remember=True).cached_tokens == 0


def test_a_call_that_fails_leaves_nothing_behind() -> None:
    cache = PromptCache(10)
    cache.use("me", [LONG], remember=False)
    assert cache.use("me", [LONG], remember=True).cached_tokens == 0


def test_the_longest_unused_prefix_goes_first() -> None:
    cache = PromptCache(2)
    first, second, third = (Segment(name, 10, "5m") for name in "abc")
    cache.use("me", [first], remember=True)
    cache.use("me", [second], remember=True)
    cache.use("me", [first], remember=True)
    cache.use("me", [third], remember=True)
    assert cache.use("me", [first], remember=False).cached_tokens == 10
    assert cache.use("me", [second], remember=False).cached_tokens == 0

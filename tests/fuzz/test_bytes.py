"""Foreign bytes: every reader takes them, or refuses them in the way that it declares."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.examples import examples_of
from tests.fuzz.known import is_open
from tests.fuzz.mangled import mangled
from tests.fuzz.targets import TARGETS

EXAMPLES = 20
MANGLED = 250


def _try(name: str, data: bytes) -> None:
    try:
        TARGETS[name](data)
    except Exception as error:
        if not is_open(error):
            raise


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_bytes_raise_nothing_that_was_not_declared(name: str, data: st.DataObject) -> None:
    example = data.draw(st.sampled_from(examples_of(name)))
    cut = data.draw(st.integers(0, len(example)))
    _try(name, example[:cut] + data.draw(st.binary(max_size=64)) + example[cut:])


@pytest.mark.parametrize("name", TARGETS)
def test_examples_that_were_mangled_raise_nothing_that_was_not_declared(name: str) -> None:
    rng = random.Random(name)
    examples = examples_of(name)
    for _ in range(MANGLED):
        _try(name, mangled(rng, rng.choice(examples)))


@pytest.mark.parametrize("name", TARGETS)
def test_the_examples_themselves_are_taken(name: str) -> None:
    for example in examples_of(name):
        TARGETS[name](example)

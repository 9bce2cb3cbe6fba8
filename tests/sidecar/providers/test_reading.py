"""Fields that decide a cost are read under one spelling, whatever letters another reader folds."""

import pytest

from sidecar.providers.reading import BadRequestError, read_object


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Max_Tokens", "max_tokens"),
        ("max_token\u017f", "max_tokens"),
        ("\u017fize", "size"),
        ("max_to\u212aens", "max_tokens"),
        ("MODEL", "model"),
    ],
)
def test_a_field_that_another_reader_may_take_for_a_deciding_one_is_refused(
    name: str, meant: str
) -> None:
    with pytest.raises(BadRequestError, match=f"write {meant} in small letters") as caught:
        read_object({"max_tokens": 1, name: 100_000})
    assert caught.value.param == meant


def test_other_names_may_be_written_as_they_like() -> None:
    body = {"max_tokens": 1, "Temperature": 1, "stra\u00dfe": 2}
    assert read_object(body) is body

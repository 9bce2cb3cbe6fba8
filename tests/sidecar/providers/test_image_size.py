"""Pixels are read from headers, and where two decoders could differ nothing is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.providers import image_size
from sidecar.providers.image_size import HEADER_MAX_BYTES, Size
from tests.sidecar.providers import picture_files
from tests.sidecar.providers.picture_files import DRAWN, base64_of, gif, jpeg, png, webp_extended

SIDES = st.integers(1, 16_383)


@given(kind=st.sampled_from(sorted(DRAWN)), width=SIDES, height=SIDES)
def test_every_format_tells_its_size(kind: str, width: int, height: int) -> None:
    content = DRAWN[kind](width, height)
    assert image_size.of_base64(base64_of(content)) == Size(width, height)


@given(kind=st.sampled_from(sorted(DRAWN)), cut=st.integers(0, 80), rest=st.binary(max_size=40))
def test_a_header_that_is_not_whole_raises_nothing(kind: str, cut: int, rest: bytes) -> None:
    content = DRAWN[kind](640, 480)[:cut] + rest
    for whole in (False, True):
        found = image_size.of_file(content, whole=whole)
        assert found is None or min(found) > 0


@given(content=st.binary(max_size=300))
def test_bytes_that_are_no_picture_tell_nothing_or_a_size(content: bytes) -> None:
    for beginning in (b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF1234WEBPVP8L"):
        found = image_size.of_file(beginning + content, whole=True)
        assert found is None or min(found) > 0


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "AAAA",
        "not base64!",
        base64_of(png(10, 10)).replace("/", "_").replace("i", "-"),
        "\n" + base64_of(png(10, 10)),
        base64_of(png(0, 10)),
        base64_of(png(10, 10)[:20]),
        base64_of(gif(10, 10, pictures=2)),
        base64_of(gif(10, 10) + b"\x00"),
        base64_of(gif(10, 10) + b"\x2c" * HEADER_MAX_BYTES),
        base64_of(webp_extended(10, 10, flags=0x02)),
        base64_of(b"\xff\xd8\xff\xda\x00\x02"),
        base64_of(b"\xff\xd8\xff\xe0\x00\x01"),
        base64_of(jpeg(10, 10).replace(b"\x00\x0c", b"\xff\xff")),
        base64_of(b"<svg width='10' height='10'/>"),
    ],
)
def test_what_could_be_read_in_two_ways_tells_nothing(payload: str) -> None:
    assert image_size.of_base64(payload) is None


def test_only_the_beginning_of_a_picture_is_looked_at() -> None:
    assert image_size.of_base64(base64_of(png(7, 9) + b"\x00" * 10_000_000)) == Size(7, 9)
    far = picture_files.jpeg(7, 9)[:2] + b"\xff\xe1\xff\xff" + b"\x00" * 65_533
    assert image_size.of_base64(base64_of(far + picture_files.jpeg(7, 9)[2:])) is None

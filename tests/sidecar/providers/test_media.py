"""The bound on a picture, against published examples and against another's counting of it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.rehearsal import pictures
from sidecar.providers import media
from sidecar.providers.image_size import Size
from tests.sidecar.providers.picture_files import DRAWN, base64_of, data_url, png

OPENAI_MODELS = sorted(
    {
        *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano"),
        *("gpt-5.6-luna", "gpt-6-luna", "somebody-else's"),
    }
)
SIDES = st.one_of(
    st.integers(1, 16_383),
    st.sampled_from([512, 513, 767, 768, 769, 1024, 1536, 2047, 2048, 2049, 4096]),
)


@settings(max_examples=400)
@given(
    model=st.sampled_from(OPENAI_MODELS),
    kind=st.sampled_from(sorted(DRAWN)),
    width=SIDES,
    height=SIDES,
    detail=st.sampled_from([None, "auto", "high", "low"]),
)
@example(model="gpt-4o", kind="png", width=10_240, height=5_117, detail=None)
def test_no_picture_counts_more_at_openai_than_its_bound(
    model: str, kind: str, width: int, height: int, detail: str | None
) -> None:
    url = data_url(DRAWN[kind](width, height))
    counted = pictures.openai_tokens(model, pictures.of_data_url(url), detail)
    bound = media.openai_image_tokens(model, url, detail)
    assert counted <= bound <= media.openai_image_max_tokens(model)


@settings(max_examples=400)
@given(
    model=st.sampled_from(["claude-haiku-4-5", "claude-haiku-5-5"]),
    kind=st.sampled_from(sorted(DRAWN)),
    width=SIDES,
    height=SIDES,
)
def test_no_picture_counts_more_at_anthropic_than_its_bound(
    model: str, kind: str, width: int, height: int
) -> None:
    payload = base64_of(DRAWN[kind](width, height))
    counted = pictures.anthropic_tokens(model, pictures.of_base64(payload))
    bound = media.anthropic_image_tokens(payload)
    assert counted <= bound <= media.ANTHROPIC_IMAGE_MAX_TOKENS


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        # The vendor's own examples of tiles: 765 for a square, 1,105 for a tall one.
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (2048, 4096), 1_105),
        ("gpt-4o", (512, 512), 255),
        ("gpt-4o", (1, 1), 255),
        ("gpt-4o-mini", (1024, 1024), 2_833 + 4 * 5_667),
        ("gpt-5", (1024, 1024), 70 + 4 * 140),
        # Patches as they were measured of these models: 1,229 and 11,868 tokens with the prompt.
        ("gpt-5.5", (1024, 1024), 1_229),
        ("gpt-5.5", (4032, 3024), 12_000),
        ("gpt-5.6-terra", (4032, 3024), 14_364),
        ("nobody-knows", (1, 1), 48_169),
    ],
)
def test_a_picture_whose_size_is_told_counts_by_it(
    model: str, size: tuple[int, int], tokens: int
) -> None:
    assert media.openai_image_rule(model).tokens(Size(*size)) == tokens
    assert media.openai_image_tokens(model, data_url(png(*size))) == tokens


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.png",
        "data:image/png;base64," + "A" * 100,
        "data:image/png," + base64_of(png(1, 1)),
        "data:image/png;base64",
    ],
)
def test_a_picture_whose_size_is_not_told_counts_as_the_largest(url: str) -> None:
    assert media.openai_image_tokens("gpt-4o", url) == 1_445
    assert media.openai_image_tokens("gpt-4o", url, "low") == 85

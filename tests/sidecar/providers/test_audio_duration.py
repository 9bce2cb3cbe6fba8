"""How long a recording can be: exact for WAV, and else never shorter than it plays."""

import base64
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.rehearsal import recordings
from sidecar.providers import audio_duration
from tests.sidecar.providers import sound_files

wav = partial(sound_files.wav, rate=16_000, width=2)


def max_ms(recording: bytes) -> int:
    return audio_duration.max_ms(recording[: audio_duration.HEADER_MAX_BYTES], len(recording))


@given(
    frames=st.integers(0, 50_000),
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
    channels=st.integers(1, 2),
    width=st.sampled_from([1, 2, 3, 4]),
)
def test_plain_wav_is_exact(frames: int, rate: int, channels: int, width: int) -> None:
    recording = sound_files.wav(frames, rate=rate, channels=channels, width=width)
    bound_ms = max_ms(recording)
    # A byte of padding may stand at the end, and the milliseconds are rounded up.
    assert 0 <= bound_ms - recordings.seconds_of(recording) * 1_000 < 2
    assert audio_duration.max_tokens(bound_ms) >= recordings.heard_tokens(recording)
    in_base64 = base64.b64encode(recording).decode()
    assert bound_ms <= audio_duration.of_base64(in_base64) <= bound_ms + 2


@given(recording=st.binary(max_size=2_000))
def test_anything_else_is_never_taken_for_shorter_than_it_counts(recording: bytes) -> None:
    assert max_ms(recording) >= recordings.seconds_of(recording) * 1_000


def test_a_header_that_says_too_little_shortens_nothing() -> None:
    recording = wav(16_000)
    lying = recording[:40] + (2).to_bytes(4, "little") + recording[44:]
    assert max_ms(lying) == max_ms(recording) == 1_000


EXTENSIBLE = (
    b"RIFF\x00\x00\x00\x00WAVEfmt \x28\x00\x00\x00\xfe\xff\x01\x00"
    + (8_000).to_bytes(4, "little")
    + (16_000).to_bytes(4, "little")
    + b"\x02\x00\x10\x00\x16\x00\x10\x00\x04\x00\x00\x00"
)


@pytest.mark.parametrize(
    ("recording", "ms"),
    [
        (EXTENSIBLE + b"\x01\x00" + b"\x00" * (16_044 - 46), 1_000),
        # A compressed kind within WAV, and headers that contradict themselves.
        (EXTENSIBLE + b"\x02\x00" + b"\x00" * (16_044 - 46), 32_088),
        (wav(8_000)[:28] + b"\xff\xff\xff\x7f" + wav(8_000)[32:], 32_088),
        (wav(8_000)[:32] + b"\x00\x00" + wav(8_000)[34:], 32_088),
        (b"RIFF", 8),
        (b"OggS" + b"\x00" * 996, 2_000),
        (b"\xff\xfb\x90\x00" + b"\x00" * 996, 1_000),
        (
            b"ID3\x04\x00\x00\x00\x00\x00\x0a" + b"\x00" * 10 + b"\xff\xf3\x40" + b"\x00" * 977,
            1_000,
        ),
        # A bitrate that anybody may choose, and a layer that is none.
        (b"\xff\xfb\x00\x00" + b"\x00" * 996, 2_000),
        (b"\xff\xf1\x50\x80" + b"\x00" * 996, 2_000),
        (b"", 0),
    ],
)
def test_a_format_that_is_known_counts_by_its_slowest_bitrate(recording: bytes, ms: int) -> None:
    assert max_ms(recording) == ms

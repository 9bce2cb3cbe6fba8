"""Silent WAV files, by how long they play."""

import io
import wave


def wav(frames: int, *, rate: int = 1_000, channels: int = 1, width: int = 1) -> bytes:
    """So many frames of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(channels)
        opened.setsampwidth(width)
        opened.setframerate(rate)
        opened.writeframes(b"\x00" * (frames * channels * width))
    return file.getvalue()

"""The beginnings of picture files, by their pixels: whole enough for every reader of headers."""

import base64
import struct
from collections.abc import Callable

Draw = Callable[[int, int], bytes]


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02"


def jpeg(width: int, height: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 12) + b"Exif\x00\x00\xff\xc0\x00\x00"
    table = b"\xff\xc4" + struct.pack(">H", 5) + b"abc"
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 3) + b"xyz"
    return b"\xff\xd8" + exif + table + frame + b"\xff\xda\x00\x02"


def gif(width: int, height: int, pictures: int = 1) -> bytes:
    comment = b"\x21\xfe\x03abc\x00"
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0x80) + b"\x00" * 6
    picture += b"\x02\x02\x4c\x01\x00"
    screen = struct.pack("<HH", width, height) + b"\x00\x00\x00"
    return b"GIF89a" + screen + comment + picture * pictures + b"\x3b"


def webp_lossy(width: int, height: int) -> bytes:
    frame = b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width | 0x4000, height)
    return b"RIFF\x00\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00" + frame


def webp_lossless(width: int, height: int) -> bytes:
    bits = struct.pack("<I", width - 1 | height - 1 << 14)
    return b"RIFF\x00\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f" + bits + b"\x00" * 5


def webp_extended(width: int, height: int, flags: int = 0x10) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes((flags, 0, 0, 0)) + canvas


DRAWN: dict[str, Draw] = {
    "png": png,
    "jpeg": jpeg,
    "gif": gif,
    "webp-lossy": webp_lossy,
    "webp-lossless": webp_lossless,
    "webp-extended": webp_extended,
}


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64_of(content)}"

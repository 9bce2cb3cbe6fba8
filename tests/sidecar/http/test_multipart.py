"""Forms that two readers could take differently are refused; all others are read as they are."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http import limits, multipart
from sidecar.http.multipart import BadFormError

NAMES = st.from_regex(r"\A[a-z][a-z0-9_.-]{0,12}\Z")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
FILES = st.binary(max_size=200)


def part(name: str, content: bytes, extra: bytes = b"") -> bytes:
    disposition = b'Content-Disposition: form-data; name="%b"' % name.encode()
    return disposition + extra + b"\r\n\r\n" + content


def form(*parts: bytes, boundary: bytes = b"xyz") -> bytes:
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary, each) for each in parts)
    return body + b"--%b--\r\n" % boundary


@given(
    texts=st.dictionaries(NAMES, TEXTS, max_size=4),
    files=st.dictionaries(NAMES, FILES, min_size=1, max_size=3),
)
def test_a_form_is_read_as_the_standard_library_reads_it(
    texts: dict[str, str], files: dict[str, bytes]
) -> None:
    files = {f"file-of-{name}-x": content for name, content in files.items()}
    sent = httpx.Request(
        "POST",
        "http://127.0.0.1/",
        data=texts,
        files={name: (f"{name}.bin", content, "audio/wav") for name, content in files.items()},
    )
    kind = sent.headers["content-type"].encode()
    body = sent.read()
    read = multipart.read(body, multipart.boundary_of(kind))
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(
        b"Content-Type: " + kind + b"\r\n\r\n" + body
    )
    told: dict[str, bytes] = {}
    for each in message.iter_parts():
        name = each.get_param("name", header="content-disposition")
        assert isinstance(name, str)
        content = each.get_payload(decode=True)
        assert isinstance(content, bytes)
        told[name] = content
    assert told.keys() == texts.keys() | files.keys()
    assert read.texts == texts
    assert {each.field: body[each.start : each.end] for each in read.files} == files
    assert all(each.name == f"{each.field}.bin" for each in read.files)
    assert all(each.content_type == "audio/wav" for each in read.files)


def test_a_list_comes_again_and_files_are_told_by_their_place() -> None:
    body = form(
        part("image[]", b"\x89PNG\r\n", b'; filename="a \\"b\\".png"'),
        part("image[]", b"", b"; filename*=UTF-8''c.png"),
        part("include[]", b"logprobs"),
        part("include[]", b"more"),
    )
    read = multipart.read(body, b"xyz")
    assert read.lists == {"include": ["logprobs", "more"]}
    assert [(each.field, each.size_bytes) for each in read.files] == [("image", 6), ("image", 0)]
    assert body[read.files[0].start : read.files[0].end] == b"\x89PNG\r\n"


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data;boundary="a b:c"', b"a b:c"),
        (b"multipart/form-data; boundary=----WebKitFormBoundaryx; charset=UTF-8", b"----Web"),
    ],
)
def test_the_boundary_of_a_content_type(kind: bytes, boundary: bytes) -> None:
    assert multipart.is_form(kind)
    assert multipart.boundary_of(kind).startswith(boundary)


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=a; boundary=b",
        b"multipart/form-data; boundary=a; x=y",
        b"multipart/form-data; x=y; boundary=a",
        b'multipart/form-data; boundary="a\\"b"',
        b"multipart/form-data; boundary=" + b"a" * 71,
        b'multipart/form-data; boundary="a "',
        b"multipart/mixed; boundary=a",
        b"multipart/form-data; boundary=a{b",
    ],
)
def test_a_boundary_that_could_be_read_in_two_ways_is_refused(kind: bytes) -> None:
    with pytest.raises(BadFormError):
        multipart.boundary_of(kind)


MODEL = part("model", b"whisper-1")
FILE = part("file", b"abc", b'; filename="a.wav"')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "begin with its boundary"),
        (b"\r\n" + form(MODEL), "begin with its boundary"),
        (b"preamble\r\n" + form(MODEL), "begin with its boundary"),
        (form(MODEL) + b"epilogue", "follows the last boundary"),
        (form(MODEL) + b"\r\n", "follows the last boundary"),
        (b"--xyz--\r\n", "empty"),
        (form(MODEL)[:-9], "last boundary is missing"),
        (form(MODEL).replace(b"\r\n", b"\n"), "must end its line"),
        (form(MODEL, FILE).replace(b"--xyz\r\n", b"--xyz \r\n"), "must end its line"),
        (form(part("file", b"abc\n--xyz\r\nabc")), "must begin its line"),
        (form(part("file", b"abc--xyzabc")), "must begin its line"),
        (form(part("file", b"abc\r\n--xyzabc")), "must end its line"),
        (form(MODEL, FILE, MODEL), "model is given twice"),
        (form(MODEL, part("Model", b"other")), "Model is given twice"),
        (form(MODEL, part("model[]", b"other")), "model is given twice"),
        (form(part("model[]", b"a"), MODEL), "model is given twice"),
        (form(FILE, FILE), "file is given twice"),
        (form(MODEL, part("model", b"x", b'; filename="m"')), "model is given twice"),
        (form(part("mo del", b"a")), "plain letters"),
        (form(part("a[b]", b"a")), "plain letters"),
        (form(part("", b"a")), "plain letters"),
        (form(b"Content-Disposition: form-data\r\n\r\na"), "form-data with a name"),
        (form(b'Content-Disposition: attachment; name="a"\r\n\r\na'), "form-data with a name"),
        (form(b'Content-Disposition: form-data; filename="a"\r\n\r\na'), "give a name"),
        (form(part("a", b"b", b'; name="model"')), "malformed"),
        (form(part("a", b"b", b"; name*=UTF-8''model")), "nothing else"),
        (form(part("a", b"b", b"; filename=\xff")), "not UTF-8"),
        (form(part("a", b"b", b'; filename="x')), "malformed"),
        (form(MODEL.replace(b"\r\n\r\n", b"\r\nContent-Disposition: x\r\n\r\n")), "twice"),
        (form(b" " + MODEL), "malformed"),
        (form(MODEL.replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n")), "malformed"),
        (form(b"\r\n" + MODEL), "malformed"),
        (form(b"\r\nabc"), "headers of a part are missing"),
        (form(b"abc"), "headers of a part are missing"),
        (form(MODEL.replace(b"\r\n\r\n", b"\r\nX: " + b"a" * 5_000 + b"\r\n\r\n")), "exceed"),
        (
            form(MODEL.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n")),
            "without an encoding",
        ),
        (
            form(
                MODEL.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n")
            ),
            "UTF-8",
        ),
        (form(part("model", b"\xff")), "not UTF-8"),
        (form(part("model", b"a" * (limits.FORM_TEXT_MAX_BYTES + 1))), "longer than"),
        (form(*(part(f"f{n}", b"") for n in range(limits.FORM_PARTS_MAX_PARTS + 1))), "parts"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_words(body: bytes, words: str) -> None:
    with pytest.raises(BadFormError, match=words):
        multipart.read(body, b"xyz")

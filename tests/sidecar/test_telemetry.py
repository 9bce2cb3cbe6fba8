"""What a sidecar says of itself never holds a secret."""

import io
import logging

from protos.values.keys import PROJECT_KEY, make_key
from sidecar.telemetry import Log, take_over_logging
from tests.sidecar.builders import HandClock

KEY = make_key(PROJECT_KEY, bytes(24))


def test_an_event_is_one_line_with_its_fields() -> None:
    stream = io.StringIO()
    Log(HandClock(), stream).alarm("overrun", excess_nano_usd=5, model="gpt x", ok=True, why=None)
    assert stream.getvalue().endswith(
        'ALARM overrun excess_nano_usd=5 model="gpt x" ok=true why=null\n'
    )


def test_a_key_is_struck_out_wherever_it_stands() -> None:
    stream = io.StringIO()
    log = Log(HandClock(), stream)
    log.info("refused", key=KEY, message=f"the key {KEY}\nis bad")
    assert KEY not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_no_name_ends_a_line_or_steers_a_terminal() -> None:
    stream = io.StringIO()
    named = "Zahn\u00e4rztin\u2028FAKE\u0085FAKE\u009b31m\u202e"
    Log(HandClock(), stream).info("policy", client=named, plain="Zahn\u00e4rztin Dr. A")
    said = stream.getvalue()
    assert said.removesuffix("\n").isprintable()
    assert len(said.splitlines()) == 1
    assert "Zahn\u00e4rztin Dr. A" in said


def test_what_libraries_log_takes_the_same_way() -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handlers = list(root.handlers)
    try:
        take_over_logging(Log(HandClock(), stream))
        logging.getLogger("somewhere").warning("with %s", KEY)
        logging.getLogger("somewhere").info("not this")
        try:
            raise ValueError(KEY)
        except ValueError:
            logging.getLogger("somewhere").exception("broken")
    finally:
        root.handlers[:] = handlers
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "ALARM log" in lines[1]
    assert "ValueError" in lines[1]
    assert KEY not in stream.getvalue()


def test_a_stream_that_nobody_reads_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    Log(HandClock(), stream).info("still here")

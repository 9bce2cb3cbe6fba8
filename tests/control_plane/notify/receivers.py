"""Receivers on real sockets: a mail server, and a web server that notes what it is sent."""

import json
import socket
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.reserved_port import reserve_port

READY_S = 30


class MailReceiver:
    """A mail server that can be down, refuse, or hang up at the wrong moment."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 taken"
        self.cut_before_answer = False
        self._reserved = reserve_port()
        self.port: int = self._reserved.getsockname()[1]
        self._controller: Controller | None = None

    def up(self) -> None:
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, ready_timeout=READY_S
        )
        self._controller.start()

    def down(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def close(self) -> None:
        self.down()
        self._reserved.close()

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd decides
        assert isinstance(envelope.content, bytes)
        if self.answer.startswith("250"):
            read = message_from_bytes(envelope.content, policy=default)
            assert isinstance(read, EmailMessage)
            self.mails.append(read)
        if self.cut_before_answer:
            assert server.transport is not None
            server.transport.close()
        return self.answer

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


class DrippingServer:
    """A mail server whose greeting never ends: a byte now and then, as long as somebody listens."""

    BETWEEN_S = 0.02

    def __init__(self) -> None:
        self.dripped = 0
        self.hung_up = threading.Event()
        """Set when nobody listens any more."""
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._drip)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._listening.close()

    def _drip(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            while not self._over.wait(self.BETWEEN_S):
                try:
                    connection.sendall(b"2")
                except OSError:
                    self.hung_up.set()
                    return
                self.dripped += 1


@dataclass
class Posted:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebReceiver:
    """A web server that answers as it is told."""

    status: int = 200
    location: str = ""
    cut: bool = False
    body_bytes: int = 2
    """What is promised of an answer of which two bytes come."""
    posts: list[Posted] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append(Posted(self.path, dict(self.headers), body))
                if receiver.cut:
                    self.close_connection = True
                    return
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", str(receiver.body_bytes))
                self.close_connection = receiver.body_bytes > 2
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

"""Mail: what a message looks like, and the conversation with the agency's mail server.

A message is the server's from the moment in which it answers the last dot. So the body is sent
first and the dot by itself: what breaks before the dot surely did not arrive, and what breaks
between the dot and the answer nobody knows. The Message-ID is made from the delivery, so that a
repetition can be recognised.
"""

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Any

from control_plane import limits
from control_plane.core.channels import MailServer
from control_plane.core.deliveries import Delivery, Message, Outcome, Part, Purpose
from control_plane.notify.attempts import Attempt, arrived, failed

_DOTS = re.compile(rb"^\.", re.MULTILINE)


def compose(
    server: MailServer, to_address: str, delivery: Delivery, parts: Sequence[Part]
) -> EmailMessage:
    """The mail of a message: plain text, HTML, files."""
    domain = server.from_address.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(server.from_name, addr_spec=server.from_address)
    mail["To"] = Address(addr_spec=to_address)
    mail["Subject"] = " ".join(delivery.message.subject.split())
    mail["Date"] = format_datetime(datetime.fromtimestamp(delivery.created_unix_ms // 1_000, UTC))
    mail["Message-ID"] = f"<{delivery.delivery_id}@{domain}>"
    if delivery.thread:
        root = f"<{delivery.thread}@{domain}>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    if delivery.purpose is Purpose.STATEMENT:
        mail["List-Unsubscribe"] = f"<mailto:{server.from_address}?subject=Unsubscribe>"
    mail.set_content(plain_text(delivery.message))
    mail.add_alternative(delivery.message.html or html_text(delivery.message), subtype="html")
    for part in parts:
        main, _, sub = part.media_type.partition("/")
        mail.add_attachment(part.content, maintype=main, subtype=sub, filename=part.file_name)
    return mail


def plain_text(message: Message) -> str:
    """A message as plain text."""
    lines = [message.what, ""]
    lines += [f"{name}: {said}" if name else said for name, said in message.lines]
    return "\n".join([*lines, "", message.link]).rstrip() + "\n"


def html_text(message: Message) -> str:
    """A message as a small table; nothing is fetched from anywhere."""
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;color:#555">{escape(name)}</td>'
        f'<td style="padding:2px 0">{escape(said)}</td></tr>'
        if name
        else f'<tr><td colspan="2" style="padding:10px 0 2px"><b>{escape(said)}</b></td></tr>'
        for name, said in message.lines
    )
    link = f'<p><a href="{escape(message.link)}">{escape(message.link)}</a></p>'
    return (
        f"<html><body><p><b>{escape(message.what)}</b></p><table>{rows}</table>"
        f"{link if message.link else ''}</body></html>"
    )


def send(
    server: MailServer, password: str, to_address: str, mail: EmailMessage, trust: ssl.SSLContext
) -> Attempt:
    """Hand a mail to the server. Blocks, for as long as one attempt may take."""
    domain = server.from_address.rpartition("@")[2]
    try:
        client = _connect(server, domain, trust)
    except (OSError, smtplib.SMTPException) as error:
        return failed(Outcome.NOT_SENT, f"{server.host}: {_said(error)}")
    try:
        return _converse(client, server, password, to_address, mail)
    finally:
        with suppress(OSError, smtplib.SMTPException):
            client.quit()
        client.close()


def check(server: MailServer, password: str, trust: ssl.SSLContext) -> Attempt:
    """Say hello, log in, and leave."""
    domain = server.from_address.rpartition("@")[2]
    try:
        client = _connect(server, domain, trust)
        try:
            _log_in(client, server, password)
            client.quit()
        finally:
            client.close()
    except (OSError, smtplib.SMTPException) as error:
        return failed(Outcome.NOT_SENT, f"{server.host}: {_said(error)}")
    return arrived()


class _Bounded(smtplib.SMTP):
    """A conversation that hangs up when it lasts too long: who drips keeps each step short."""

    def __init__(self, *where: Any, **options: Any) -> None:
        self._over = threading.Timer(limits.DELIVERY_TIME_S, self._hang_up)
        self._over.daemon = True
        self._over.start()
        try:
            super().__init__(*where, **options)
        except BaseException:
            self._over.cancel()
            raise

    def close(self) -> None:
        self._over.cancel()
        super().close()

    def _hang_up(self) -> None:
        with suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)


class _BoundedTls(_Bounded, smtplib.SMTP_SSL):
    """The same, in TLS from the first byte on."""


def _connect(server: MailServer, domain: str, trust: ssl.SSLContext) -> smtplib.SMTP:
    step_s = limits.DELIVERY_TIME_S / 3
    if server.security == "tls":
        return _BoundedTls(
            server.host, server.port, local_hostname=domain, timeout=step_s, context=trust
        )
    client = _Bounded(server.host, server.port, local_hostname=domain, timeout=step_s)
    if server.security == "starttls":
        try:
            client.starttls(context=trust)
        except BaseException:
            client.close()
            raise
    return client


def _log_in(client: smtplib.SMTP, server: MailServer, password: str) -> None:
    client.ehlo_or_helo_if_needed()
    if server.username:
        client.login(server.username, password)


def _converse(
    client: smtplib.SMTP, server: MailServer, password: str, to_address: str, mail: EmailMessage
) -> Attempt:
    try:
        _log_in(client, server, password)
        for code, answer in (
            client.mail(server.from_address),
            client.rcpt(to_address),
            client.docmd("DATA"),
        ):
            if code >= 400:
                refused = Outcome.REFUSED if code >= 500 else Outcome.NOT_SENT
                return failed(refused, f"{code} {answer.decode(errors='replace')}")
        body = _DOTS.sub(b"..", mail.as_bytes())
        client.send(body if body.endswith(b"\r\n") else body + b"\r\n")
    except (OSError, smtplib.SMTPException) as error:
        return failed(Outcome.NOT_SENT, _said(error))
    try:
        client.send(b".\r\n")
        code, answer = client.getreply()
    except (OSError, smtplib.SMTPException) as error:
        return failed(Outcome.LOST_SIGHT, f"no answer to the last dot: {_said(error)}")
    text = answer.decode(errors="replace")
    if code >= 400:
        return failed(Outcome.REFUSED if code >= 500 else Outcome.NOT_SENT, f"{code} {text}")
    return arrived(text)


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {text}"
    return str(error) or type(error).__name__

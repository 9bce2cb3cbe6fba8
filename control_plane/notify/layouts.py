"""How each service wants a message: JSON bodies, pure."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any, Final

from control_plane.core.alerts import Severity
from control_plane.core.deliveries import Delivery, Purpose

_PAGERDUTY_SEVERITIES: Final = {
    Severity.P1: "critical",
    Severity.P2: "error",
    Severity.P3: "warning",
    Severity.P4: "info",
}
_PAGERDUTY_ACTIONS: Final = {
    Purpose.ALERT: "trigger",
    Purpose.TEST: "trigger",
    Purpose.ANSWERED: "acknowledge",
    Purpose.OVER: "resolve",
}
_WEBHOOK_TYPES: Final = {
    Purpose.ALERT: "alert.told",
    Purpose.ANSWERED: "alert.answered",
    Purpose.OVER: "alert.over",
    Purpose.TEST: "test",
    Purpose.STATEMENT: "statement",
}
_SUMMARY_CHARACTERS_MAX: Final = 1_024
_SLACK_CHARACTERS_MAX: Final = 2_900


def slack(delivery: Delivery) -> dict[str, Any]:
    """An incoming webhook's body."""
    message = delivery.message
    lines = [f"*{_slack_text(message.what)}*"]
    lines += [
        f"*{_slack_text(name)}:* {_slack_text(said)}" if name else f"*{_slack_text(said)}*"
        for name, said in message.lines
        if name or said
    ]
    if message.link:
        lines.append(f"<{message.link}|Open>")
    text = "\n".join(lines)[:_SLACK_CHARACTERS_MAX]
    return {
        "text": _slack_text(message.subject),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
    }


def teams(delivery: Delivery) -> dict[str, Any]:
    """The body of a workflow's webhook: a message with one adaptive card."""
    message = delivery.message
    facts = [{"title": name, "value": said} for name, said in message.lines if name]
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": message.what, "weight": "Bolder", "wrap": True},
            {"type": "FactSet", "facts": facts},
        ],
    }
    if message.link:
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": message.link}]
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
    return {"type": "message", "attachments": [card]}


def pagerduty(delivery: Delivery, routing_key: str) -> dict[str, Any]:
    """An event of Events API v2; the incident's key is the alert, so that a repetition is none."""
    message = delivery.message
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": _PAGERDUTY_ACTIONS.get(delivery.purpose, "trigger"),
        "dedup_key": delivery.thread or delivery.delivery_id,
    }
    if body["event_action"] == "trigger":
        body["payload"] = {
            "summary": message.subject[:_SUMMARY_CHARACTERS_MAX],
            "source": delivery.project_id or "agency",
            "severity": _PAGERDUTY_SEVERITIES[delivery.severity],
            "timestamp": _time(delivery.created_unix_ms),
            "custom_details": {name: said for name, said in message.lines if name},
        }
        if message.link:
            body["links"] = [{"href": message.link, "text": "Open"}]
    return body


def webhook(delivery: Delivery) -> bytes:
    """A signed webhook's body. `id` stays the same when it is sent again."""
    message = delivery.message
    body = {
        "id": delivery.delivery_id,
        "type": _WEBHOOK_TYPES[delivery.purpose],
        "create_time": _time(delivery.created_unix_ms),
        "attempt": delivery.attempt_count,
        "alert_id": delivery.alert_id,
        "project_id": delivery.project_id,
        "severity": delivery.severity.name,
        "subject": message.subject,
        "what": message.what,
        "lines": [{"label": name, "text": said} for name, said in message.lines],
        "link": message.link,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def signature(body: bytes, secret: str, sent_unix_ms: int) -> str:
    """What proves where a webhook comes from: "t=<seconds>,v1=<hex>".

    HMAC-SHA256 with the secret over the seconds, a dot and the body. A receiver computes the same,
    compares in constant time, and refuses what is older than some minutes.
    """
    seconds = str(sent_unix_ms // 1_000)
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256)
    return f"t={seconds},v1={digest.hexdigest()}"


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(at_unix_ms: int) -> str:
    instant = datetime.fromtimestamp(at_unix_ms // 1_000, UTC)
    return instant.isoformat().replace("+00:00", "Z")

"""What providers offer and the sidecar does not serve, each with the reason that is told."""

import re
from typing import NamedTuple


class Unserved(NamedTuple):
    """An endpoint of a provider, with all that lies below it."""

    path: str
    """The path; `{...}` stands for one segment of it, `{id}` for one without a `:method`."""
    reason: str
    """Why it is not served, as the end of a sentence."""


_STORED = "what is stored at the provider is read and changed there, past every client's key"
_LATER = "what it costs is known only after the call has ended, so no hold could cover it"
_OFFICE = "an agency's own account is managed at the provider, not with a client's key"
_AGENTS = "it lets the provider's own agents work on, without a bound on what they cost"
UNSERVED: tuple[Unserved, ...] = (
    Unserved("/v1/chat/completions", f"stored completions are left alone: {_STORED}"),
    Unserved("/v1/responses/compact", "what it writes has no limit, so no hold could cover it"),
    Unserved(
        "/v1/responses",
        "a response is made by POST, not over a WebSocket; and stored ones are left alone: "
        f"{_STORED}",
    ),
    Unserved("/v1/conversations", f"conversations are left alone: {_STORED}"),
    Unserved("/v1/messages/batches", f"a batch is billed hours later: {_LATER}"),
    Unserved("/v1/batches", f"a batch is billed hours later: {_LATER}"),
    Unserved("/v1/files", f"files are left alone: {_STORED}"),
    *(
        Unserved(f"/v1beta/models/{{model}}:{method}", f"a batch is billed hours later: {_LATER}")
        for method in ("batchGenerateContent", "asyncBatchEmbedContent")
    ),
    Unserved("/v1beta/models/{model}:predictLongRunning", f"a video takes minutes: {_LATER}"),
    Unserved("/v1beta/batches", f"a batch is billed hours later: {_LATER}"),
    Unserved("/v1beta/cachedContents", f"a stored cache is billed by the hour: {_LATER}"),
    Unserved("/v1beta/files", f"files are left alone: {_STORED}"),
    Unserved("/upload/v1beta/files", f"files are left alone: {_STORED}"),
    Unserved("/v1beta/fileSearchStores", f"stores are left alone: {_STORED}"),
    Unserved("/v1beta/tunedModels", "a tuned model is trained and billed at the provider"),
    Unserved("/v1beta/interactions", "what an interaction runs and reads there has no bound"),
    Unserved("/v1beta/models/{id}", "a model is changed at the provider, by your agency"),
    Unserved("/v1beta/files:register", f"files are left alone: {_STORED}"),
    Unserved("/upload/v1beta/fileSearchStores", f"stores are left alone: {_STORED}"),
    Unserved("/v1beta/agents", _AGENTS),
    Unserved("/v1beta/environments", _AGENTS),
    Unserved("/upload/v1beta/environments", _AGENTS),
    Unserved("/v1beta/triggers", _AGENTS),
    Unserved("/v1beta/decisions", "nothing is known here that bounds what a decision costs"),
    Unserved("/v1beta/voices", f"voices are left alone: {_STORED}"),
    Unserved("/v1beta/auth_tokens", "a token of the provider's own goes past every client's key"),
    Unserved("/v1beta/credentials", _OFFICE),
    Unserved("/v1beta/webhooks", _OFFICE),
    Unserved("/ws", "a session over a WebSocket has no bound"),
    Unserved("/v1/uploads", f"uploads are left alone: {_STORED}"),
    Unserved("/v1/models/{model}", "a model is changed at the provider, by your agency"),
    Unserved("/v1/complete", "no usage tells what the legacy completion cost: use /v1/messages"),
    Unserved("/v1/images/variations", "the only model that made variations is retired"),
    Unserved("/v1/images", "what it costs is not known here"),
    Unserved("/v1/audio", f"voices are left alone: {_STORED}"),
    Unserved("/v1/videos", f"a video is made and billed later: {_LATER}"),
    Unserved("/v1/realtime", "a session over a WebSocket or a phone line has no bound"),
    Unserved("/v1/live", "a session over a WebSocket or a phone line has no bound"),
    Unserved("/v1/fine_tuning", f"training is billed later: {_LATER}"),
    Unserved("/v1/evals", f"an evaluation is billed later: {_LATER}"),
    Unserved("/v1/decisions", "nothing is known here that bounds what a decision costs"),
    Unserved("/v1/containers", "a container is billed by its time, which no usage tells"),
    Unserved("/v1/vector_stores", "a store is billed by its size and days, which no call tells"),
    Unserved("/v1/assistants", "a run of an assistant reads and writes without a bound"),
    Unserved("/v1/threads", "a run of an assistant reads and writes without a bound"),
    Unserved("/v1/chatkit", "a session of its own keys goes past every client's key"),
    Unserved("/v1/content_provenance_checks", "what a check costs is not known here"),
    Unserved("/v1/safety", _OFFICE),
    Unserved("/v1/skills", f"skills are left alone: {_STORED}"),
    Unserved("/v1/vaults", f"vaults are left alone: {_STORED}"),
    Unserved("/v1/memory_stores", f"memories are left alone: {_STORED}"),
    Unserved("/v1/agents", _AGENTS),
    Unserved("/v1/sessions", _AGENTS),
    Unserved("/v1/deployments", _AGENTS),
    Unserved("/v1/deployment_runs", _AGENTS),
    Unserved("/v1/dreams", _AGENTS),
    Unserved("/v1/environments", _AGENTS),
    Unserved("/v1/tunnels", _AGENTS),
    Unserved("/v1/webhook_endpoints", _OFFICE),
    Unserved("/v1/webhook_event_types", _OFFICE),
    Unserved("/v1/user_profiles", _OFFICE),
    Unserved("/v1/organization", _OFFICE),
    Unserved("/v1/organizations", _OFFICE),
    Unserved("/v1/projects", _OFFICE),
)
"""The first row that covers a path speaks for it."""


_PLACES = {"{id}": "[^/:]+"}


def _pattern(path: str) -> str:
    return "".join(
        _PLACES.get(part, "[^/]+") if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]*\})", path)
    )


_PATTERNS = tuple((re.compile(f"{_pattern(row.path)}(?:/|\\Z)"), row.reason) for row in UNSERVED)


def reason_for(path: str) -> str:
    """Why a path of a provider's is not served; empty when nothing is known of it."""
    for pattern, reason in _PATTERNS:
        if pattern.match(path) is not None:
            return reason
    return ""

"""Every endpoint that models are called at: whose it is, and what plans or answers a call to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from clients.rehearsal import (
    anthropic_wire,
    gemini_embeddings,
    gemini_wire,
    openai_audio,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_manners,
    openai_moderations,
    openai_responses,
    openai_wire,
)
from clients.rehearsal.forms import parse_form
from clients.rehearsal.incoming import JsonObject, Request, parse_object
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.plan import Ids, Plan
from clients.rehearsal.prompt_cache import PromptCache
from clients.rehearsal.stored import StoredResponses

OPENAI, ANTHROPIC = openai_wire.PROVIDER, anthropic_wire.PROVIDER
GEMINI = gemini_wire.PROVIDER
_DEPLOYMENTS = "/openai/deployments/"
_ROOTS = ("/v1beta/openai/", "/openai/v1/", "/api/v1/", "/inference/v1/")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a plan depends on besides the request."""

    knobs: Knobs
    """The knobs as they stand for the process."""
    ids: Ids
    """Makes ids."""
    cache: PromptCache
    """Anthropic's prompt cache."""
    stored: StoredResponses
    """OpenAI's stored responses."""
    call_number: int
    """The number that the bill will give the call."""
    unix_s: int
    """The wall clock."""


class Metered(NamedTuple):
    """An endpoint whose calls are billed."""

    provider: str
    plan: Callable[[Request, JsonObject, Circumstances], Plan]
    read: Callable[[Request], JsonObject] = parse_object


class Free(NamedTuple):
    """An endpoint whose calls cost nothing."""

    provider: str
    answer: Callable[[Request, JsonObject, Circumstances], JsonObject]


def key_of(path: str) -> str:
    """Return what an endpoint goes by: its path, or of one that names a model in it, its method.

    Paths of other providers that speak OpenAI's API go by OpenAI's.
    """
    if "/models/" in path and ":" in path:
        return f":{path.rpartition(':')[2]}"
    if path.startswith(_DEPLOYMENTS):
        return "/v1/" + path.removeprefix(_DEPLOYMENTS).partition("/")[2]
    for root in _ROOTS:
        if path.startswith(root):
            return "/v1/" + path.removeprefix(root)
    return path


METERED: Mapping[str, Metered] = {
    openai_wire.CHAT_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_manners.plan_in_manner(
            lambda body: openai_wire.plan_chat(body, request.headers, at.knobs, at.ids, at.unix_s),
            openai_manners.model_named(request.path, body),
        ),
    ),
    openai_responses.RESPONSES_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_responses.plan_response(
            body, request.headers, at.knobs, at.ids, at.stored, at.unix_s
        ),
    ),
    openai_completions.COMPLETIONS_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_completions.plan_completion(
            body, request.headers, at.knobs, at.ids, at.unix_s
        ),
    ),
    openai_embeddings.EMBEDDINGS_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_embeddings.plan_embeddings(
            openai_manners.model_named(request.path, body), request.headers, at.knobs
        ),
    ),
    openai_images.IMAGES_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_images.plan_images(
            body, request.headers, at.knobs, at.unix_s, edits=False
        ),
    ),
    openai_images.EDITS_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_images.plan_images(
            body, request.headers, at.knobs, at.unix_s, edits=True
        ),
        parse_form,
    ),
    openai_audio.SPEECH_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_audio.plan_speech(body, request.headers, at.knobs),
    ),
    openai_audio.TRANSCRIPTIONS_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_audio.plan_transcript(body, request.headers, at.knobs),
        parse_form,
    ),
    openai_audio.TRANSLATIONS_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_audio.plan_transcript(body, request.headers, at.knobs),
        parse_form,
    ),
    openai_moderations.MODERATIONS_PATH: Metered(
        OPENAI,
        lambda request, body, at: openai_moderations.plan_moderation(
            body, request.headers, at.knobs, at.ids
        ),
    ),
    anthropic_wire.MESSAGES_PATH: Metered(
        ANTHROPIC,
        lambda request, body, at: anthropic_wire.plan_message(
            body, request.headers, at.knobs, at.ids, at.cache, at.call_number
        ),
    ),
    **{
        f":{method}": Metered(
            GEMINI,
            lambda request, body, at: gemini_wire.plan_content(
                request.path, request.query, body, request.headers, at.knobs, at.ids
            ),
        )
        for method in (gemini_wire.GENERATE, gemini_wire.STREAM)
    },
    **{
        f":{method}": Metered(
            GEMINI,
            lambda request, body, at: gemini_embeddings.plan_embeddings(
                request.path, body, request.headers, at.knobs
            ),
        )
        for method in (gemini_embeddings.EMBED, gemini_embeddings.EMBED_BATCH)
    },
}
FREE: Mapping[str, Free] = {
    openai_responses.COUNT_PATH: Free(
        OPENAI,
        lambda request, body, at: openai_responses.count_tokens_json(
            body, request.headers, at.knobs, at.stored
        ),
    ),
    anthropic_wire.COUNT_PATH: Free(
        ANTHROPIC,
        lambda request, body, at: anthropic_wire.count_tokens_json(body, request.headers, at.knobs),
    ),
    f":{gemini_wire.COUNT}": Free(
        GEMINI,
        lambda request, body, at: gemini_wire.count_tokens_json(
            request.path, body, request.headers, at.knobs
        ),
    ),
}

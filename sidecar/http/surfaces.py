"""Every surface that is served: whose API it is, how it is bounded, and what it is metered from.

One table of plain data. Routes match requests against it, `sidecar.providers.apis` names each
metered row's functions, and `bursar surfaces` and the table of the README are printed from it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

OPENAI = "openai"
ANTHROPIC = "anthropic"
GEMINI = "gemini"
RESPONSES_EVENTS = "responses"
"""The shape of events in streams of responses, which is not that of OpenAI's chats."""


class Surface(StrEnum):
    """What is served; the value is the path without prefixes, `{model}` stands for a model."""

    CHAT = "/v1/chat/completions"
    RESPONSES = "/v1/responses"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    IMAGES = "/v1/images/generations"
    IMAGE_EDITS = "/v1/images/edits"
    SPEECH = "/v1/audio/speech"
    TRANSCRIPTIONS = "/v1/audio/transcriptions"
    TRANSLATIONS = "/v1/audio/translations"
    MODERATIONS = "/v1/moderations"
    RESPONSES_COUNT = "/v1/responses/input_tokens"
    MESSAGES = "/v1/messages"
    AZURE_CHAT = "/openai/deployments/{model}/chat/completions"
    AZURE_EMBEDDINGS = "/openai/deployments/{model}/embeddings"
    GEMINI_CONTENT = "/v1beta/models/{model}:generateContent"
    GEMINI_STREAM = "/v1beta/models/{model}:streamGenerateContent"
    GEMINI_EMBED = "/v1beta/models/{model}:embedContent"
    GEMINI_EMBED_BATCH = "/v1beta/models/{model}:batchEmbedContents"
    GEMINI_COUNT = "/v1beta/models/{model}:countTokens"
    GEMINI_MODELS = "/v1beta/models"
    GEMINI_MODEL = "/v1beta/models/{model}"
    MESSAGES_COUNT = "/v1/messages/count_tokens"
    MODELS = "/v1/models"
    MODEL = "/v1/models/{model}"
    HEALTH = "/healthz"


AT_GEMINI = frozenset((Surface.CHAT, Surface.EMBEDDINGS))
"""Surfaces of OpenAI's that Gemini serves as well, for its own models."""
AT_AZURE = frozenset((Surface.AZURE_CHAT, Surface.AZURE_EMBEDDINGS))
"""Surfaces that only Azure serves."""
ROOTS = ("/v1beta/openai/", "/openai/v1/", "/api/v1/", "/inference/v1/")
"""What other providers' SDKs put before a path of OpenAI's, in place of /v1/."""


class Kind(StrEnum):
    """What a surface does with money."""

    METERED = "metered"
    """It costs: its worst case is held before it goes, and what it used is read after."""
    FREE = "free"
    """It goes to the provider, which bills nothing for it: counted at 0, nothing is held."""
    LOCAL = "local"
    """It is answered here."""


class Row(NamedTuple):
    """What is said of a surface."""

    kind: Kind
    family: str
    """The API family that it belongs to; empty when it is of none, or of each."""
    bounded: str
    """What bounds its cost before."""
    metered: str
    """What its cost is read from after."""
    refused: str = ""
    """Which of its requests are refused, because nothing bounds or prices them."""
    own_events: str = ""
    """The shape of errors in its streams, where it is not the family's."""
    form: bool = False
    """Its requests are forms (multipart/form-data), not JSON."""

    @property
    def events(self) -> str:
        """The shape of errors in its streams."""
        return self.own_events or self.family

    @property
    def attribution(self) -> str:
        """The field of its requests in which callers say what a call is for; empty for none.

        Anthropic's metadata holds a user's id and nothing else.
        """
        return {OPENAI: "metadata", GEMINI: "labels"}.get(self.family, "")

    @property
    def method(self) -> str:
        """The method that it takes."""
        return "GET" if self.kind is Kind.LOCAL else "POST"


_UNKNOWN = "fields that nobody here knows"
_GEMINI_BOUND = (
    "bytes (and what normalising can add), images and sound by their largest, "
    "`generationConfig.maxOutputTokens` or the model's limit, times the candidates asked for"
)
_GEMINI_USAGE = "`usageMetadata` and the header `x-gemini-service-tier`"
_GEMINI_REFUSED = (
    "searches, maps, fetched addresses, code execution and stores at the provider, fields that "
    "nobody here knows, tiers without rates"
)
_GEMINI_EMBEDDED = "`usageMetadata`; where there is none, the bound is the charge"
_PICTURES_TOLD = "`usage`, of a stream the sum of all pictures; else pictures asked for"
_RECORDING_BOUND = (
    "the length of the recording: exact for plain WAV, else as long as its bytes last at 4 kbit/s "
    "(MP3: 8); by tokens 20 a second, and the model's limit on output"
)
_RECORDING_TOLD = (
    "`usage`, in tokens or seconds; plain text and subtitles tell none: charged at the bound, as "
    "an estimate"
)
SURFACES: Mapping[Surface, Row] = {
    Surface.CHAT: Row(
        Kind.METERED,
        OPENAI,
        "bytes of the request as tokens, pictures by their size, sound by its length (of models "
        "that are not OpenAI's, their window); the caller's or the model's limit on output, times "
        "the answers asked for",
        "`usage`; of a stream its last chunk, which is asked for and hidden from callers who did "
        "not",
        "searches, models that search by themselves, plugins, tools that run at the provider, "
        f"fallback models; tiers, and spoken input and output, without rates; {_UNKNOWN}",
    ),
    Surface.RESPONSES: Row(
        Kind.METERED,
        OPENAI,
        "bytes of the request as tokens, and the model's window for what is only named (earlier "
        "responses, conversations, files); `max_output_tokens` or the model's limit; for searches "
        "the window once more and a fee, times `max_tool_calls`",
        "`usage` and `tool_usage`; of a stream its `response.completed`, `response.incomplete` or "
        "`response.failed`",
        "background responses, MCP servers, containers, images and computers as tools, searches "
        "without a rate, or without `max_tool_calls` and a grant, compaction, several agents, pro "
        f"reasoning, stored prompts that may bring tools, plugins, fallback models; {_UNKNOWN}",
        RESPONSES_EVENTS,
    ),
    Surface.COMPLETIONS: Row(
        Kind.METERED,
        OPENAI,
        "bytes of the request as tokens, `max_tokens` (16 when it is absent, which is then sent), "
        "times the prompts, times `n` or `best_of`",
        "`usage`; of a stream its last chunk, as of chats",
        f"plugins, fallback models; {_UNKNOWN}",
    ),
    Surface.EMBEDDINGS: Row(
        Kind.METERED,
        OPENAI,
        "bytes of the request as tokens",
        "`usage`",
        "plugins, fallback models",
    ),
    Surface.IMAGES: Row(
        Kind.METERED,
        OPENAI,
        "bytes of the prompt, and pictures times the tokens of their size and quality, where those "
        "are published; else times the price book's `output_max` or its rate for `images`",
        _PICTURES_TOLD,
        "SVG, moving pictures, models without a bound on a picture",
    ),
    Surface.IMAGE_EDITS: Row(
        Kind.METERED,
        OPENAI,
        "the same, and for each picture sent its largest number of tokens, or the model's window",
        _PICTURES_TOLD,
        "SVG, moving pictures, models without a bound on a picture, requests in JSON",
        form=True,
    ),
    Surface.SPEECH: Row(
        Kind.METERED,
        OPENAI,
        "characters of the request, or its bytes and the model's limit on output",
        "characters of the request; by tokens only a stream of events tells: sound alone is "
        "charged at its bound, as an estimate",
    ),
    Surface.TRANSCRIPTIONS: Row(Kind.METERED, OPENAI, _RECORDING_BOUND, _RECORDING_TOLD, form=True),
    Surface.TRANSLATIONS: Row(Kind.METERED, OPENAI, _RECORDING_BOUND, _RECORDING_TOLD, form=True),
    Surface.MODERATIONS: Row(
        Kind.METERED,
        OPENAI,
        "the price book's rates of 0",
        "nothing: the provider bills none",
    ),
    Surface.RESPONSES_COUNT: Row(
        Kind.FREE, OPENAI, "nothing: it counts tokens", "nothing: the provider bills none"
    ),
    Surface.MESSAGES: Row(
        Kind.METERED,
        ANTHROPIC,
        "bytes (and what normalising can add), `max_tokens`, cache writes; at a speed or a place "
        "with a price of its own, the dearest it may be served at",
        "`usage`; of a stream `message_start` and the last `message_delta`",
        "tools that run at the provider, MCP servers, containers, fallbacks, compaction beside an "
        f"answer, speeds, geographies and tiers without rates; {_UNKNOWN}",
    ),
    Surface.AZURE_CHAT: Row(
        Kind.METERED, OPENAI, "as chat completions, by the model that the deployment is", "`usage`"
    ),
    Surface.AZURE_EMBEDDINGS: Row(
        Kind.METERED, OPENAI, "as embeddings, by the model that the deployment is", "`usage`"
    ),
    Surface.GEMINI_CONTENT: Row(
        Kind.METERED, GEMINI, _GEMINI_BOUND, _GEMINI_USAGE, _GEMINI_REFUSED
    ),
    Surface.GEMINI_STREAM: Row(
        Kind.METERED,
        GEMINI,
        _GEMINI_BOUND,
        f"{_GEMINI_USAGE}; of a stream the last",
        _GEMINI_REFUSED,
    ),
    Surface.GEMINI_EMBED: Row(
        Kind.METERED, GEMINI, "bytes of the request as tokens", _GEMINI_EMBEDDED
    ),
    Surface.GEMINI_EMBED_BATCH: Row(
        Kind.METERED, GEMINI, "bytes of the request as tokens", _GEMINI_EMBEDDED
    ),
    Surface.GEMINI_COUNT: Row(
        Kind.FREE, GEMINI, "nothing: it counts tokens", "nothing: the provider bills none"
    ),
    Surface.GEMINI_MODELS: Row(Kind.LOCAL, GEMINI, "answered here", "costs nothing"),
    Surface.GEMINI_MODEL: Row(Kind.LOCAL, GEMINI, "answered here", "costs nothing"),
    Surface.MESSAGES_COUNT: Row(
        Kind.FREE, ANTHROPIC, "nothing: it counts tokens", "nothing: the provider bills none"
    ),
    Surface.MODELS: Row(Kind.LOCAL, "", "answered here", "costs nothing"),
    Surface.MODEL: Row(Kind.LOCAL, "", "answered here", "costs nothing"),
    Surface.HEALTH: Row(Kind.LOCAL, "", "answered here, without a key", "costs nothing"),
}
"""Every surface; total over `Surface`."""

"""Reading Gemini's requests: each field under one name, however its caller spelled it.

The API reads proto3 JSON: `maxOutputTokens` and `max_output_tokens` are one field, and what it does
not know it refuses. So an object is read under the first spelling, one that has both is refused,
and a field that this program does not know is refused by name: nobody knows what it would cost.
"""

from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from sidecar.http import strict_json
from sidecar.http.routes import Route
from sidecar.providers import reading
from sidecar.providers.media import audio_max_tokens, gemini_image_max_tokens
from sidecar.providers.reading import BadRequestError, unbounded

ALL_KINDS = (kinds.INPUT, kinds.AUDIO_INPUT, kinds.IMAGE_INPUT, kinds.VIDEO_INPUT)
"""What a prompt may hold, text first."""
_PREAMBLE_TOKENS_PER_TOOL = 9
_TEXT_PARTS = frozenset(
    (
        *("text", "thought", "thoughtSignature", "functionCall", "functionResponse"),
        *("executableCode", "codeExecutionResult", "toolCall", "toolResponse", "partMetadata"),
        *("mediaResolution", "videoMetadata", "inlineData"),
    )
)
"""What a part may hold that its own bytes bound; `inlineData` is looked at by itself."""
_TOOLS_REFUSED = {
    "googleSearch": "a search is billed by itself, and nothing bounds how many there are",
    "googleSearchRetrieval": "a search is billed by itself, and nothing bounds how many there are",
    "enterpriseWebSearch": "a search is billed by itself, and nothing bounds how many there are",
    "parallelAiSearch": "a search is billed by itself, and nothing bounds how many there are",
    "exaAiSearch": "a search is billed by itself, and nothing bounds how many there are",
    "googleMaps": "a look-up is billed by itself, and nothing bounds how many there are",
    "urlContext": "what is fetched counts as input, and nothing bounds it",
    "codeExecution": "its runs count as input again, and nothing bounds how many there are",
    "fileSearch": "what is found counts as input, and nothing bounds it",
    "retrieval": "what is found counts as input, and nothing bounds it",
    "mcpServers": "its tools run at the provider, without a bound on what they read",
    "computerUse": "what it adds to the prompt is not known",
}


def named(value: Any, param: str) -> dict[str, Any]:
    """An object's fields under their first spelling, without those that are null."""
    if type(value) is not dict:
        raise BadRequestError(f"{param or 'the body'} must be an object", param)
    found: dict[str, Any] = {}
    for name, member in value.items():
        first = first_spelling(name)
        if first in found or (first != name and first in value):
            raise BadRequestError(f"{first} is given in two spellings", first)
        if member is not None:
            found[first] = member
    return found


def first_spelling(name: str) -> str:
    """A field's name as the API documents it: max_output_tokens is maxOutputTokens."""
    if "_" not in name or name.startswith("_"):
        return name
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def spelling_in(value: Mapping[str, Any], name: str) -> str:
    """How an object spells a field; its first spelling when it does not have it."""
    return next((given for given in value if first_spelling(given) == name), name)


def object_of(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object within an object, by its first spellings; empty when absent."""
    return named(fields[name], name) if name in fields else {}


def list_of(fields: Mapping[str, Any], name: str) -> list[Any]:
    """A list; one object alone counts as a list of one, as the API has it."""
    items = fields.get(name)
    if type(items) is dict:
        return [items]
    return reading.read_list(fields, name)


def refuse_unknown(
    fields: Mapping[str, Any], known: frozenset[str], refused: Mapping[str, str], where: str = ""
) -> None:
    """Refuse what has no bound, and what nobody here knows the cost of. Raises BadRequestError."""
    for name in fields:
        if name in refused:
            # Also when it says nothing more: an empty object switches a tool on.
            raise unbounded(where + name, refused[name])
        if name not in known:
            raise unbounded(where + name[:64], "this program does not know what it may cost")


def path_model(value: Mapping[str, Any], route: Route) -> str:
    """The model in the path, which no part of the body may contradict. Raises BadRequestError."""
    batch = value.get("requests")
    for part in (value, *(batch if type(batch) is list else ())):
        given = part.get("model") if type(part) is dict else None
        if given not in (None, route.model, f"models/{route.model}"):
            raise BadRequestError("model must be the model of the path", "model")
    return route.model


def tools_preamble_tokens(fields: Mapping[str, Any]) -> int:
    """What may be added for tools, beyond their own bytes. Raises BadRequestError."""
    declared = 0
    schema_bytes = 0
    for tool in list_of(fields, "tools"):
        held = named(tool, "tools")
        refuse_unknown(held, frozenset(("functionDeclarations",)), _TOOLS_REFUSED, "the tool ")
        declarations = list_of(held, "functionDeclarations")
        declared += len(declarations)
        schema_bytes += sum(len(strict_json.write(each)) for each in declarations)
    # A schema is shown to the model as text of its own, perhaps with more white space than here.
    return -(-schema_bytes // 2) + _PREAMBLE_TOKENS_PER_TOOL * declared


class Media:
    """What of a prompt is not text."""

    __slots__ = ("_held", "_model", "opaque", "payload_bytes", "tokens")

    def __init__(self, model: str) -> None:
        """Begin with nothing."""
        self._model = model
        self.payload_bytes = 0
        """Bytes of the request that are media and no text."""
        self.tokens = 0
        """The most that they make."""
        self._held = {kinds.INPUT}
        self.opaque = False
        """Whether only the model's window bounds some of it."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the prompt may hold, by the kinds that it is billed as."""
        return tuple(kind for kind in ALL_KINDS if kind in self._held)

    def look_at(self, content: Any, param: str) -> None:
        """Count the parts of a content. Raises BadRequestError."""
        if type(content) is str:
            return
        for part in list_of(named(content, param), "parts"):
            if type(part) is str:
                continue
            self._look_at_part(named(part, "parts"))

    def _look_at_part(self, part: Mapping[str, Any]) -> None:
        if not part.keys() <= _TEXT_PARTS:
            # Files that are only named, and whatever comes to be: they may be speech, too.
            self.opaque = True
            self._held.update(ALL_KINDS)
        if "inlineData" in part:
            self._look_at_blob(named(part["inlineData"], "inlineData"))
        if "functionResponse" in part:
            answer = named(part["functionResponse"], "functionResponse")
            for inner in list_of(answer, "parts"):
                self._look_at_part(named(inner, "parts"))

    def _look_at_blob(self, blob: Mapping[str, Any]) -> None:
        kind, data = blob.get("mimeType"), blob.get("data", "")
        if type(kind) is not str or type(data) is not str:
            raise BadRequestError("inlineData must have a mimeType and data", "inlineData")
        kind = kind.lower()
        if kind.startswith("image/"):
            self.tokens += gemini_image_max_tokens(self._model)
            self._held.add(kinds.IMAGE_INPUT)
        elif kind.startswith("audio/"):
            self.tokens += audio_max_tokens(len(data) * 3 // 4)
            self._held.add(kinds.AUDIO_INPUT)
        else:
            self.opaque = True
            self._held.update(ALL_KINDS)
        self.payload_bytes += len(data)

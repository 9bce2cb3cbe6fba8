"""How the tools of automation agencies are told to use a key: exact settings, ready to paste."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from textwrap import dedent
from urllib.parse import urlsplit

from protos.values.keys import SUFFIX_MARK
from protos.values.listening import LOOPBACK_HOSTS

DEFAULT_SIDECAR_URL = "http://127.0.0.1:7250"
"""Where a sidecar on the workflows' own host is, unless somebody said otherwise."""
KEY_PLACEHOLDER = "YOUR-BURSAR-KEY"
"""Stands where a key belongs that cannot be shown again."""
N8N_HEADER = "x-bursar-workflow"
N8N_HEADER_VALUE = "={{ $workflow.name }}:{{ $execution.id }}"
OPENAI_MODEL = "gpt-5-mini"
ANTHROPIC_MODEL = "claude-haiku-4-5"
GEMINI_MODEL = "gemini-2.5-flash"
_AT_MAKE = 'Module "HTTP: Make a request" (or the OpenAI app with its own base URL)'


@dataclass(frozen=True, slots=True)
class Place:
    """Where calls go, and with which key."""

    base_url: str
    """A sidecar on this host, without /v1."""
    key: str = field(repr=False)
    """The key's text, or what stands for it."""
    public_url: str = ""
    """The same for clouds, without /v1; "" when none is configured."""
    workflow: str = ""
    """The workflow that all calls of this key belong to; "" when the caller says."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of one tool."""

    tool: str
    """Its name in JSON, such as "n8n_openai"."""
    title: str
    """Its name for people."""
    text: str = field(repr=False)
    """What to set or paste."""


def recipes(place: Place) -> tuple[Recipe, ...]:
    """Every tool's settings."""
    return (*_n8n(place), *_code(place), *_clouds(place))


def short(place: Place) -> Recipe:
    """The one that is tried first."""
    return next(recipe for recipe in _code(place) if recipe.tool == "curl")


def _n8n(place: Place) -> Iterator[Recipe]:
    whose = (
        f"All calls of this key count as workflow {place.workflow}; the header adds the execution."
        if place.workflow
        else "One credential serves all workflows: the header names workflow and execution."
    )
    container = (
        "\nn8n in a container cannot reach this address: start `bursar up` with --sidecar-host, the"
        "\naddress of the container bridge, and --allow-host, the name by which n8n calls it."
        if urlsplit(place.base_url).hostname in LOOPBACK_HOSTS
        else ""
    )
    header = dedent(f"""\
        Add Custom Header  on
          Header Name      {N8N_HEADER}
          Header Value     {N8N_HEADER_VALUE}
        {whose}""")
    header += container
    yield Recipe(
        "n8n_openai",
        "n8n: OpenAI credential",
        f"API Key            {place.key}\nBase URL           {place.base_url}/v1\n{header}",
    )
    yield Recipe(
        "n8n_anthropic",
        "n8n: Anthropic credential",
        f"API Key            {place.key}\nBase URL           {place.base_url}\n{header}",
    )
    yield Recipe(
        "n8n_gemini",
        "n8n: Google Gemini credential",
        f"Host               {place.base_url}\nAPI Key            {place.key}\n"
        + _whose_gemini(place),
    )


def _whose_gemini(place: Place) -> str:
    if place.workflow:
        return f"All calls of this key count as workflow {place.workflow}."
    return (
        "It takes no header: name the workflow behind the key,\n"
        f"{place.key}{SUFFIX_MARK}NAME\n(and {SUFFIX_MARK}EXECUTION behind that), or put /w/NAME "
        "behind the host."
    )


def _code(place: Place) -> Iterator[Recipe]:
    message = '[{"role": "user", "content": "Say hello."}]'
    yield Recipe(
        "curl",
        "curl",
        dedent(f"""\
            curl {place.base_url}/v1/chat/completions \\
              -H "authorization: Bearer {place.key}" \\
              -H "content-type: application/json" \\
              -d '{{"model": "{OPENAI_MODEL}", "messages": {message}}}'"""),
    )
    yield Recipe(
        "openai_sdk",
        "OpenAI SDK",
        dedent(f"""\
            from openai import OpenAI

            client = OpenAI(base_url="{place.base_url}/v1", api_key="{place.key}")
            answer = client.chat.completions.create(
                model="{OPENAI_MODEL}", messages={message}
            )
            print(answer.choices[0].message.content)"""),
    )
    yield Recipe(
        "anthropic_sdk",
        "Anthropic SDK",
        dedent(f"""\
            from anthropic import Anthropic

            client = Anthropic(base_url="{place.base_url}", api_key="{place.key}")
            answer = client.messages.create(
                model="{ANTHROPIC_MODEL}", max_tokens=200, messages={message}
            )
            print(answer.content[0].text)"""),
    )
    yield Recipe(
        "google_sdk",
        "Google Gen AI SDK",
        dedent(f"""\
            from google import genai

            client = genai.Client(
                api_key="{place.key}", http_options={{"base_url": "{place.base_url}"}}
            )
            answer = client.models.generate_content(
                model="{GEMINI_MODEL}", contents="Say hello."
            )
            print(answer.text)"""),
    )


def _clouds(place: Place) -> Iterator[Recipe]:
    for tool, title, noun, where in (
        ("make", "Make", "scenario", _AT_MAKE),
        ("zapier", "Zapier", "Zap", 'Action "Webhooks by Zapier: Custom Request"'),
    ):
        yield Recipe(tool, title, _cloud(place, title, noun, where))


def _cloud(place: Place, title: str, noun: str, where: str) -> str:
    if not place.public_url:
        return dedent(f"""\
            {title} runs in its own cloud and cannot reach {place.base_url}.
            Missing: a public https address of a sidecar. Either put a proxy that speaks TLS in
            front of it and start `bursar up --public-url https://ai.example.com`, or let it speak
            TLS itself: add --sidecar-host, --certificate and --key. Then ask again with
            `bursar client settings`.""")
    return dedent(f"""\
        {where}
        URL       {place.public_url}/v1/chat/completions
        Method    POST
        Headers   authorization: Bearer {place.key}
                  content-type: application/json
                  {N8N_HEADER}: NAME:RUN
        Body      {{"model": "{OPENAI_MODEL}",
                   "messages": [{{"role": "user", "content": "…"}}]}}
        NAME is the {noun}, RUN the id of this run (with its colon it may be left out). Where no
        header can be set, put {SUFFIX_MARK}NAME{SUFFIX_MARK}RUN behind the key, or into the body
        of a call to /v1/responses (OpenAI's chats take it only with "store": true):
                  "metadata": {{"bursar_workflow": "NAME", "bursar_execution": "RUN"}}""")

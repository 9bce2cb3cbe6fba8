"""The twelve clients of the demo: who they are, what runs for them, and what happens to them.

Invented, all of them. Rates of calls, lengths and minutes saved are of the sizes that automation
agencies tell of; nothing here is measured from anybody.
"""

from dataclasses import dataclass
from typing import Final, Literal

Shape = Literal["office", "nightly", "campaign", "steady"]
"""When calls come: in office hours, at night in one go, in weeks of campaigns, or always."""


@dataclass(frozen=True, slots=True)
class Work:
    """One workflow of a client."""

    name: str
    model: str
    daily_calls: int
    """On a usual day, in the first month."""
    shape: Shape
    input_tokens: int
    """Of a usual call."""
    output_tokens: int
    unit: tuple[str, str] | None = None
    """What a run makes, one and many; None where nobody agreed on a worth."""
    seconds_per_unit: int = 0
    """What a person took for it."""
    growth_percent: int = 0
    """By which calls grow from month to month."""
    failing_ppm: int = 4_000
    """How many calls in a million fail."""


@dataclass(frozen=True, slots=True)
class DemoClient:
    """One client."""

    name: str
    time_zone: str
    cap_usd: int
    """A month."""
    markup_percent: int
    """What it is charged above cost."""
    works: tuple[Work, ...]
    runs_away: bool = False
    """In the last month one workflow loops until the cap stops it."""
    raised: bool = False
    """Somebody raised its cap once."""


MINI: Final = "gpt-5-mini"
LARGE: Final = "gpt-5.1"
HAIKU: Final = "claude-haiku-4-5"
SONNET: Final = "claude-sonnet-4-5"
FLASH: Final = "gemini-2.5-flash"

LEAD: Final = ("lead", "leads")
MAIL: Final = ("mail", "mails")
INVOICE: Final = ("invoice", "invoices")
REPLY: Final = ("reply", "replies")
TEXT: Final = ("text", "texts")

CLIENTS: Final[tuple[DemoClient, ...]] = (
    DemoClient(
        "Acme Dental Group",
        "Europe/Berlin",
        60,
        35,
        (
            Work("lead enrichment", LARGE, 90, "office", 6_000, 500, LEAD, 180, 8),
            Work("inbox triage", HAIKU, 60, "office", 9_000, 330, MAIL, 90),
        ),
        runs_away=True,
    ),
    DemoClient(
        "Bolt Logistics",
        "Europe/Warsaw",
        85,
        30,
        (
            Work("invoice reading", SONNET, 40, "nightly", 18_000, 630, INVOICE, 240),
            Work("delay notices", MINI, 55, "office", 4_500, 390, MAIL, 60, 12),
        ),
        raised=True,
    ),
    DemoClient(
        "Cedar & Sons Law",
        "America/New_York",
        45,
        50,
        (Work("contract summaries", SONNET, 26, "office", 14_000, 900, TEXT, 1_200, 5),),
    ),
    DemoClient(
        "Dune Retail",
        "America/Los_Angeles",
        30,
        25,
        (
            Work("product texts", LARGE, 35, "campaign", 6_000, 1_050, TEXT, 600),
            Work("review replies", MINI, 50, "steady", 4_000, 270, REPLY, 120),
        ),
    ),
    DemoClient(
        "Elm Clinic",
        "Europe/London",
        10,
        40,
        (Work("appointment mails", HAIKU, 45, "office", 5_500, 300, MAIL, 90),),
    ),
    DemoClient(
        "Fjord Yachts",
        "Europe/Oslo",
        50,
        30,
        (Work("quote drafts", SONNET, 14, "office", 26_000, 1_650, TEXT, 900, 15),),
    ),
    DemoClient(
        "Gable Homes",
        "America/Chicago",
        8,
        30,
        (Work("listing texts", MINI, 38, "campaign", 7_500, 975, TEXT, 480),),
    ),
    DemoClient(
        "Harbour Freight Forwarding International",
        "Asia/Singapore",
        150,
        20,
        (
            Work("customs papers", SONNET, 34, "nightly", 34_000, 1_200, INVOICE, 420, 6),
            Work("tracking answers", FLASH, 80, "steady", 5_000, 240, REPLY, 75),
        ),
    ),
    DemoClient(
        "Iris Publishing",
        "Europe/Paris",
        25,
        30,
        (Work("newsletter drafts", LARGE, 12, "campaign", 20_000, 2_400),),
    ),
    DemoClient(
        "Juniper Insurance",
        "Australia/Sydney",
        45,
        45,
        (
            Work("claim triage", HAIKU, 75, "office", 14_500, 465, ("claim", "claims"), 300),
            Work("policy search", FLASH, 60, "office", 16_500, 360, failing_ppm=35_000),
        ),
    ),
    DemoClient(
        "Kauri Travel",
        "Pacific/Auckland",
        30,
        30,
        (Work("trip proposals", LARGE, 20, "office", 13_000, 2_100, TEXT, 1_500, 10),),
    ),
    DemoClient(
        "Lumen Energy",
        "Europe/Madrid",
        12,
        -5,
        (Work("meter anomalies", MINI, 110, "nightly", 9_500, 315, ("meter", "meters"), 60),),
    ),
)
"""The last is charged less than it costs, for somebody to notice."""

"""Sidecars: who is there, how fresh, and what each holds. And what models cost."""

from control_plane.core.pages import Asked as AskedPage
from control_plane.core.prices import Price
from control_plane.store.engine import Tx
from control_plane.usecases import overview, prices, sidecars
from control_plane.web.routes import Asked, Page, Route, View
from protos.values.money import pico_to_usd_per_million


def read_sidecars(tx: Tx, asked: Asked) -> View:
    """All sidecars that are not revoked."""
    page = sidecars.list_sidecars(
        tx,
        AskedPage(token=asked.query.get("after", "")),
        show_revoked=False,
        levels=asked.levels,
    )
    values = {
        "page": page,
        "clients": overview.client_names(tx),
        "policy_version": overview.policy_version(tx),
        "zone": overview.agency_zone(tx),
    }
    return View("sidecars.html", values, "Sidecars")


def read_prices(tx: Tx, asked: Asked) -> View:
    """What each model costs now, and what is to come."""
    page = prices.list_prices(
        tx,
        AskedPage(size=200, token=asked.query.get("after", "")),
        provider=asked.query.get("provider", ""),
        show_history=False,
        now_unix_ms=asked.now_unix_ms,
    )
    values = {"page": page, "rate": rate, "zone": overview.agency_zone(tx)}
    return View("prices.html", values, "Models and prices")


def rate(price: Price, kind: str) -> str:
    """What a million units of a kind cost by the first tier; "" where it has no rate."""
    rates = price.model_price.tiers[0].rates_pico_usd
    return pico_to_usd_per_million(rates[kind]) if kind in rates else ""


ROUTES: tuple[Route, ...] = (Page("/sidecars", read_sidecars), Page("/prices", read_prices))

"""One case through the product's own readers and bounds, held against the dearest legal bill."""

import json
from dataclasses import dataclass
from fractions import Fraction

from protos.values.rates import UnpriceableError
from sidecar import limits
from sidecar.core import clamping
from sidecar.core.bounds import bound_of
from sidecar.core.calls import NO_COST, Bound
from sidecar.core.policy import Policy
from sidecar.http import multipart, strict_json
from sidecar.http.routes import Route
from sidecar.http.surfaces import SURFACES, Kind
from sidecar.providers import forms, reading
from sidecar.providers.apis import APIS
from sidecar.providers.dialects import named
from tests.bounds import bills, prices
from tests.bounds.cases import Case
from tests.bounds.legal import legal_of

NOW_MS = 1_795_000_000_000
BOUNDARY = b"----boundary-of-a-form"


@dataclass(frozen=True, slots=True)
class Held:
    """What was held for a case, and what it may be billed."""

    case: Case
    wire: bytes
    """What would go to the provider."""
    worst_nano_usd: int
    dearest_pico_usd: Fraction

    @property
    def holds(self) -> bool:
        """Whether the bound is at least the bill."""
        return self.worst_nano_usd * 1_000 >= self.dearest_pico_usd


def body_of(case: Case) -> bytes:
    """The bytes that a caller sends."""
    if not SURFACES[case.surface].form:
        return json.dumps(case.value, ensure_ascii=case.escaped).encode()
    parts = [
        b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name.encode(), text.encode())
        for name, text in case.value.items()
    ]
    parts += [
        b'Content-Disposition: form-data; name="%b"; filename="a"\r\n\r\n%b'
        % (file.field.encode(), file.content)
        for file in case.files
    ]
    lines = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY, part) for part in parts)
    return b"%b--%b--\r\n" % (lines, BOUNDARY)


def held(case: Case) -> Held | None:
    """Bound a case as the proxy does; None for one that is refused."""
    body = body_of(case)
    policy = Policy(
        version=1,
        prices=[prices.dated(case.dialect, case.model, one, NOW_MS) for one in case.versions],
    )
    found = policy.prices_between(case.dialect, case.model, NOW_MS, NOW_MS + limits.LONGEST_CALL_MS)
    api, row = APIS[case.surface], SURFACES[case.surface]
    try:
        if row.form:
            value = reading.read_object(forms.object_of(multipart.read(body, BOUNDARY)))
        else:
            value = reading.read_object(strict_json.read(body))
        model = api.model_of(value, Route(case.surface, model=case.model))
        if api.check_model is not None:
            api.check_model(model, found[0])
        expands = any(price.expands_text for price in found)
        request = api.read(value, body, model=model, expands_text=expands)
        bound = NO_COST if row.kind is Kind.FREE else bound_of(request.asked, found)
    except (reading.BadRequestError, UnpriceableError):
        return None
    limited = _limited(case, bound)
    wire = api.rewrite(value, body, request, named(case.dialect).name, limited.output_limit)
    legal = legal_of(case, wire)
    dearest = bills.dearest_pico_usd(legal, case.versions) if legal else Fraction(0)
    return Held(case, wire, limited.worst_nano_usd, dearest)


def _limited(case: Case, bound: Bound) -> clamping.Limited:
    """The hold under the limit that admission may have chosen."""
    if case.clamp is None or not clamping.clampable(bound) or case.clamp >= bound.output_max:
        return clamping.unclamped(bound)
    return clamping.Limited(bound.worst_nano_usd(case.clamp), case.clamp)

"""A request is read, and put on its course: who asks for what, and which model may answer.

Whatever is refused here is refused without money: nothing is held, and nothing was sent.
"""

from dataclasses import replace
from typing import NoReturn

from protos.values.selectors import Attributes
from sidecar.clock import Clock
from sidecar.core.attribution import Attribution, attribution_of, named_in_body
from sidecar.core.policy import Key, Policy
from sidecar.core.refusals import Refusal
from sidecar.http.codec import RequestHead
from sidecar.http.routes import Route
from sidecar.http.surfaces import (
    SURFACES,
)
from sidecar.providers.apis import APIS
from sidecar.providers.envelopes import fault_of
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.aiming import UNTAKEN, Aiming, UnaimedError, Wish, read_body, refusal_of
from sidecar.runtime.caller import FaultError
from sidecar.runtime.course import Course, begin
from sidecar.runtime.upstream import Upstreams

NOBODY = Attributes("", "", "", "")
"""Whom a request is counted for whose key is not known."""


class Preparing:
    """Reads requests, and puts each on its course."""

    def __init__(self, admission: AdmissionPort, upstreams: Upstreams, clock: Clock) -> None:
        """Take what a call must be told to, and where it may go."""
        self._admission = admission
        self._aiming = Aiming(admission.secrets, upstreams, clock)

    def refuse(
        self, refusal: Refusal, attributes: Attributes = NOBODY, param: str = ""
    ) -> NoReturn:
        """Count a refusal and raise it as FaultError."""
        self._admission.refused(refusal, attributes)
        raise FaultError(fault_of(refusal, param))

    async def prepare(
        self,
        head: RequestHead,
        route: Route,
        policy: Policy,
        key: Key,
        named: Attribution,
        body: bytes,
    ) -> Course:
        """Read the body, and find out what the call can cost and where it goes. Raises FaultError.

        `named` is whom it is counted for, by all but its body.
        """
        attributes = Attributes(key.project_id, key.key_id, named.workflow, "", policy.region)
        try:
            value = await read_body(body, head, SURFACES[route.surface])
            named = named_in_body(named, value.get(SURFACES[route.surface].attribution))
            model = APIS[route.surface].model_of(value, route)
        except UNTAKEN as error:
            self.refuse(*refusal_of(error, "", attributes))
        if named.workflow != attributes.workflow:
            attributes = replace(attributes, workflow=named.workflow)
        trace = self._admission.traced(head.values)
        wish = Wish(head, route, policy, key, named, attributes, value, body, model, trace)
        leads = policy.route(model, key.project_id)
        try:
            if leads is None:
                return Course(self._aiming, wish, self._aiming.aimed(wish))
            return await begin(self._aiming, wish, leads, self._admission.is_above)
        except UnaimedError as error:
            self.refuse(error.refusal, error.attributes, error.param)


def attribution(head: RequestHead, route: Route, key: Key, suffix: str) -> Attribution:
    """Whom a call is counted for, as far as its head and what stands behind its key tell."""
    values = head.values
    workflow, step = values.get(b"x-bursar-workflow", b""), values.get(b"x-bursar-step", b"")
    return attribution_of(key.workflow, route.label, workflow, step, suffix)

"""Which budgets calls are charged to, worked out once per kind of call and policy."""

from protos.values.selectors import Attributes
from sidecar.core.admission import Route, route_of
from sidecar.core.allowance import Allowance
from sidecar.core.policy import EMPTY, Policy

_ROUTES_MAX = 10_000


class RouteTable:
    """The routes of one policy."""

    def __init__(self, allowance: Allowance) -> None:
        """Begin with no policy."""
        self._allowance = allowance
        self._routes: dict[Attributes, Route] = {}
        self.policy: Policy = EMPTY
        """The snapshot in force."""

    def take_policy(self, policy: Policy) -> None:
        """Put a newer snapshot in force."""
        self.policy = policy
        self._routes.clear()

    def route(self, attributes: Attributes) -> Route:
        """The budgets of such calls."""
        route = self._routes.get(attributes)
        if route is None:
            if len(self._routes) >= _ROUTES_MAX:
                self._routes.clear()
            route = route_of(self.policy, attributes, self._allowance)
            self._routes[attributes] = route
        return route

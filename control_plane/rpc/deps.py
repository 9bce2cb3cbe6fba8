"""What the servicers are given; made once, by app.py."""

from dataclasses import dataclass

from control_plane.clock import Clock
from control_plane.config import Config
from control_plane.core.observer import Nobody, Observer
from control_plane.entropy import Entropy
from control_plane.rpc.hub import Hub
from control_plane.secrets import Vault
from control_plane.store import Store
from control_plane.usecases.levels import Levels

_NOBODY = Nobody()


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts that requests are answered with."""

    store: Store
    """The data."""
    clock: Clock
    """The time."""
    entropy: Entropy
    """Ids and secrets."""
    hub: Hub
    """Watch streams; call `policy_changed` after a commit that raised the policy version."""
    levels: Levels
    """What sidecars said last."""
    vault: Vault
    """Opens and seals provider secrets."""
    config: Config
    """What the control plane was told at its start."""
    desk_url: str = ""
    """Where browsers find the desk; empty when there is none."""
    observer: Observer = _NOBODY
    """Who watches RPCs."""

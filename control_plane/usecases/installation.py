"""The installation as a whole: founded once, described, copied."""

from collections.abc import Callable
from dataclasses import dataclass

from control_plane.core.principals import Principal, Role
from control_plane.core.zones import check_zone
from control_plane.entropy import Entropy
from control_plane.secrets import Vault
from control_plane.store import channels, principals, providers
from control_plane.store import installation as store
from control_plane.store.engine import Tx
from control_plane.store.installation import Meta
from control_plane.usecases import learning
from control_plane.usecases.acts import Act, record
from control_plane.usecases.learning import Learning
from control_plane.usecases.prices import install_built_in
from control_plane.usecases.principals import new_token
from protos.values import ids

OWNER_NAME = "owner"
"""What the first principal is called."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the database and the vault say of the installation."""

    meta: Meta
    secrets_unlocked: bool
    """Whether every provider secret can be opened."""
    encryption_key_id: str
    """Empty when the key is missing."""
    learning: Learning
    """What is known of a database that may be old."""


def found(
    tx: Tx,
    entropy: Entropy,
    now_unix_ms: int,
    *,
    time_zone: str = "",
    keep_token: Callable[[str], None],
) -> bool:
    """Bring the built-in prices and the default zone; at the very first start make the owner.

    `keep_token` is given the owner's token before the commit, so that it cannot be lost between
    the two; a token that was kept without a commit opens nothing. Returns whether there was no
    principal before.
    """
    install_built_in(tx, now_unix_ms)
    if time_zone:
        store.set_time_zone(tx, check_zone(time_zone, "time_zone"))
    if principals.count(tx) > 0:
        return False
    owner = Principal(entropy.id(ids.PRINCIPAL, now_unix_ms), OWNER_NAME, Role.OWNER, now_unix_ms)
    act = Act(owner, "Found", "", now_unix_ms, entropy)
    token, text = new_token(act, owner.principal_id, None)
    keep_token(text)
    principals.insert(tx, owner)
    principals.insert_token(tx, token)
    record(tx, act, owner.principal_id, display_name=owner.display_name, role=owner.role.value)
    return True


def get_installation(tx: Tx, vault: Vault) -> Description:
    """Describe the installation."""
    return Description(
        meta=store.get(tx),
        secrets_unlocked=vault.opens(
            providers.encryption_key_ids(tx) | channels.encryption_key_ids(tx)
        ),
        encryption_key_id=vault.key_id,
        learning=learning.state(tx),
    )


def create_backup(tx: Tx, act: Act) -> None:
    """Note that a copy of the database is taken out; before it is."""
    store.set_backup(tx, act.now_unix_ms)
    record(tx, act, "backup")

"""Provider secrets: sealed to this sidecar on the wire and on the disk, open in memory only."""

from collections.abc import Collection
from typing import NamedTuple

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from sidecar.core.policy import EMPTY, Policy
from sidecar.core.refusals import Reason, Refusal, Refused
from sidecar.core.routing import ProviderSecret, pick_secret


class OpenSecret(NamedTuple):
    """A secret, opened."""

    secret_id: str
    text: str

    def __repr__(self) -> str:
        return f"OpenSecret({self.secret_id!r})"


class ProviderSecrets:
    """Opens the secrets of a policy, each when it is first wanted, and lets refused ones rest."""

    def __init__(self, sealing_key: bytes) -> None:
        """Take the private half of the key that secrets are sealed to."""
        self._box = SealedBox(PrivateKey(sealing_key))
        self._opened: dict[bytes, str] = {}
        self._rests: dict[str, int] = {}
        self._policy = EMPTY

    def __repr__(self) -> str:
        return "ProviderSecrets(...)"

    def secret_for(
        self, provider: str, project_id: str, boot_ms: int, tried: Collection[str] = ()
    ) -> OpenSecret:
        """The secret to make an attempt with, none of those that were tried. Raises Refused."""
        known = self._policy.secrets_of(provider, project_id)
        picked = known[0] if known else None
        if tried or self._rests:
            picked = pick_secret(known, self._rests, boot_ms, tried)
        if picked is None or not picked.sealed:
            raise Refused(
                Refusal(
                    Reason.PROVIDER_NOT_CONFIGURED,
                    f'The provider "{provider}" has no secret here. Set one at the control plane.',
                )
            )
        text = self._opened.get(picked.sealed)
        return OpenSecret(picked.secret_id, self._open(provider, picked) if text is None else text)

    def rest(self, secret_id: str, until_boot_ms: int) -> None:
        """Prefer other secrets to this one until then."""
        self._rests[secret_id] = max(until_boot_ms, self._rests.get(secret_id, 0))

    def are_resting(self, provider: str, project_id: str, boot_ms: int) -> bool:
        """Whether every secret of a project at a provider rests."""
        if not self._rests:
            return False
        known = self._policy.secrets_of(provider, project_id)
        return all(self._rests.get(one.secret_id, 0) > boot_ms for one in known)

    def _open(self, provider: str, picked: ProviderSecret) -> str:
        try:
            text = self._box.decrypt(picked.sealed).decode()
        except (CryptoError, ValueError):
            # The cause is dropped: it could carry what was opened.
            raise Refused(
                Refusal(
                    Reason.PROVIDER_NOT_CONFIGURED,
                    f'The secret of the provider "{provider}" is not sealed to this sidecar. '
                    "Set it anew at the control plane, or let this sidecar join again.",
                )
            ) from None
        self._opened[picked.sealed] = text
        return text

    def take(self, policy: Policy) -> None:
        """Go by a new policy; forget the secrets that it holds no more, and their rests."""
        self._policy = policy
        current = {one.sealed: one.secret_id for one in policy.every_secret()}
        ids = set(current.values())
        self._opened = {sealed: text for sealed, text in self._opened.items() if sealed in current}
        self._rests = {one: until for one, until in self._rests.items() if one in ids}

"""Provider secrets: sealed to this sidecar on the wire and on the disk, open in memory only."""

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from sidecar.core.policy import Policy, Provider
from sidecar.core.refusals import Reason, Refusal, Refused


class ProviderSecrets:
    """Opens the secrets of a policy, each when it is first wanted."""

    def __init__(self, sealing_key: bytes) -> None:
        """Take the private half of the key that secrets are sealed to."""
        self._box = SealedBox(PrivateKey(sealing_key))
        self._opened: dict[bytes, str] = {}

    def __repr__(self) -> str:
        return "ProviderSecrets(...)"

    def secret_for(self, policy: Policy, name: str) -> str:
        """A provider's secret. Raises Refused."""
        provider = policy.provider(name)
        if provider is None or not provider.sealed_secret:
            raise Refused(
                Refusal(
                    Reason.PROVIDER_NOT_CONFIGURED,
                    f'The provider "{name}" has no secret here. Set one at the control plane.',
                )
            )
        known = self._opened.get(provider.sealed_secret)
        return known if known is not None else self._open(provider)

    def _open(self, provider: Provider) -> str:
        try:
            secret = self._box.decrypt(provider.sealed_secret).decode()
        except (CryptoError, ValueError):
            # The cause is dropped: it could carry what was opened.
            raise Refused(
                Refusal(
                    Reason.PROVIDER_NOT_CONFIGURED,
                    f'The secret of the provider "{provider.name}" is not sealed to this sidecar. '
                    "Set it anew at the control plane, or let this sidecar join again.",
                )
            ) from None
        self._opened[provider.sealed_secret] = secret
        return secret

    def keep_only(self, policy: Policy) -> None:
        """Forget the secrets that a new policy holds no more."""
        current = {provider.sealed_secret for provider in policy.providers}
        self._opened = {
            sealed: secret for sealed, secret in self._opened.items() if sealed in current
        }

"""The last known policy on the disk: with it a sidecar starts while the control plane is away.

Kept as it came: provider secrets in it are still sealed to the sidecar's own key.
"""

from pathlib import Path

import trio
from google.protobuf.message import DecodeError

from protos.bursar.sidecar import v1 as wire
from sidecar.core.policy import Policy
from sidecar.runtime import translate
from sidecar.runtime.admission import Admission
from sidecar.runtime.folder import read_whole, write_durably
from sidecar.telemetry import Log

_NAME = "policy.bin"


def save(folder: Path, policy: wire.Policy) -> None:
    """Keep a policy, readable by its owner only."""
    write_durably(folder / _NAME, policy.SerializeToString())


def load(folder: Path, region: str) -> Policy | None:
    """The policy that was kept; None when there is none that can be understood."""
    content = read_whole(folder / _NAME)
    if content is None:
        return None
    policy = wire.Policy()
    try:
        policy.ParseFromString(content)
        return translate.policy_from_wire(policy, region)
    except (DecodeError, translate.UnknownPolicyError):
        return None


def _go_on_with_secrets(message: wire.Policy, before: Policy) -> None:
    """Put secrets into a newer policy that its control plane cannot open, where they are known.

    Each is known by what it was given for: a secret at an address never goes to another.
    """
    stayed = set()
    for provider in message.providers:
        known = before.provider(provider.provider)
        if known is None or known.base_url != provider.base_url:
            continue
        stayed.add(provider.provider)
        if not provider.sealed_secret and known.secret_version == provider.secret_version:
            provider.sealed_secret = known.sealed_secret
    sealed = {one.secret.secret_id: one.secret.sealed for one in before.secrets}
    for secret in message.secrets:
        if not secret.sealed_secret and secret.provider in stayed:
            secret.sealed_secret = sealed.get(secret.provider_secret_id, b"")


class PolicyKeeper:
    """Puts newer policies in force, and keeps them."""

    def __init__(self, folder: Path, admission: Admission, log: Log) -> None:
        """Begin with the policy that admission was given."""
        self._folder = folder
        self._admission = admission
        self._log = log
        self._kept_generation = admission.policy.generation
        self.generation = 0
        """The newest database that was heard of; 0 before the first."""
        self._one_at_a_time = trio.Lock()
        self.kept_version = admission.policy.version
        """The version in force that a restart would find, whatever database it came from."""
        self.refused = ""
        """The version that could not be taken, and why; empty when there is none."""
        self.taken = trio.Event()
        """Set once there is a policy to serve by."""
        if admission.policy.version:
            self.taken.set()

    @property
    def known_version(self) -> int:
        """The version above which a policy is wanted, and the only one that is acknowledged.

        It counts only in the database that it came from: one that was restored may count its
        policies from further back.
        """
        return self.kept_version if self._kept_generation == self.generation else 0

    async def take(self, message: wire.Policy, region: str) -> None:
        """Put a newer policy in force at once, keep it, and say so only then."""
        async with self._one_at_a_time:
            await self._take(message, region)

    async def _take(self, message: wire.Policy, region: str) -> None:
        if message.version <= self.known_version:
            return
        message.generation = generation = self.generation
        _go_on_with_secrets(message, self._admission.policy)
        try:
            policy = translate.policy_from_wire(message, region)
        except translate.UnknownPolicyError as error:
            self.refused = str(error)
            self._log.alarm("policy_refused", version=message.version, cause=str(error))
            self._admission.hurry()
            return
        self._admission.take_policy(policy)
        self.taken.set()
        try:
            await self._keep(message)
        except OSError as error:
            self._log.alarm("policy_not_kept", version=message.version, cause=str(error))
            return
        self.kept_version, self._kept_generation = message.version, generation
        self.refused = ""
        self._log.info("policy", version=message.version)
        self._admission.hurry()

    async def _keep(self, message: wire.Policy) -> None:
        await trio.to_thread.run_sync(save, self._folder, message)

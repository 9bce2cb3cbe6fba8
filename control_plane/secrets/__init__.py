"""Keeps provider secrets: encrypted at rest, sealed to each sidecar on their way."""

from control_plane.secrets.vault import Vault as Vault
from control_plane.secrets.vault import VaultError as VaultError
from control_plane.secrets.vault import open_vault as open_vault

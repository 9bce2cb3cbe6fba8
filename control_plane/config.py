"""What a control plane is told at its start; read once, never changed."""

from dataclasses import dataclass
from pathlib import Path

from control_plane.core.channels import IpNetwork
from protos.telemetry.settings import Settings
from protos.values.listening import Listening

DEFAULT_LISTEN = "127.0.0.1:7240"


@dataclass(frozen=True, slots=True)
class Config:
    """One control plane's settings."""

    data: Path
    """The data folder: database, lock, owner token, encryption key."""
    listen_host: str = "127.0.0.1"
    """The address to listen on."""
    listen_port: int = 7240
    """The port to listen on; 0 takes a free one."""
    time_zone: str = ""
    """IANA zone that new projects get by default; empty keeps what the database has."""
    certificate: Path | None = None
    """PEM file of the server's certificate chain; with `private_key` it turns TLS on."""
    private_key: Path | None = None
    """PEM file of the certificate's private key."""
    allow_plain: bool = False
    """Plain text may be spoken on an address that is not loopback."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that callers may address this server by, besides the address it listens on."""
    public_url: str = ""
    """Where clients of other hosts reach it; empty on loopback."""
    web_host: str = ""
    """The address of the desk; empty for no desk."""
    web_port: int = 0
    """The port of the desk; 0 takes a free one."""
    web_url: str = ""
    """How browsers reach the desk; empty for its own address."""
    receivers: tuple[IpNetwork, ...] = ()
    """Private networks with receivers of messages; none by default."""
    pagerduty_url: str = ""
    """Where PagerDuty takes events; empty for its worldwide service."""
    watermark: Path | None = None
    """The folder of the watermark; the data folder when None."""
    metrics: Listening | None = None
    """Where scrapers find its metrics; None for nowhere."""
    telemetry: Settings | None = None
    """Where traces and metrics are sent; None for nowhere."""
    ready_file: Path | None = None
    """Written when the server answers; tells its address and process id as JSON."""

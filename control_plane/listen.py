"""Where this control plane may listen: the rule that all our servers share, on its own settings.

The list of hosts has no use here beyond the decision itself: gRPC speaks HTTP/2 from the first byte
and no browser can be led to do that in plain text, and every RPC but health and joining carries a
credential. The sidecar, which speaks HTTP/1.1, checks each request against it.
"""

from urllib.parse import urlsplit

from control_plane.config import Config
from protos.values.listening import ListenError, Listening, join_host_port, listening


def check_listen(config: Config) -> Listening:
    """How the settings allow to listen. Raises ListenError with what to do."""
    return listening(
        join_host_port(config.listen_host, config.listen_port),
        allow_plain=config.allow_plain,
        allow_hosts=config.allowed_hosts,
        certificate=config.certificate is not None,
        key=config.private_key is not None,
        public_url=config.public_url,
    )


def check_web(config: Config) -> Listening:
    """How the settings allow the desk to listen. Raises ListenError with what to do."""
    try:
        return listening(
            join_host_port(config.web_host, config.web_port),
            allow_plain=config.allow_plain,
            allow_hosts=config.allowed_hosts,
            certificate=config.certificate is not None,
            key=config.private_key is not None,
            public_url=config.web_url or config.public_url,
        )
    except ListenError as error:
        if not config.web_url:
            raise
        raise ListenError(
            f"{error} (here it is --web-url {config.web_url!r} that counts)"
        ) from None


def desk_url(config: Config, port: int) -> str:
    """Where browsers find the desk that listens on a port."""
    if config.web_url:
        # Whatever the case in which it was typed: what browsers say is compared with it.
        told = urlsplit(config.web_url)
        return f"{told.scheme}://{told.netloc.lower()}"
    scheme = "https" if config.certificate is not None else "http"
    host = urlsplit(config.public_url).hostname or config.web_host
    return f"{scheme}://{join_host_port(host, port)}"

"""Connections to providers: few, kept, verified, and never used where they may be stale.

Rules:
1. A provider is reached where policy says, and nowhere else: no redirects, no address from a
   request.
2. A kept connection that has anything to read before a call was sent is closed or confused, and is
   let go. What slips through that look is tried once more on a new connection, but only when the
   request could not be written whole: a provider that has the whole request may bill it.
3. TLS is always verified, against the system's roots, certifi's, and the operator's own.
"""

import select
import socket
import ssl
from collections.abc import Mapping

import certifi
import trio

from sidecar.core.policy import Provider
from sidecar.http import limits
from sidecar.http.codec import BadMessageError, ResponseReader
from sidecar.http.pool import PoolPlan
from sidecar.http.routes import Route
from sidecar.http.surfaces import AT_AZURE, OPENAI, SURFACES
from sidecar.http.tunnels import Address, BadAddressError, Tunnel, address_of, tunnel_of
from sidecar.runtime.sockets import PlainStream

Stream = PlainStream | trio.SSLStream[trio.SocketStream]

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_KEEP_ALIVE_PROBE_S = 60


class UnreachableError(Exception):
    """No connection to the provider could be made, so that nothing was sent."""


class UnsentError(Exception):
    """The connection broke before the whole request was written."""


class BrokenOffError(Exception):
    """The connection broke after the whole request was written."""


class Line:
    """One connection to a provider."""

    __slots__ = ("_poll", "prompt", "reused", "stream")

    def __init__(self, stream: Stream) -> None:
        """Take over an open connection."""
        self.stream = stream
        self.reused = False
        """Whether a call went over it before."""
        self.prompt = False
        """Whether it was there when it was asked for."""
        plain = stream if isinstance(stream, PlainStream) else stream.transport_stream
        self._poll = select.poll()
        self._poll.register(plain.socket.fileno(), _READABLE)

    @property
    def is_stale(self) -> bool:
        """Whether something came, or it was closed, while nobody asked anything."""
        return bool(self._poll.poll(0))

    async def send(self, data: bytes) -> None:
        """Write all of a request. Raises UnsentError."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise UnsentError(str(error)) from None

    async def receive(self) -> bytes:
        """The next bytes; b"" at the end. Raises BrokenOffError."""
        try:
            return bytes(await self.stream.receive_some(limits.READ_MAX_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise BrokenOffError(str(error)) from None

    def close(self) -> None:
        """Close at once, without a farewell."""
        if isinstance(self.stream, PlainStream):
            self.stream.close()
        else:
            self.stream.transport_stream.socket.close()


class Upstream:
    """One provider's address and the connections to it."""

    def __init__(self, address: Address, tunnel: Tunnel | None, tls: ssl.SSLContext | None) -> None:
        """Begin without connections."""
        self.address = address
        self._tunnel = tunnel
        self._tls = tls
        self._pool: PoolPlan[Line] = PoolPlan()
        self._waiting = trio.lowlevel.ParkingLot()
        self.prefixes: dict[tuple[str, str], bytes] = {}
        """How the heads of calls begin, by target and the line with the secret."""

    def add_prefix(self, target: str, secret_line: str, *, form: bool = False) -> bytes:
        """Remember how the heads of calls to a target begin. Raises BadAddressError."""
        if not (secret_line.isascii() and secret_line.isprintable()):
            raise BadAddressError("its secret holds characters that no header takes; set it anew")
        lines = [
            f"POST {target} HTTP/1.1",
            f"host: {self.address.authority}",
            secret_line,
            "accept-encoding: identity",
        ]
        if not form:
            # A form's own Content-Type says how to read it, and follows with the call.
            lines.append("content-type: application/json")
        prefix = "".join(f"{line}\r\n" for line in lines).encode("ascii")
        if len(self.prefixes) >= limits.PREFIXES_MAX_ENTRIES:
            self.prefixes.clear()
        self.prefixes[target, secret_line] = prefix
        return prefix

    def target(self, route: Route, root: str) -> str:
        """What a call asks for at this provider, whose own paths have `root` in place of /v1.

        A base URL with a path is what SDKs are given: of OpenAI's API, what stands behind /v1
        follows it, of other APIs the whole path. Azure's deployments stand beside its /openai/v1.
        """
        row, path = SURFACES[route.surface], route.path
        if row.family == OPENAI and path.startswith("/v1/"):
            path = (self.address.path or root) + path.removeprefix("/v1")
        elif route.surface not in AT_AZURE:
            path = self.address.path + path
        return f"{path}?{route.query}" if route.query else path

    async def take(self) -> Line:
        """A connection for one call. Raises UnreachableError."""
        prompt = True
        while True:
            while (line := self._pool.reuse(_now_ms())) is not None:
                if not line.is_stale:
                    line.reused = True
                    line.prompt = prompt
                    return line
                self.drop(line)
            if self._pool.may_open:
                return await self._open()
            prompt = False
            await self._waiting.park()

    async def take_new(self) -> Line:
        """A connection that no call went over before. Raises UnreachableError."""
        while not self._pool.may_open:
            await self._waiting.park()
        return await self._open()

    async def _open(self) -> Line:
        self._pool.opened()
        try:
            with trio.fail_after(limits.CONNECT_MS / 1000):
                return Line(await self._connect())
        except trio.TooSlowError:
            self._gone()
            raise UnreachableError(
                f"{self.address.host} did not answer within {limits.CONNECT_MS // 1000} s"
            ) from None
        except (OSError, ssl.SSLError, trio.BrokenResourceError, BadMessageError) as error:
            self._gone()
            raise UnreachableError(f"{self.address.host}: {_words(error)}") from None
        except BaseException:
            self._gone()
            raise

    async def _connect(self) -> Stream:
        address, tunnel = self.address, self._tunnel
        reached = (tunnel.host, tunnel.port) if tunnel else (address.host, address.port)
        plain = await trio.open_tcp_stream(*reached)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_PROBE_S)
            if tunnel is not None:
                await _open_tunnel(plain, tunnel, address)
            if self._tls is None:
                return PlainStream.adopt(plain)
            secured = trio.SSLStream(
                plain, self._tls, server_hostname=address.host, https_compatible=True
            )
            await secured.do_handshake()
        except BaseException:
            plain.socket.close()
            raise
        return secured

    def give_back(self, line: Line) -> None:
        """Keep a connection whose answer ended cleanly."""
        if self._pool.keep(line, _now_ms()):
            self._waiting.unpark()
        else:
            self.drop(line)

    def drop(self, line: Line) -> None:
        """Close a connection that cannot be used again."""
        line.close()
        self._gone()

    def _gone(self) -> None:
        self._pool.gone()
        self._waiting.unpark()

    def expire(self) -> None:
        """Close the connections that were idle for too long."""
        for line in self._pool.expired(_now_ms()):
            self.drop(line)

    def close(self) -> None:
        """Close every idle connection."""
        for line in self._pool.drained():
            self.drop(line)

    @property
    def open_connections(self) -> int:
        """Connections that are idle or in use."""
        return self._pool.open_connections


class Upstreams:
    """Every provider's connections, by where they go."""

    def __init__(self, environment: Mapping[str, str], certificates: str | None = None) -> None:
        """Take the proxy settings and, as a file, the operator's own roots.

        Raises OSError or ssl.SSLError when the file cannot be used.
        """
        self._environment = environment
        self._tls = ssl.create_default_context()
        self._tls.load_verify_locations(certifi.where())
        if certificates is not None:
            self._tls.load_verify_locations(certificates)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._by_url: dict[str, Upstream] = {}

    def to(self, provider: Provider) -> Upstream:
        """The connections to a provider. Raises BadAddressError."""
        known = self._by_url.get(provider.base_url)
        if known is not None:
            return known
        address = address_of(provider.base_url)
        upstream = Upstream(
            address, tunnel_of(address, self._environment), self._tls if address.tls else None
        )
        self._by_url[provider.base_url] = upstream
        return upstream

    def expire(self) -> None:
        """Close what was idle for too long, and forget addresses that nothing leads to any more."""
        for url, upstream in list(self._by_url.items()):
            upstream.expire()
            if not upstream.open_connections and len(self._by_url) > limits.UPSTREAMS_MAX_PROVIDERS:
                del self._by_url[url]

    def close(self) -> None:
        """Close every idle connection."""
        for upstream in self._by_url.values():
            upstream.close()


async def _open_tunnel(stream: trio.SocketStream, tunnel: Tunnel, address: Address) -> None:
    await stream.send_all(tunnel.connect_bytes(address.host, address.port))
    reader = ResponseReader()
    while (head := reader.take_head()) is None:
        # One byte at a time: what follows the head belongs to TLS, and is none of ours to take.
        reader.feed(bytes(await stream.receive_some(1)))
    if not 200 <= head.status < 300:
        raise BadMessageError(502, f"the proxy {tunnel.host} refused the tunnel ({head.status})")


def _now_ms() -> int:
    return int(trio.current_time() * 1000)


def _words(error: BaseException) -> str:
    """What went wrong, without the noise of nested errors."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, trio.BrokenResourceError) and error.__cause__ is not None:
        return _words(error.__cause__)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


__all__ = [
    "BadAddressError",
    "BrokenOffError",
    "Line",
    "UnreachableError",
    "UnsentError",
    "Upstream",
    "Upstreams",
]

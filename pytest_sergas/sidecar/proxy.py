"""What a proxy in front of the sidecar changes: the path below which it is reached, and who asks.

prefix      the path of ``external_url``. A proxy may leave it in the path or strip it; pages link to what lies below it
            in both cases, and both are served, also to who asks without the proxy.
forwarded   X-Forwarded-For, -Proto and -Host count when the connection comes from one of ``trusted_proxies``; from
            anybody else they are ignored. The client is the last address that is not such a proxy's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def below(scope: Scope, prefix: str) -> Scope:
    """Return ``scope`` as ASGI has it for an application that is mounted at ``prefix``; "" changes nothing."""
    if not prefix:
        return scope
    path: str = scope["path"]
    if path == prefix:
        return {**scope, "root_path": prefix, "path": f"{prefix}/", "raw_path": f"{prefix}/".encode()}
    if path.startswith(f"{prefix}/"):
        return {**scope, "root_path": prefix}
    raw = scope.get("raw_path")
    sent = {} if raw is None else {"raw_path": prefix.encode() + raw}
    return {**scope, "root_path": prefix, "path": prefix + path, **sent}


def forwarded(scope: Scope, trusted: Sequence[Network]) -> Scope:
    """Return ``scope`` with client, scheme and Host as trusted proxies say they are."""
    client = scope.get("client")
    if not trusted or client is None or not is_trusted(client[0], trusted):
        return scope
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    changed = dict(scope)
    hops = _listed(headers, b"x-forwarded-for")
    if hops:
        others = [hop for hop in hops if not is_trusted(hop, trusted)]
        changed["client"] = (others[-1] if others else hops[0], 0)
    if (schemes := _listed(headers, b"x-forwarded-proto")) and schemes[-1] in {"http", "https"}:
        changed["scheme"] = schemes[-1]
    if hosts := _listed(headers, b"x-forwarded-host"):
        kept = [pair for pair in headers if pair[0] != b"host"]
        changed["headers"] = [*kept, (b"host", hosts[-1].encode("latin-1"))]
    return changed


def is_trusted(address: str, trusted: Iterable[Network]) -> bool:
    """Whether ``address`` is that of a trusted proxy; what is not an address is not."""
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in trusted)


def _listed(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    values = ",".join(value.decode("latin-1") for key, value in headers if key == name)
    return [part.strip() for part in values.split(",") if part.strip()]

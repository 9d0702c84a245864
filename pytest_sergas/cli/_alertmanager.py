"""Our channels and routes as an ``alertmanager.yml``; what Alertmanager has no word for is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sergas.cli._prometheus import Exported, duration
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.routes import RoutesSettings, routing
from pytest_sergas.core.routes import Route
from pytest_sergas.core.series import Matcher

NOBODY = "nobody"
_PORTS = {"tls": 465, "none": 25}


def export(channels: ChannelsSettings, routes: RoutesSettings, root: Path) -> Exported:
    """Return what is written into the file.

    Args:
        root: the directory that our paths are relative to; theirs are absolute.

    Raises:
        ConfigurationError: a route names a channel that is not there.
    """
    exported = Exported()
    known = {entry.name: entry for entry in channels.channels}
    ways = routing(routes, tuple(known))
    receivers: dict[str, Sequence[str]] = {NOBODY: ()}
    for way in ways:
        receivers[_receiver(way.channels)] = way.channels
        _note_route(way, exported.notes)
    exported.notes += [
        f"maintenance {window.name!r}: Alertmanager mutes routes, not matchers; set mute_time_intervals"
        for window in routes.maintenance
    ]
    exported.document = {
        "route": {"receiver": NOBODY, "routes": [_route(way) for way in ways]},
        "receivers": [
            _entry(name, [known[one] for one in members], root, exported.notes) for name, members in receivers.items()
        ],
    }
    exported.notes = list(dict.fromkeys(exported.notes))
    exported.has_secrets = any(
        _holds_secret(one)
        for receiver in exported.document["receivers"]
        for key, _ in _KINDS.values()
        for one in receiver.get(key, ())
    )
    return exported


def _receiver(names: Sequence[str]) -> str:
    return "+".join(names) or NOBODY


def _route(way: Route) -> dict[str, Any]:
    return {
        "receiver": _receiver(way.channels),
        **({"matchers": [_matcher(one) for one in way.matchers]} if way.matchers else {}),
        "group_by": list(way.group_by),
        "group_wait": duration(way.group_wait_s),
        "group_interval": duration(max(way.group_interval_s, 1.0)),  # none is not allowed there
        "repeat_interval": duration(way.repeat_interval_s),
        "continue": way.goes_on,
    }


def _matcher(matcher: Matcher) -> str:
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{matcher.label}{matcher.op}"{value}"'


def _note_route(way: Route, notes: list[str]) -> None:
    if way.escalations:
        notes.append(f"route {way.name!r}: escalate: Alertmanager escalates nothing; it is left out")
    if way.cooldown_s:
        notes.append(f"route {way.name!r}: cooldown: Alertmanager has none; alerts that come and go are told each time")


def _entry(name: str, members: Sequence[ChannelSettings], root: Path, notes: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name}
    for channel in members:
        kind = _KINDS.get(channel.type)
        if kind is None:
            notes.append(
                f"channel {channel.name!r}: Alertmanager has no receiver of the kind {channel.type!r}; left out"
            )
            continue
        key, make = kind
        made = {**make(channel.options, root), "send_resolved": channel.send_resolved}
        entry.setdefault(key, []).append(made)
        if "secret_file" in channel.options:
            notes.append(f"channel {channel.name!r}: secret_file: Alertmanager signs nothing")
        if "url_file" in channel.options:
            notes.append(f"channel {channel.name!r}: url_file: Alertmanager 0.26 or newer takes it")
    return entry


def _holds_secret(receiver: Mapping[str, Any]) -> bool:
    """Whether what is written gives access to something: the address of a webhook is enough to post there."""
    proxy = receiver.get("http_config", {}).get("proxy_url", "")
    return "@" in proxy or any(key in receiver for key in ("url", "api_url", "auth_password"))


def _webhook(options: Mapping[str, Any], root: Path) -> dict[str, Any]:
    return {**_either("url", "url", options, root), **_http(options, root)}


def _slack(options: Mapping[str, Any], root: Path) -> dict[str, Any]:
    return {**_either("webhook_url", "api_url", options, root), **_http(options, root)}


def _email(options: Mapping[str, Any], root: Path) -> dict[str, Any]:
    tls = options.get("tls", "tls" if options.get("port") == _PORTS["tls"] else "starttls")
    recipients = options["to"] if isinstance(options["to"], str) else ", ".join(options["to"])
    made: dict[str, Any] = {
        "to": recipients,
        "from": options.get("from", options.get("username", "")),
        "smarthost": f"{options['host']}:{options.get('port', _PORTS.get(tls, 587))}",
        "require_tls": tls == "starttls",
    }
    if "username" in options:
        made |= {"auth_username": options["username"], **_either("password", "auth_password", options, root)}
    if "ca_file" in options:
        made["tls_config"] = {"ca_file": str(root / options["ca_file"])}
    return made


def _http(options: Mapping[str, Any], root: Path) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if "username" in options:
        password = str(root / options["password_file"])
        config["basic_auth"] = {"username": options["username"], "password_file": password}
    if "token_file" in options:
        config["authorization"] = {"type": "Bearer", "credentials_file": str(root / options["token_file"])}
    if "ca_file" in options:
        config["tls_config"] = {"ca_file": str(root / options["ca_file"])}
    if "proxy" in options:
        config["proxy_url"] = options["proxy"]
    return {"http_config": config} if config else {}


def _either(ours: str, theirs: str, options: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Return the value, or the file that holds it."""
    if f"{ours}_file" in options:
        return {f"{theirs}_file": str(root / options[f"{ours}_file"])}
    return {theirs: options[ours]} if ours in options else {}


_KINDS = {
    "webhook": ("webhook_configs", _webhook),
    "slack": ("slack_configs", _slack),
    "email": ("email_configs", _email),
}

"""The options of each built-in type of channel, beside the keys of every channel."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_sergas.config.options import url_of
from pytest_sergas.config.section import Key
from pytest_sergas.core import kinds

_ADDRESS = kinds.pattern(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", "an address such as alerts@shop.example"
)


def _addresses(value: object) -> tuple[str, ...]:
    addresses = tuple(_ADDRESS(address) for address in kinds.texts(value))
    if not addresses:
        raise kinds.NotAllowed("allowed: an address, or a list of them")
    return addresses


# Of every channel that posts.
POSTING: Mapping[str, Key] = MappingProxyType(
    {
        "username": Key(kinds.text, "user name for basic authentication; none by default", '"sergas"'),
        "password_file": Key(kinds.text, "file that holds the password; none by default", '"/run/secrets/alerts"'),
        "token_file": Key(kinds.text, "file that holds a bearer token; none by default", '"/run/secrets/token"'),
        "ca_file": Key(kinds.text, "certificates to trust; default: the system's", '"/etc/ssl/own-ca.pem"'),
        "proxy": Key(url_of("http", "https"), "proxy to send through; none by default", '"http://proxy.example:3128"'),
    }
)

CHANNEL_OPTIONS: Mapping[str, Mapping[str, Key]] = MappingProxyType(
    {
        "email": {
            "host": Key(
                kinds.pattern(r"[A-Za-z0-9_.:-]{1,253}", "the name or the address of a host"),
                "the mail server",
                '"mail.shop.example"',
            ),
            "port": Key(kinds.whole(1, 65_535, "a port"), "its port; default: 587, with TLS 465, without 25", "587"),
            "tls": Key(kinds.one_of("starttls", "tls", "none"), "how the connection is secured", '"starttls"'),
            "ca_file": Key(kinds.text, "certificates to trust; default: the system's", '"/etc/ssl/own-ca.pem"'),
            "username": Key(kinds.text, "user name; none by default", '"alerts@shop.example"'),
            "password": Key(kinds.text, "the password; better in password_file", '"..."'),
            "password_file": Key(kinds.text, "file that holds the password", '"/run/secrets/mail"'),
            "from": Key(_ADDRESS, "who sends; default: username, when it is an address", '"alerts@shop.example"'),
            "to": Key(_addresses, "who receives, an address or a list of them", '["team@shop.example"]'),
        },
        "slack": {
            "webhook_url": Key(
                url_of("http", "https"),
                "the incoming webhook; or webhook_url_file",
                '"https://hooks.slack.com/services/..."',
            ),
            "webhook_url_file": Key(kinds.text, "file that holds its address", '"/run/secrets/slack"'),
            "ca_file": POSTING["ca_file"],
            "proxy": POSTING["proxy"],
        },
        "webhook": {
            "url": Key(url_of("http", "https"), "the address; or url_file", '"https://shop.example/alerts"'),
            "url_file": Key(kinds.text, "file that holds the address", '"/run/secrets/webhook"'),
            "secret_file": Key(
                kinds.text, "file that holds the secret for signatures; none by default", '"/run/secrets/signing"'
            ),
            **POSTING,
        },
        "alertmanager": {
            "url": Key(url_of("http", "https"), "where the Alertmanager is", '"http://alertmanager.example:9093"'),
            **POSTING,
        },
        "apprise": {
            "url": Key(kinds.text, "Apprise's address of the service; or url_file", '"tgram://TOKEN/CHAT"'),
            "url_file": Key(kinds.text, "file that holds the address", '"/run/secrets/telegram"'),
        },
        "log": {},
    }
)

"""The groups of settings of the HTTP server: the API, the dashboard, MCP."""

from __future__ import annotations

import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from config.groups import Group, split_list

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
"""A serialized origin (RFC 6454, section 6.2), as browsers send it: in lower case and without a path."""


class Api(Group):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    processes: int = Field(default=1, ge=1, le=64, description="Server processes.")
    shutdown: int = Field(
        default=15, ge=1, le=1800, description="Seconds that a stopping server waits for open requests."
    )
    public_url: str = Field(
        default="",
        description="Public URL of this server (https://…). OAuth and uploads need it.",
    )
    operator_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token of the operator API for all workspaces, at least 32 characters; empty = none.",
    )
    cors_origins: str = Field(
        default="",
        description="Origins whose pages may call the API from a browser (https://app.example.com), separated by "
        "commas; empty = none.",
    )
    max_body: int = Field(default=1_000_000, ge=10_000, description="Largest request body, in bytes.")
    max_batch_body: int = Field(
        default=16_000_000, ge=10_000, description="Largest body of a batch of posts, in bytes."
    )
    max_body_sum: int = Field(
        default=64_000_000,
        ge=40_000,
        description="Bytes of JSON bodies in progress per server process; a key may have a quarter of them.",
    )
    posts_per_minute: int = Field(
        default=0,
        ge=0,
        description="Posts that a key without a rate of its own may create, edit, validate or retry per minute; "
        "0 = no limit.",
    )
    posts_per_day: int = Field(
        default=0,
        ge=0,
        description="The same per day (UTC), for a key without a daily limit of its own; 0 = no limit.",
    )

    proxies: str = Field(
        default="",
        description="Addresses or networks of the proxies in front of this server (10.0.0.5, 10.1.0.0/16), separated "
        "by commas. Their X-Forwarded-For says where a login to the dashboard comes from; empty = none.",
    )

    @field_validator("proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for network in split_list(value):
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"{network!r} is not an address or network: {error}") from None
        return value

    @cached_property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of ``proxies``."""
        return tuple(map(ip_network, split_list(self.proxies)))

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in split_list(value):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin: scheme, host and port only, such as https://app.example.com"
                )
        return value

    @cached_property
    def origins(self) -> frozenset[str]:
        """The origins of ``cors_origins``."""
        return frozenset(split_list(self.cors_origins))


class Oidc(Group):
    """Single sign-on by an OpenID provider."""

    issuer: str = Field(
        default="",
        pattern=r"^(https://[^\s?#@]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/[^\s?#@]*)?)?$",
        description="Issuer of the OpenID provider (https://…), as its discovery document writes it; empty = no single "
        "sign-on. There, allow SLIPWAY_API__PUBLIC_URL + /dashboard/sign-on/callback.",
    )
    client_id: str = Field(default="", description="Client id that the provider gave to this server.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret.")
    name: str = Field(default="single sign-on", description="What the button calls the provider.")
    only: bool = Field(default=False, description="Whether passwords open nothing; the command line stays.")
    is_factor: bool = Field(
        default=False,
        description="Whether a sign-on counts as the second factor; if not, a code is asked for after it.",
    )


class Dashboard(Group):
    """The web pages."""

    oidc: Oidc = Oidc()

    second_factor: Literal["optional", "demanded"] = Field(
        default="optional",
        description="'demanded' = who has no second factor turns it on before anything else.",
    )


class Mcp(Group):
    """The MCP server, at /mcp and by `slipway mcp`; needs the extra slipway[mcp]."""

    enabled: bool = Field(default=False, description="Whether `slipway api` serves /mcp.")
    key: SecretStr = Field(default=SecretStr(""), description="API key with which `slipway mcp` acts.")

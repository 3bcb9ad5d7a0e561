"""The only wiring: builds a ``Context`` from settings. The one module that imports the adapters' registry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from adapters.contract import Capabilities, Platform, PlatformSettings
from adapters.post_options import PostOptions
from adapters.registry import ADAPTERS, COMMENTS
from config.consistency import SETTLE_TIME
from config.settings import Settings, settings
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import BackgroundDispatcher, Dispatcher
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.limits.platform_health import PlatformHealth
from pipeline.limits.rate_buckets import REQUEST_PAUSE, RateBuckets, create_redis_client
from pipeline.limits.shared_slots import SharedSlots
from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.media.relay import Transfers
from pipeline.media.storage import BucketStorage, FolderStorage, Storage
from pipeline.media.uploads import Files, UploadUrls, derive_upload_keys
from pipeline.runtime.context import Context, ShutdownSignal
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import SendGuard
from pipeline.store.database import Database
from pipeline.store.vault import Vault

#: The shutdown of this process, shared by every Context built in it.
SHUTDOWN = ShutdownSignal()

#: Where the sandbox serves each vendor's host: one path prefix per host.
SANDBOX_HOSTS = {
    Platform.TIKTOK: {"api": "/tiktok", "business": "/tiktok-business/open_api/v1.3", "www": "/tiktok-www"},
    Platform.INSTAGRAM: {
        "graph": "/instagram",
        "facebook_graph": "/facebook",
        "rupload": "/rupload",
        "api": "/instagram",
        "www": "/instagram",
        "facebook_www": "/facebook",
    },
    Platform.FACEBOOK: {
        "graph": "/facebook",
        "graph_video": "/facebook",
        "rupload": "/rupload",
        "www": "/facebook",
    },
    Platform.YOUTUBE: {"api": "/youtube", "oauth": "/google-oauth", "accounts": "/google-accounts"},
    Platform.PINTEREST: {"api": "/pinterest/v5", "www": "/pinterest-www"},
    Platform.LINKEDIN: {"api": "/linkedin", "www": "/linkedin-www"},
}

#: Seconds that the dispatch thread of an API process gives the broker. While it waits, messages queue up behind it.
DISPATCH_TIMEOUT = 2

#: The sandbox knows one app; the operator's own ids and secrets are never sent to it.
_SANDBOX_APP = {
    "app_id": "slipway-sandbox",
    "app_secret": SecretStr("sandbox-secret"),
    "business_app_id": "slipway-sandbox",
    "business_app_secret": SecretStr("sandbox-secret"),
}

_NOT_OPTIONS = {"app_id", "app_secret", "version"}


def list_post_options() -> dict[Platform, type[PostOptions]]:
    """Return the models of the platforms that have a section in a post request."""
    return {platform: model for platform, adapter in ADAPTERS.items() if (model := adapter.post_options)}


def list_capabilities() -> dict[Platform, Capabilities]:
    """Return what each platform does and takes."""
    return {platform: adapter.capabilities for platform, adapter in ADAPTERS.items()}


def build_platform_settings(s: Settings, platform: Platform) -> PlatformSettings:
    """Return a platform's settings as its adapter reads them; the sandbox, when it is on, replaces every host."""
    group: BaseModel = getattr(s, platform.value)
    values: dict[str, Any] = {name: getattr(group, name) for name in type(group).model_fields}
    hosts = {name: str(values.pop(name)).rstrip("/") for name in SANDBOX_HOSTS[platform]}
    if s.sandbox.url:
        values |= _SANDBOX_APP
        hosts = {name: s.sandbox.url.rstrip("/") + path for name, path in SANDBOX_HOSTS[platform].items()}
    return PlatformSettings(
        hosts=hosts,
        app_id=values["app_id"],
        app_secret=values["app_secret"],
        version=values.get("version", ""),
        options={name: value for name, value in values.items() if name not in _NOT_OPTIONS},
        visible_call=timedelta(seconds=s.worker.shutdown) - SETTLE_TIME,
    )


def build_storage(s: Settings) -> Storage:
    """Return the store of uploaded files: a folder or a bucket."""
    if s.files.store == "folder":
        return FolderStorage(s.files_folder)
    return BucketStorage(
        bucket=s.files.bucket,
        endpoint=s.files.endpoint,
        region=s.files.region,
        access_key=s.files.access_key,
        secret_key=s.files.secret_key,
        path_style=s.files.path_style,
    )


def build_context(s: Settings, *, keeps_epoch_file: bool = True, needs_vault: bool = True) -> Context:
    """Return a Context for these settings. Raises VaultError if there is no usable vault key.

    ``needs_vault``: False accepts that there is no key; the use of the vault raises VaultError then.

    ``keeps_epoch_file``: whether its send guard advances the epoch file, where the settings say so. A command that ends
    soon does not.
    """
    database = Database(s.store.url.get_secret_value(), pool=s.store.pool, wait=s.store.wait)
    fetcher = Fetcher(FetchPolicy(allowed_origins=s.media_origins))
    client = create_redis_client(s.broker.url.get_secret_value(), s.broker.sentinel_master)
    return Context(
        settings=s,
        database=database,
        send_guard=SendGuard(
            database,
            EpochFile(s.mark_folder) if keeps_epoch_file and s.mark.keep else None,
            timedelta(seconds=s.mark.lease),
        ),
        vault=Vault(s.vault.keys.get_secret_value(), may_be_empty=not needs_vault),
        dispatcher=Dispatcher(create_celery_app(s, retry_broker=False)),
        rate_buckets=RateBuckets(client, enabled=not s.sandbox.lifted),
        liveness=QueueLiveness(client),
        fetcher=fetcher,
        receivers=Fetcher(FetchPolicy(allowed_origins=s.receiver_origins)),
        files=Files(
            database=database,
            storage=build_storage(s),
            fetcher=fetcher,
            addresses=UploadUrls(
                public=s.files_url, keys=derive_upload_keys(s.vault.keys.get_secret_value())
            ),
        ),
        adapters=ADAPTERS,
        comment_adapters=COMMENTS,
        health=PlatformHealth(database, timedelta(seconds=s.publish.probe)),
        check_slots=SharedSlots(s.worker.slots, frozenset({urlsplit(s.files_url).netloc.lower()})),
        transfers=Transfers(s.worker.slots),
        platform_settings={platform: build_platform_settings(s, platform) for platform in ADAPTERS},
        shutdown=SHUTDOWN,
    )


def build_api_context(s: Settings) -> Context:
    """Return the Context of a process whose clients wait: it gives up early on a broker that hangs."""
    client = create_redis_client(
        s.broker.url.get_secret_value(), s.broker.sentinel_master, timeout=s.broker.request_timeout
    )
    app = create_celery_app(s, retry_broker=False, socket_timeout=DISPATCH_TIMEOUT)
    return replace(
        build_context(s), dispatcher=BackgroundDispatcher(app), liveness=QueueLiveness(client, REQUEST_PAUSE)
    )


_context_lock = Lock()


def get_context() -> Context:
    """Return this process's Context, built from the settings at the first call.

    The first tasks of a worker call it at once, and ``lru_cache`` alone would build one Context for each of them: with
    connections, and shares of the slots, of its own.
    """
    with _context_lock:
        return _build_own_context()


@lru_cache(maxsize=1)
def _build_own_context() -> Context:
    # `slipway worker` refuses to start a group that needs the key without one
    return build_context(settings(), needs_vault=False)

"""A filled month: 20 clients, 70 accounts and 3,000 posts in many languages, as an agency has them."""
# ruff: noqa: S608  sentences of this file are put into a statement

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, product
from uuid import UUID

from pydantic import SecretStr

from adapters.contract import Credentials, Platform, RemoteAccount
from pipeline.api.posts.schema import PostBody
from pipeline.imports.columns import build_columns
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.runtime.context import Context
from pipeline.store.accounts.accounts import add_account, find_accounts
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import new_id, row, rows
from pipeline.store.posts.insert_batch import NewDelivery, NewPost, store_posts
from pipeline.store.rollups.settled_counts import (
    ALL_WORKSPACES,
    DAY,
    HOUR,
    LATENESS,
    Span,
    add_settled,
    find_start,
)
from tests.pipeline.dashboard.dropped_files import work, write_rows
from tests.pipeline.store.ledger import Ledger

CLIENTS = (
    ("Fjord Coffee Roasters", "tiktok instagram youtube pinterest linkedin facebook"),
    ("Sakura Studio", "tiktok instagram youtube pinterest"),
    ("Müller & Söhne Präzisionswerkzeuge GmbH", "linkedin facebook pinterest"),
    ("مخبز الياسمين", "instagram facebook tiktok"),
    ("Kita Ramen 北ラーメン", "youtube tiktok instagram"),
    ("Tallow & Wick", "tiktok instagram pinterest"),
    ("Nordlys Yoga", "instagram facebook"),
    ("Oslo Bike Kitchen", "instagram linkedin youtube"),
    ("Casa Limón", "tiktok instagram pinterest facebook"),
    ("Harbour & Pine", "instagram facebook pinterest linkedin"),
    ("Bright Dental", "instagram facebook linkedin tiktok"),
    ("Atelier Brume", "linkedin instagram pinterest"),
    ("<b>Bold & Co</b>", "tiktok youtube facebook"),
    ("Nachtschicht Maschinenbeobachtung", "linkedin youtube"),
    ("Café Señor Ñandú", "instagram tiktok facebook pinterest"),
    ("Zażółć Gęślą", "facebook instagram linkedin"),
    ("Ostrov knih", "facebook instagram"),
    ("Blue Door Books", "tiktok instagram youtube pinterest linkedin facebook"),
    ("Verde", "instagram pinterest tiktok youtube"),
    ("Lighthouse Runners", "tiktok instagram youtube facebook"),
)
CAPTIONS = (
    "Giveaway! Tag a friend who needs a better Monday. Three bags of Yirgacheffe, one winner.",
    "新作ワークショップのお知らせ 12月の金継ぎ教室、残り3席です。",
    "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrikationsmaschine im Einsatz",
    "خبز طازج كل صباح من الساعة السادسة. زورونا في الشارقة",
    "冬の味噌ラーメン、始まりました。数量限定・二種類。",
    "Hand-poured, 48 hours to set. The winter set is back in the shop.",
    '<script>alert("xss")</script> <img src=x onerror="document.title=\'attacked\'">',
    "We fix punctures while you drink coffee. Four chairs, no appointment.",
    "Limonada de la casa: cinco limones, una rama de menta y nada más",
    "Seven hours of daylight, one good thermos",
    "Bonus: your retainer does not belong in the dishwasher",
    "Grzegorz Brzęczyszczykiewicz otwiera sklep w Łodzi",
    '=HYPERLINK("http://evil.example","free beans")',
    "Wreath evening on 12 December: two tables, mulled wine 🎄✨",
)
WORDS = {
    "tiktok": "The access_token is invalid or not found in the request.",
    "instagram": "The video file you selected is in a format that we don't support.",
    "youtube": "The request metadata specifies an invalid video title.",
    "pinterest": "Authentication failed.",
    "linkedin": "Unable to retrieve the content of the link.",
    "facebook": "Session has expired on Saturday, 28-Nov-26 22:00:00 PST.",
}
FAILURES = ("Rejected", "Invalid", "Rejected", "Unavailable", "TooLate")
BATCH = 500


@dataclass(kw_only=True)
class Month:
    """The clients of the month, and the accounts of each."""

    clients: dict[UUID, str] = field(default_factory=dict)
    accounts: dict[UUID, list[tuple[UUID, Platform]]] = field(default_factory=dict)
    posts: list[UUID] = field(default_factory=list)


def fill_month(ledger: Ledger, posts: int = 3000) -> Month:
    """Fill the ledger; times run from two days ago to four weeks ahead."""
    month = Month()
    for name, platforms in CLIENTS:
        _add_client(ledger, month, name, platforms.split())
    made = [_build_post(month, n, posts) for n in range(posts)]
    for first in range(0, posts, BATCH):
        with ledger.database.begin() as c:
            store_posts(c, made[first : first + BATCH], timedelta(0))
    month.posts = [one.id for one in made]
    with ledger.database.begin() as c:
        for statement in (*_STANDINGS, *_HISTORY):
            rows(c, statement)
        rows(c, _STATUSES)
        add_settled(c, _count_settled(month))
    return month


def _count_settled(month: Month) -> dict[Span, int]:
    """Count 70 days and 60 hours as the export of moves would have; one day was late at TikTok."""
    now, counts = datetime.now(UTC), Counter[Span]()
    starts = [(DAY, n, find_start(now - timedelta(days=n), DAY)) for n in range(70)]
    starts += [(HOUR, n, find_start(now - timedelta(hours=n), HOUR)) for n in range(60)]
    for (minutes, n, start), (place, (client, accounts)) in product(
        starts, enumerate(month.accounts.items())
    ):
        for number, (_, platform) in enumerate(accounts):
            live = 1 + (n * 7 + place * 3 + number) % (9 if minutes == DAY else 2)
            slowest = "300.0" if n == 3 and platform is Platform.TIKTOK else "10.0"
            for who in (client, ALL_WORKSPACES):
                key = (who, minutes, start, str(platform))
                counts[Span(*key, "published", "")] += live
                counts[Span(*key, LATENESS, "5.0")] += live - live // 3
                counts[Span(*key, LATENESS, slowest)] += live // 3
                if (n * 5 + place + number) % 23 == 0:
                    counts[Span(*key, "failed", FAILURES[(n + place) % len(FAILURES)])] += 1
    return +counts


def _add_client(ledger: Ledger, month: Month, name: str, platforms: Sequence[str]) -> None:
    with ledger.database.begin() as c:
        client = create_workspace(c, name=name)
        month.clients[client] = name
        month.accounts[client] = [
            (
                add_account(c, ledger.vault, client, Platform(platform), _build_remote(name, platform)),
                Platform(platform),
            )
            for platform in platforms
        ]


def _build_remote(name: str, platform: str) -> RemoteAccount:
    handle = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum()) or "account"
    return RemoteAccount(
        connection="creator",
        remote_id=os.urandom(8).hex(),
        username=f"{handle[:24]}.{platform[:2]}",
        display_name=name,
        credentials=Credentials(access_token=SecretStr("dummy")),
        settings={},
    )


def _build_post(month: Month, n: int, posts: int) -> NewPost:
    clients = [*month.accounts]
    client = clients[(n * 7) % len(clients)]
    own = month.accounts[client]
    accounts = list(islice(cycle(own), n % len(own), n % len(own) + 1 + n % len(own)))[: len(own)]
    hour = 5 + (n * 11) % 17
    day = -2 + n * 30 // posts
    due = (datetime.now(UTC) + timedelta(days=day)).replace(
        hour=hour, minute=15 * (n % 4), second=0, microsecond=0
    )
    return NewPost(
        id=new_id(),
        workspace_id=client,
        key_id=None,
        caption=CAPTIONS[n % len(CAPTIONS)],
        media={"type": "slideshow", "urls": [f"https://cdn.example/{n}-{i}.jpg" for i in range(1 + n % 5)]},
        music_url=None,
        options={},
        due_at=due,
        expires_at=None,
        on_late="publish",
        external_id=f"row-{n}",
        replay_token=None,
        fingerprint=b"",
        checks={},
        deliveries=[
            NewDelivery(id=new_id(), account_id=account, platform=platform, next_at=due, state="scheduled")
            for account, platform in accounts
        ],
    )


def drop_month(context: Context, month: Month) -> UUID:
    """Plan a file of one client, of which some rows are refused; return its import."""
    client = next(iter(month.clients))
    with context.database.begin() as c:
        caller = read_caller(c, client, None)
        names = [f"{one.platform}:{one.username}" for one in find_accounts(c, client)]
    assert caller is not None
    rows_of_file = []
    for n in range(90):
        fits = (
            names if n % 30 == 7 else [name for name in names if not name.startswith(("you", "pin", "link"))]
        )
        accounts = "|".join(fits[n % 3 :]) if n % 31 else "linkedin:fjord-linkedn"
        time = f"{1 + n % 28:02d}.01.2031 {'25' if n % 37 == 5 else '18'}:{n % 60:02d}"
        urls = "https://cdn.example/1.jpg|https://cdn.example/2.jpg" if n % 5 else "https://cdn.example/1.mp4"
        caption = CAPTIONS[n % len(CAPTIONS)] + ("" if n % 13 == 0 else f" {n}")
        rows_of_file.append((caption, urls, accounts, time, ""))
    for n in range(22):
        at = f"12.01.2031 {n % 20:02d}:00"
        rows_of_file.append((f"Advent {n % 20}", "https://cdn.example/1.jpg", names[0], at, ""))
    options = ImportOptions(name="december-fjord.csv", time_zone="Europe/Oslo")
    columns = build_columns(PostBody)
    job = store_file(context, caller, options, columns, [write_rows(*rows_of_file)])
    work(context, job.id)
    return job.id


_WORDS = " ".join(
    f"WHEN '{platform}' THEN '{words.replace(chr(39), chr(39) * 2)}'" for platform, words in WORDS.items()
)
_STANDINGS = (
    """UPDATE deliveries SET state = 'published', fence = 1, published_at = due_at + interval '6 seconds',
              armed_at = due_at + interval '1 second', remote_id = id::text, delivered_as = 'post',
              url = 'https://' || platform || '.example/' || id
       WHERE due_at < now() - interval '10 minutes' RETURNING id""",
    f"""UPDATE deliveries SET state = 'failed', published_at = NULL, armed_at = NULL, remote_id = NULL, url = NULL,
               delivered_as = NULL, error = jsonb_build_object('class', 'Rejected', 'code', 'media_refused',
               'fault', 'customer', 'message', 'The platform refused the media.',
               'platform_message', CASE platform {_WORDS} END)
        WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM deliveries
              WHERE state = 'published' AND due_at > now() - interval '1 day') x WHERE n % 29 = 1) RETURNING id""",
    """UPDATE accounts SET status = 'reconnect', error = jsonb_build_object('class', 'CredentialsRevoked',
              'code', 'revoked', 'message', 'The access was withdrawn.',
              'platform_message', 'The access_token is invalid or not found in the request.')
       WHERE id IN (SELECT id FROM accounts WHERE platform IN ('tiktok', 'pinterest') ORDER BY username LIMIT 3)
       RETURNING id""",
    """UPDATE deliveries d SET state = 'blocked', reason = 'reconnect', fence = 1, published_at = NULL, armed_at = NULL,
              remote_id = NULL, url = NULL, delivered_as = NULL, error = a.error
       FROM accounts a WHERE a.id = d.account_id AND a.status = 'reconnect'
         AND d.due_at BETWEEN now() - interval '2 hours' AND now() + interval '8 hours' RETURNING d.id""",
    """UPDATE deliveries SET state = 'unknown', published_at = NULL, remote_id = NULL, url = NULL, delivered_as = NULL,
              armed_deadline = armed_at + interval '1 minute', working_since = armed_at,
              next_at = now() + interval '3 minutes'
       WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY due_at DESC, id) AS n FROM deliveries
              WHERE state = 'published') x WHERE n IN (1, 5)) RETURNING id""",
    """UPDATE deliveries SET state = 'blocked', reason = 'is_it_live', published_at = NULL,
              remote_id = NULL, url = NULL, delivered_as = NULL
       WHERE id IN (SELECT id FROM deliveries WHERE state = 'published' AND platform = 'linkedin'
                    ORDER BY due_at DESC LIMIT 1) RETURNING id""",
    """UPDATE accounts SET expires_at = now() + interval '40 hours', renewable = false
       WHERE id IN (SELECT id FROM accounts WHERE platform = 'linkedin' ORDER BY username LIMIT 2) RETURNING id""",
    """INSERT INTO pauses (scope, target, why, who)
       SELECT 'account', id::text, 'The client checks the new logo.', 'user ann' FROM accounts
       WHERE id IN (SELECT id FROM accounts WHERE platform = 'facebook' ORDER BY username LIMIT 1)
       UNION ALL SELECT 'workspace', w.id::text, 'Their campaign starts on Monday.', 'user jonas'
       FROM (SELECT id FROM workspaces ORDER BY name DESC LIMIT 1) w RETURNING scope""",
    """INSERT INTO attempts (delivery_id, account_id, n, generation, fence, armed_at)
       SELECT id, account_id, 1, generation, fence, armed_at FROM deliveries
       WHERE state IN ('published', 'unknown') RETURNING id""",
)
_HISTORY = (
    """INSERT INTO moves (delivery_id, at, mover, origin, target, generation, fence)
       SELECT id, due_at + (6 + hashtext(id::text) % 5) * interval '1 s', 'publish', 'publishing', state, generation, 1
       FROM deliveries WHERE state IN ('published', 'failed', 'unknown', 'blocked') RETURNING id""",
    """INSERT INTO attempts (delivery_id, account_id, n, generation, fence, opened_at, closed_at, outcome, error)
       SELECT id, account_id, n, generation, 1, due_at, due_at + interval '4 seconds', 'failed', error
       FROM deliveries, generate_series(1, 2) n WHERE state = 'failed' RETURNING id""",
    """INSERT INTO audit (at, actor_kind, actor_name, verb, kind, subject, workspace_id, before, after)
       SELECT due_at - interval '40 hours', 'user', CASE WHEN n % 2 = 0 THEN 'ann' ELSE 'jonas' END, 'edit', 'post',
              id::text, workspace_id, jsonb_build_object('scheduled_at', due_at - interval '15 hours')
                  || CASE n % 3 WHEN 0 THEN jsonb_build_object('caption', 'A first draft') ELSE '{}' END,
              jsonb_build_object('scheduled_at', due_at)
                  || CASE n % 3 WHEN 0 THEN jsonb_build_object('caption', caption) ELSE '{}' END
       FROM (SELECT *, row_number() OVER (ORDER BY due_at) AS n FROM posts WHERE due_at < now() + interval '40 hours') p
       WHERE n % 4 < 2 RETURNING id""",
    """INSERT INTO audit (at, actor_kind, actor_name, verb, kind, subject, workspace_id, before, after)
       SELECT due_at - interval '42 hours', 'user', 'jonas', 'edit', 'post', id::text, workspace_id, '{"options": {}}',
              '{"options": {"linkedin": {"title": "Slow roasts on Tuesdays"}}}'
       FROM posts WHERE due_at < now() + interval '40 hours' AND hashtext(id::text) % 3 = 0 RETURNING id""",
    """UPDATE posts SET linkedin = '{"title": "Slow roasts on Tuesdays"}'
       WHERE due_at < now() + interval '40 hours' AND hashtext(id::text) % 3 = 0 RETURNING id""",
    "UPDATE posts SET created_at = least(created_at, due_at - interval '3 days') RETURNING id",
)
_STATUSES = """
UPDATE posts p SET status = s.status FROM (
    SELECT post_id, CASE WHEN bool_or(state = 'unknown') THEN 'pending' WHEN bool_or(state = 'blocked') THEN 'retry'
        WHEN bool_or(state = 'scheduled') THEN 'scheduled' WHEN bool_and(state = 'published') THEN 'posted'
        WHEN bool_or(state = 'published') THEN 'partial' ELSE 'failed' END AS status
    FROM deliveries GROUP BY 1) s
WHERE s.post_id = p.id AND p.status <> s.status RETURNING p.id
"""


def find_partly_live(ledger: Ledger) -> UUID:
    """Return a post that failed at one account and is live at the most others."""
    with ledger.database.begin() as c:
        found = row(
            c,
            """SELECT post_id FROM deliveries GROUP BY 1 HAVING bool_or(state = 'failed')
               ORDER BY count(*) FILTER (WHERE state = 'published') DESC LIMIT 1""",
        )
    assert found is not None
    return UUID(str(found.post_id))


def find_widest(ledger: Ledger) -> UUID:
    """Return a post of six accounts, of those whose next one is due last."""
    with ledger.database.begin() as c:
        found = row(
            c,
            "SELECT post_id FROM deliveries GROUP BY 1 HAVING count(*) = 6 ORDER BY max(due_at) DESC, 1 LIMIT 1",
        )
    assert found is not None
    return UUID(str(found.post_id))

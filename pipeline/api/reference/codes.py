"""HTML lists of the error and warning codes: cause, what to do, and an answer with the code; each has an address.

Table of what causes each error code of a post at an account, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from pipeline.api.openapi.error_codes import CODES
from pipeline.api.openapi.sample_requests import read_recorded
from pipeline.api.reference.error_advice import ERRORS, Advice
from pipeline.api.reference.markup import mark_code, render_example
from pipeline.api.reference.warning_advice import WARNINGS

_SERVER = "Nothing: it is tried again by itself."
_EDIT = "Edit the post accordingly, then retry it."
_OPERATOR = "Ask the operator of this server: the app's configuration at the platform has to change."
_RECONNECT = "Connect the account again and grant every permission; waiting posts then go on."
_PERSON = "Open the platform's app with this account to see why, settle it there, then retry the post."
_LOOK = "Look at the account, then tell the operator whether the post is live."
_MEDIA = "Send the file in a form that the platform's table of limits allows, then retry the post."

ACCOUNT_ERRORS: Mapping[str, Advice] = {
    "account_banned": Advice("The platform has banned the account from posting.", _PERSON),
    "api_version_retired": Advice(
        "The platform has retired the version of its API that is configured here.", _OPERATOR
    ),
    "app_misconfigured": Advice("The platform does not accept this server's app.", _OPERATOR),
    "app_not_allowed": Advice("The platform does not let this server's app do this.", _OPERATOR),
    "app_refused": Advice("The platform does not accept the id and secret of this server's app.", _OPERATOR),
    "app_on_trial": Advice(
        "Pinterest gives this server's app trial access only: it may not create pins.", _OPERATOR
    ),
    "app_secret_refused": Advice("Meta does not accept the secret of this server's app.", _OPERATOR),
    "app_too_old": Advice(
        "The account's TikTok app is too old to receive drafts.",
        "Update the TikTok app, or publish directly instead of as a draft.",
    ),
    "app_unaudited": Advice(
        "TikTok has not audited this server's app: it may publish to private accounts only.", _OPERATOR
    ),
    "app_user_cap": Advice("This server's app has reached its daily number of users at TikTok.", _SERVER),
    "blocked_by_policy": Advice("The platform blocked the account's posts for policy reasons.", _PERSON),
    "blocked_as_spam": Advice("The platform has blocked the account's posts as spam.", _PERSON),
    "board_not_found": Advice(
        "Pinterest does not find the board.",
        "Choose a board of this account in `pinterest.board_id`, then retry.",
    ),
    "channel_closed": Advice("The YouTube channel or its Google account is closed.", _PERSON),
    "channel_suspended": Advice("YouTube has suspended the channel.", _PERSON),
    "chunk_size_refused": Advice(
        "TikTok refused the size of an upload's parts; other sizes are tried.", _SERVER
    ),
    "chunks_refused": Advice(
        "TikTok refused every size of parts that its rules allow for this video.", _MEDIA
    ),
    "chunks_too_large": Advice(
        "TikTok takes this video only in parts that are too large for the time a publishing call may take here.",
        "Ask the operator to raise the setting that the message names, or send a smaller file.",
    ),
    "conversion_timed_out": Advice("An image took too long to be made to fit the platform.", _SERVER),
    "claim_lost": Advice("Another process of this server took over in the middle of a step.", _SERVER),
    "conflict": Advice("The platform was changing the same thing at that time.", _SERVER),
    "container_expired": Advice("Instagram's prepared post has expired; a new one is made.", _SERVER),
    "container_failed": Advice(
        "Instagram could not process the media; it is prepared again.",
        "If the post fails, send the file in a form that Instagram's table of limits allows.",
    ),
    "content_claimed": Advice(
        "YouTube rejected the video because of a rights claim.",
        "Change the video, or appeal in YouTube Studio.",
    ),
    "content_policy": Advice(
        "The platform rejected the post under its rules.",
        "Change text or media; an appeal is possible in its app.",
    ),
    "credentials_expired": Advice("The access token has expired; it is renewed.", _SERVER),
    "daily_limit": Advice("The account has reached the platform's number of posts for today.", _SERVER),
    "deadline_passed": Advice("A step began too late to be finished safely; nothing was sent.", _SERVER),
    "duplicate": Advice(
        "The channel has published the same file before.",
        "Nothing, if it is the same video; else change the file.",
    ),
    "duplicate_request": Advice("The platform calls the request a repetition.", _SERVER),
    "expired": Advice(
        "The post was not published before its `expires_at`, or later than its workspace allows.",
        "Give the post a new time, if it is still wanted; that needs a new post if `expires_at` has passed.",
    ),
    "handle_gone": Advice("The platform does not show the prepared post, for now.", _SERVER),
    "invalid_category": Advice("YouTube has no such video category.", _OPERATOR),
    "invalid_description": Advice(
        "YouTube refused the description.", "Change the caption, then retry the post."
    ),
    "invalid_media": Advice("The platform says that the file is not valid.", _MEDIA),
    "cover_not_allowed": Advice(
        "YouTube lets this channel set no thumbnail; the post is live without it.",
        "Verify the channel at youtube.com/verify, or set the thumbnail in YouTube Studio.",
    ),
    "invalid_cover": Advice(
        "YouTube refused the image as thumbnail; the post is live without it.", "Send a JPEG or PNG."
    ),
    "invalid_metadata": Advice("YouTube refused the video's texts or settings.", _EDIT),
    "invalid_request": Advice("The platform refused the request as invalid.", _EDIT),
    "invalid_tags": Advice(
        "YouTube refused the tags.", "Change the hashtags of the caption, then retry the post."
    ),
    "invalid_title": Advice(
        "YouTube refused the title.", "Change the caption's first line, then retry the post."
    ),
    "license_not_allowed": Advice("YouTube refused the video's licence.", _PERSON),
    "media_changed": Advice(
        "The file at the URL is no longer the one that was checked.",
        "Send the post again (or edit its `media`), so that the file is checked as it is now.",
    ),
    "media_not_convertible": Advice(
        "The image does not fit the platform, and could not be made to.",
        "Send it as a JPEG within the platform's limits.",
    ),
    "media_dimensions": Advice("The platform does not take pictures of this size.", _MEDIA),
    "media_duration": Advice("The platform does not take a video of this length.", _MEDIA),
    "media_failed": Advice("The platform could not process the media.", _MEDIA),
    "media_format": Advice("The platform does not take this file format.", _MEDIA),
    "media_frame_rate": Advice("The platform does not take this frame rate.", _MEDIA),
    "media_not_fetched": Advice(
        "The platform could not fetch the file from its URL; it is tried again.",
        "If it stays so, check that the URL is reachable from everywhere, not only from here.",
    ),
    "media_not_owned": Advice(
        "LinkedIn says that the media do not belong to the author of the post.",
        "Connect the LinkedIn account again, then retry the post.",
    ),
    "media_not_ready": Advice("The platform has not received the whole file yet.", _SERVER),
    "media_outage": Advice(
        "The media's host did not respond for hours.", "Make the URLs work again, then retry the post."
    ),
    "media_pull_failed": Advice(
        "The platform could not fetch the media from its URL; it is tried again.",
        "If it stays so, check that the URL is reachable from everywhere, without redirects or login.",
    ),
    "media_unavailable": Advice(
        "The media's host does not respond or is too slow; it is tried again.", _SERVER
    ),
    "music_not_attachable": Advice(
        "TikTok does not let this sound be used by this account.",
        "Choose a commercial sound, or null as `music_url`, then retry the post.",
    ),
    "music_unresolvable": Advice(
        "The TikTok post of `music_url` does not exist, or has no sound that can be used.",
        "Choose another post as `music_url`, or null.",
    ),
    "music_unresolved": Advice("The sound of `music_url` is still being looked up.", _SERVER),
    "no_answer": Advice("The platform did not respond.", _SERVER),
    "no_channel": Advice(
        "The Google account has no YouTube channel.",
        "Create one at youtube.com, then connect the account again.",
    ),
    "not_permitted": Advice(
        "The platform does not permit this account to do that, for example to use this board.", _EDIT
    ),
    "not_prepared": Advice(
        "What had been prepared at the platform is incomplete; it is prepared again.", _SERVER
    ),
    "not_sent_yet": Advice(
        "The account was added to a post that had failed.", "Retry the post, or give it a time."
    ),
    "cannot_be_asked": Advice(
        "The platform's answer was lost, and it has no call that shows whether the post is live.",
        "An operator looks at the account and decides, once the post can no longer appear.",
    ),
    "outcome_unknown": Advice(
        "The platform's answer to the publishing call was lost or unclear. It is looked up, and never sent again "
        "blindly.",
        "Wait. If no proof is found, the account's state becomes blocked, and an operator decides.",
    ),
    "permission_missing": Advice("The account's grant or this server's app lacks a permission.", _RECONNECT),
    "platform_error": Advice(
        "The platform refused for a reason that is not listed. `platform_code` has its own code.", _PERSON
    ),
    "platform_failed": Advice("The platform accepted the post and then failed or rejected it.", _PERSON),
    "platform_maintenance": Advice("The platform is under maintenance.", _SERVER),
    "platform_outage": Advice(
        "The platform was unavailable for hours; nothing was published.",
        "Retry the post once the platform works again.",
    ),
    "platform_unavailable": Advice("The platform failed for a temporary reason.", _SERVER),
    "platform_unreachable": Advice("The platform could not be reached.", _SERVER),
    "poison": Advice(
        "The work on this post crashed several times.", "Ask the operator: the worker's log says why."
    ),
    "preparing_timed_out": Advice("The platform did not finish processing the media in time.", _SERVER),
    "privacy_not_allowed": Advice(
        "The platform does not let this account publish with the chosen privacy.",
        "Choose another `privacy_level`, then retry the post.",
    ),
    "processing_failed": Advice("The platform failed to process the upload; it is uploaded again.", _SERVER),
    "proven_absent": Advice(
        "The platform proves that an earlier try was not published; it is sent again.", _SERVER
    ),
    "publish_cancelled": Advice(
        "The publish was canceled at the platform.", "Retry the post, if it is still wanted."
    ),
    "publish_failed": Advice("The platform accepted the post and then failed to publish it.", _PERSON),
    "quota_exhausted": Advice("This server's quota at the platform is used up for today.", _SERVER),
    "reconnect_required": Advice("The account's access was withdrawn, or it has expired.", _RECONNECT),
    "refresh_in_progress": Advice("The access token is being renewed.", _SERVER),
    "refresh_too_early": Advice("The platform does not renew the access token yet.", _SERVER),
    "refresh_unanswered": Advice(
        "The platform's answer to a renewal of the access was lost, and with it the new token.", _RECONNECT
    ),
    "refused_for_now": Advice("The platform refused the post as temporarily unavailable.", _PERSON),
    "rejected": Advice("The platform refused the content, the media or the settings.", _EDIT),
    "remote_id_taken": Advice("The platform named a post that belongs to another delivery.", _LOOK),
    "resource_forbidden": Advice("LinkedIn denies access to an upload; it is tried again.", _RECONNECT),
    "restored": Advice(
        "The database was restored from a backup; the platform is asked for what went out since. `candidates` are live "
        "posts of the account, the best match first.",
        _LOOK,
    ),
    "spam_risk": Advice(
        "The platform refused the post as a spam risk.", "Change text or media, then retry the post."
    ),
    "spool_failed": Advice("This server could not copy the file to its disk; no try is spent.", _SERVER),
    "storage_unavailable": Advice(
        "The file storage of this installation cannot be used now. Nothing was sent, and no try is spent.",
        _SERVER,
    ),
    "too_many_drafts": Advice(
        "Five drafts wait in the account's TikTok inbox.", "Finish or discard drafts in the TikTok app."
    ),
    "unknown_publish_id": Advice("TikTok does not know the prepared post any more.", "Retry the post."),
    "unsupported": Advice("The platform has no such kind of post.", "Publish this post to other accounts."),
    "upload_aborted": Advice("The platform says that the upload was aborted; it is made again.", _SERVER),
    "upload_expired": Advice("The upload has expired; it is made again.", _SERVER),
    "upload_failed": Advice("The upload failed at the platform; it is made again.", _SERVER),
    "upload_incomplete": Advice("The platform has a part of the file; the rest is sent.", _SERVER),
    "upload_interrupted": Advice("The upload was interrupted; it is continued or made again.", _SERVER),
    "upload_stuck": Advice("The upload made no progress in several tries.", _SERVER),
    "video_not_found": Advice("YouTube has no such video any more: no thumbnail can be set.", "Nothing."),
    "url_ownership_unverified": Advice(
        "TikTok fetches this file itself, and its address is not verified for this server's app.", _OPERATOR
    ),
}
"""By ``error.code`` of a post at an account; codes that responses have too are in ``ERRORS``."""


_ERRORS = (
    "Errors of responses: <code>error_code</code>. "
    "Each response carries the address of its code in <code>help</code>."
)
_ACCOUNT_ERRORS = (
    "Errors of a post at one account: <code>accounts.states[].error.code</code>. They are not errors of a request. "
    "A code that is not listed here is listed above."
)
_WARNINGS = "Warnings: <code>warnings[].code</code>. They never stop a post."


def render_codes() -> Iterator[tuple[str, str]]:
    """Yield heading and HTML of each list."""
    yield "Error codes", _render_list(_ERRORS, "error", ERRORS)
    yield "Account errors", _render_list(_ACCOUNT_ERRORS, "error", ACCOUNT_ERRORS)
    yield "Warnings", _render_list(_WARNINGS, "warning", WARNINGS)


def _render_list(about: str, kind: str, advice: Mapping[str, Advice]) -> str:
    items = "\n".join(_render_code(kind, code, advice[code]) for code in sorted(advice))
    return f"<p>{about}</p>\n<dl>\n{items}\n</dl>"


def _render_code(kind: str, code: str, advice: Advice) -> str:
    anchor = f"{kind}-{code.lower()}"
    answers = list(_find_answers(code)) if kind == "error" else []
    statuses = (
        "".join(f" <small>{status}</small>" for status in CODES[code].statuses) if code in CODES else ""
    )
    examples = "".join(render_example(answer) for answer in answers)
    shown = f"<details><summary>Answer</summary>{examples}</details>" if examples else ""
    return (
        f'<div id="{anchor}"><dt><a href="#{anchor}"><code>{escape(code)}</code></a>{statuses}</dt>\n'
        f"<dd><p>{mark_code(advice.cause)}</p>\n<p><b>What to do:</b> {mark_code(advice.action)}</p>{shown}</dd></div>"
    )


def _find_answers(code: str) -> Iterator[Any]:
    errors = read_recorded().errors
    for name in sorted(errors):
        if name.partition(" ")[2] == code:
            yield errors[name]

"""Table of what causes each warning, and what to do about it. The reference shows it by code."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.api.reference.error_advice import Advice

WARNINGS: Mapping[str, Advice] = {
    "AI_LABEL_NOT_SUPPORTED": Advice(
        "`ai_generated` is set, and the platform's API has no label for it: LinkedIn, Pinterest, and photo posts on "
        "Facebook and TikTok.",
        "Say it in the caption or in the platform's app, where the law asks for it.",
    ),
    "ALT_TEXT_NOT_SUPPORTED": Advice(
        "`media.alt_texts` is set, and the platform's API takes none for such a post, or only the first image's.",
        "Nothing, or describe the picture in the caption.",
    ),
    "ALREADY_PUBLISHED": Advice(
        "The edited post is live at an account already; that version stays.",
        "Change it in the platform's app, if it has to change there too.",
    ),
    "CAROUSEL_SIZES_DIFFER": Advice(
        "The images of a Pinterest carousel differ in size; Pinterest was seen to refuse such carousels.",
        "Send images of one size.",
    ),
    "CHANNEL_NOT_VERIFIED": Advice(
        "The video is longer than 15 minutes, and the channel could not upload so long a video when it was "
        "connected.",
        "Verify the channel at youtube.com/verify, or send a shorter video.",
    ),
    "CONSENT_NOT_STATED": Advice(
        "The post is branded content, and `tiktok.user_consent` does not state the person's consent.",
        "Ask the person to agree to TikTok's Branded Content Policy, then send `user_consent: true`.",
    ),
    "COVER_ROUNDED": Advice(
        "`media.cover` lies between two seconds of the video; Pinterest takes whole seconds and gets the earlier one.",
        "Nothing, or send a whole second or an image.",
    ),
    "COVER_NOT_SET": Advice(
        "The post is live; the image of `media.cover`, which YouTube takes only afterwards, could not be set (yet).",
        "Nothing: it is tried again for a day. After that, set the thumbnail in YouTube Studio; the channel needs a "
        "verified phone number for that.",
    ),
    "COVER_NOT_SUPPORTED": Advice(
        "`media.cover` is set, and the platform's API takes none, or not this form: Facebook takes none for a reel; "
        "for other videos Facebook, and YouTube and LinkedIn, an image only; TikTok an image of accounts connected "
        "through TikTok for Business only.",
        "Send the other form, or choose the cover in the platform's app.",
    ),
    "DAILY_QUOTA_EXCEEDED": Advice(
        "The account has more posts, or inbox drafts, on that day than its platform allows; the excess is published "
        "later.",
        "Move some to another day.",
    ),
    "DRAFT_IGNORES_SETTING": Advice(
        "A TikTok draft carries texts only; this setting is chosen by the person who finishes it.",
        "Leave the setting out, or publish directly.",
    ),
    "DUPLICATE": Advice(
        "An equal request was accepted before; `POST /posts` would return its post and create none.",
        "Use a new `external_id` for a new post.",
    ),
    "MEDIA_CONVERTED": Advice(
        "The platform does not take the image as it is: it gets a JPEG that is made from it. The message says from "
        "what to what; the file that was sent stays as it is.",
        "Nothing; or send an image that fits, which is published byte for byte.",
    ),
    "MUSIC_BY_HAND": Advice(
        "A TikTok draft cannot carry a sound.",
        "Choose the sound in the TikTok app; the message has its link.",
    ),
    "MUSIC_NOT_SUPPORTED_BY_CONNECTION": Advice(
        "TikTok's API for creators has no field for a sound: the post goes out without it.",
        "Connect the account through TikTok for Business, or send a video that carries the sound.",
    ),
    "NOT_A_SHORT": Advice(
        "YouTube makes Shorts of square or vertical videos of at most three minutes; this one becomes an ordinary "
        "video.",
        "Send a vertical video, if a Short is wanted.",
    ),
    "RATIO_NOT_DOCUMENTED": Advice(
        "The platform documents other shapes of images; third parties report that it takes this one.",
        "Send an image of a documented shape, if the post must not be refused.",
    ),
    "REACHABILITY_PENDING": Advice(
        "The media were not checked yet when the post was accepted. If a check fails, the post fails with "
        "`media_unreachable`.",
        "Read the post later: its accounts show what became of the check.",
    ),
    "SETTING_HAS_NO_EFFECT": Advice(
        "This kind of TikTok post has no such setting.", "Leave the setting out."
    ),
    "STILL_FAILED": Advice(
        "An edit does not revive what has failed.", "Retry the post, or give it a time with `scheduled_at`."
    ),
    "TAGS_CUT": Advice(
        "YouTube takes 500 characters of tags in all; the last hashtags do not become tags.",
        "Use fewer hashtags.",
    ),
    "TAGS_LEFT_OUT": Advice(
        "Tags become hashtags at the end of the pin's description, and not all of them fit.",
        "Shorten the caption, or send fewer tags.",
    ),
    "TEXT_CHANGED": Advice(
        "YouTube takes no < and > in texts; they are replaced by typographic ones.",
        "Write the text without them.",
    ),
    "TITLE_NOT_USED": Advice(
        "A TikTok video has one text, the caption.",
        "Put the text into the caption and leave `tiktok.title` out.",
    ),
    "TOKEN_EXPIRES_BEFORE_DUE": Advice(
        "The account's access ends before the post is due.", "Connect the account again before that time."
    ),
    "VIDEO_DURATION_MISSING": Advice(
        "The length of the video is not known yet, so limits of length were not checked.",
        "Send `media.duration_sec`, or wait: the check finds it.",
    ),
    "VIDEO_METADATA_MISSING": Advice(
        "Size and dimensions of the video are not known yet, so their limits were not checked.",
        "Send what is known (`width`, `height`, `bytes`, `mime_type`), or wait: the check finds it.",
    ),
}
"""By code. A warning never stops a post."""

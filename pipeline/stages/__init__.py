"""The stages of a post, in order. Each stage takes deliveries in one state, does one thing, and moves them to the next.

| stage        | queue                 | advances               | to                                                   |
|--------------|-----------------------|------------------------|------------------------------------------------------|
| ingest       | none: the request     | -                      | accepted, scheduled                                  |
| reachability | reachability          | accepted               | scheduled, failed                                    |
| delay        | delay                 | scheduled, retrying    | queued                                               |
| publish      | publish.<platform>    | queued, publishing     | published, preparing, processing, scheduled, queued, |
|              |                       |                        | retrying, unknown, blocked, failed                   |
| status       | status                | preparing, processing, | published, queued, processing, unknown, retrying,    |
|              |                       | unknown                | blocked, failed                                      |

Actions of users and API keys on a post (edit, cancel, delete, retry, resolve, validate) are in ``pipeline.actions``. A
new post and an edit share ``post_rules`` and ``media_checks``.
"""

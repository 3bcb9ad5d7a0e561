"""What happens to a post, in order. Each stage reads one state, does one thing, and leaves the next.

| stage        | queue                 | advances               | to                                                   |
|--------------|-----------------------|------------------------|------------------------------------------------------|
| ingest       | none: the request     | -                      | accepted, scheduled                                  |
| reachability | reachability          | accepted               | scheduled, failed                                    |
| delay        | delay                 | scheduled, retrying    | queued                                               |
| publish      | publish.<platform>    | queued, publishing     | published, preparing, processing, scheduled, queued, |
|              |                       |                        | retrying, unknown, blocked, failed                   |
| status       | status                | preparing, processing, | published, queued, processing, unknown, retrying,    |
|              |                       | unknown                | blocked, failed                                      |

People steer beside them: ``edit`` changes a post, ``steer`` cancels, deletes and retries, ``decide`` is a person's word
on what nobody else can tell, ``validate`` stores nothing. ``rules`` and ``links`` are shared by a new post and an edit.
"""

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
"""

"""The exact meaning of each figure, printed under the table and written to the JSON."""

MEANING = {
    "footprint": (
        "Everything that `slipway up` starts (engines, API, worker, Flower, sandbox, supervisor), left alone: memory "
        "as the sum of PSS (shared pages divided among those who share them) and of RSS, and CPU use in per cent of "
        "one core. Reference: PostgreSQL and Valkey of this run alone, idle, without connections."
    ),
    "ingest": (
        "201 answers a second of POST /posts, each sent after its COMMIT reached the disk, over keep-alive "
        "connections that each have one request under way; p50 and p99 from the first byte sent to the last received. "
        "Body: a slideshow of one picture for one of 200 TikTok accounts, no two equal, scheduled within 90 days "
        "(`due at once`: without a time, so that each is dispatched); the picture's check is decided and fresh. "
        "Client, API, PostgreSQL and Valkey share the machine. First reference: the same server and statements, rolled "
        "back instead of committed (tests/bench/uncommitted.py). Second: the storing statement left out whole "
        "(tests/bench/unstored.py). After every run the table must hold as many new posts as there were 201 answers, "
        "and none after a reference run. `POST /posts/batch`: the same bodies, 500 in a request, four requests under "
        "way; posts a second beside those of POST /posts with the most clients."
    ),
    "bulk": (
        "Files of posts to three accounts each (TikTok, Instagram, LinkedIn; 67 of each) with one picture whose check "
        "is good, no two posts equal, sent to POST /imports and worked on by one `slipway worker upkeep`. Planned: "
        "from the answer to the upload until every row has its stored verdict. Applied: from the request to apply "
        "until every row is a stored post with its deliveries, moves and receipt. Both: the sum, without the time "
        "that a person takes between them. Afterwards there must be as many posts as rows, and three deliveries and "
        "moves of each. Reference: COPY of the rows that the import stored (planned: its rows; applied: posts, "
        "replays, deliveries, moves, pins) into the same tables, with their indexes, keys and triggers, of another "
        "database of the same server, reading not counted. CPU: user and system, all children. POST /posts: "
        "milliseconds from when each of 25 a second was to be sent to its answer. POST /posts/batch: four requests "
        "under way, the same posts. --rows N instead: the high-water mark of resident memory (VmHWM) of API and "
        "worker, while a file of N rows is uploaded and planned; and before, ten files one after the other, into "
        "tables that are never analyzed: the last one's time and the worker's memory, beside the first's."
    ),
    "reading": (
        "Milliseconds of GET /posts (first page, 100 posts, the next page; by status; since, until and between moments "
        "all over the time) and of GET /posts/{id}, in a workspace with so many generated posts of every status, one "
        "a second, each to one of 21 accounts (the last has one post of a thousand), every twelfth to two; also for "
        "keys restricted to 1 and to 10 of them, and to the last. One client, one connection, one API process."
    ),
    "scrape": (
        "Milliseconds of all that one scrape of /metrics reads of the database, by one connection and without the time "
        "in which API servers show what they read before, in a system with the posts of `reading`: one delivery of "
        "fifty has failed and is a dead letter, and 20,000 are overdue. After 20 uncounted ones; one that leaves a "
        "metric out ends it."
    ),
    "dashboard": (
        "Milliseconds of each page of the dashboard, whole, for an admin of all workspaces and one of the workspace of "
        "`reading`, among its posts; all failed ones have an error, 500 are blocked and 500 overdue. The queue also by "
        "many filters: each state, each hold, causes, texts, accounts, due times, and what is not there, where a page "
        "ends after 5,000 rows and offers to search further. One client, one connection, one API process."
    ),
    "search": (
        "Milliseconds of the queue's page by texts, whole, among posts as those of `reading` with 80 more characters "
        "each, for users as in `dashboard`: a word in one post of 30,000, words in every third or so, three that are "
        "in none, of which one has only frequent trigrams, and words of two letters, where a page ends after 5,000 "
        "rows. The first page must have all posts of the rare word. One client, one connection, one API process."
    ),
    "deliveries": (
        "Scheduled posts with one TikTok photo each, over 50 accounts, all due at one moment: deliveries a second "
        "from that moment to the last `published`, and between the 10th and 90th per cent of them (steady). Workers "
        "as `slipway worker publish` starts them, default slots; the instant sandbox without quotas, on the same "
        "machine. Everything is done after the moment: creator_info, the visible call, and the look at how it went, "
        "which is made after 0.1 s instead of 5 (SLIPWAY_PUBLISH__LOOK_FIRST). The sandbox's ledger must hold every "
        "caption exactly once. Reference: as many no-op Celery tasks, one a message, put before the same number of "
        "workers with the same command line and broker at one moment. CPU ms each: of every process with its children."
    ),
    "lateness": (
        "One post a second, give or take, each due at a random moment and stored ahead of it, on an otherwise idle "
        "system; the TikTok photo is prepared ahead like that of every scheduled post. `visible call`: the moment in "
        "the sandbox's ledger less due_at; `armed`: the commit right before the visible call was sent, less due_at; "
        "`published in our ledger`: less due_at, after TikTok was asked how it went, five seconds "
        "after the call at the earliest. p99 of under 100 posts is the largest. Reference: a bare Celery task "
        "with an ETA on an idle worker with the same command line and broker, from its ETA to its first line."
    ),
    "streams": (
        "A video of 1 GiB, generated while it is read, relayed by the guarded fetcher into the adapter's own chunked "
        "upload, to a sink that keeps a hash (it must be the file's). Each connection is cut once and "
        "resumed. Memory: the kernel's high-water mark of the uploading process less its resident memory before, after "
        "a small warm-up upload. Bytes written to disk: by that process, as the kernel counts them."
    ),
    "outages": (
        "Milliseconds of POST /posts as in `ingest`, due at once, with a rate limit that is counted in the broker, one "
        "API process, from the first moment of the outage: Valkey is stopped (SIGSTOP), killed, or refuses every "
        "command that needs memory (maxmemory 1). Every post must be answered 201 and be in the table."
    ),
}

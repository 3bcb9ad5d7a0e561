from __future__ import annotations
import time
from adapters.contract import Platform
from tests.flow.ledger import caption
from tests.flow.test_files import sample, upload
from tests.stack import Stack
from pipeline.store.database import rows

def test_tmp(stack: Stack) -> None:
    data = sample(stack, "sample-1.jpg")
    for urls in ([upload(stack, "image/jpeg", data) for _ in range(2)], [stack.media("sample-1.jpg"), stack.media("sample-2.jpg")]):
        post = stack.accepted(caption(), Platform.PINTEREST, Platform.FACEBOOK, Platform.LINKEDIN, media={"type": "slideshow", "urls": urls})
        b = time.time(); stack.becomes(post, "posted", 100); print(urls[0][:40], time.time() - b)
        with stack.core.database.begin() as c:
            for r in rows(c, "SELECT d.platform, m.at, m.mover, m.origin, m.target, m.why FROM moves m JOIN deliveries d ON d.id=m.delivery_id WHERE d.post_id=:p ORDER BY m.id", p=__import__("uuid").UUID(post)):
                print(r.platform, r.at.time(), r.mover, r.origin, r.target, r.why)

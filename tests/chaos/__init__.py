"""`make chaos`: a load of posts while everything is killed, stopped, cut off and flushed; the ledger judges."""

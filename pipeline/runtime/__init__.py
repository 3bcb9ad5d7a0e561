"""The frame of every process: context, shutdown, tracing, failpoints, the epoch file and the send guard."""

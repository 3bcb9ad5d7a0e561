"""Every process needs this alongside its work: context, shutdown, tracing, failpoints, the epoch file and its guard."""

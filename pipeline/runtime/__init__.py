"""What every process needs beside its work: context, shutdown, tracing, failpoints, the epoch file and its guard."""

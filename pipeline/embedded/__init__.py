"""`slipway up`: the whole stack on one machine, with embedded engines and every service a child of one supervisor."""

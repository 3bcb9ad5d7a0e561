"""The whole of Slipway on one machine: engines out of wheels, every part a child of one supervisor."""

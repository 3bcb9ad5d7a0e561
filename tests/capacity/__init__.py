"""Capacity: a simulation of the system fed by measured costs, held to what runs on this machine."""

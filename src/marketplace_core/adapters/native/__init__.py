"""Servers on this machine: their programs, data folders, leftovers, start and errors."""

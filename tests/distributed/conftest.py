"""Runs under fire are shown here as those of tests/faults are."""

from tests.faults.conftest import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

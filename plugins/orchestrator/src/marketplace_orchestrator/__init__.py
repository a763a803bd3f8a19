"""The orchestrator plugin."""

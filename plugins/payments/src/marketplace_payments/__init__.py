"""The payments plugin."""

"""The logistics plugin: rates, shipments, labels and tracking."""

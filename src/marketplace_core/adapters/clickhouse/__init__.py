"""ClickHouse, embedded as chdb: what is kept for reports. A driver is imported when a store is opened."""

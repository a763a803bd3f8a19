"""Judges what people write: automatic checks, a queue for people, appeals, an audit."""

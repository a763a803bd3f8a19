"""A bucket as it is to be: there, with rules of lifecycle for what no sweep gets to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketplace_core.adapters.s3.kind import S3Settings
from marketplace_core.ports.servers import MigrationError, Step

__all__ = ["RULES", "missing", "prepare"]

#: What came is drawn within minutes and swept after two days; what a sweep did not get to is gone after thirty. Where a bucket
#: keeps versions, what is deleted, of a person that asked for it as well, is kept that long and not for ever.
RULES: tuple[dict[str, Any], ...] = (
    {"ID": "marketplace-uploads", "Status": "Enabled", "Filter": {"Prefix": "uploads/"}, "Expiration": {"Days": 30}},
    {
        "ID": "marketplace-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    },
)
_OURS = frozenset(rule["ID"] for rule in RULES)


def missing(client: Any, bucket: str, settings: S3Settings) -> Sequence[Step]:
    """:raises MigrationError: it is another's."""
    made, ruled = Step("blobs", 1, f"bucket {bucket}"), Step("blobs", 2, f"lifecycle of {bucket}")
    if not _is_there(client, bucket):
        return (made, ruled) if settings.lifecycle else (made,)
    if settings.lifecycle and _ours(_rules(client, bucket)) != _ours(RULES):
        return (ruled,)
    return ()


def prepare(client: Any, bucket: str, settings: S3Settings) -> Sequence[Step]:
    """Two at once do the same. :raises MigrationError: it is another's."""
    steps = missing(client, bucket, settings)
    for step in steps:
        if step.number == 1:
            _make(client, bucket)
        else:
            others = [rule for rule in _rules(client, bucket) if rule.get("ID") not in _OURS]
            client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*others, *RULES]})
    return steps


def _is_there(client: Any, bucket: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return False
        if status == 403:
            raise MigrationError(
                f"the bucket {bucket} is not ours to use", "give its key s3:ListBucket on it, or choose another name"
            ) from error
        raise
    return True


def _make(client: Any, bucket: str) -> None:
    region = client.meta.region_name
    # AWS takes its first region for said where nothing is, and refuses it where it is.
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.create_bucket(Bucket=bucket, **where)
    except client.exceptions.BucketAlreadyOwnedByYou:  # by another at this moment
        return


def _rules(client: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return []
    return found


def _ours(rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What each of ours does, however a server writes the rest."""
    compared = ("Status", "Expiration", "NoncurrentVersionExpiration")
    return {
        rule["ID"]: (*(rule.get(part) for part in compared), rule.get("Filter", {}).get("Prefix", ""))
        for rule in rules
        if rule.get("ID") in _OURS
    }

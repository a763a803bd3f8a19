"""``render FILE dns``: octoDNS writes it to Route 53, as moto has it, and from there each public host leads to the balancer."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from marketplace_core.cli._render import aws, dns
from marketplace_core.cli._render.facts import gather
from marketplace_core.commands import Failed
from tests.core.cli.cloud import moto, octodns, records

EXAMPLE = Path(__file__).parents[3] / "examples" / "distributed.toml"
BALANCER = "atlas-edge-1.eu-central-1.elb.amazonaws.com"
SERVERS = ["ns-1.awsdns-01.com", "ns-2.awsdns-02.net"]
HOSTS = ("m", "www", "api")


def written(
    folder: Path, text: str, cloudflare: dict[str, object], balancer: str = BALANCER, at: str = "Z215JYRZR1TBD5"
) -> Path:
    """What is rendered, with what Terraform tells; Cloudflare's zone is Route 53's to write, for it has no server here."""
    config = yaml.safe_load(text)
    config["providers"]["cloudflare"] = dict(config["providers"]["route53"])
    config["zones"] |= {"shop.example.": {**config["zones"]["shop.example."], "targets": ["route53"]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "terraform").mkdir()
    (folder / "terraform" / "shop.example.yaml").write_text(yaml.safe_dump(cloudflare))
    alias = {"type": "A", "name": f"{balancer}.", "hosted-zone-id": at, "evaluate-target-health": True}
    (folder / "terraform" / "balancer.yaml").write_text(yaml.safe_dump([alias]))
    return folder / "config.yaml"


def put(folder: Path, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def test_each_host_leads_from_cloudflare_by_route_53_to_the_balancer(tmp_path: Path) -> None:
    made = dns.render(gather(EXAMPLE))
    put(tmp_path, made)
    proofs = {
        f"_{number:032x}.{host}": {"type": "CNAME", "value": "_1.acm-validations.aws."} for number, host in enumerate(HOSTS)
    }
    delegated = {"edge": {"type": "NS", "values": [f"{server}." for server in SERVERS]}}
    theirs = {"mail": {"type": "A", "value": "192.0.2.1"}}
    config = written(tmp_path, made["config.yaml"], {**delegated, **proofs, **theirs})
    with moto(tmp_path) as endpoint:
        octodns("sync", config, endpoint, "--doit")
        public, balanced = records(endpoint, "shop.example"), records(endpoint, "edge.shop.example")
        again = octodns("sync", config, endpoint)
    for host in HOSTS:
        assert public[f"{host}.shop.example", "CNAME"] == [f"{host}.edge.shop.example"]
        assert balanced[f"{host}.edge.shop.example", "A"] == BALANCER
    assert sorted(public["edge.shop.example", "NS"]) == SERVERS
    assert sum(name.startswith("_") for name, _ in public) == len(HOSTS), "what proves the certificate is there"
    assert ("mail.shop.example", "A") not in public, "what is not ours is left to others"
    assert not any("admin" in name for name, _ in [*public, *balanced]), "an internal host is in no public zone"
    assert "No changes were planned" in again


def test_a_host_that_is_the_zone_itself_has_an_alias(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(EXAMPLE.read_text().replace('host = "www.shop.example"', 'host = "shop.example"'))
    found = yaml.safe_load(dns.render(gather(file))["cloudflare/shop.example.yaml"])
    assert found[""] == {"type": "ALIAS", "value": "edge.shop.example."}


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('zone = "shop.example"', "", "does not say in which zone"),
        ('host = "www.shop.example"', 'host = "edge.shop.example"', "is in the zone that Route 53 answers"),
    ],
)
def test_what_has_no_place_in_the_zones_is_refused(tmp_path: Path, old: str, new: str, cause: str) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(EXAMPLE.read_text().replace(old, new))
    for render in (dns.render, aws.render):
        with pytest.raises(Failed, match=cause):
            render(gather(file))

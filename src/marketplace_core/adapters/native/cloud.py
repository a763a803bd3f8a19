"""What answers as AWS in tests, and what writes DNS as ``render FILE dns`` has it: moto's server and octoDNS, side by side."""

from __future__ import annotations

from marketplace_core.adapters.native.programs import Wheels

__all__ = ["CLOUD"]

#: Of moto what EC2, ELB, ACM, IAM, S3 and Route 53 need.
CLOUD = Wheels(
    "moto",
    "5.2.5",
    wheels=(
        "blinker==1.9.0",
        "boto3==1.44.8",
        "botocore==1.44.8",
        "certifi==2026.10.19.post1",
        "cffi==2.1.1",
        "charset-normalizer==3.5.3",
        "click==8.5.1",
        "cryptography==50.0.2",
        "dnspython==2.9.2",
        "Flask==3.1.3",
        "flask-cors==6.0.5",
        "fqdn==1.6.0",
        "idna==3.20",
        "itsdangerous==2.2.0",
        "Jinja2==3.1.6",
        "jmespath==1.1.0",
        "MarkupSafe==3.0.4",
        "moto==5.2.5",
        "natsort==8.4.0",
        "octodns==1.22.0",
        "octodns-cloudflare==1.2.0",
        "octodns-route53==1.3.1",
        "pprintpp==0.4.0",
        "pycountry==26.2.16",
        "pycountry-convert==0.7.2",
        "pycparser==3.12",
        "python-dateutil==2.9.0.post0",
        "PyYAML==6.0.4",
        "repoze-lru==0.8",
        "requests==2.34.2",
        "responses==0.26.3",
        "s3transfer==0.19.3",
        "six==1.17.0",
        "typing_extensions==4.16.0",
        "urllib3==2.8.0",
        "Werkzeug==3.1.9",
        "xmltodict==1.0.4",
    ),
)

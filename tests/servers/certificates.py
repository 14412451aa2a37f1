"""A certificate authority of our own, for servers that must be verified: one CA, leaves with IP and DNS names."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import require

_CA_EXTENSIONS = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
)
_LEAF_EXTENSIONS = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName={names}
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA in a folder."""

    folder: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Leaf:
    """A server's certificate and key."""

    certificate: Path
    key: Path


def make_authority(folder: Path, name: str = "Throw-away CA") -> Authority:
    """Make a CA."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder, folder / "ca.pem", folder / "ca.key")
    extensions = [argument for extension in _CA_EXTENSIONS for argument in ("-addext", extension)]
    _openssl("req", "-x509", *_new_key(authority.key), "-days", "2", "-subj", f"/CN={name}", *extensions,
             "-out", str(authority.certificate))  # fmt: skip
    return authority


def make_leaf(authority: Authority, name: str, *, address: str = "127.0.0.1", dns: str = "localhost") -> Leaf:
    """Make a server's certificate, signed, with an IP and a DNS name."""
    leaf = Leaf(authority.folder / f"{name}.pem", authority.folder / f"{name}.key")
    request, extensions = authority.folder / f"{name}.csr", authority.folder / f"{name}.ext"
    extensions.write_text(_LEAF_EXTENSIONS.format(names=f"IP:{address},DNS:{dns}"))
    _openssl("req", *_new_key(leaf.key), "-subj", f"/CN={dns}", "-out", str(request))
    _openssl("x509", "-req", "-in", str(request), "-CA", str(authority.certificate), "-CAkey", str(authority.key),
             "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(leaf.certificate))  # fmt: skip
    leaf.key.chmod(0o600)
    return leaf


def _new_key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", str(path))


def _openssl(*arguments: str) -> None:
    subprocess.run((require("openssl", "openssl"), *arguments), check=True, capture_output=True)

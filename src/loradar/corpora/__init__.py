"""Manifests, public protocols and the sandbox corpus."""

from loradar.corpora.manifest import Manifest, read_manifest, write_manifest
from loradar.corpora.protocols import READERS, read_corpus
from loradar.corpora.sandbox import make_sandbox

__all__ = [
    "READERS",
    "Manifest",
    "make_sandbox",
    "read_corpus",
    "read_manifest",
    "write_manifest",
]

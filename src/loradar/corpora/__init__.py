"""Manifests, public protocols and the sandbox corpus."""

from loradar.corpora.manifest import Manifest, read_manifest, write_manifest
from loradar.corpora.protocols import READERS, read_corpus

__all__ = ["READERS", "Manifest", "read_corpus", "read_manifest", "write_manifest"]

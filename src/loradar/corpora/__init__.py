"""Manifests, public protocols and the sandbox corpus."""

from loradar.corpora.copies import Copies, make_copies
from loradar.corpora.manifest import Manifest, read_manifest, write_manifest
from loradar.corpora.protocols import CORPORA, READERS, About, read_corpus
from loradar.corpora.sandbox import make_sandbox

__all__ = [
    "CORPORA",
    "READERS",
    "About",
    "Copies",
    "Manifest",
    "make_copies",
    "make_sandbox",
    "read_corpus",
    "read_manifest",
    "write_manifest",
]

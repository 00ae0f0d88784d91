"""Copies of real speech through vocoders and codecs: the spoofed side of any clean corpus."""

from loradar.corpora.copies.make import Copies, make_copies

__all__ = ["Copies", "make_copies"]

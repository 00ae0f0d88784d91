"""Write the manifest of the speech that the embedded models learn from.

    python tools/speech_manifest.py LibriSpeech/ -o runs/embedded/speech.csv

LibriSpeech (any subset), less the speakers that are in the mini benchmark's dev and eval sets; five
speakers are dev, all others train.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from loradar.corpora.manifest import Manifest, write_manifest
from loradar.corpora.protocols import read_corpus
from loradar.errors import InputError, LoradarError

#: In the dev and eval sets of the mini benchmark.
LEFT_OUT = frozenset({"61", "7729", "1221", "2830", "2961", "5639"})
DEV = frozenset({"121", "237", "260", "672", "908"})


def speech(folder: Path) -> Manifest:
    """Read the corpus, without the speakers left out, with a split by speaker.

    Raises
    ------
    InputError
        The folder holds no LibriSpeech, or a split has no clip.
    """
    table = read_corpus("librispeech", folder).table
    table = table[~table["speaker"].isin(LEFT_OUT)].reset_index(drop=True)
    table["split"] = table["speaker"].isin(DEV).map({True: "dev", False: "train"})
    for split in ("train", "dev"):
        if not (table["split"] == split).any():
            raise InputError(f"{folder}: no clip for split {split}: give LibriSpeech test-clean")
    return Manifest(table, source=str(folder))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("speech", type=Path, help="the folder LibriSpeech, or a subset of it")
    parser.add_argument("-o", "--out", type=Path, required=True, help="manifest to write")
    options = parser.parse_args()
    try:
        manifest = speech(options.speech)
        write_manifest(manifest, options.out)
    except (LoradarError, OSError) as error:
        print(f"speech_manifest: {error}", file=sys.stderr)
        return 2
    counts = manifest.table["split"].value_counts()
    print(f"wrote {options.out}: {counts['train']} clips to train, {counts['dev']} dev")
    return 0


if __name__ == "__main__":
    sys.exit(main())

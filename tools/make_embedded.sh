#!/usr/bin/env bash
# Makes the embedded encoder and detector anew:
# `make embedded SPEECH=path/to/LibriSpeech CLONES=path/to/clones`.
# A step whose result is complete is skipped, one that was stopped goes on: after a kill, give the
# same command again. All that is made lies in runs/embedded; the last step puts it into the package.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
runs=runs/embedded
# Programs (espeak-ng, ...) are left out: what they say depends on their version.
attacks=griffin_lim,world,lpc,sinusoidal,phase,voice_conversion,istft,gan,flow,codec

say() { printf '== %s\n' "$*" >&2; }

# `resume FILE`: the option, where a run has left FILE.
resume() { if [ -e "$1" ]; then echo --resume; fi; }

say "1/9 speech"
if [ ! -e $runs/speech.csv ]; then
    if [ ! -d "${SPEECH:-}" ]; then
        echo "where is LibriSpeech test-clean? make embedded SPEECH=path/to/LibriSpeech" >&2
        exit 2
    fi
    "$bin/python" tools/speech_manifest.py "$SPEECH" -o $runs/speech.csv
fi

say "2/9 vocoders, where their weights are not installed"
for family in istft gan flow codec; do
    if [ ! -e "src/loradar/vocoders/weights/$family.safetensors" ]; then
        folder=$runs/vocoder_$family
        "$bin/loradar" vocoder train "recipes/vocoder_$family.yaml" -o "$folder" \
            --set data.path=$runs/speech.csv $(resume "$folder/resume.pt")
        "$bin/python" tools/install_vocoder.py "$folder"
    fi
done

say "3/9 copies"
# Exit code 1: some clips were left out (skipped.csv says why); the manifest is complete.
"$bin/loradar" corpus copies $runs/speech.csv -o $runs/copies --attacks $attacks --per-clip 6 \
    --seconds 4 || [ $? -eq 1 ]

labelled=../shared/speech/labelled.csv
recipe=embedded
if [ -e "$labelled" ]; then recipe=embedded_labelled; fi

say "4/9 copies of the labelled human clips"
if [ $recipe = embedded_labelled ]; then
    "$bin/loradar" corpus copies "$labelled" --where label=bonafide --where split=train \
        -o $runs/own --attacks $attacks --per-clip 6 --seed 1 || [ $? -eq 1 ]
fi

say "5/9 clips of demo pages"
if [ $recipe = embedded_labelled ] && [ ! -e $runs/pages/manifest.csv ]; then
    if [ ! -d "${CLONES:-}" ]; then
        echo "where are clones of the repositories that results/pages/clips.csv names?" \
            "make embedded CLONES=path/to/clones (tools/bring_clips.py says how they may lie)" >&2
        exit 2
    fi
    "$bin/python" tools/bring_clips.py results/pages/clips.csv --clones "$CLONES" -o $runs/pages
fi

say "6/9 encoder"
if [ ! -e $runs/encoder/README.md ]; then
    "$bin/loradar" pretrain recipes/embedded_encoder.yaml -o $runs/encoder \
        $(resume $runs/encoder/recipe.yaml)
fi

say "7/9 detector ($recipe)"
if [ ! -e $runs/detector/README.md ]; then
    "$bin/loradar" train recipes/$recipe.yaml -o $runs/detector \
        $(resume $runs/detector/recipe.yaml)
fi

final=$runs/detector
if [ $recipe = embedded_labelled ]; then
    # It goes on with the demo pages; a spectrogram CNN, trained by itself, stands beside it.
    final=$runs/joined
    if [ ! -e $runs/detector_pages/README.md ]; then
        "$bin/loradar" train recipes/embedded_pages.yaml -o $runs/detector_pages \
            $(resume $runs/detector_pages/recipe.yaml)
    fi
    if [ ! -e $runs/branch/README.md ]; then
        "$bin/loradar" train recipes/embedded_branch.yaml -o $runs/branch \
            $(resume $runs/branch/recipe.yaml)
    fi
    if [ ! -e $final/config.json ]; then
        "$bin/python" tools/add_branch.py $runs/detector_pages $runs/branch --scale 1.0 -o $final
    fi
fi

say "8/9 calibration"
if ! grep -qs thresholds $final/calibration.json; then
    if [ $recipe = embedded ]; then
        "$bin/loradar" calibrate $final --on $runs/copies/manifest.csv --where split=dev
    else
        # On pages and people that it never heard, half of which would do; then on all of them.
        "$bin/loradar" calibrate $final --on $runs/pages/manifest.csv --by repository --dry-run \
            --conditions mp3_64k,telephone,noise_20_db,noise_10_db,room \
            --save-scores $runs/held_back.csv
        "$bin/loradar" evaluate $final --on "$labelled" --where split=eval \
            --save-scores $runs/eval.csv
        "$bin/loradar" calibrate $final --right 0.92 --learn-on $runs/held_back.csv \
            --check-on $runs/eval.csv
    fi
fi

say "9/9 into the package"
"$bin/python" tools/install_embedded.py $runs/encoder $final

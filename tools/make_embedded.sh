#!/usr/bin/env bash
# Makes the embedded encoder and detector anew: `make embedded SPEECH=path/to/LibriSpeech`.
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

say "1/8 speech"
if [ ! -e $runs/speech.csv ]; then
    if [ ! -d "${SPEECH:-}" ]; then
        echo "where is LibriSpeech test-clean? make embedded SPEECH=path/to/LibriSpeech" >&2
        exit 2
    fi
    "$bin/python" tools/speech_manifest.py "$SPEECH" -o $runs/speech.csv
fi

say "2/8 vocoders, where their weights are not installed"
for family in istft gan flow codec; do
    if [ ! -e "src/loradar/vocoders/weights/$family.safetensors" ]; then
        folder=$runs/vocoder_$family
        "$bin/loradar" vocoder train "recipes/vocoder_$family.yaml" -o "$folder" \
            --set data.path=$runs/speech.csv $(resume "$folder/resume.pt")
        "$bin/python" tools/install_vocoder.py "$folder"
    fi
done

say "3/8 copies"
# Exit code 1: some clips were left out (skipped.csv says why); the manifest is complete.
"$bin/loradar" corpus copies $runs/speech.csv -o $runs/copies --attacks $attacks --per-clip 6 \
    --seconds 4 || [ $? -eq 1 ]

labelled=../shared/speech/labelled.csv
recipe=embedded
if [ -e "$labelled" ]; then recipe=embedded_labelled; fi

say "4/8 copies of the labelled human clips"
if [ $recipe = embedded_labelled ]; then
    "$bin/loradar" corpus copies "$labelled" --where label=bonafide --where split=train \
        -o $runs/own --attacks $attacks --per-clip 6 --seed 1 || [ $? -eq 1 ]
fi

say "5/8 encoder"
if [ ! -e $runs/encoder/README.md ]; then
    "$bin/loradar" pretrain recipes/embedded_encoder.yaml -o $runs/encoder \
        $(resume $runs/encoder/recipe.yaml)
fi

say "6/8 detector ($recipe)"
if [ ! -e $runs/detector/README.md ]; then
    "$bin/loradar" train recipes/$recipe.yaml -o $runs/detector \
        $(resume $runs/detector/recipe.yaml)
fi

final=$runs/detector
if [ $recipe = embedded_labelled ]; then
    # A spectrogram CNN, trained by itself, stands beside it.
    final=$runs/joined
    scale=1.0
    if [ ! -e $runs/branch/README.md ]; then
        "$bin/loradar" train recipes/embedded_branch.yaml -o $runs/branch \
            $(resume $runs/branch/recipe.yaml)
    fi
    if [ ! -e $final/config.json ]; then
        "$bin/python" tools/add_branch.py $runs/detector $runs/branch --scale $scale -o $final
    fi
fi

say "7/8 calibration"
if ! grep -qs thresholds $final/calibration.json; then
    if [ $recipe = embedded ]; then
        "$bin/loradar" calibrate $final --on $runs/copies/manifest.csv --where split=dev
    else
        # On attacks that models like it left out, each with the encoder that never heard them.
        for fold in a b; do
            if [ ! -e runs/encoder_$fold/README.md ]; then
                "$bin/loradar" pretrain recipes/encoder_$fold.yaml -o runs/encoder_$fold \
                    $(resume runs/encoder_$fold/recipe.yaml)
            fi
        done
        "$bin/loradar" grid recipes/grids/folds_embedded.yaml -o runs/folds_embedded
        "$bin/loradar" grid recipes/grids/folds_branch.yaml -o runs/folds_embedded
        beside=(--branch "spectrogram_cnn_grafts=$scale")
        "$bin/python" tools/crossfit_scores.py runs/folds_embedded --on "$labelled" "${beside[@]}" \
            --conditions mp3_64k,telephone,noise_20_db,noise_10_db,room -o $runs/crossfit_dev.csv
        "$bin/python" tools/crossfit_scores.py runs/folds_embedded --on "$labelled" "${beside[@]}" \
            --split eval -o $runs/crossfit_eval.csv
        "$bin/loradar" calibrate $final --right 0.97 --learn-on $runs/crossfit_dev.csv \
            --check-on $runs/crossfit_eval.csv
    fi
fi

say "8/8 into the package"
"$bin/python" tools/install_embedded.py $runs/encoder $final

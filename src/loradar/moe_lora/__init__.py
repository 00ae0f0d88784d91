"""The mixture of LoRA experts: the method itself. Knows torch alone, nothing of audio."""

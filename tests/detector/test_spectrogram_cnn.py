import torch

from loradar.detector.log_spectrum import log_spectrogram
from loradar.detector.residual import Residual
from loradar.detector.spectrogram_cnn import SpectrogramCnn, mask_spectrogram


def test_size_is_the_known_point():
    count = sum(p.numel() for p in SpectrogramCnn().parameters())
    assert 215_000 < count < 225_000


def test_spectrogram_ignores_the_level_and_finds_a_tone():
    time = torch.arange(64_600) / 16_000
    tone = torch.sin(2 * torch.pi * 1_000 * time).unsqueeze(0)
    logs = log_spectrogram(tone)
    assert logs.shape == (1, 224, 401)
    # 1 kHz is bin 32 of 512 points; the first bin kept is 2.
    assert (logs.argmax(dim=1) == 30).all()
    noise = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    quiet = log_spectrogram(noise) - log_spectrogram(0.5 * noise)
    assert quiet.abs().mean() < 1e-2
    assert log_spectrogram(noise).mean(dim=(1, 2)).abs().max() < 1e-5


def test_masks_follow_the_global_generator_and_differ_between_clips():
    logs = torch.ones(4, 224, 200)
    torch.manual_seed(3)
    first = mask_spectrogram(logs)
    torch.manual_seed(3)
    assert torch.equal(first, mask_spectrogram(logs))
    assert not torch.equal(first, mask_spectrogram(logs))
    kept = first.mean(dim=(1, 2))
    assert (kept < 1).all()
    assert (kept > 0.3).all()
    assert not torch.equal(first[0], first[1])


def test_masks_only_in_training():
    torch.manual_seed(0)
    model = SpectrogramCnn()
    clips = torch.randn(2, 16_000)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(clips), model(clips))
    model.train()
    torch.manual_seed(1)
    first = model(clips)
    assert not torch.allclose(first, model(clips))


def test_shortest_clip():
    model = SpectrogramCnn().eval()
    assert model(torch.randn(1, model.minimum_samples)).isfinite().all()


def test_learns_to_tell_two_noises():
    torch.manual_seed(0)
    model = SpectrogramCnn()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    labels = torch.arange(8) % 2

    def draw() -> torch.Tensor:
        noise = torch.randn(8, 12_000)
        # Class 1 is smoothed: its high bands are weaker.
        smooth = (noise + noise.roll(1, dims=1)) / 2**0.5
        return torch.where(labels[:, None] == 1, smooth, noise)

    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(model(draw()), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # The statistics of batch norm lag behind so few steps.
    with torch.no_grad():
        accuracy = (model(draw()).argmax(dim=1) == labels).float().mean()
    assert accuracy == 1.0


def test_few_channels_on_two_threads():
    """The suite runs on one; a strided 1x1 convolution once wrote beyond its memory on two."""
    before = torch.get_num_threads()
    block = Residual(4, 6, 2).train()
    maps = torch.randn(8, 4, 56, 50).contiguous(memory_format=torch.channels_last)
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for _ in range(10):
                inputs = maps.clone(memory_format=torch.preserve_format).requires_grad_()
                block(inputs).square().sum().backward()
            found.append(inputs.grad)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)

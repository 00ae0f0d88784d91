"""Every public corpus, read from a miniature tree laid out as its documentation says."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loradar.corpora import CORPORA, read_corpus, read_manifest, write_manifest
from loradar.errors import ConfigError, InputError


@dataclass
class Tree:
    """Files with their text (empty: audio), and the rows that must come of them."""

    name: str
    files: dict[str, str]
    # Path -> (label, attack, speaker, split) and any free columns.
    rows: dict[str, tuple]
    free: dict[str, dict[str, str]] = field(default_factory=dict)
    root: str = ""

    def make(self, folder: Path) -> Path:
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder / self.root


REAL, FAKE = "bonafide", "spoof"
LA_KEYS = (
    "LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval\n"
    "LA_0020 LA_E_2 none - bonafide bonafide notrim eval\n"
    "LA_0020 LA_E_3 opus loc_tx A19 spoof notrim progress\n"
    "LA_0020 LA_E_4 none - A19 spoof trim hidden\n"
)
DF_KEYS = (
    "LA_0023 DF_E_1 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -\n"
    "TEF2 DF_E_2 low_m4a vcc2020 Task1-team20 spoof notrim eval "
    "neural_vocoder_nonautoregressive Task1 team20 FF E\n"
    "LA_0031 DF_E_3 high_ogg asvspoof bonafide bonafide notrim eval bonafide - - - -\n"
)
PROMPTS = "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech"
META = "source,target1,target2,method,category,type,race,gender,path,\n"


def _celeb(kind: str, method: str, name: str) -> str:
    return f"id1,-,-,{method},A,{kind},African,men,{name}.mp4,FakeAVCeleb/{kind}/African/men/id1\n"


def _five(prefix: str) -> str:
    return (
        f"{prefix}_01 {prefix}_1 F - - - AC1 A05 spoof -\n"
        f"{prefix}_02 {prefix}_2 M C05 2 {prefix}_7 - bonafide bonafide -\n"
    )


TREES = [
    Tree(
        "asvspoof2019_la",
        {
            "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt": (
                "S1 C1 - - bonafide\nS2 C2 - A01 spoof\n"
            )
        },
        {
            "LA/ASVspoof2019_LA_train/flac/C1.flac": (REAL, "", "S1", "train"),
            "LA/ASVspoof2019_LA_train/flac/C2.flac": (FAKE, "A01", "S2", "train"),
        },
    ),
    Tree(
        "asvspoof2021_la",
        {"keys/LA/CM/trial_metadata.txt": LA_KEYS, "ASVspoof2021_LA_eval/flac/LA_E_1.flac": ""},
        {
            "ASVspoof2021_LA_eval/flac/LA_E_1.flac": (FAKE, "A07", "LA_0009", "eval"),
            "ASVspoof2021_LA_eval/flac/LA_E_2.flac": (REAL, "", "LA_0020", "eval"),
        },
        {"codec": {"LA_E_1": "alaw", "LA_E_2": "none"}, "transmission": {"LA_E_2": ""}},
    ),
    Tree(
        "asvspoof2021_df",
        {
            "ASVspoof2021_DF_eval/keys/DF/CM/trial_metadata.txt": DF_KEYS,
            "ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac/DF_E_2.flac": "",
            "ASVspoof2021_DF_eval_part01/ASVspoof2021_DF_eval/flac/DF_E_3.flac": "",
        },
        {
            "ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac/DF_E_2.flac": (
                *(FAKE, "Task1-team20", "TEF2", "eval"),
            ),
            "ASVspoof2021_DF_eval_part01/ASVspoof2021_DF_eval/flac/DF_E_3.flac": (
                *(REAL, "", "LA_0031", "eval"),
            ),
        },
        {
            "compression": {"DF_E_2": "low_m4a", "DF_E_3": "high_ogg"},
            "vocoder": {"DF_E_2": "neural_vocoder_nonautoregressive", "DF_E_3": ""},
            "language": {"DF_E_2": "E"},
        },
    ),
    Tree(
        "asvspoof5",
        {
            "ASVspoof5_protocols/ASVspoof5.train.tsv": _five("T"),
            "ASVspoof5.eval.track_1.tsv": _five("E"),
        },
        {
            "flac_T/T_1.flac": (FAKE, "A05", "T_01", "train"),
            "flac_T/T_2.flac": (REAL, "", "T_02", "train"),
            "flac_E_eval/E_1.flac": (FAKE, "A05", "E_01", "eval"),
            "flac_E_eval/E_2.flac": (REAL, "", "E_02", "eval"),
        },
        {"codec": {"E_1": "", "E_2": "C05"}, "codec_seed": {"E_2": "E_7"}, "gender": {"T_1": "F"}},
    ),
    Tree(
        "in_the_wild",
        {"meta.csv": "file,speaker,label\n0.wav,Ann,spoof\n1.wav,Ann,bona-fide\n"},
        {"0.wav": (FAKE, "unknown", "Ann", "eval"), "1.wav": (REAL, "", "Ann", "eval")},
    ),
    Tree(
        "fakeavceleb",
        {
            "FakeAVCeleb_v1.2/meta_data.csv": META
            + _celeb("RealVideo-RealAudio", "real", "1")
            + _celeb("RealVideo-FakeAudio", "rtvc", "2")
            + _celeb("FakeVideo-FakeAudio", "wav2lip", "3")
            + _celeb("FakeVideo-RealAudio", "fsgan", "4"),
            "FakeAVCeleb_v1.2/FakeAVCeleb-audio/RealVideo-RealAudio/African/men/id1/1.mp3": "",
        },
        {
            f"FakeAVCeleb_v1.2/FakeAVCeleb-audio/{kind}/African/men/id1/{name}.mp3": row
            for kind, name, row in (
                ("RealVideo-RealAudio", "1", (REAL, "", "id1", "")),
                ("RealVideo-FakeAudio", "2", (FAKE, "sv2tts", "id1", "")),
                ("FakeVideo-FakeAudio", "3", (FAKE, "sv2tts", "id1", "")),
            )
        },
        {"video_method": {"3": "wav2lip"}, "gender": {"1": "men"}},
    ),
    Tree(
        "wavefake",
        {
            "generated_audio/ljspeech_melgan/LJ1_gen.wav": "",
            "generated_audio/jsut_parallel_wavegan/B1_gen.wav": "",
            f"generated_audio/{PROMPTS}/g.wav": "",
            "generated_audio/notes/x.wav": "",
            "real_audio/LJSpeech-1.1/wavs/LJ1.wav": "",
        },
        {
            "generated_audio/ljspeech_melgan/LJ1_gen.wav": (FAKE, "melgan", "ljspeech", ""),
            "generated_audio/jsut_parallel_wavegan/B1_gen.wav": (
                *(FAKE, "parallel_wavegan", "jsut", ""),
            ),
            f"generated_audio/{PROMPTS}/g.wav": (
                *(FAKE, "conformer_fastspeech2_pwg", "ljspeech", ""),
            ),
            "real_audio/LJSpeech-1.1/wavs/LJ1.wav": (REAL, "", "ljspeech", ""),
        },
        {"pair_id": {"LJ1_gen": "LJ1", "LJ1": "LJ1"}},
    ),
    Tree(
        "librisevoc",
        {
            "LibriSeVoc/gt/27_123_006_000.wav": "",
            "LibriSeVoc/diffwave/27_123_006_000_gen.wav": "",
            "LibriSeVoc/readme/picture.wav": "",
        },
        {
            "LibriSeVoc/gt/27_123_006_000.wav": (REAL, "", "27", ""),
            "LibriSeVoc/diffwave/27_123_006_000_gen.wav": (FAKE, "diffwave", "27", ""),
        },
        {"pair_id": {"27_123_006_000_gen": "27_123_006_000"}},
    ),
    Tree(
        "mlaad",
        {
            "fake/de/bark/a.wav": "",
            "fake/en/vits/b.wav": "",
            "fake/de/bark/meta.csv": "path|original_file|language|architecture\n"
            "./fake/de/bark/a.wav|de_DE/by_book/female/eva/x.wav|de|Bark\n",
            "real/de_DE/by_book/female/eva/x.wav": "",
        },
        {
            "fake/de/bark/a.wav": (FAKE, "bark", "", ""),
            "fake/en/vits/b.wav": (FAKE, "vits", "", ""),
            "real/de_DE/by_book/female/eva/x.wav": (REAL, "", "", ""),
        },
        {"language": {"b": "en", "x": "de"}, "architecture": {"a": "Bark", "b": ""}},
    ),
    Tree(
        "dfadd",
        {
            "DATASET_VCTK_BONAFIDE/test/p345_001.wav": "",
            "DATASET_PflowTTS/valid/p345_001_pflow.wav": "",
            "DATASET_GradTTS/train/p1_2_GradTTS.flac": "",
            "DATASET_GradTTS/other.wav": "",
        },
        {
            "DATASET_VCTK_BONAFIDE/test/p345_001.wav": (REAL, "", "p345", "eval"),
            "DATASET_PflowTTS/valid/p345_001_pflow.wav": (FAKE, "PflowTTS", "p345", "dev"),
            "DATASET_GradTTS/train/p1_2_GradTTS.flac": (FAKE, "GradTTS", "p1", "train"),
        },
        {"pair_id": {"p345_001_pflow": "p345_001", "p345_001": "p345_001"}},
    ),
    Tree(
        "codecfake",
        {
            "processed/encodec_24khz+p272_103.wav": "",
            "SpeechTokenizer/wav/p1_2.wav": "",
            "real/p272_103.flac": "",
            "stray.wav": "",
        },
        {
            "processed/encodec_24khz+p272_103.wav": (FAKE, "encodec_24khz", "p272", ""),
            "SpeechTokenizer/wav/p1_2.wav": (FAKE, "SpeechTokenizer", "p1", ""),
            "real/p272_103.flac": (REAL, "", "p272", ""),
        },
        {"pair_id": {"encodec_24khz+p272_103": "p272_103"}},
    ),
    Tree(
        "codecfake_alm",
        {
            "label/train.txt": "file label codec\nS1.wav real 0\nF01_S1.wav fake 1\n",
            "label/C7.txt": "F07_S2.wav fake 7\n",
            "label/A1.txt": "v.wav fake\n",
            "A1/v.wav": "",
        },
        {
            "train/S1.wav": (REAL, "", "", "train"),
            "train/F01_S1.wav": (FAKE, "F01", "", "train"),
            "test/C7/F07_S2.wav": (FAKE, "F07", "", "eval"),
            "A1/v.wav": (FAKE, "A1", "", "eval"),
        },
        {"condition": {"F07_S2": "C7", "S1": "train"}},
    ),
    Tree(
        "sonar",
        {
            "SONAR_dataset/real_samples/r.wav": "",
            "SONAR_dataset/OpenAI/o.flac": "",
            "SONAR_dataset/SeedTTS/en/s.wav": "",
        },
        {
            "SONAR_dataset/real_samples/r.wav": (REAL, "", "", "eval"),
            "SONAR_dataset/OpenAI/o.flac": (FAKE, "OpenAI", "", "eval"),
            "SONAR_dataset/SeedTTS/en/s.wav": (FAKE, "SeedTTS", "", "eval"),
        },
    ),
    Tree(
        "fake_or_real",
        {
            "for-norm/training/real/a.wav": "",
            "for-norm/testing/fake/b.wav": "",
            "for-original/testing/fake/b.mp3": "",
        },
        {
            "for-norm/training/real/a.wav": (REAL, "", "", "train"),
            "for-norm/testing/fake/b.wav": (FAKE, "unknown", "", "eval"),
        },
    ),
    Tree(
        "add2022",
        {
            "ADD_train_dev/label/train_label.txt": "ADD_T_01.wav genuine\nADD_T_02.wav fake\n",
            "ADD_train_dev/train/ADD_T_01.wav": "",
            "ADD_train_dev/train/ADD_T_02.wav": "",
            "label/track1_label.txt": "ADD_E1_01 fake\n",
            "track1test/ADD_E1_01.wav": "",
            "track3test/track3_R1_label.txt": "ADD_E3_01.wav genuine 0\n",
            "track3test/ADD_E3_01.wav": "",
        },
        {
            "ADD_train_dev/train/ADD_T_01.wav": (REAL, "", "", "train"),
            "ADD_train_dev/train/ADD_T_02.wav": (FAKE, "unknown", "", "train"),
            "track1test/ADD_E1_01.wav": (FAKE, "unknown", "", "eval"),
            "track3test/ADD_E3_01.wav": (REAL, "", "", "eval"),
        },
        {"subset": {"ADD_T_01": "", "ADD_E1_01": "track1", "ADD_E3_01": "track3"}},
    ),
    Tree(
        "add2023",
        {
            "Track1.2/dev/label.txt": "ADD2023_T1.2_D_01.wav fake\n",
            "Track1.2/dev/wav/ADD2023_T1.2_D_01.wav": "",
            "Track1.2/testR2/label.txt": "ADD2023_T1.2R2_E_01.wav genuine\n",
            "Track2/dev/label.txt": "ADD2023_T2_D_01.wav 0-1.2-T 1\n",
        },
        {
            "Track1.2/dev/wav/ADD2023_T1.2_D_01.wav": (FAKE, "unknown", "", "dev"),
            "Track1.2/testR2/wav/ADD2023_T1.2R2_E_01.wav": (REAL, "", "", "eval"),
        },
        {"subset": {"ADD2023_T1.2R2_E_01": "round2"}},
    ),
    Tree(
        "spoofceleb",
        {
            "spoofceleb/metadata/development.csv": "file,speaker,attack\n"
            "a00/id1/x.flac,id1,a00\na06/id1/y.flac,id1,a06\n"
        },
        {
            "spoofceleb/flac/development/a00/id1/x.flac": (REAL, "", "id1", "dev"),
            "spoofceleb/flac/development/a06/id1/y.flac": (FAKE, "a06", "id1", "dev"),
        },
    ),
    Tree(
        "partial_spoof",
        {
            "database/protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm.dev.trl.txt": (
                "LA_1 CON_D_1 - CON spoof\nLA_2 LA_D_2 - - bonafide\n"
            ),
            "database/dev/con_data/rttm_2cls_0sil_spoof": (
                "SPEAKER CON_D_1 1 0.50 0.25 <NA> <NA> spoof <NA> <NA>\n"
                "SPEAKER CON_D_1 1 2 1 <NA> <NA> spoof <NA> <NA>\n"
                "SPEAKER LA_D_2 1 0 1 <NA> <NA> bonafide <NA> <NA>\n"
            ),
        },
        {
            "database/dev/con_wav/CON_D_1.wav": (FAKE, "CON", "LA_1", "dev"),
            "database/dev/con_wav/LA_D_2.wav": (REAL, "", "LA_2", "dev"),
        },
        {"spoof_segments": {"CON_D_1": "0.500-0.750 2.000-3.000", "LA_D_2": ""}},
    ),
    Tree(
        "deepfake_eval_2024",
        {
            "audio-metadata-publish.csv": "Filename,Ground Truth,Finetuning Set,Language,Label\n"
            "a.mp3,Fake,Train,English,x\nb.wav,Real,Test,Arabic,x\nc.wav,Unknown,Test,English,x\n"
        },
        {
            "audio-data/a.mp3": (FAKE, "unknown", "", "train"),
            "audio-data/b.wav": (REAL, "", "", "eval"),
        },
        {"language": {"b": "Arabic"}, "listed_label": {"a": "x"}},
    ),
    Tree(
        "librispeech",
        {"LibriSpeech/test-clean/61/7/61-7-0.flac": ""},
        {"LibriSpeech/test-clean/61/7/61-7-0.flac": (REAL, "", "61", "")},
        {"subset": {"61-7-0": "test-clean"}},
        root="LibriSpeech",
    ),
]


def test_every_corpus_has_a_tree() -> None:
    assert sorted(tree.name for tree in TREES) == sorted(CORPORA)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_a_miniature_tree(tree: Tree, tmp_path: Path) -> None:
    table = read_corpus(tree.name, tree.make(tmp_path)).table
    found = {
        Path(row.path).relative_to(tmp_path).as_posix(): (
            *(row.label, row.attack, row.speaker, row.split),
        )
        for row in table.itertuples()
    }
    assert found == tree.rows
    assert set(table["corpus"]) == {tree.name}
    by_stem = table.set_index(table["path"].map(lambda path: Path(path).stem))
    for column, values in tree.free.items():
        assert {stem: by_stem[column][stem] for stem in values} == values


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_its_manifest_comes_back(tree: Tree, tmp_path: Path) -> None:
    manifest = read_corpus(tree.name, tree.make(tmp_path / "corpus"))
    write_manifest(manifest, tmp_path / "corpus" / "manifest.csv")
    again = read_manifest(tmp_path / "corpus" / "manifest.csv")
    assert again.table["path"].tolist() == manifest.table["path"].tolist()


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_an_empty_folder_says_what_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not there|no such|no label list"):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "subset", "stems"),
    [
        ("asvspoof2021_la", "progress", ["LA_E_3"]),
        ("asvspoof2021_la", "hidden", ["LA_E_4"]),
        ("asvspoof2021_la", "all", ["LA_E_1", "LA_E_2", "LA_E_3", "LA_E_4"]),
        ("asvspoof2021_df", "progress", ["DF_E_1"]),
        ("fakeavceleb", "all", ["1", "2", "3", "4"]),
        ("fake_or_real", "original", ["b"]),
        ("add2022", "track3", ["ADD_T_01", "ADD_T_02", "ADD_E3_01"]),
        ("add2023", "round2", ["ADD2023_T1.2_D_01", "ADD2023_T1.2R2_E_01"]),
    ],
)
def test_subsets(name: str, subset: str, stems: list[str], tmp_path: Path) -> None:
    tree = next(tree for tree in TREES if tree.name == name)
    manifest = read_corpus(f"{name}:{subset}", tree.make(tmp_path))
    assert sorted(Path(path).stem for path in manifest.table["path"]) == sorted(stems)
    assert manifest.source.endswith(f":{subset}")


def test_one_version_of_fake_or_real_names_itself(tmp_path: Path) -> None:
    folder = tmp_path / "for-2seconds"
    (folder / "testing" / "fake").mkdir(parents=True)
    (folder / "testing" / "fake" / "a.wav").touch()
    assert read_corpus("fake_or_real", folder).table["subset"].tolist() == ["2sec"]


@pytest.mark.parametrize(
    "name", ["asvspoof2021_la:evaluation", "dfadd:eval", "folder:eval", "asvspoof2021_la:"]
)
def test_subsets_that_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="subset"):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "text", "part"),
    [
        ("asvspoof2021_la", "keys/LA/CM/trial_metadata.txt", "a b c\n", "line 1 has 3 fields"),
        (
            "asvspoof2021_la",
            "keys/LA/CM/trial_metadata.txt",
            LA_KEYS.replace("progress", "later"),
            "line 3: .*'later'",
        ),
        ("asvspoof5", "ASVspoof5.train.tsv", _five("T").replace("spoof -", "fake -"), "'fake'"),
        ("fakeavceleb", "meta_data.csv", META + "id1,-,-,real\n", "row 2 has 4 values"),
        ("fakeavceleb", "meta_data.csv", META + _celeb("Other", "real", "1"), "'Other'"),
        ("codecfake_alm", "label/dev.txt", "a.wav real 0\nb.wav maybe 1\n", "line 2 is not"),
        ("add2022", "train_label.txt", "ADD_T_1.wav maybe\n", "'maybe' is not genuine"),
        ("spoofceleb", "metadata/train.csv", "file,attack\nx,a00\n", "needs the columns speaker"),
        (
            "deepfake_eval_2024",
            "audio-metadata-publish.csv",
            "Filename,Ground Truth,Finetuning Set,A b,a  b\nx,Real,Test,,\n",
            "same name",
        ),
    ],
)
def test_malformed_lists(name: str, file: str, text: str, part: str, tmp_path: Path) -> None:
    Tree(name, {file: text}, {}).make(tmp_path)
    with pytest.raises(InputError, match=part):
        read_corpus(name, tmp_path)


def test_asvspoof5_in_a_folder_a_part(tmp_path: Path) -> None:
    Tree("asvspoof5", {"ASVspoof5.train.tsv": _five("T")}, {}).make(tmp_path)
    (tmp_path / "ASVspoof5_train" / "flac_T").mkdir(parents=True)
    paths = read_corpus("asvspoof5", tmp_path).table["path"]
    assert paths[0].endswith("/ASVspoof5_train/flac_T/T_1.flac")


def test_what_is_said_of_each_corpus() -> None:
    for name, (about, _) in CORPORA.items():
        assert about.name == name
        texts = (about.title, about.paper, about.url, about.licence, about.clips, about.classes)
        assert all((*texts, about.layout, about.facts, about.figures)), name
        assert (about.default in (*about.subsets, "all")) == bool(about.subsets), name


def test_the_docs_tell_of_each_corpus() -> None:
    docs = Path(__file__).parents[2] / "docs" / "corpora.md"
    text = " ".join(docs.read_text().split())
    for name, (about, _) in CORPORA.items():
        assert f"`{name}`" in text, name
        assert about.facts in text, name
        assert about.figures in text, name
        assert (about.checked or "made by the tests") in text, name

"""Imports between the packages point downward only, and --help stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "loradar"

# A package may import from its own layer's later entries never, from lower layers always.
LAYERS = [
    # What ``from loradar import ...`` gives, from wherever it is.
    {"__init__"},
    {"__main__"},
    {"cli"},
    {"scoring"},
    {"inference"},
    {"training"},
    {"evaluation"},
    {"detector"},
    {"corpora"},
    {"vocoders"},
    {"audio"},
    {"moe_lora"},
    {"embedded"},
    {"errors", "files"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative imports hide their layer")
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "loradar":
                names = [f"loradar.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("loradar.")}
    return found & LEVEL.keys()


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_point_downward(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    upward = {name for name in _imports(path) if LEVEL[name] < LEVEL[own]}
    assert not upward, f"{path} imports from above: {upward}"


def test_every_package_has_a_layer():
    packages = {p.name.removesuffix(".py") for p in SOURCE.iterdir() if p.suffix == ".py"}
    packages |= {p.parent.name for p in SOURCE.glob("*/__init__.py")}
    assert packages == LEVEL.keys()


def test_moe_lora_knows_torch_alone():
    allowed = {"torch", "safetensors", "loradar", "__future__"} | set(sys.stdlib_module_names)
    for path in (SOURCE / "moe_lora").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots = {node.module.split(".")[0]}
            else:
                continue
            assert roots <= allowed, f"{path.name} imports {roots - allowed}"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["detect", "--help"]])
def test_help_loads_neither_torch_nor_transformers(arguments):
    program = (
        "import sys; from loradar.cli.app import main; sys.argv = ['loradar', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        "heavy = {'torch', 'transformers', 'pandas', 'scipy'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout

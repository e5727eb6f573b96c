"""What is built from a checkout, what is in it, and what it costs."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

import slurmpy
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from slurmpy.testing import LocalCluster

ROOT = Path(__file__).parent.parent
LEFTOVERS = (".*", "build", "dist", "*.egg-info", "_build", "generated", "__pycache__", "*.so")
CPYTHON = platform.python_implementation() == "CPython"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a fresh clone has it: nothing that was built before."""
    folder = tmp_path_factory.mktemp("packaging") / "checkout"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFTOVERS))
    return folder


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    subprocess.run([sys.executable, "-m", "build", "--sdist", checkout], check=True)
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the unpacked sdist, with nothing else at hand."""
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run(["tar", "-xf", sdist, "-C", folder], check=True)
    (unpacked,) = folder.iterdir()
    subprocess.run([sys.executable, "-m", "build", "--wheel", unpacked], check=True)
    (built,) = (unpacked / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an empty virtual environment."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


@pytest.mark.once
def test_sdist_holds_what_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    declared = {f"cdefs/{path.name}" for path in (ROOT / "cdefs").iterdir()}
    assert declared
    assert names >= declared | {"setup.py", "LICENSE", "README.md", "slurmpy/_build_ffi.py"}
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


@pytest.mark.once
def test_wheel_holds_the_compiled_module_and_nothing_of_the_build(wheel: Path) -> None:
    assert wheel.stat().st_size <= 1_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode())
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "= pytest_slurmpy" in archive.read(points).decode()
    assert [name for name in names if name.startswith("slurmpy/_slurm.") and name.endswith(".so")]
    assert "slurmpy/py.typed" in names
    assert {name.split("/")[0] for name in names} == {
        "pytest_slurmpy.py",
        "slurmpy",
        metadata.split("/")[0],
    }
    assert not [name for name in names if name.endswith((".h", ".c"))]
    assert fields["Name"] == "slurmpy-cffi"
    assert fields["License-Expression"] == "GPL-2.0-or-later"
    assert fields["Requires-Python"] == ">=3.9"
    needed = [line for line in fields.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert needed == ['cffi>=1.15; platform_python_implementation == "CPython"']


@pytest.mark.once
def test_installing_gives_a_working_package(
    checkout: Path, python: Path, slurm_cluster: LocalCluster
) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", checkout], check=True)

    argv = [str(python), "-I", "-m", "slurmpy", "jobs"]
    done = subprocess.run(argv, env=slurm_cluster.env, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("JOBID")
    # The command does not look into the folder that it runs in, where the package is not compiled.
    done = subprocess.run(
        [python.with_name("slurmpy"), "jobs"],
        cwd=checkout,
        env=slurm_cluster.env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("JOBID")


UNCHECKED = """
import slurmpy
job = slurmpy.Job.load({job_id})
assert list(job.steps) == ["batch"]
for call in (
    job.get_resource_layout_per_node, job.load_stats, job.steps["batch"].load_stats,
    slurmpy.Jobs.load().load_stats,
):
    try:
        call()
    except slurmpy.UnsupportedField as error:
        print(error)
"""


@pytest.mark.once
def test_a_major_whose_private_structs_were_not_checked(
    checkout: Path, python: Path, slurm_cluster: LocalCluster, tmp_path: Path
) -> None:
    """It is built as the first major after those that were checked would be."""
    folder = tmp_path / "checkout"
    shutil.copytree(checkout, folder)
    for name in ("jobacctinfo", "job_resources"):
        header = folder / "cdefs" / f"{name}.h"
        text = header.read_text(encoding="utf-8")
        assert text.count("SLURM_VERSION_NUM(26,6,0)") == 1
        header.write_text(text.replace("SLURM_VERSION_NUM(26,6,0)", "SLURM_VERSION_NUM(22,5,0)"))
    install = ("-m", "pip", "install", "--quiet", "--force-reinstall", folder)
    subprocess.run([python, *install], check=True)
    job_id = int(slurm_cluster.run("sbatch", "--parsable", "--mem=10", "--wrap", "sleep 60"))
    wait_for(lambda: slurmpy.Job.load(job_id).steps)
    done = subprocess.run(
        [python, "-I", "-c", UNCHECKED.format(job_id=job_id)],
        env=slurm_cluster.env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        "get_resource_layout_per_node",
        *(["load_stats"] * 3),
    ]
    assert all(f"how Slurm {MAJOR} keeps it was not checked" in line for line in lines)
    slurmpy.Job(job_id).cancel()


def test_make_clean_takes_what_was_built_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFTOVERS))
    before = {path for path in folder.rglob("*") if path.is_file()}
    built = ("slurmpy/_slurm.c", "slurmpy/_slurm.abi3.so", "build/lib/a.py", "dist/a.whl")
    for name in built:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    subprocess.run(["make", "-C", folder, "clean"], check=True, capture_output=True)
    assert {path for path in folder.rglob("*") if path.is_file()} == before

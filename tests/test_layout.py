"""Where a job is on its nodes, and where ``scontrol -d show job`` says that it is."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_for

from slurmpy import ClosedError, Job, Jobs, NotLoaded, _layout
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from slurmpy._layout import Gres, NodeResources

    Layout = dict[str, NodeResources]

#: How many characters of a list of numbers Slurm writes at the most, up to some version.
CUT = 127

# Two alike, one with threads, one with more CPUs than can be shown, and one whose CPUs are cores.
ALIKE = "CPUs=8 Sockets=1 CoresPerSocket=8 Gres=gpu:tesla:2,gpu:kepler:2,nic:4,token:10"
NODES = {
    "n1": ALIKE,
    "n2": ALIKE,
    "n3": (
        "CPUs=16 Sockets=2 CoresPerSocket=4 ThreadsPerCore=2 RealMemory=16000"
        " Gres=gpu:4,shard:16,token:10"
    ),
    "n4": "CPUs=256 Sockets=128 CoresPerSocket=2 RealMemory=6000 Gres=port:128",
    "n5": "CPUs=4 Sockets=1 CoresPerSocket=4 ThreadsPerCore=2",
}
SELECT = "CR_Core_Memory"
if MAJOR >= "24.05":
    SELECT += ",MULTIPLE_SHARING_GRES_PJ"
OPTIONS = {
    "name": "layout",
    "nodes": len(NODES),
    "cpus": 8,
    "memory": 8000,
    "node_options": NODES,
    "extra_conf": f"GresTypes=gpu,nic,port,shard,token\nSelectTypeParameters={SELECT}\n",
}
#: Those of the ports of n4 that are near to one half of its cores. As text they have a number that
#: the 127th character is in the middle of.
NEAR = {5, 7, 9, *range(11, 128, 2)}


def gres_conf(folder: Path) -> str:
    for name, number in itertools.product(("gpu", "nic", "port"), range(128)):
        (folder / f"{name}{number}").touch()
    lines = [
        "AutoDetect=off",
        f"NodeName=n[1-2] Name=gpu Type=tesla File={folder}/gpu[0-1]",
        f"NodeName=n[1-2] Name=gpu Type=kepler File={folder}/gpu[2-3]",
        f"NodeName=n[1-2] Name=nic File={folder}/nic[0-3]",
        f"NodeName=n3 Name=gpu File={folder}/gpu[0-3]",
        "NodeName=n3 Name=shard Count=16",
        "NodeName=n[1-3] Name=token Count=10",
    ]
    for number in range(128):
        cores = f" Cores={'0-127' if number in NEAR else '128-255'}"
        # 26.05 finds that these do not match the sockets, and the node cannot be used.
        cores = cores if MAJOR < "26.05" else ""
        lines.append(f"NodeName=n4 Name=port File={folder}/port{number}{cores}")
    return "\n".join(lines)


class Slurm:
    """The cluster as Slurm's commands see it."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        self.ids: list[int] = []

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            env=self.env,
            cwd=self.folder,  # which scontrol writes into when a job shrinks
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def allocate(self, *options: str) -> int:
        """A job that runs, without a process on any node."""
        found = re.search(
            r"Granted job allocation (\d+)", self.run("salloc", "--no-shell", *options)
        )
        assert found
        self.ids.append(int(found[1]))
        return self.ids[-1]

    def submit(self, *options: str) -> int:
        command = ("sbatch", "--parsable", "--output=/dev/null", *options, "--wrap=sleep 300")
        self.ids.append(int(self.run(*command)))
        return self.ids[-1]

    def states(self, job: int) -> set[str]:
        """The states of a job, or of the tasks of an array, that has not ended."""
        return set(self.run("squeue", "-h", "-r", f"--jobs={job}", "--format=%T").split())

    def wait(self, job: int, *wanted: str) -> None:
        wait_for(lambda: self.states(job) == set(wanted), otherwise=lambda: self.states(job))

    def end(self, *jobs: int) -> None:
        for job in jobs:
            self.run("scancel", str(job))
        for job in jobs:
            self.wait(job)

    def lines(self, job: int | str) -> list[tuple[str, str, str, str]]:
        """Nodes, CPUs, memory and resources of a job, as the first record that is shown has it."""
        text = self.run("scontrol", "-d", "show", "job", str(job))
        first = re.split(r"^JobId=", text, flags=re.MULTILINE)[1]
        return re.findall(
            r"^ *Nodes=(\S+) CPU_IDs=(\S*) Mem=(\d+) GRES=(\S*)$", first, re.MULTILINE
        )

    def shown(self, job: int | str) -> Layout:
        """The layout of a job, as scontrol shows it."""
        found: Layout = {}
        for nodes, cpus, memory, gres in self.lines(job):
            assert len(cpus) < CUT
            for name in self.run("scontrol", "show", "hostnames", nodes).split():
                assert name not in found
                found[name] = {
                    "cpu_ids": numbers(cpus),
                    "memory": int(memory),
                    "gres": resources(gres),
                }
        return found

    def calls(self) -> int:
        """How many times slurmctld was asked for its nodes."""
        found = re.search(r"REQUEST_NODE_INFO\s.*?count:(\d+)", self.run("sdiag"))
        return int(found[1]) if found else 0


def numbers(text: str) -> list[int]:
    """``"0-2,5"`` as numbers."""
    ends = [part.split("-") for part in text.split(",") if part]
    return [number for pair in ends for number in range(int(pair[0]), int(pair[-1]) + 1)]


def resources(text: str) -> dict[str, Gres]:
    """The generic resources of a node, as scontrol shows them."""
    found: dict[str, Gres] = {}
    for item in re.split(r",(?![^(]*\))", text) if text else ():
        before, inside = item.rstrip(")").split("(")
        if inside.startswith("CNT:"):
            name, count = before, int(inside[4:])
            indexes = []
        else:
            name, number = before.rsplit(":", 1)
            count = int(number)
            assert len(inside) < CUT
            if inside.startswith("IDX:"):
                indexes = numbers(inside[4:])
            else:
                used = [int(part.split("/")[0]) for part in inside.split(",")]
                indexes = [index for index, number in enumerate(used) if number]
        assert name not in found
        found[name] = {"count": count, "indexes": indexes}
    return found


@pytest.fixture(scope="module")
def cluster(
    other_cluster: Callable[..., AbstractContextManager[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Slurm]:
    options = {**OPTIONS, "gres_conf": gres_conf(tmp_path_factory.mktemp("devices"))}
    with other_cluster(options) as (env, folder):
        yield Slurm(env, folder)


@pytest.fixture
def slurm(cluster: Slurm) -> Iterator[Slurm]:
    """The cluster, which is empty before and after."""
    yield cluster
    cluster.end(*cluster.ids)
    cluster.ids.clear()


ROWS: dict[str, tuple[list[str], set[str], set[str]]] = {
    # The options of a job, its nodes, and generic resources that it has.
    "one node": (["-wn1", "-n3", "--mem=30"], {"n1"}, set()),
    "threads": (["-wn3", "-n5", "--mem=30"], {"n3"}, set()),
    "one thread of each core": (
        ["-wn3", "-n3", "--threads-per-core=1", "--mem=30"],
        {"n3"},
        set(),
    ),
    "cores as CPUs": (["-wn5", "-n3", "--mem=30"], {"n5"}, set()),
    "all nodes": (["-N5", "--ntasks-per-node=3", "--mem=30"], {*NODES}, set()),
    "unequal nodes": (
        ["-wn[2-5]", "-n9", "--distribution=cyclic", "--mem=30"],
        {"n2", "n3", "n4", "n5"},
        set(),
    ),
    "alike nodes apart": (["-wn1,n3,n5", "-n6", "--mem=30"], {"n1", "n3", "n5"}, set()),
    "memory per CPU": (["-wn[1,3]", "-n10", "--mem-per-cpu=7"], {"n1", "n3"}, set()),
    "memory by default": (["-wn[1,3]", "-n10"], {"n1", "n3"}, set()),
    "memory per GPU": (
        ["-wn[1-2]", "-N2", "--gpus-per-node=2", "--mem-per-gpu=33"],
        {"n1", "n2"},
        {"gpu:tesla"},
    ),
    "all memory": (
        ["-wn[2-4]", "-N3", "--mem=0", "--ntasks-per-node=2"],
        {"n2", "n3", "n4"},
        set(),
    ),
    "exclusive": (
        ["-wn[2-3]", "--exclusive", "--mem=30"],
        {"n2", "n3"},
        {"gpu:tesla", "gpu:kepler", "gpu", "nic", "token"},
    ),
    "exclusive with memory per CPU": (
        ["-wn[2-3]", "--exclusive", "--mem-per-cpu=7", "--gres=token:2"],
        {"n2", "n3"},
        {"token"},
    ),
    "GPUs of no type": (["-wn3", "-n2", "--mem=30", "--gres=gpu:3"], {"n3"}, {"gpu"}),
    "GPUs of a type": (
        ["-wn[1-2]", "-N2", "--mem=30", "--gres=gpu:kepler:1"],
        {"n1", "n2"},
        {"gpu:kepler"},
    ),
    "GPUs of two types": (
        ["-wn1", "--mem-per-cpu=30", "--gres=gpu:tesla:1,gpu:kepler:2"],
        {"n1"},
        {"gpu:tesla", "gpu:kepler"},
    ),
    "GPUs of any type": (
        ["-wn1", "--mem=0", "--gres=gpu:3"],
        {"n1"},
        {"gpu:tesla", "gpu:kepler"},
    ),
    "GPUs of the whole job": (
        ["-wn[1-3]", "-N3", "--mem=30", "--gpus=5"],
        {"n1", "n2", "n3"},
        {"gpu", "gpu:tesla"},
    ),
    "GPUs per task": (
        ["-wn[1-2]", "-n4", "--ntasks-per-node=2", "--mem=30", "--gpus-per-task=tesla:1"],
        {"n1", "n2"},
        {"gpu:tesla"},
    ),
    "several resources": (
        ["-wn2", "-n2", "--mem=30", "--gres=gpu:tesla:2,nic:3,token:4"],
        {"n2"},
        {"gpu:tesla", "nic", "token"},
    ),
    "only counted": (
        ["-wn[1-3]", "-N3", "--mem=30", "--gres=token:2"],
        {"n1", "n2", "n3"},
        {"token"},
    ),
    "shared": (["-wn3", "-n2", "--mem=0", "--gres=shard:3"], {"n3"}, {"shard"}),
}
if MAJOR >= "24.05":
    # More than one device can give.
    ROWS["shared of two"] = (["-wn3", "-n2", "--mem=30", "--gres=shard:6"], {"n3"}, {"shard"})


@pytest.mark.parametrize(("options", "nodes", "gres"), ROWS.values(), ids=ROWS)
def test_is_what_scontrol_shows(
    slurm: Slurm, options: list[str], nodes: set[str], gres: set[str]
) -> None:
    number = slurm.allocate(*options)
    layout = Job.load(number).get_resource_layout_per_node()
    assert layout == slurm.shown(number)
    assert layout.keys() == nodes
    assert all(node["cpu_ids"] and node["memory"] for node in layout.values())
    assert {name for node in layout.values() for name in node["gres"]} >= gres
    slurm.end(number)
    layout = Job.load(number).get_resource_layout_per_node()
    assert layout == slurm.shown(number)
    assert layout.keys() == nodes


@pytest.mark.parametrize(("name", "gres"), [("n1", "nic"), ("n3", "gpu")])
def test_parts_of_a_node(slurm: Slurm, name: str, gres: str) -> None:
    """What others have leaves gaps."""
    part = (f"-w{name}", "-n2", "--mem=30", f"--gres={gres}:1")
    first, second, third = (slurm.allocate(*part) for _ in range(3))
    slurm.end(second)
    last = slurm.allocate(f"-w{name}", "-n4", "--mem=60", f"--gres={gres}:2")
    layouts = {job: Job.load(job).get_resource_layout_per_node() for job in (first, third, last)}
    assert layouts == {job: slurm.shown(job) for job in layouts}
    ids = [cpu for layout in layouts.values() for cpu in layout[name]["cpu_ids"]]
    assert len(set(ids)) == len(ids) == 8
    devices = [layout[name]["gres"][gres]["indexes"] for layout in layouts.values()]
    assert sorted(itertools.chain(*devices)) == [0, 1, 2, 3]
    for own in layouts[last][name]["cpu_ids"], devices[-1]:
        assert own[-1] - own[0] >= len(own)


def test_components_of_a_heterogeneous_job(slurm: Slurm) -> None:
    job = slurm.allocate(
        *("-wn[1-2]", "-N2", "--mem=30", "--gres=gpu:tesla:1", ":"),
        *("-wn3", "-n3", "--mem=20", "--gres=gpu:2"),
    )
    layouts = [Job.load(f"{job}+{i}").get_resource_layout_per_node() for i in range(2)]
    assert layouts == [slurm.shown(f"{job}+{i}") for i in range(2)]
    assert [set(layout) for layout in layouts] == [{"n1", "n2"}, {"n3"}]
    jobs = Jobs.load()
    assert [jobs[job + i].get_resource_layout_per_node() for i in range(2)] == layouts


def test_tasks_of_an_array(slurm: Slurm) -> None:
    array = slurm.submit("--array=0-2", "-wn3", "-n2", "--mem=30", "--gres=gpu:1")
    slurm.wait(array, "RUNNING")
    layouts = [Job.load(f"{array}_{i}").get_resource_layout_per_node() for i in range(3)]
    assert layouts == [slurm.shown(f"{array}_{i}") for i in range(3)]
    assert len({layout["n3"]["cpu_ids"][0] for layout in layouts}) == 3


def test_more_cpus_than_scontrol_has_room_for(slurm: Slurm) -> None:
    job = slurm.allocate("-wn4", "--ntasks-per-socket=1", "-n128", "--mem=100")
    node = Job.load(job).get_resource_layout_per_node()["n4"]
    # A core of each socket, and each has two.
    assert node == {"cpu_ids": list(range(0, 256, 2)), "memory": 100, "gres": {}}
    text = ",".join(map(str, node["cpu_ids"]))
    ((nodes, cpus, memory, gres),) = slurm.lines(job)
    assert (nodes, memory, gres) == ("n4", "100", "")
    if len(cpus) == CUT:
        assert text.startswith(cpus)
        assert len(text) > CUT
    else:
        assert text == cpus


def test_more_devices_than_slurmctld_has_room_for(slurm: Slurm) -> None:
    """A number that is cut is none of the job's."""
    job = slurm.allocate("-wn4", "--ntasks-per-socket=1", "-n62", "--mem=100", "--gres=port:60")
    ports = Job.load(job).get_resource_layout_per_node()["n4"]["gres"]["port"]
    ((*_, gres),) = slurm.lines(job)
    found = re.fullmatch(r"port:60\(IDX:(.*)\)", gres)
    assert found
    assert ports["count"] == 60
    if len(found[1]) == CUT:
        whole = numbers(found[1].rpartition(",")[0])
        assert len(whole) > 30
        assert ports["indexes"][: len(whole)] == whole
        assert ports["indexes"] == sorted(set(ports["indexes"]))
    else:
        assert ports["indexes"] == numbers(found[1])
        assert len(ports["indexes"]) == 60


def test_a_job_that_waits(slurm: Slurm) -> None:
    job = slurm.submit("--hold", "-wn1", "--gres=gpu:1")
    assert Job.load(job).get_resource_layout_per_node() == {} == slurm.shown(job)


def test_a_job_that_waits_again(slurm: Slurm) -> None:
    number = slurm.submit("-wn1,n3", "-N2", "--mem=30", "--gres=gpu:1")
    slurm.wait(number, "RUNNING")
    job = Job.load(number)
    assert job.get_resource_layout_per_node() == slurm.shown(number)
    slurm.run("scontrol", "requeuehold", str(number))
    slurm.wait(number, "PENDING")
    assert set(job.get_resource_layout_per_node()) == {"n1", "n3"}
    job.reload()
    assert job.get_resource_layout_per_node() == {} == slurm.shown(number)


def test_a_suspended_job(slurm: Slurm) -> None:
    job = slurm.allocate("-wn[2-3]", "-N2", "--mem=30", "--gres=gpu:2,token:1")
    running = Job.load(job).get_resource_layout_per_node()
    slurm.run("scontrol", "suspend", str(job))
    assert Job.load(job).state == "SUSPENDED"
    assert Job.load(job).get_resource_layout_per_node() == running == slurm.shown(job)


def test_a_job_that_gives_back_a_node(slurm: Slurm) -> None:
    number = slurm.allocate("-wn[1-3]", "-N3", "--mem=30", "--gres=token:2")
    job = Job.load(number)
    before = job.get_resource_layout_per_node()
    slurm.run("scontrol", "update", f"JobId={number}", "NodeList=n1,n3")
    job.reload()
    after = job.get_resource_layout_per_node()
    assert after == slurm.shown(number)
    assert (list(before), list(after)) == (["n1", "n2", "n3"], ["n1", "n3"])


def test_all_jobs_with_one_call_for_the_nodes(slurm: Slurm) -> None:
    ended = slurm.allocate("-wn[1,3]", "-N2", "--mem=10", "--gres=gpu:1")
    slurm.end(ended)
    waiting = slurm.submit("--hold")
    running = [
        slurm.allocate("-wn3", "-n3", "--mem-per-cpu=5", "--gres=gpu:1"),
        slurm.allocate("-N5", "--ntasks-per-node=2", "--mem=10"),
        slurm.allocate("-wn[1-2]", "-N2", "--mem=10", "--gres=gpu:tesla:1,nic:2"),
    ]
    before = slurm.calls()
    with Jobs.load() as jobs:
        layouts = {number: job.get_resource_layout_per_node() for number, job in jobs.items()}
        assert {
            number: job.get_resource_layout_per_node() for number, job in jobs.items()
        } == layouts
    deadline = time.monotonic() + 60
    # slurmctld counts a call once it has answered.
    while slurm.calls() == before:
        assert time.monotonic() < deadline
    assert slurm.calls() == before + 1
    for number in (ended, waiting, *running):
        assert layouts[number] == slurm.shown(number), number
    assert [bool(layouts[number]) for number in (ended, waiting, *running)] == [
        True,
        False,
        True,
        True,
        True,
    ]


@pytest.fixture
def several(slurm: Slurm) -> int:
    """A job with something of everything."""
    return slurm.allocate(
        "-wn[2-3]", "-N2", "--ntasks-per-node=3", "--mem=30", "--gres=gpu:2,token:1"
    )


def test_loaded_without_details(slurm: Slurm, several: int) -> None:
    job = Jobs.load(details=False)[several]
    for _ in range(2):
        with pytest.raises(NotLoaded, match=rf"job {several} .* call reload\(\)"):
            job.get_resource_layout_per_node()
        job = copy.copy(job)
    job.reload()
    assert job.get_resource_layout_per_node() == slurm.shown(several) != {}


def test_ended_and_loaded_without_details(slurm: Slurm, several: int) -> None:
    slurm.end(several)
    job = Jobs.load(details=False)[several]
    with pytest.raises(NotLoaded, match=rf"job {several} .* call reload\(\)"):
        job.get_resource_layout_per_node()
    job.reload()
    assert job.get_resource_layout_per_node() == slurm.shown(several) != {}


def test_not_loaded(slurm: Slurm, several: int) -> None:
    job = Job(several)
    with pytest.raises(NotLoaded, match=rf"job {several} .* reload\(\)"):
        job.get_resource_layout_per_node()
    job.reload()
    assert job.get_resource_layout_per_node() == slurm.shown(several) != {}


@pytest.mark.parametrize("again", [copy.copy, lambda job: pickle.loads(pickle.dumps(job))])  # noqa: S301 - our own
@pytest.mark.parametrize("times", [1, 2])
def test_copies(slurm: Slurm, several: int, again: Callable[[Job], Job], times: int) -> None:
    job = made = Job.load(several)
    for _ in range(times):
        made = again(made)
    slurm.end(several)
    layout = made.get_resource_layout_per_node()
    assert layout == job.get_resource_layout_per_node()
    assert layout["n3"]["gres"] == {
        "gpu": {"count": 2, "indexes": [0, 1]},
        "token": {"count": 1, "indexes": []},
    }
    # Nobody else has what was returned.
    layout["n3"]["cpu_ids"].clear()
    assert made.get_resource_layout_per_node() == job.get_resource_layout_per_node() != layout


def test_a_closed_collection(slurm: Slurm, several: int) -> None:
    other = slurm.allocate("-wn3", "-n3", "--mem=20")
    with Jobs.load() as jobs:
        job, popped, copied = jobs[other], jobs.pop(several), copy.copy(jobs[other])
    with pytest.raises(ClosedError, match="collection"):
        job.get_resource_layout_per_node()
    assert popped.get_resource_layout_per_node() == slurm.shown(several) != {}
    assert copied.get_resource_layout_per_node() == slurm.shown(other) != {}


# ---- the text that slurmctld writes of a node ----

WORD = st.text("abcxyz_09", min_size=1, max_size=8)
KIND = st.text("abcXYZ_.-019", min_size=1, max_size=8)
NAME = st.one_of(WORD, st.builds("{}:{}".format, WORD, KIND))
COUNT = st.integers(0, 2**64 - 1)


def written(indexes: Iterable[int]) -> str:
    """Numbers as Slurm writes them."""
    runs = itertools.groupby(enumerate(sorted(indexes)), lambda pair: pair[1] - pair[0])
    found = [[number for _, number in run] for _, run in runs]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in found)


@st.composite
def with_indexes(draw: st.DrawFn, name: str) -> tuple[str, Gres]:
    """Of a shared resource, some versions write whose it is; there may be more than devices."""
    indexes = sorted(draw(st.sets(st.integers(0, 40) | st.integers(0, 1023), max_size=20)))
    count = draw(st.just(len(indexes)) | COUNT)
    return f"{name}:{count}(IDX:{written(indexes)})", {"count": count, "indexes": indexes}


@st.composite
def counted(draw: st.DrawFn, name: str) -> tuple[str, Gres]:
    count = draw(COUNT)
    return f"{name}(CNT:{count})", {"count": count, "indexes": []}


@st.composite
def shared(draw: st.DrawFn, name: str) -> tuple[str, Gres]:
    totals = draw(st.lists(st.integers(0, 100), min_size=1, max_size=12))
    used = [draw(st.integers(0, total)) for total in totals]
    parts = ",".join(f"{one}/{total}" for one, total in zip(used, totals))
    indexes = [index for index, one in enumerate(used) if one]
    return f"{name}:{sum(used)}({parts})", {"count": sum(used), "indexes": indexes}


@st.composite
def nodes(draw: st.DrawFn) -> tuple[str, dict[str, Gres]]:
    """What is written of a node, and what is meant."""
    texts, model = [], {}
    for name in draw(st.lists(NAME, unique=True, max_size=6)):
        text, model[name] = draw(st.one_of(with_indexes(name), counted(name), shared(name)))
        texts.append(text)
    return ",".join(texts), model


@given(nodes())
def test_text_gives_back_what_is_meant(node: tuple[str, dict[str, Gres]]) -> None:
    """So does the parser of these tests."""
    text, model = node
    found = _layout.gres(text)
    assert found == model
    assert list(found) == list(model)
    assert resources(text) == model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu:x(IDX:0)", {"gpu:x(IDX:0)": {"count": 1, "indexes": [0]}}),
        ("gpu:2(IDX:a,1,-,2-)", {"gpu": {"count": 2, "indexes": [1, 2]}}),
        ("gpu(CNT:)", {"gpu(CNT:)": {"count": 1, "indexes": []}}),
        ("gpu:2", {}),
        ("(IDX:0)", {}),
        ("gpu:1(IDX:0(", {}),
    ],
)
def test_text_of_no_known_form(text: str, expected: dict[str, Gres]) -> None:
    assert _layout.gres(text) == expected


def test_a_range_without_end_takes_no_memory_without_end() -> None:
    found = _layout.gres("gpu:2(IDX:7-999999999999)")
    assert found["gpu"]["indexes"] == list(range(7, 2**16 + 8))


def test_names_of_nodes_that_are_no_text() -> None:
    from slurmpy._ffi import ffi

    assert _layout.hosts(ffi.new("char[]", b"n\xff[1-2]")) == ["n\udcff1", "n\udcff2"]

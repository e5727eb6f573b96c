"""Every parser against texts in Slurm's spelling, and against texts that are none."""

from __future__ import annotations

import copy
import os
import pickle
import string
from fractions import Fraction
from typing import Union

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurmpy import UNLIMITED, Job, JobStep, Unlimited, _convert
from slurmpy._ffi import lib

UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
KELVIN = "\N{KELVIN SIGN}"
LONG = "9" * 5000  # more digits than int() takes

#: What a `char *` of Slurm's can hold once it is decoded, and texts that nearly are of a grammar.
ANYTHING = st.one_of(
    st.binary().map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")),
    st.text(string.digits + ":/=,()[]&|*?+%._ -KMgresafterokmemcpu"),
)

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
AMOUNTS = st.integers(0, 2**63)
PREFIXES = st.sampled_from(["gres:", "gres/", ""])


def spelled(amount: int, unit: str) -> str:
    """An amount as Slurm writes it, in a unit that divides it."""
    scale = 1024 ** UNITS[unit]
    return f"{amount // scale}{unit}" if amount % scale == 0 else str(amount)


# Counts and memory


@given(st.integers(0, 2**63), st.sampled_from(sorted(UNITS)), st.booleans())
def test_count_is_of_1024(number: int, unit: str, lower: bool) -> None:
    text = f"{number}{unit.lower() if lower else unit}"
    assert _convert.count(text) == number * 1024 ** UNITS[unit]


@given(ANYTHING)
@example("")
@example("K")
@example("-1")
@example("2KK")
@example("2 K")
@example("1.5K")
@example("\u0663")
@example(f"2{KELVIN}")
@example(LONG)
def test_count_takes_digits_and_a_unit_and_nothing_else(text: str) -> None:
    digits = text[:-1] if text[-1:].upper() in "KMGTPE" else text
    try:
        value = _convert.count(text)
    except ValueError:
        assert len(text) > 4000 or not digits or set(digits) - set(string.digits)
    else:
        assert not set(digits) - set(string.digits)
        assert value >= int(digits)


@given(
    st.integers(0, 10**12),
    st.text(string.digits, max_size=6),
    st.sampled_from(sorted(UNITS)),
)
@example(1, "5", "G")
@example(1023, "999", "K")
def test_mebibytes_drop_parts_of_one(whole: int, part: str, unit: str) -> None:
    text = f"{whole}.{part}{unit}" if part else f"{whole}{unit}"
    amount = Fraction(int(f"{whole}{part}"), 10 ** len(part)) * 1024 ** UNITS[unit or "M"]
    assert _convert.mebibytes(text) == amount // 1024**2


@given(ANYTHING)
@example("")
@example("M")
@example(".5G")
@example("1.G")
@example("-1M")
@example("1\u0663M")
@example(f"2{KELVIN}")
@example(LONG)
def test_mebibytes_of_anything_else_is_a_value_error(text: str) -> None:
    try:
        value = _convert.mebibytes(text)
    except ValueError:
        return
    assert value >= 0
    assert text.isascii()
    assert text[0].isdigit()


@given(
    st.dictionaries(NAMES.filter(lambda name: name != "mem"), AMOUNTS, max_size=4),
    st.integers(0, 2**40),
    st.sampled_from(["M", "G", "T", "P"]),
    st.data(),
)
def test_tres_memory_round_trips(
    others: dict[str, int], mebibytes: int, unit: str, data: st.DataObject
) -> None:
    scale = 1024 ** (UNITS[unit] - UNITS["M"])
    memory = f"{mebibytes // scale}{unit}" if mebibytes % scale == 0 else f"{mebibytes}M"
    items = [f"{name}={amount}" for name, amount in others.items()]
    assert _convert.tres_memory(",".join(items)) is None
    items.insert(data.draw(st.integers(0, len(items))), f"mem={memory}")
    assert _convert.tres_memory(",".join(items)) == mebibytes


@given(ANYTHING | ANYTHING.map("cpu=1,mem={}".format))
@example("mem=")
@example("mem=x")
@example(f"mem=2{KELVIN}")
@example(f"mem={LONG}")
@example("memory=5,mem")
def test_tres_memory_of_anything_raises_nothing(text: str) -> None:
    value = _convert.tres_memory(text)
    assert value is None or value >= 0


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("cpu=2,mem=1500M,node=1,billing=2", 1500),
        ("cpu=1,mem=2G,node=1,gres/gpu=1", 2048),
        ("mem=20000M", 20000),
        ("mem=1T", 1024**2),
        ("mem=1P", 1024**3),
        ("mem=1E", 1024**4),
        ("mem=2048K", 2),
        ("mem=1.50G", 1536),
        ("mem=0", 0),
        ("mem=7", 7),
        ("cpu=1,node=1", None),
        ("gres/mem=5,cpu=1", None),
    ],
)
def test_tres_memory(text: str, memory: int | None) -> None:
    assert _convert.tres_memory(text) == memory


# Generic resources

TYPES = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)
GRES = st.dictionaries(
    st.tuples(NAMES, st.none() | TYPES).map(lambda pair: ":".join(filter(None, pair))),
    AMOUNTS,
    max_size=5,
)


@given(GRES, PREFIXES, st.sampled_from(":="), st.data())
def test_gres_round_trips_from_every_spelling(
    resources: dict[str, int], prefix: str, separator: str, data: st.DataObject
) -> None:
    units = [data.draw(st.sampled_from(sorted(UNITS))) for _ in resources]
    text = ",".join(
        f"{prefix}{name}{separator}{spelled(amount, unit)}"
        for (name, amount), unit in zip(resources.items(), units)
    )
    assert list(_convert.gres(text).items()) == list(resources.items())


@given(st.lists(st.sampled_from(["gpu", "gpu:tesla", "shard"]), unique=True), PREFIXES)
def test_gres_without_a_count_is_one(names: list[str], prefix: str) -> None:
    assert _convert.gres(",".join(f"{prefix}{name}" for name in names)) == dict.fromkeys(names, 1)


@given(ANYTHING)
@example("gres:")
@example("gpu:")
@example("gpu:=")
@example(f"gpu:{LONG}")
@example(f"gpu:2{KELVIN}")
def test_gres_of_anything_raises_nothing_and_keeps_every_item(text: str) -> None:
    found = _convert.gres(text)
    items = [item for item in text.split(",") if item]
    assert len(found) <= len(items)
    for item in items:
        rest = item[5:] if item[:5] in ("gres:", "gres/") else item
        assert [name for name in found if rest.startswith(name)], item
    for name, amount in found.items():
        assert isinstance(name, str)
        assert type(amount) is int
        assert amount >= 0


@pytest.mark.parametrize(
    ("text", "resources"),
    [
        ("gres:gpu:tesla:2", {"gpu:tesla": 2}),
        ("gres/gpu:tesla:2", {"gpu:tesla": 2}),
        ("gres/gpu:tesla=2", {"gpu:tesla": 2}),
        ("gres:gpu:2", {"gpu": 2}),
        ("gres/gpu=2", {"gpu": 2}),
        ("gres:gpu", {"gpu": 1}),
        ("gres/gpu", {"gpu": 1}),
        ("gres:gpu:0", {"gpu": 0}),
        ("gres:gpu:tesla", {"gpu:tesla": 1}),
        ("gres:gpu:a100_3g.20gb:2", {"gpu:a100_3g.20gb": 2}),
        ("gres:bandwidth:4K", {"bandwidth": 4096}),
        ("gres:craynetwork:1,gres:gpu:tesla:2", {"craynetwork": 1, "gpu:tesla": 2}),
        ("gres:gpu:tesla:1,gres:gpu:tesla:2", {"gpu:tesla": 3}),
    ],
)
def test_gres(text: str, resources: dict[str, int]) -> None:
    assert _convert.gres(text) == resources


@given(
    st.lists(st.tuples(NAMES.filter(lambda name: name != "gpu"), AMOUNTS), max_size=3),
    st.tuples(st.sampled_from(["gpu", "gpu:tesla"]), AMOUNTS),
    PREFIXES,
    st.sampled_from(":="),
    st.data(),
)
def test_per_gpu_is_the_entry_for_gpus(
    others: list[tuple[str, int]],
    gpus: tuple[str, int],
    prefix: str,
    separator: str,
    data: st.DataObject,
) -> None:
    name, amount = gpus
    items = [f"{prefix}{other}{separator}{number}" for other, number in others]
    assert _convert.per_gpu(",".join(items)) is None
    place = data.draw(st.integers(0, len(items)))
    items.insert(place, f"{prefix}{name}{separator}{amount}")
    assert _convert.per_gpu(",".join(items)) == amount


@given(ANYTHING)
def test_per_gpu_of_anything_raises_nothing(text: str) -> None:
    value = _convert.per_gpu(text)
    assert value is None or value >= 0


# Lists


@given(st.lists(st.text(st.characters(exclude_characters=","), min_size=1), max_size=6))
def test_comma_list_round_trips(items: list[str]) -> None:
    assert _convert.comma_list(",".join(items)) == items


@given(ANYTHING)
def test_comma_list_loses_nothing_but_commas(text: str) -> None:
    items = _convert.comma_list(text)
    assert "".join(items) == text.replace(",", "")
    assert all(items)


WORDS = st.from_regex(r"[a-z][a-z0-9_.-]{0,6}", fullmatch=True)
COUNTED = st.tuples(WORDS, st.integers(1, 99)).map("{0[0]}*{0[1]}".format)


def grouped(opening: str, separator: str, closing: str) -> st.SearchStrategy[str]:
    """Several features in brackets, as one item."""
    items = st.lists(WORDS | COUNTED, min_size=1, max_size=3)
    return items.map(lambda words: f"{opening}{separator.join(words)}{closing}")


FEATURES = st.one_of(
    WORDS,
    COUNTED,
    grouped("", "|", ""),
    grouped("[", "|", "]"),
    grouped("[", "&", "]"),
    grouped("(", "&", ")"),
    grouped("[(", ",", ")|x]*2"),
)


@given(st.lists(FEATURES, max_size=6), st.sampled_from("&,"))
def test_features_round_trip(items: list[str], separator: str) -> None:
    assert _convert.features(separator.join(items)) == items


@given(ANYTHING)
@example("[")
@example("]&a")
def test_features_of_anything_lose_only_separators(text: str) -> None:
    items = _convert.features(text)
    assert all(items)
    without = str.maketrans("", "", "&,")
    assert "".join(items).translate(without) == text.translate(without)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("intel", ["intel"]),
        ("intel&gpu", ["intel", "gpu"]),
        ("intel,gpu", ["intel", "gpu"]),
        ("intel|amd", ["intel|amd"]),
        ("[rack1|rack2]&gpu", ["[rack1|rack2]", "gpu"]),
        ("[rack1*2&rack2*4]", ["[rack1*2&rack2*4]"]),
        ("gpu*2&(knl,snc4)", ["gpu*2", "(knl,snc4)"]),
        ("feat1&[feat2|(feat3&feat4)]", ["feat1", "[feat2|(feat3&feat4)]"]),
    ],
)
def test_features(text: str, items: list[str]) -> None:
    assert _convert.features(text) == items


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6),
    st.sampled_from([",", ", ", " ,", "\t, "]),
)
def test_job_ids_round_trip(ids: list[int], separator: str) -> None:
    assert _convert.job_ids(separator.join(map(str, ids))) == ids


@given(ANYTHING)
@example("")
@example("1,")
@example("1,,2")
@example("-1")
@example("+1")
@example("1_000")
@example("12_3")
@example("\u0663")
@example("\u00b2")
@example("\x1c0")
@example(LONG)
def test_job_ids_of_anything_else_is_a_value_error(text: str) -> None:
    try:
        ids = _convert.job_ids(text)
    except ValueError:
        return
    assert len(ids) == text.count(",") + 1
    assert [int(item) for item in text.split(",")] == ids
    assert not set(text) - set(string.digits + string.whitespace + ",")


# Dependencies

CONDITIONS = [
    "after",
    "afterany",
    "afternotok",
    "afterok",
    "aftercorr",
    "afterburstbuffer",
    "expand",
]
PLAIN = st.integers(1, 2**32 - 1)
ODD = st.one_of(
    st.tuples(PLAIN, st.integers(0, 99)).map("{0[0]}_{0[1]}".format),
    PLAIN.map("{}_*".format),
    st.tuples(PLAIN, st.integers(1, 99)).map("{0[0]}+{0[1]}".format),
    st.tuples(PLAIN, st.integers(1, 99)).map("{0[0]}_*+{0[1]}".format),
    PLAIN.map("{}(failed)".format),
    PLAIN.map("{}_*(failed)".format),
)
Waiting = dict[str, list[Union[int, str]]]


@given(
    st.dictionaries(st.sampled_from(CONDITIONS), st.lists(PLAIN | ODD, min_size=1, max_size=4)),
    st.booleans(),
    st.sampled_from(["", "(unfulfilled)"]),
    st.sampled_from(",?"),
)
def test_dependencies_round_trip(
    waiting: Waiting,
    singleton: bool,
    state: str,
    separator: str,
) -> None:
    items = [
        f"{condition}:{job}{'' if str(job).endswith(')') else state}"
        for condition, jobs in waiting.items()
        for job in jobs
    ]
    if singleton:
        items.append(f"singleton{state}")
    expected: dict[str, object] = {
        **waiting,
        **({"singleton": True} if singleton else {}),
        "satisfy": "any" if separator == "?" and len(items) > 1 else "all",
    }
    assert _convert.dependencies(separator.join(items)) == expected


@given(ANYTHING)
@example("afterok:")
@example("satisfy:1")
@example("singleton:1,singleton")
@example("singleton,singleton:1")
@example("other:1,what?")
@example("afterok:1:2")
@example("afterok:1(unfulfilled")
@example("afterok:\u0663")
@example(f"afterok:{LONG}")
def test_dependencies_of_anything_raise_nothing_and_keep_every_item(text: str) -> None:
    found = dict(_convert.dependencies(text))
    assert found.pop("satisfy") == ("any" if "?" in text else "all")
    singletons = found.pop("singleton", False)
    jobs = [job for values in found.values() if isinstance(values, list) for job in values]
    assert all(isinstance(values, list) and values for values in found.values())
    items = [item for item in text.replace("?", ",").split(",") if item]
    lone = [item for item in items if item.partition("(")[0] == "singleton"]
    kept_whole = [item for item in lone if item in jobs]
    assert singletons is (len(lone) > len(kept_whole))
    assert len(jobs) == len(items) - len(lone) + len(kept_whole)
    for job in jobs:
        assert [item for item in items if str(job) in item], job


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("afterok:12(unfulfilled)", {"afterok": [12], "satisfy": "all"}),
        ("afterok:12(failed)", {"afterok": ["12(failed)"], "satisfy": "all"}),
        ("singleton(unfulfilled)", {"singleton": True, "satisfy": "all"}),
        ("singleton", {"singleton": True, "satisfy": "all"}),
        (
            "afterok:1+2(unfulfilled),afternotok:8_*(unfulfilled)",
            {"afterok": ["1+2"], "afternotok": ["8_*"], "satisfy": "all"},
        ),
        (
            "afterok:1(unfulfilled),afterok:2(unfulfilled)",
            {"afterok": [1, 2], "satisfy": "all"},
        ),
        (
            "afterany:1(unfulfilled)?afterburstbuffer:2(unfulfilled)",
            {"afterany": [1], "afterburstbuffer": [2], "satisfy": "any"},
        ),
        (
            "after:12_3(unfulfilled),aftercorr:9_*(unfulfilled),expand:4(unfulfilled)",
            {"after": ["12_3"], "aftercorr": ["9_*"], "expand": [4], "satisfy": "all"},
        ),
        ("unknown", {"other": ["unknown"], "satisfy": "all"}),
    ],
)
def test_dependencies(text: str, expected: dict[str, object]) -> None:
    assert _convert.dependencies(text) == expected


# Exit codes


def test_exit_status_agrees_with_the_system_for_all_statuses() -> None:
    for status in range(0x10000):
        if os.WIFSIGNALED(status):
            expected = 0, os.WTERMSIG(status)
        else:
            expected = os.WEXITSTATUS(status), 0
        assert _convert.exit_status(status) == expected, hex(status)


@pytest.mark.parametrize(
    ("command", "expected"),
    [("exit 0", (0, 0)), ("exit 7", (7, 0)), ("kill -9 $$", (0, 9)), ("kill -15 $$", (0, 15))],
)
def test_exit_status_of_real_processes(command: str, expected: tuple[int, int]) -> None:
    status = os.system(command)  # noqa: S605 - it is what gives the status as wait() does
    assert _convert.exit_status(status) == expected


@given(st.integers(0, lib.NO_VAL - 1))
def test_exit_status_is_a_code_or_a_signal(status: int) -> None:
    code, signal = _convert.exit_status(status)
    assert code in range(256)
    assert signal in range(127)
    assert not (code and signal)


@pytest.mark.parametrize("mark", [lib.NO_VAL, lib.INFINITE])
def test_exit_status_that_is_not_set(mark: int) -> None:
    assert _convert.exit_status(mark) == (None, None)


# Flags

#: Bit to sbatch's word, in the order in which scontrol prints the words.
MAIL = {
    1 << 9: "ARRAY_TASKS",
    1 << 10: "INVALID_DEPEND",
    1 << 0: "BEGIN",
    1 << 1: "END",
    1 << 2: "FAIL",
    1 << 3: "REQUEUE",
    1 << 8: "STAGE_OUT",
    1 << 7: "TIME_LIMIT_50",
    1 << 6: "TIME_LIMIT_80",
    1 << 5: "TIME_LIMIT_90",
    1 << 4: "TIME_LIMIT",
}
PROFILES = {2: "Energy", 8: "Lustre", 16: "Network", 4: "Task"}


def test_mail_types_of_all_values() -> None:
    for bits in range(0x10000):
        assert _convert.mail_types(bits) == [word for bit, word in MAIL.items() if bits & bit]


@given(st.integers(0, 2**32 - 1))
@example(0)
@example(1)
@example(0xFFFFFFFF)
def test_profile_types_are_those_of_the_bits(bits: int) -> None:
    expected = [word for bit, word in PROFILES.items() if bits & bit]
    assert _convert.profile_types(bits) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, None),
        (lib.NO_VAL, None),
        (lib.INFINITE, None),
        (1, 1),
        (1_000_000, 1_000_000),
        (0x7FFFFFFF, 0x7FFFFFFF),
        (0x80000001, "Low"),
        (0x80000002, "Medium"),
        (0x80000003, "High"),
        (0x80000004, "Highm1"),
        (0x88000000, "Conservative"),
        (0x84000000, "OnDemand"),
        (0x82000000, "Performance"),
        (0x81000000, "PowerSave"),
        (0x80800000, "UserSpace"),
        (0x80400000, "SchedUtil"),
        (0x80000000, "Unknown"),
        (0x80000005, "Unknown"),
    ],
)
def test_cpu_frequency(value: int, expected: int | str | None) -> None:
    assert _convert.cpu_frequency(value) == expected


@given(st.integers(0, 2**32 - 1))
def test_cpu_frequency_is_in_khz_where_it_is_no_word(value: int) -> None:
    found = _convert.cpu_frequency(value)
    if value & 0x80000000:
        assert found is None or isinstance(found, str)
    else:
        assert found == (value or None)


# UNLIMITED


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_there_is_one_unlimited(protocol: int) -> None:
    assert Unlimited() is UNLIMITED
    assert copy.copy(UNLIMITED) is UNLIMITED
    assert copy.deepcopy(UNLIMITED) is UNLIMITED
    assert pickle.loads(pickle.dumps(UNLIMITED, protocol)) is UNLIMITED  # noqa: S301 - one's own


def test_unlimited_reads_as_it_is_written() -> None:
    assert str(UNLIMITED) == "UNLIMITED"
    assert repr(UNLIMITED) == "slurmpy.UNLIMITED"


@pytest.mark.parametrize(
    "text",
    [
        "12_",
        "12_,",
        "12_:-",
        "12_[]",
        "12_1-9:0",
        "12_99999999",
        "x",
        "12+",
        "0_1",
        "00+1",
        "4294967294_1",
        "9999999999_[1-2]",
    ],
)
def test_names_that_slurm_does_not_know(text: str) -> None:
    with pytest.raises(ValueError, match="no name of a job"):
        _convert.job_name(text)


def test_tasks_of_a_name() -> None:
    assert _convert.tasks("12_[3-5,8]") == ["12_3", "12_4", "12_5", "12_8"]
    assert _convert.tasks("12_1-9:4") == ["12_1", "12_5", "12_9"]
    assert _convert.tasks(12) == []
    with pytest.raises(ValueError, match="more tasks than"):
        _convert.tasks("12_[0-9999999]")


def test_too_many_tasks_are_not_made_before_they_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_convert, "_MOST_TASKS", 5)
    assert len(_convert.tasks("1_[0-3,8]")) == 5
    made: list[int] = []

    class Seen(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            made.append(1)
            return str(self)

        def partition(self, sep: str) -> tuple[Seen, str, str]:
            first, found, rest = super().partition(sep)
            return Seen(first), found, rest

        def __str__(self) -> Seen:
            return self

    with pytest.raises(ValueError, match="more tasks than"):
        _convert.tasks(Seen("1_[0-3,0-3]"))
    assert len(made) <= 1  # the message itself


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu", {"cpu": 1}),
        ("cpu=,mem=1x,node=1", {"cpu=": 1, "mem=1x": 1, "node": 1}),
        ("cpu=2,,billing=1.5", {"cpu": 2, "billing=1.5": 1}),
        (f"cpu={LONG}", {f"cpu={LONG}": 1}),
    ],
)
def test_tres_of_no_known_form_stay(text: str, expected: dict[str, int]) -> None:
    assert _convert.tres(text) == expected


def test_numbers_of_thousands_of_digits_are_not_written_out() -> None:
    assert _convert.shown(2**256 - 1) == str(2**256 - 1)
    assert _convert.shown(-(2**256)) == "a number of 257 bits"
    with pytest.raises(ValueError, match="no job id: a number of 20001 bits"):
        Job(2**20_000)
    with pytest.raises(ValueError, match="no step id: a number of 20001 bits"):
        JobStep(12, 2**20_000)
    for number in (2**20_000, -(2**20_000)):
        with pytest.raises(ValueError, match="a number of 20001 bits"):
            _convert.signal_number(number)


@pytest.mark.parametrize("name", ["\u017figkill", "hup\u0131", "s\u0131gint"])
def test_letters_whose_upper_case_is_one_of_ascii(name: str) -> None:
    with pytest.raises(ValueError, match="no signal"):
        _convert.signal_number(name)


def test_an_id_of_thousands_of_digits_is_refused_as_such() -> None:
    with pytest.raises(ValueError, match=r"no job id: '9{5000}'"):
        _convert.job_ids(f"1,{LONG}")

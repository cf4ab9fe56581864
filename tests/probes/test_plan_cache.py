import json
import os
import shutil
import time
from pathlib import Path

import pytest

from probes import plan_cache
from probes.hooks import FilePlan, Hook, StackPlan
from probes.plan_cache import PlanCache, identity

PROGRAM = Path("/bin/sh").resolve()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    return folder / "hook-plans.json"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROGRAM, tmp_path / "program"))


def plan_of(path: Path, *, offset: int = 64) -> FilePlan:
    hooks = (Hook(offset, "read_enter", False), Hook(offset, "call_return", True))
    return FilePlan(str(path), "abcd", (StackPlan("boringssl", "boringssl", hooks, "by reports"),))


def saved(store: Path, path: Path, plan: FilePlan | None) -> None:
    cache = PlanCache(store)
    cache.put(str(path), plan)
    cache.save()
    assert json.loads(store.read_text())["plans"], cache.reason


def test_what_was_put_is_there_in_the_next_run(store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    cache = PlanCache(store)
    assert cache.reason == ""
    assert cache.get(str(program)) == (True, plan_of(program))


def test_the_programs_that_known_plans_call_for(store: Path, program: Path) -> None:
    assert PlanCache(store).programs() == []
    saved(store, program, plan_of(program))
    cache = PlanCache(store)
    cache.put("/bin/cat", None)
    assert cache.programs() == ["read_enter", "call_return"]


def test_damaged_plans_call_for_no_program(store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    content = json.loads(store.read_text())
    content["plans"] |= {"a": 3, "b": {"stacks": [{}]}, "c": {"stacks": [{"hooks": [[1]]}]}}
    store.write_text(json.dumps(content))
    assert PlanCache(store).programs() == ["read_enter", "call_return"]


def test_what_a_plan_falls_back_on_is_remembered_too(store: Path, program: Path) -> None:
    other = StackPlan("rustls", "aws_lc", (Hook(80, "aead_seal_enter", False),), "by reports")
    first = StackPlan("rustls", "rustls", (Hook(64, "rustls_seal_enter", False),), "", other)
    plan = FilePlan(str(program), None, (first,))
    saved(store, program, plan)
    assert PlanCache(store).get(str(program)) == (True, plan)


@pytest.mark.parametrize("stacks", [(), (StackPlan("rustls", "", (), "no error reports"),)])
def test_nothing_to_hook_is_remembered_too(
    stacks: tuple[StackPlan, ...], store: Path, program: Path
) -> None:
    plan = FilePlan(str(program), None, stacks)
    saved(store, program, plan)
    assert PlanCache(store).get(str(program)) == (True, plan)


def test_a_file_that_is_no_program_is_remembered(store: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    saved(store, text, None)
    assert PlanCache(store).get(str(text)) == (True, None)


def test_a_file_that_was_never_seen_is_unknown(store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    assert PlanCache(store).get("/bin/cat") == (False, None)
    assert PlanCache(store).get("/does/not/exist") == (False, None)


def test_a_copy_elsewhere_is_the_same_file(store: Path, program: Path, tmp_path: Path) -> None:
    saved(store, program, plan_of(program))
    (tmp_path / "other").mkdir()
    copy = Path(shutil.copy(program, tmp_path / "other" / program.name))
    assert PlanCache(store).get(str(copy)) == (True, plan_of(copy))


def without_build_id(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"GNU\0", b"XXX\0"))


def test_code_that_changes_makes_another_file(store: Path, program: Path) -> None:
    """Without a build-id a change behind which all addresses move is seen."""
    without_build_id(program)
    saved(store, program, plan_of(program))
    content = program.read_bytes()
    middle = len(content) // 2
    program.write_bytes(content[:middle] + b"\x90" * 16 + content[middle:-16])
    assert len(program.read_bytes()) == len(content)
    assert PlanCache(store).get(str(program)) == (False, None)


def test_moved_headers_make_another_file_in_spite_of_the_build_id(
    store: Path, program: Path
) -> None:
    saved(store, program, plan_of(program))
    content = bytearray(program.read_bytes())
    content[200] ^= 1  # a program header
    program.write_bytes(content)
    assert PlanCache(store).get(str(program)) == (False, None)


def test_identity_tells_build_id_and_size() -> None:
    known = identity(str(PROGRAM))
    assert known is not None
    name, size, build_id, _ = known.split(":")
    assert (name, int(size)) == (PROGRAM.name, PROGRAM.stat().st_size)
    assert len(build_id) == 40


def test_other_resolvers_resolve_again(
    store: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(store, program, plan_of(program))
    monkeypatch.setattr(plan_cache, "resolvers_version", lambda: "another")
    cache = PlanCache(store)
    assert cache.reason == "written by another release"
    assert cache.get(str(program)) == (False, None)


def test_the_version_follows_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "probes"
    shutil.copytree(Path(plan_cache.__file__).parent, package)
    monkeypatch.setattr(plan_cache, "__file__", str(package / "plan_cache.py"))
    before = plan_cache.resolvers_version()
    assert plan_cache.resolvers_version() == before
    source = package / "resolvers" / "boringssl.py"
    source.write_text(source.read_text() + "# changed\n")
    assert plan_cache.resolvers_version() != before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        '{"version": "%s"}',
        '{"version": "%s", "plans": []}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_counts_as_empty(content: str, store: Path, program: Path) -> None:
    store.write_text(content.replace("%s", plan_cache.resolvers_version()))
    store.chmod(0o600)
    cache = PlanCache(store)
    assert cache.reason.endswith("is damaged")
    assert cache.get(str(program)) == (False, None)
    cache.put(str(program), plan_of(program))
    cache.save()
    assert PlanCache(store).get(str(program)) == (True, plan_of(program))


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {"stacks": [], "build": None},
        {"build_id": None, "stacks": [{"stack": "x", "method": "y", "detail": "z"}]},
        {
            "build_id": None,
            "stacks": [
                {
                    "stack": 1,
                    "method": "y",
                    "detail": "z",
                    "hooks": [[5, "read_enter", False]],
                    "fallback": None,
                }
            ],
        },
        {
            "build_id": None,
            "stacks": [
                {
                    "stack": "x",
                    "method": "y",
                    "detail": "z",
                    "hooks": [[1 << 40, "read_enter", False]],
                    "fallback": None,
                }
            ],
        },
        {
            "build_id": None,
            "stacks": [
                {"stack": "x", "method": "y", "detail": "z", "hooks": [], "fallback": {"stack": 1}}
            ],
        },
    ],
)
def test_a_damaged_plan_is_not_used(entry: object, store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    stored = json.loads(store.read_text())
    stored["plans"] = dict.fromkeys(stored["plans"], entry)
    store.write_text(json.dumps(stored))
    assert PlanCache(store).get(str(program)) == (False, None)


def test_only_this_user_can_read_it(store: Path, program: Path) -> None:
    folder = store.parent / "made"
    saved(folder / store.name, program, plan_of(program))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / store.name).stat().st_mode & 0o777 == 0o600
    assert os.listdir(folder) == [store.name]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_cache_that_others_can_write_is_not_used(what: str, store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    (store.parent if what == "folder" else store).chmod(0o722)
    cache = PlanCache(store)
    assert cache.reason == f"the cache's {what} is open to other users"
    assert cache.get(str(program)) == (False, None)


def test_nothing_is_written_into_a_folder_that_others_can_write(store: Path, program: Path) -> None:
    store.parent.chmod(0o777)
    cache = PlanCache(store)
    cache.put(str(program), plan_of(program))
    cache.save()
    assert cache.reason == "the cache's folder is open to other users"
    assert not store.exists()


def test_a_symbolic_link_is_not_followed(store: Path, program: Path, tmp_path: Path) -> None:
    saved(store, program, plan_of(program))
    store.rename(tmp_path / "elsewhere.json")
    store.symlink_to(tmp_path / "elsewhere.json")
    cache = PlanCache(store)
    assert "hook-plans.json" in cache.reason
    assert len(cache) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_of_another_user_is_not_used(store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    os.chown(store.parent, 65534, 65534)
    assert PlanCache(store).reason == "the cache's folder belongs to another user"
    os.chown(store.parent, 0, 0)
    os.chown(store, 65534, 65534)
    assert PlanCache(store).reason == "the cache's file belongs to another user"


def test_the_oldest_plans_are_dropped(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_cache, "MOST_ENTRIES", 3)
    cache = PlanCache(store)
    for name in "abcde":
        (tmp_path / name).write_text(name)
        cache.put(str(tmp_path / name), None)
    cache.put(str(tmp_path / "c"), None)  # again: now the newest
    (tmp_path / "f").write_text("f")
    cache.put(str(tmp_path / "f"), None)
    assert [cache.get(str(tmp_path / name))[0] for name in "abcdef"] == [
        *(False, False, True),
        *(False, True, True),
    ]


def test_the_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERGLASS_CACHE_DIR", str(tmp_path / "here"))
    assert plan_cache.default_path() == tmp_path / "here" / "hook-plans.json"
    monkeypatch.delenv("UNDERGLASS_CACHE_DIR")
    assert plan_cache.default_path() == Path("/var/cache/underglass/hook-plans.json")


def test_nothing_learned_nothing_written(store: Path) -> None:
    PlanCache(store).save()
    assert not store.exists()


def test_a_thousand_plans_load_fast(store: Path, program: Path) -> None:
    saved(store, program, plan_of(program))
    stored = json.loads(store.read_text())
    ((key, entry),) = stored["plans"].items()
    stored["plans"] = {f"{number}{key}": entry for number in range(1000)}
    store.write_text(json.dumps(stored))
    best_s = 1.0
    for _ in range(5):
        started = time.perf_counter()
        assert len(PlanCache(store)) == 1000
        best_s = min(best_s, time.perf_counter() - started)
    assert best_s < 0.05  # a tenth of that on an idle machine

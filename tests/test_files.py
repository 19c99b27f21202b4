import os
import threading

import pytest

from imagery.files import file_sha256, replacing


def test_nobody_sees_half_a_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with path.open() as reader:
        with replacing(path) as partial:
            assert partial.parent == tmp_path
            assert partial.name.startswith(".a.json.")
            assert partial.suffix == ".json"
            partial.write_text("new and longer")
            assert path.read_text() == "old"
        assert reader.read() == "old"  # who has it open keeps the whole old one
    assert path.read_text() == "new and longer"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail():
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_file_and_folder_are_flushed_in_this_order(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda handle: order.append(os.readlink(f"/proc/self/fd/{handle}")))
    with replacing(tmp_path / "a.json") as partial:
        partial.write_text("new")
    assert order == [str(partial), str(tmp_path)]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_file_has_the_rights_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "a.json") as partial:
            partial.write_text("new")
        (tmp_path / "b.json").write_text("plain")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_threads_do_not_change_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        start = threading.Barrier(8)

        def write(i):
            start.wait()
            for j in range(50):
                with replacing(tmp_path / f"{i}-{j}") as partial:
                    partial.write_text("x")

        threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        after = os.umask(before)
    assert after == 0o027
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o640}


def test_folders_that_cannot_be_written_are_the_system_s_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a.json"):
        pass


def test_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

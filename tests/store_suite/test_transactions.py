"""What every store promises of its transactions."""

import contextlib
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from control_plane.clock import SystemClock
from control_plane.store.engine import ConflictError, QueryError, Store, StoreClosedError, Tx, Value
from control_plane.store.sqlite import open_inline
from tests.store_suite.conftest import Opener

ADD = """INSERT INTO alarm (position, raised_unix_ms, kind, sidecar_id, epoch, budget_id, partition,
  period_id, call_id, amount_nano_usd, detail)
  VALUES (:position, 0, 'FENCED', '', 0, '', '', '', '', 0, :detail)"""


def add(tx: Tx, position: int, detail: str = "") -> int:
    return tx.run(ADD, {"position": position, "detail": detail})


def positions(tx: Tx) -> list[int]:
    return [row["position"] for row in tx.rows("SELECT position FROM alarm ORDER BY position")]


def test_what_was_acknowledged_is_there_after_a_restart(opener: Opener) -> None:
    store = opener()
    assert store.write(lambda tx: add(tx, 1)).result() == 1
    store.close()
    again = opener()
    assert again.read(positions).result() == [1]
    again.close()


def test_a_failed_function_leaves_nothing_and_fails_alone(store: Store) -> None:
    def fail(tx: Tx) -> None:
        add(tx, 2)
        raise ValueError("on purpose")

    before, failed, after = (
        store.write(lambda tx: add(tx, 1)),
        store.write(fail),
        store.write(lambda tx: add(tx, 3)),
    )
    with pytest.raises(ValueError, match="on purpose"):
        failed.result()
    assert (before.result(), after.result()) == (1, 1)
    assert store.read(positions).result() == [1, 3]


def test_a_savepoint_is_undone_without_its_surroundings(store: Store) -> None:
    def work(tx: Tx) -> None:
        add(tx, 1)
        with contextlib.suppress(ValueError), tx.savepoint():
            add(tx, 2)
            with tx.savepoint():
                add(tx, 3)
            raise ValueError("on purpose")
        with tx.savepoint():
            add(tx, 4)

    store.write(work).result()
    assert store.read(positions).result() == [1, 4]


def test_writes_happen_in_the_order_in_which_they_were_handed_in(store: Store) -> None:
    futures = [store.write(lambda tx, n=n: add(tx, n, str(n))) for n in range(1, 301)]  # type: ignore[misc]  # a bound default
    for future in futures:
        future.result()
    seen = [store.write(positions) for _ in range(2)]
    assert all(future.result() == list(range(1, 301)) for future in seen)


def test_a_write_sees_what_the_one_before_it_wrote_in_the_same_commit(store: Store) -> None:
    first = store.write(lambda tx: add(tx, 1))
    second = store.write(positions)
    assert first.result() == 1
    assert second.result() == [1]


def test_readers_see_only_what_is_committed_and_cannot_write(store: Store) -> None:
    def look_meanwhile(tx: Tx) -> list[int]:
        add(tx, 1)
        return store.read(positions).result()

    assert store.write(look_meanwhile).result() == []
    assert store.read(positions).result() == [1]
    with pytest.raises(Exception, match=r"(?i)read-?only"):
        store.read(lambda tx: add(tx, 2)).result()
    assert store.read(positions).result() == [1]


def test_constraints_are_told_as_conflicts(store: Store) -> None:
    store.write(lambda tx: add(tx, 1)).result()
    with pytest.raises(ConflictError):
        store.write(lambda tx: add(tx, 1)).result()
    with pytest.raises(ConflictError):
        store.write(lambda tx: tx.run("UPDATE alarm SET kind = ''")).result()
    with pytest.raises(ConflictError):
        store.write(lambda tx: tx.run("UPDATE alarm SET detail = NULL")).result()


def test_a_statement_that_is_wrong_is_told_as_ours(store: Store) -> None:
    for sql in ("SELEKT 1", "SELECT nothing FROM alarm", "SELECT :missing AS x"):
        with pytest.raises(QueryError):
            store.read(lambda tx, sql=sql: tx.rows(sql)).result()  # type: ignore[misc]  # a bound default
    with pytest.raises(QueryError, match="several"):
        store.write(lambda tx: (add(tx, 1), add(tx, 2), tx.row("SELECT * FROM alarm"))).result()
    assert store.read(positions).result() == []


def test_parameters_that_are_not_named_in_a_statement_do_no_harm(store: Store) -> None:
    row = store.read(lambda tx: tx.row("SELECT :a AS a", {"a": 1, "b": 2})).result()
    assert row is not None
    assert row["a"] == 1


def test_numbers_of_64_bits_texts_and_bytes_come_back_as_they_went_in(store: Store) -> None:
    values: dict[str, Value] = {
        "n": 2**63 - 1,
        "t": "Ünï\u0000codé 🦊",
        "b": bytes(range(256)),
        "z": None,
    }
    row = store.read(
        lambda tx: tx.row("SELECT :n AS n, :t AS t, :b AS b, :z AS z", values)
    ).result()
    assert row is not None
    assert {name: row[name] for name in values} == values


def test_a_closed_store_takes_nothing_more(opener: Opener) -> None:
    store = opener()
    store.close()
    store.close()
    with pytest.raises(StoreClosedError):
        store.write(positions)
    with pytest.raises(StoreClosedError):
        store.read(positions)


def test_a_backup_is_whole_while_writing_goes_on(store: Store, tmp_path: Path) -> None:
    """Two rows are always written together: no copy has one without the other."""
    stop = threading.Event()
    done: list[Future[None]] = []

    def pair(tx: Tx, number: int) -> None:
        add(tx, 2 * number, "x" * 2_000)
        add(tx, 2 * number + 1, "x" * 2_000)

    for number in range(50):
        store.write(lambda tx, n=number: pair(tx, n)).result()  # type: ignore[misc]  # a bound default

    def write_on() -> None:
        number = 50
        while not stop.is_set() and number < 5_000:
            done.append(store.write(lambda tx, n=number: pair(tx, n)))  # type: ignore[misc]  # a bound default
            done[-1].result()
            number += 1

    writing = threading.Thread(target=write_on)
    if type(store).__name__ != "InlineStore":
        writing.start()
    copies = [tmp_path / "copies" / f"{number}" for number in range(3)]
    for folder in copies:
        folder.mkdir(parents=True)
        assert store.backup(folder / "control_plane.db").result(timeout=60) > 0
    stop.set()
    if writing.ident is not None:
        writing.join()
    for folder in copies:
        found = _positions_of_copy(folder)
        assert len(found) >= 100
        assert len(found) % 2 == 0
        assert found == list(range(len(found)))


def _positions_of_copy(folder: Path) -> list[int]:
    copy = open_inline(folder, SystemClock())
    try:
        return copy.read(positions).result()
    finally:
        copy.close()

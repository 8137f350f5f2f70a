"""Asks a `gapless serve` that listens at a port of 127.0.0.1, with two drivers, in text and in binary, and says ok.

    serve_drivers.py PORT
"""

import asyncio
import datetime
import decimal
import sys

import asyncpg
import psycopg

UTC = datetime.timezone.utc
WIDEST = decimal.Decimal("9" * 38)
NEGATIVE = decimal.Decimal("-" + "9" * 38)  # a minus sign before WIDEST would round it
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202ex"

# One row of every type that report tables have.
ROW = {
    "run": "wide",
    "check": "sequence_gap",
    "from_time": datetime.datetime(2026, 5, 1, 0, 0, 0, 1, UTC),
    "until_time": None,
    "from_sequence": NEGATIVE,
    "until_sequence": WIDEST,
    "rows": 1,
    "accepted": False,
    "known": None,
    "message": HOSTILE,
}
COLUMNS = ", ".join(ROW)


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"
    if isinstance(expected, tuple):
        assert [type(a) for a in found] == [type(b) for b in expected], f"types of {found!r}"


def with_psycopg(port, binary):
    at = f"host=127.0.0.1 port={port} dbname=gapless user=tester"
    with psycopg.connect(at) as connection:
        cursor = connection.cursor(binary=binary)
        ask = lambda statement, *values: cursor.execute(statement, values, binary=binary).fetchall()
        same(ask(f"SELECT {COLUMNS} FROM findings WHERE run = %s AND stream = %s", "wide", "orders")[0], tuple(ROW.values()))
        same(ask("SELECT exit_code, started_at FROM runs WHERE run = %s", "wide"), [(1, datetime.datetime(2026, 5, 3, 0, 0, 0, 123456, UTC))])
        same(ask("SELECT findings, duration_ms FROM checks WHERE run = %s", "wide"), [(2**63 - 1, 0.1)])
        numbers = ask("SELECT from_sequence, until_sequence FROM findings WHERE run = 'wide' AND stream <> 'orders' ORDER BY stream")
        same(numbers, [(decimal.Decimal("-120000000"), decimal.Decimal(2**64)), (decimal.Decimal(0), decimal.Decimal(10000))])
        same(ask("SELECT CAST('-0.05' AS decimal(10, 2)), CAST('1200.50' AS decimal(10, 2)), CAST(0 AS decimal(5, 3))")[0],
             (decimal.Decimal("-0.05"), decimal.Decimal("1200.50"), decimal.Decimal("0.000")))
        # Parameters of every kind.
        same(ask("SELECT count(*) FROM findings WHERE stream = %s", "it's"), [(1,)])
        same(ask("SELECT count(*) FROM findings WHERE stream = %s", "ordérs"), [(1,)])
        same(ask("SELECT count(*) FROM findings WHERE stream = %s", "x' OR '1' = '1"), [(0,)])
        same(ask("SELECT run FROM runs WHERE started_at >= %s ORDER BY run", datetime.datetime(2026, 5, 2, tzinfo=UTC)), [("b",), ("wide",)])
        same(ask("SELECT run FROM runs WHERE started_at >= %s ORDER BY run",
                 datetime.datetime(2026, 5, 2, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))), [("b",), ("wide",)])
        same(ask("SELECT count(*) FROM findings WHERE until_sequence = %s", decimal.Decimal(2**64)), [(1,)])
        same(ask("SELECT count(*) FROM findings WHERE rows = %s AND accepted = %s", 3, False), [(1,)])
        same(ask("SELECT count(*) FROM checks WHERE duration_ms < %s", 0.5), [(1,)])
        same(ask("SELECT run FROM runs ORDER BY run LIMIT %s", 1), [("a",)])
        same(ask("SELECT count(*) FROM findings WHERE stream = coalesce(%s, stream)", None), [(17,)])
        same(ask("SELECT run FROM runs WHERE run IN (%s, %s) ORDER BY run", "a", "b"), [("a",), ("b",)])
        # Enough repetitions that the driver prepares the statement, and then a pipeline.
        for _ in range(8):
            same(ask("SELECT count(*) FROM findings WHERE run = %s", "b"), [(13,)])
        with connection.pipeline():
            answers = [connection.execute("SELECT CAST(%s AS bigint) + 1", (n,)) for n in range(3)]
        same([answer.fetchone()[0] for answer in answers], [1, 2, 3])
        # A cursor of the server.
        with connection.cursor("rows", binary=binary) as named:
            named.itersize = 5
            named.execute("SELECT stream FROM findings")
            same(len(named.fetchall()), 17)
        # Errors are what the driver's users catch.
        for statement, kind in [
            ("SELECT * FROM nosuch", psycopg.errors.UndefinedTable),
            ("SELECT nosuch FROM findings", psycopg.errors.UndefinedColumn),
            ("SELEC 1", psycopg.errors.SyntaxError),
            ("DELETE FROM findings", psycopg.errors.ReadOnlySqlTransaction),
            ("COPY findings TO STDOUT", psycopg.errors.FeatureNotSupported),
            ("SELECT CAST(stream AS bigint) FROM findings", psycopg.errors.InvalidTextRepresentation),
        ]:
            try:
                with connection.transaction():
                    connection.execute(statement)
            except kind as error:
                assert error.diag.message_primary
            else:
                raise AssertionError(f"{statement} was not refused")
            same(ask("SELECT 1"), [(1,)])
        connection.rollback()
        connection.autocommit = True
        same(ask("SELECT count(*) FROM queries.open_gaps WHERE stream = %s", "weather"), [(0,)])


async def with_asyncpg(port):
    connection = await asyncpg.connect(host="127.0.0.1", port=port, database="gapless", user="tester", ssl=False)
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM findings WHERE run = $1 AND stream = $2", "wide", "orders")
    same(tuple(row.values()), tuple(ROW.values()))
    same(await connection.fetchval("SELECT count(*) FROM runs WHERE started_at >= $1", datetime.datetime(2026, 5, 2, tzinfo=UTC)), 2)
    same(await connection.fetchval("SELECT count(*) FROM findings WHERE until_sequence = $1", decimal.Decimal(2**64)), 1)
    same([row["run"] for row in await connection.fetch("SELECT run FROM runs ORDER BY run LIMIT $1", 2)], ["a", "b"])
    async with connection.transaction(readonly=True):
        rows = [row["stream"] async for row in connection.cursor("SELECT stream FROM findings", prefetch=4)]
    same(len(rows), 17)
    try:
        await connection.execute("DELETE FROM findings")
    except asyncpg.exceptions.ReadOnlySQLTransactionError:
        pass
    else:
        raise AssertionError("DELETE was not refused")
    await connection.close()


port = int(sys.argv[1])
for binary in (False, True):
    with_psycopg(port, binary)
asyncio.run(with_asyncpg(port))
print("ok")

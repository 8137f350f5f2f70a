"""Checksums of rows, keys and windows, recomputed from docs/encoding.md and nothing of gapless.

    python tests/python/checksum.py write FILE --seed N --rows N          a random table of every type, as .arrow or .parquet
    python tests/python/checksum.py windows FILE --time COLUMN --window DURATION [--columns NAME[,NAME…]]
    python tests/python/checksum.py rows FILE --key NAME[,NAME…] [--columns NAME[,NAME…]] [--seed HEX]

FILE is an Arrow IPC file (.arrow) or .parquet, read with its own types. Without --columns all columns are hashed.
--window is a number with s, m, h or d, counted from the epoch. `windows` prints one line a window that has rows, in order of
time: `start rows checksum`, the start in seconds since the epoch. `rows` prints one line a row: its checksum and that of its
key. --seed is 64 hexadecimal digits; without it, it is the documented constant.

AES is written out here from its definition; BLAKE3 comes from PyPI.
"""

import argparse
import collections
import decimal
import re
import struct

import blake3
import pyarrow as pa
import pyarrow.compute as pc

MOD = 1 << 128
SEED_CONTEXT = "gapless 2026-11-24 row checksum v2"
NULL, BOOLEAN, EXACT, WIDE_EXACT, FLOAT, TEXT, BINARY, INSTANT, DATE, TIME_OF_DAY, DURATION, ENCODED = range(12)
# Wide enough for every decimal256: the default context would round.
decimal.getcontext().prec = 200


# One round of AES.


def doubled(x):
    return (x << 1 ^ 0x11B if x & 0x80 else x << 1) & 0xFF


def product(a, b):
    total = 0
    while b:
        if b & 1:
            total ^= a
        a, b = doubled(a), b >> 1
    return total


def substituted(x):
    inverse = next((y for y in range(256) if product(x, y) == 1), 0)
    turned = [(inverse << by | inverse >> (8 - by)) & 0xFF for by in range(5)]
    return turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63


SBOX = [substituted(x) for x in range(256)]
TWICE = [product(SBOX[x], 2) for x in range(256)]
THRICE = [product(SBOX[x], 3) for x in range(256)]


def aes_round(block, key):
    """SubBytes, ShiftRows, MixColumns, AddRoundKey. Blocks are numbers whose little endian bytes are the state."""
    b = block.to_bytes(16, "little")
    out = bytearray(16)
    for c in range(4):
        s0, s1, s2, s3 = b[4 * c], b[(4 * c + 5) % 16], b[(4 * c + 10) % 16], b[(4 * c + 15) % 16]
        out[4 * c] = TWICE[s0] ^ THRICE[s1] ^ SBOX[s2] ^ SBOX[s3]
        out[4 * c + 1] = SBOX[s0] ^ TWICE[s1] ^ THRICE[s2] ^ SBOX[s3]
        out[4 * c + 2] = SBOX[s0] ^ SBOX[s1] ^ TWICE[s2] ^ THRICE[s3]
        out[4 * c + 3] = THRICE[s0] ^ SBOX[s1] ^ SBOX[s2] ^ TWICE[s3]
    return int.from_bytes(out, "little") ^ key


def rounds(block, keys):
    for key in keys:
        block = aes_round(block, key)
    return block


# Keys.


def default_seed():
    return blake3.blake3(b"", derive_key_context=SEED_CONTEXT).digest()


def key_blocks(seed, purpose, name, count):
    stream = blake3.blake3(purpose + name.encode(), key=seed).digest(length=16 * count)
    return [int.from_bytes(stream[16 * at : 16 * at + 16], "little") for at in range(count)]


class Column:
    """The keys of a column, and the word of a value in it."""

    def __init__(self, seed, name):
        blocks = key_blocks(seed, b"c", name, 17)
        self.rounds, self.last, self.starts = blocks[:4], blocks[4], blocks[5:]

    def word(self, hashed):
        kind, payload = hashed
        state = self.starts[kind]
        if kind == NULL:
            return state
        if isinstance(payload, int):
            return rounds(state ^ self.last ^ payload % MOD, self.rounds)
        whole = len(payload) // 16 * 16
        for at in range(0, whole, 16):
            state = rounds(state ^ int.from_bytes(payload[at : at + 16], "little"), self.rounds)
        rest = payload[whole:]
        final = rest + bytes(15 - len(rest)) + bytes([len(rest)])
        return rounds(state ^ self.last ^ int.from_bytes(final, "little"), self.rounds)


# Values: (class, payload), the payload a number or bytes. `None` is NULL.


def ticks_in_nanoseconds(data_type):
    return {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[data_type.unit]


def normal_bits(value):
    value = float(value)
    if value != value:
        return 0x7FF8000000000000
    return struct.unpack("<Q", struct.pack("<d", value + 0.0 if value else 0.0))[0]


def coefficient_and_scale(value):
    """Without trailing zeros behind the point, and with those before it."""
    sign, digits, exponent = decimal.Decimal(value).as_tuple()
    coefficient = int("".join(map(str, digits))) * (-1 if sign else 1)
    if coefficient == 0:
        return 0, 0
    while exponent < 0 and coefficient % 10 == 0:
        coefficient, exponent = coefficient // 10, exponent + 1
    if exponent > 0:
        coefficient, exponent = coefficient * 10**exponent, 0
    return coefficient, -exponent


def encoded_exact(value):
    coefficient, scale = coefficient_and_scale(value)
    if -(2**127) <= coefficient < 2**127:
        return bytes([0x02, scale]) + coefficient.to_bytes(16, "little", signed=True)
    return bytes([0x03, scale]) + coefficient.to_bytes(32, "little", signed=True)


def exact(value):
    coefficient, scale = coefficient_and_scale(value)
    if scale <= 18 and -(2**127) <= coefficient * 10 ** (18 - scale) < 2**127:
        return EXACT, coefficient * 10 ** (18 - scale)
    return WIDE_EXACT, encoded_exact(value)


def is_text(t):
    return pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)


def is_binary(t):
    return pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t) or pa.types.is_binary_view(t)


def is_list(t):
    return pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t) or pa.types.is_map(t)


def plain(scalar):
    """The value behind dictionaries."""
    while pa.types.is_dictionary(scalar.type):
        scalar = scalar.value if scalar.is_valid else pa.scalar(None, scalar.type.value_type)
    return scalar


def framed(tag, data):
    return bytes([tag]) + struct.pack("<Q", len(data)) + data


def encoded(scalar):
    """The encoding of a value, version 1."""
    scalar = plain(scalar)
    t = scalar.type
    if not scalar.is_valid:
        return b"\x00"
    if is_list(t):
        items = list(scalar.values)
        return b"\x0c" + struct.pack("<Q", len(items)) + b"".join(map(encoded, items))
    if pa.types.is_struct(t):
        out = b"\x0d" + struct.pack("<I", t.num_fields)
        fields = {t.field(at).name: scalar[at] for at in range(t.num_fields)}
        for name in sorted(fields, key=str.encode):
            out += struct.pack("<I", len(name.encode())) + name.encode() + encoded(fields[name])
        return out
    if pa.types.is_interval(t):
        months, days, nanoseconds = scalar.as_py()
        return b"\x0b" + struct.pack("<iiq", months, days, nanoseconds)
    kind, payload = hashed(scalar)
    if kind in (EXACT, WIDE_EXACT):
        return encoded_exact(scalar.as_py())
    if kind in (TEXT, BINARY):
        return framed(kind, payload)
    if kind in (INSTANT, DURATION):
        seconds, nanoseconds = divmod(payload, 10**9)
        return bytes([kind]) + struct.pack("<qI", seconds, nanoseconds)
    return bytes([kind]) + struct.pack({BOOLEAN: "<B", FLOAT: "<Q", DATE: "<i", TIME_OF_DAY: "<q"}[kind], payload)


def hashed(scalar):
    scalar = plain(scalar)
    t = scalar.type
    if not scalar.is_valid:
        return NULL, None
    if pa.types.is_boolean(t):
        return BOOLEAN, int(scalar.as_py())
    if pa.types.is_integer(t) or pa.types.is_decimal(t):
        return exact(scalar.as_py())
    if pa.types.is_floating(t):
        return FLOAT, normal_bits(scalar.as_py())
    if is_text(t):
        return TEXT, scalar.as_py().encode()
    if is_binary(t):
        return BINARY, scalar.as_py()
    if pa.types.is_timestamp(t):
        return INSTANT, scalar.value * ticks_in_nanoseconds(t)
    if pa.types.is_date64(t):
        return INSTANT, scalar.value * 10**6
    if pa.types.is_date32(t):
        return DATE, scalar.value
    if pa.types.is_time(t):
        return TIME_OF_DAY, scalar.value * ticks_in_nanoseconds(t)
    if pa.types.is_duration(t):
        return DURATION, scalar.value * ticks_in_nanoseconds(t)
    return ENCODED, encoded(scalar)


# Tables.


def read(path):
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq

        return pq.read_table(path, partitioning=None)
    with pa.ipc.open_file(path) as reader:
        return reader.read_all()


def unpacked(column):
    for chunk in column.chunks:
        yield from pc.run_end_decode(chunk) if pa.types.is_run_end_encoded(chunk.type) else chunk


def sums(table, names, seed, purpose):
    """The checksum of each row over some columns."""
    states = [0] * table.num_rows
    for name in names:
        column = Column(seed, name)
        for row, scalar in enumerate(unpacked(table.column(name))):
            states[row] ^= column.word(hashed(scalar))
    final = key_blocks(seed, b"f", purpose, 5)
    return [rounds(state, final) for state in states]


def windows(table, names, time, width):
    found = collections.defaultdict(lambda: [0, 0])
    scale = ticks_in_nanoseconds(table.schema.field(time).type)
    for at, checksum in zip(unpacked(table.column(time)), sums(table, names, default_seed(), "row")):
        start = at.value * scale // width * width
        found[start][0] += 1
        found[start][1] = (found[start][1] + checksum) % MOD
    return found


def random_table(seed, rows):
    """Every type, NULLs, and the values at which encodings go wrong."""
    import random

    import numpy as np

    rng = random.Random(seed)

    def some(make, nulls=0.1):
        return [None if rng.random() < nulls else make() for _ in range(rows)]

    def word():
        return "".join(rng.choice("ab \0é€𝄞0") for _ in range(rng.choice([0, 1, 3, 7, 11, 12, 13, 15, 16, 17, 31, 32, 33, 70])))

    def floats(kind):
        special = [0.0, -0.0, float("inf"), float("-inf"), 0.1, 1.5]
        values = np.array([rng.choice(special) if rng.random() < 0.4 else rng.gauss(0, 100) for _ in range(rows)], kind)
        # NaNs of several kinds.
        bits = values.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[values.itemsize])
        quiet = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}[values.itemsize]
        for row in range(0, rows, 13):
            bits[row] = quiet | rng.randrange(2) << (8 * values.itemsize - 1) | rng.randrange(16)
        return pa.array(values, mask=np.array([rng.random() < 0.1 for _ in range(rows)]))

    def whole(data_type, low, high):
        edges = [low, high, 0, 1]
        return pa.array(some(lambda: rng.choice(edges) if rng.random() < 0.3 else rng.randint(low, high)), data_type)

    def exact_numbers(data_type):
        def make():
            digits = rng.randint(0, data_type.precision)
            zeros = 10 ** rng.randint(0, data_type.precision)
            coefficient = rng.randint(0, 10**digits - 1) // zeros * zeros * rng.choice([-1, 1])
            return decimal.Decimal(coefficient).scaleb(-data_type.scale)

        return pa.array(some(make), data_type)

    def ticks(data_type, low, high):
        storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
        return pa.array(some(lambda: rng.randint(low, high)), storage).cast(data_type)

    words = some(word)
    # Few distinct words, and NULLs among the places; an Arrow file has one in the dictionary as well.
    few = ["x", "y", "a longer word of the dictionary", ""]
    places = pa.array(some(lambda: rng.randrange(4)), pa.int8())
    ends = sorted(rng.sample(range(1, rows), min(rows - 1, 20))) + [rows]
    runs = pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), pa.array([word() if at % 5 else None for at in range(len(ends))]))
    nested = some(lambda: [rng.choice([None, rng.randint(-5, 5)]) for _ in range(rng.randint(0, 4))])
    pairs = some(lambda: {"y": rng.choice([None, word()]), "x": rng.choice([None, rng.randint(0, 9)])})
    day = 86_400
    columns = {
        "id": pa.array(range(rows), pa.int64()),
        "ts": pa.array([1_700_000_000_000_000 + rng.randrange(6 * 3600 * 10**6) for _ in range(rows)], pa.int64()).cast(
            pa.timestamp("us", "UTC")
        ),
        "none": pa.nulls(rows),
        "bool": pa.array(some(lambda: rng.random() < 0.5)),
        "int8": whole(pa.int8(), -(2**7), 2**7 - 1),
        "int16": whole(pa.int16(), -(2**15), 2**15 - 1),
        "int32": whole(pa.int32(), -(2**31), 2**31 - 1),
        "int64": whole(pa.int64(), -(2**63), 2**63 - 1),
        "uint8": whole(pa.uint8(), 0, 2**8 - 1),
        "uint16": whole(pa.uint16(), 0, 2**16 - 1),
        "uint32": whole(pa.uint32(), 0, 2**32 - 1),
        "uint64": whole(pa.uint64(), 0, 2**64 - 1),
        "half": floats(np.float16),
        "float": floats(np.float32),
        "double": floats(np.float64),
        "decimal32": exact_numbers(pa.decimal32(7, 2)),
        "decimal64": exact_numbers(pa.decimal64(16, 5)),
        "decimal_2": exact_numbers(pa.decimal128(38, 2)),
        "decimal_18": exact_numbers(pa.decimal128(38, 18)),
        "decimal_19": exact_numbers(pa.decimal128(38, 19)),
        "decimal_37": exact_numbers(pa.decimal128(38, 37)),
        "decimal256": exact_numbers(pa.decimal256(76, 30)),
        "text": pa.array(words, pa.string()),
        "large text": pa.array(some(word), pa.large_string()),
        "text view": pa.array(some(word), pa.string_view()),
        "binary": pa.array(some(lambda: rng.randbytes(rng.randint(0, 50))), pa.binary()),
        "large binary": pa.array(some(lambda: rng.randbytes(rng.randint(0, 50))), pa.large_binary()),
        "binary view": pa.array(some(lambda: rng.randbytes(rng.randint(0, 50))), pa.binary_view()),
        "fixed": pa.array(some(lambda: rng.randbytes(16)), pa.binary(16)),
        "dictionary": pa.DictionaryArray.from_arrays(places, pa.array(few)),
        "numbers of a dictionary": pa.array(some(lambda: rng.choice([5, 7, -(2**40)])), pa.int64()).dictionary_encode(),
        "dictionary of all": pa.array(some(word), pa.string()).dictionary_encode(),
        "seconds": ticks(pa.timestamp("s"), -(10**11), 10**11),
        "millis": ticks(pa.timestamp("ms", "Europe/Berlin"), -(10**14), 10**14),
        "nanos": ticks(pa.timestamp("ns"), -(2**63), 2**63 - 1),
        "date": ticks(pa.date32(), -100_000, 100_000),
        "clock s": ticks(pa.time32("s"), 0, day - 1),
        "clock ms": ticks(pa.time32("ms"), 0, day * 1000 - 1),
        "clock us": ticks(pa.time64("us"), 0, day * 10**6 - 1),
        "clock ns": ticks(pa.time64("ns"), 0, day * 10**9 - 1),
        "list": pa.array(nested, pa.list_(pa.int32())),
        "large list": pa.array(nested, pa.large_list(pa.int64())),
        "struct": pa.array(pairs, pa.struct({"y": pa.string(), "x": pa.int16()})),
        "map": pa.array(some(lambda: [(str(at), rng.random()) for at in range(rng.randint(0, 3))]), pa.map_(pa.string(), pa.float64())),
        "list of structs": pa.array(some(lambda: [{"t": decimal.Decimal(rng.randint(-99, 99)).scaleb(-1)}]), pa.list_(pa.struct({"t": pa.decimal128(5, 1)}))),
    }
    rare = {
        "dictionary with NULL": pa.DictionaryArray.from_arrays(places, pa.array([few[0], None, *few[2:]])),
        "runs": runs,
        "date64": pa.array(some(lambda: rng.randint(-(10**9), 10**9) * day * 1000 // 10**4), pa.int64()).cast(pa.timestamp("ms")).cast(pa.date64(), safe=False),
        "duration s": ticks(pa.duration("s"), -(10**9), 10**9),
        "duration ns": ticks(pa.duration("ns"), -(2**63), 2**63 - 1),
        "interval": pa.array(
            some(lambda: (rng.randint(-99, 99), rng.randint(-99, 99), rng.randint(-(10**15), 10**15))), pa.month_day_nano_interval()
        ),
        "fixed list": pa.array(some(lambda: [rng.choice([None, -0.0, rng.random()]) for _ in range(2)]), pa.list_(pa.float32(), 2)),
        "durations": pa.array(some(lambda: [rng.randint(-5, 10**6)]), pa.list_(pa.int64())).cast(pa.list_(pa.duration("ms"))),
    }
    return columns, rare


def write(path, seed, rows):
    columns, rare = random_table(seed, rows)
    if path.endswith(".parquet"):
        # What Parquet has no type for stays away.
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), path, row_group_size=max(rows // 3, 1))
        return
    table = pa.table({**columns, **rare})
    with pa.ipc.new_file(path, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=max(rows // 2, 1)):
            writer.write_batch(batch)


def duration(text):
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit] * 10**9


def names_of(text):
    return text.split(",")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["write", "windows", "rows"])
    options.add_argument("file")
    options.add_argument("--columns", type=names_of)
    options.add_argument("--key", type=names_of, default=[])
    options.add_argument("--time")
    options.add_argument("--window", type=duration)
    options.add_argument("--rows", type=int, default=200)
    options.add_argument("--seed", default=None)
    given = options.parse_args()
    if given.what == "write":
        write(given.file, given.seed or "1", given.rows)
        return
    table = read(given.file)
    names = given.columns or table.schema.names
    if given.what == "windows":
        for start, (rows, total) in sorted(windows(table, names, given.time, given.window).items()):
            print(start // 10**9, rows, f"{total:032x}")
        return
    seed = bytes.fromhex(given.seed) if given.seed else default_seed()
    for row, key in zip(sums(table, names, seed, "row"), sums(table, given.key, seed, "key")):
        print(f"{row:032x} {key:032x}")


if __name__ == "__main__":
    main()

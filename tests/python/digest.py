"""The digest of a side's rows, a window at a time, by Python's hashlib and nothing of gapless.

    python tests/python/digest.py FILE --columns NAME:TYPE[,NAME:TYPE…]
        [--algorithm sha256|md5] [--time COLUMN --window DURATION [--from T] [--until T]] [--only NAME[,NAME…]]
    python tests/python/digest.py --row NAME:TYPE=VALUE[;NAME:TYPE=VALUE…]      the encoding of one row, in hex

FILE is .csv (also .csv.gz) or .parquet. TYPE is one of bool, int8 to int64, uint8 to uint64, float32, float64, decimal(p,s),
text, binary (hex in a CSV), date, time, timestamp. An empty cell of a CSV is NULL; a timestamp without a zone is UTC.
--window is a number with s, m, h or d, counted from the epoch; without one, all rows are one window that starts at "-".
Prints one line a window that has rows, in order of time: `algorithm window_start rows hex`.

Written from docs/encoding.md, row encoding version 1:

    row    = 01, then for each column, sorted by the bytes of its name: name length u32, name, value
    value  = tag, payload; all integers little endian
             00 NULL · 01 boolean, u8 · 02 exact number: scale u8, coefficient i128 · 03 the same with i256 · 04 float: f64 bits
             05 text: length u64, UTF-8 · 06 binary: length u64, bytes · 07 instant: seconds i64, nanoseconds u32
             08 date: days i32 · 09 time of day: nanoseconds i64
    window = hash of the row hashes, sorted by their bytes, one after the other; copies of a row are there as often as they are
"""

import argparse
import csv
import datetime
import decimal
import gzip
import hashlib
import re
import struct

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?$")
# Wide enough for every decimal(76, s): the default context would round.
decimal.getcontext().prec = 100


def framed(tag, data):
    return bytes([tag]) + struct.pack("<Q", len(data)) + data


def exact(coefficient, scale):
    """An exact number without trailing zeros behind the point, so that 5, 5.0 and 5.00 are one value."""
    while scale > 0 and coefficient % 10 == 0:
        coefficient //= 10
        scale -= 1
    if -(2**127) <= coefficient < 2**127:
        return bytes([0x02, scale]) + coefficient.to_bytes(16, "little", signed=True)
    return bytes([0x03, scale]) + coefficient.to_bytes(32, "little", signed=True)


def exact_decimal(number):
    sign, digits, exponent = number.as_tuple()
    coefficient = int("".join(map(str, digits))) * (-1 if sign else 1)
    if exponent > 0:
        coefficient, exponent = coefficient * 10**exponent, 0
    return exact(coefficient, -exponent)


def nanoseconds(text):
    """Nanoseconds since the epoch of an ISO 8601 timestamp; up to nine digits of a second are kept."""
    match = TIMESTAMP.match(text)
    if not match:
        raise ValueError(f"'{text}' is not a timestamp")
    day, clock, fraction, zone = match.groups()
    clock = clock or "00:00:00"
    moment = datetime.datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in (None, 'Z') else zone}")
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int((fraction or "").ljust(9, "0"))


def value_bytes(kind, value):
    """The encoding of a value of a declared type. `value` is text from a CSV, or what pyarrow gives."""
    if value is None:
        return b"\x00"
    is_text = isinstance(value, str)
    if kind == "bool":
        return bytes([0x01, int(value.lower() == "true" if is_text else value)])
    if kind.startswith(("int", "uint")):
        return exact(int(value), 0)
    if kind.startswith("decimal"):
        return exact_decimal(decimal.Decimal(value))
    if kind in ("float32", "float64"):
        number = float(value)
        if kind == "float32":
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        if number == 0:
            number = 0.0
        if number != number:
            return b"\x04" + struct.pack("<Q", 0x7FF8000000000000)
        return b"\x04" + struct.pack("<d", number)
    if kind == "text":
        return framed(0x05, value.encode())
    if kind == "binary":
        return framed(0x06, bytes.fromhex(value) if is_text else value)
    if kind == "timestamp":
        seconds, nanos = divmod(nanoseconds(value) if is_text else value, 10**9)
        return b"\x07" + struct.pack("<qI", seconds, nanos)
    if kind == "date":
        day = datetime.date.fromisoformat(value) if is_text else value
        return b"\x08" + struct.pack("<i", (day - EPOCH.date()).days)
    if kind == "time":
        if is_text:
            clock, _, fraction = value.partition(".")
            hours, minutes, seconds = (*map(int, clock.split(":")), 0)[:3]
            value = (hours * 3600 + minutes * 60 + seconds) * 10**9 + int(fraction.ljust(9, "0"))
        return b"\x09" + struct.pack("<q", value)
    raise ValueError(f"'{kind}' is not a type that is known here")


def row_bytes(kinds, row):
    """The encoding of a row: {name: type}, {name: value}."""
    encoded = b"\x01"
    for name in sorted(kinds, key=str.encode):
        raw = name.encode()
        encoded += struct.pack("<I", len(raw)) + raw + value_bytes(kinds[name], row[name])
    return encoded


def read_rows(path, kinds):
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=list(kinds), partitioning=None)
        for name, kind in kinds.items():
            # As nanoseconds, since Python's own times have no more than microseconds.
            if kind in ("timestamp", "time"):
                index = table.schema.get_field_index(name)
                unit = table.schema.field(name).type.unit
                scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
                ticks = pa.int32() if pa.types.is_time32(table.schema.field(name).type) else pa.int64()
                plain = [None if v is None else v * scale for v in table.column(name).cast(ticks).to_pylist()]
                table = table.set_column(index, name, pa.array(plain, pa.int64()))
        yield from table.to_pylist()
        return
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines, strict=True):
            yield {name: (row[name] or None) for name in kinds}


def instant_of(value):
    return nanoseconds(value) if isinstance(value, str) else value


def shown(nanos):
    seconds, rest = divmod(nanos, 10**9)
    moment = (EPOCH + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return moment + (f".{rest:09}".rstrip("0") if rest else "") + "Z"


def digests(path, kinds, algorithm="sha256", time=None, window=None, start=None, end=None, only=None):
    """{window start in nanoseconds or None: (rows, hex)}. Rows outside [start, end) are left out."""
    hashed = {name: kind for name, kind in kinds.items() if only is None or name in only}
    windows = {}
    for row in read_rows(path, kinds):
        place = None
        if time is not None:
            at = instant_of(row[time])
            if at is None or (start is not None and at < start) or (end is not None and at >= end):
                continue
            place = None if window is None else at - at % window
        digest = hashlib.new(algorithm, row_bytes(hashed, row)).digest()
        windows.setdefault(place, []).append(digest)
    return {
        place: (len(rows), hashlib.new(algorithm, b"".join(sorted(rows))).hexdigest())
        for place, rows in sorted(windows.items(), key=lambda item: (item[0] is not None, item[0]))
    }


def named_types(text):
    """`a:int64,b:decimal(10,2)`: a comma inside brackets separates nothing."""
    return dict(part.split(":", 1) for part in re.split(r",(?![^(]*\))", text))


def duration(text):
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit] * 10**9


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", nargs="?")
    options.add_argument("--columns", type=named_types)
    options.add_argument("--only", type=lambda text: text.split(","))
    options.add_argument("--algorithm", choices=["sha256", "md5"], default="sha256")
    options.add_argument("--time")
    options.add_argument("--window", type=duration)
    options.add_argument("--from", dest="start", type=nanoseconds)
    options.add_argument("--until", dest="end", type=nanoseconds)
    options.add_argument("--row")
    given = options.parse_args()
    if given.row is not None:
        kinds, row = {}, {}
        for part in given.row.split(";"):
            name, rest = part.split(":", 1)
            kind, equals, value = rest.partition("=")
            kinds[name], row[name] = kind, (value if equals else None)
        print(row_bytes(kinds, row).hex())
        return
    if given.file is None or given.columns is None:
        options.error("a FILE and --columns are needed")
    found = digests(
        given.file, given.columns, given.algorithm, given.time, given.window, given.start, given.end, given.only
    )
    for place, (rows, text) in found.items():
        print(given.algorithm, "-" if place is None else shown(place), rows, text)


if __name__ == "__main__":
    main()

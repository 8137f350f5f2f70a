"""What Python's zoneinfo makes of wall-clock times: for each line `ZONE<tab>TIME` of a file the word `told` with the seconds since the epoch and the
seconds at which the hour and the day in the zone begin; or `ambiguous` or `nonexistent` with the two instants that it could be."""

import datetime as dt
import sys
import zoneinfo

UTC = dt.timezone.utc
HOUR = dt.timedelta(hours=1)


def starts(moment, zone):
    """The first instant of the wall clock's hour and of its day, found by walking back a minute at a time."""
    local = moment.astimezone(zone)
    hour = (local.date(), local.hour, local.utcoffset())
    first = moment
    while True:
        before = first - dt.timedelta(minutes=1)
        there = before.astimezone(zone)
        if (there.date(), there.hour, there.utcoffset()) != hour:
            break
        first = before
    day = dt.datetime.combine(local.date(), dt.time(), tzinfo=zone).astimezone(UTC)
    return first, day


def main():
    for line in open(sys.argv[1], encoding="utf-8"):
        name, text = line.rstrip("\n").split("\t")
        zone = zoneinfo.ZoneInfo(name)
        naive = dt.datetime.fromisoformat(text)
        first, second = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        instants = sorted(int(moment.astimezone(UTC).timestamp()) for moment in (first, second))
        # PEP 495: where the two folds differ, the clock went back if the first has the greater offset, and forward else.
        if first.utcoffset() > second.utcoffset():
            print("ambiguous", *instants)
        elif first.utcoffset() < second.utcoffset():
            print("nonexistent", *instants)
        else:
            hour, day = starts(first.astimezone(UTC), zone)
            print("told", instants[0], int(hour.timestamp()), int(day.timestamp()))


main()

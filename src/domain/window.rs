//! Tumbling windows on event time.
//!
//! Without a time zone a window of width w starts at a multiple of w since the epoch (multiples of a week start on a
//! Monday). In a time zone the boundaries are wall-clock times: every multiple of w since local midnight, or local
//! midnight itself for whole days. Windows tile the axis, so on the days when clocks change some are longer or
//! shorter:
//!
//! ```text
//! America/New_York, 6 November 2022, width 6h:      America/New_York, 13 March 2022, width 1h:
//! 00:00 EDT ──────7 h────── 06:00 EST ──6 h── …     … 01:00 EST ──1 h── 03:00 EDT ──1 h── 04:00 EDT …
//! ```
//!
//! A local hour that comes twice is two windows of one hour; one that is skipped is none.

use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::{Duration, Instant};

const DAY: i128 = 86_400_000_000_000;
const WEEK: i128 = 7 * DAY;
/// 1970-01-05 was the first Monday of the epoch.
const FIRST_MONDAY: i128 = 4 * DAY;

/// A half-open stretch of event time, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first instant inside.
    pub start: Instant,
    /// The first instant no longer inside.
    pub end: Instant,
}

impl Window {
    /// True when the instant lies inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.start <= at && at < self.end
    }
}

/// A width that cannot tile local days.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("windows of {width} do not divide a local day in {zone}")]
pub struct WindowError {
    width: Duration,
    zone: String,
}

/// How the event-time axis is cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windowing {
    width: Duration,
    zone: Tz,
}

impl Windowing {
    /// Windows of one width in a time zone.
    ///
    /// # Errors
    /// In a zone other than UTC the width must divide a day, or be whole days.
    pub fn new(width: Duration, zone: Tz) -> Result<Self, WindowError> {
        let tiles = zone == Tz::UTC || DAY % width.nanos() == 0 || width.nanos() % DAY == 0;
        tiles.then_some(Self { width, zone }).ok_or_else(|| WindowError { width, zone: zone.name().to_string() })
    }

    /// The nominal width.
    pub fn width(&self) -> Duration {
        self.width
    }

    /// The window that holds an instant.
    pub fn window_of(&self, at: Instant) -> Window {
        let width = self.width.nanos();
        if self.zone == Tz::UTC {
            let anchor = if width % WEEK == 0 { FIRST_MONDAY } else { 0 };
            let start = (at.0 - anchor).div_euclid(width) * width + anchor;
            return Window { start: Instant(start), end: Instant(start + width) };
        }
        if width % DAY == 0 {
            let anchor = if width % WEEK == 0 { FIRST_MONDAY } else { 0 };
            let local = at.0 + self.offset(at);
            let day = (local - anchor).div_euclid(width) * width + anchor;
            return Window { start: self.first_instant_at(day), end: self.first_instant_at(day + width) };
        }
        Window { start: self.boundary_at_or_before(at), end: self.boundary_after(at) }
    }

    /// The wall clock at an instant: nanoseconds since 1970-01-01T00:00 local time.
    pub fn wall_of(&self, at: Instant) -> i128 {
        at.0 + self.offset(at)
    }

    /// The first instant at which the wall clock shows a time, or where clocks skip it, the first one after.
    pub fn at_wall(&self, wall: i128) -> Instant {
        self.first_instant_at(wall)
    }

    /// Nanoseconds that local time is ahead of UTC at an instant.
    fn offset(&self, at: Instant) -> i128 {
        let (seconds, _) = at.split();
        let moment = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or(if seconds < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        });
        // chrono adds the offset to the moment, which must not leave its calendar.
        let inside = moment.clamp(
            DateTime::<Utc>::from_timestamp(-8_000_000_000_000, 0).unwrap_or(moment),
            DateTime::<Utc>::from_timestamp(8_000_000_000_000, 0).unwrap_or(moment),
        );
        let offset = self.zone.offset_from_utc_datetime(&inside.naive_utc());
        i128::from(offset.fix().local_minus_utc()) * 1_000_000_000
    }

    /// The instant in `(low, high]` at which the offset of `high` began, given that `low` has another.
    fn transition(&self, low: Instant, high: Instant) -> Instant {
        let after = self.offset(high);
        // Transitions fall on whole seconds.
        let (mut low, mut high) = (low.0.div_euclid(1_000_000_000), -(-high.0).div_euclid(1_000_000_000));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.offset(Instant(middle * 1_000_000_000)) == after {
                high = middle;
            } else {
                low = middle;
            }
        }
        Instant(high * 1_000_000_000)
    }

    /// The first instant whose wall clock shows `wall` (nanoseconds), or the first one after it where it is skipped.
    fn first_instant_at(&self, wall: i128) -> Instant {
        let before = self.offset(Instant(wall - 2 * DAY));
        let after = self.offset(Instant(wall + 2 * DAY));
        let early = Instant(wall - before);
        if before == after {
            return early;
        }
        // The wall time under the old offset stands if the old offset still holds there.
        if self.offset(early) == before {
            return early;
        }
        let late = Instant(wall - after);
        let change = self.transition(Instant(wall - 2 * DAY - before), Instant(wall + 2 * DAY - after));
        if late < change { change } else { late }
    }

    fn boundary_at_or_before(&self, at: Instant) -> Instant {
        let width = self.width.nanos();
        let offset = self.offset(at);
        // Local days start at multiples of a day of wall time, and the width divides a day.
        let wall = (at.0 + offset).div_euclid(width) * width;
        let start = Instant(wall - offset);
        let before = self.offset(start);
        if before == offset {
            return start;
        }
        let change = self.transition(start, at);
        let wall_before = change.0 + before;
        let wall_after = change.0 + offset;
        if wall_after >= wall_before {
            // Clocks went forward: a skipped boundary is the change itself.
            if wall >= wall_before { change } else { Instant(wall - before) }
        } else {
            // Clocks went back: the boundary belongs to the time before the change.
            let last = (wall_before - 1).div_euclid(width) * width;
            if wall == wall_after { change } else { Instant(last - before) }
        }
    }

    fn boundary_after(&self, at: Instant) -> Instant {
        let width = self.width.nanos();
        let offset = self.offset(at);
        let wall = (at.0 + offset).div_euclid(width) * width + width;
        let end = Instant(wall - offset);
        let after = self.offset(end);
        if after == offset {
            return end;
        }
        let change = self.transition(at, end);
        let wall_before = change.0 + offset;
        let wall_after = change.0 + after;
        if wall_after >= wall_before {
            if wall <= wall_after { change } else { Instant(wall - after) }
        } else {
            let first = -(-wall_after).div_euclid(width) * width;
            Instant(first - after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windowing(width: &str, zone: Tz) -> Windowing {
        Windowing::new(Duration::parse(width).unwrap(), zone).unwrap()
    }

    fn window(windowing: Windowing, at: &str) -> String {
        let window = windowing.window_of(Instant::parse(at).unwrap());
        format!("{} {}", window.start, window.end)
    }

    #[test]
    fn utc_windows_are_multiples_of_their_width() {
        let five = windowing("5m", Tz::UTC);
        assert_eq!(window(five, "2024-05-06T02:10:00Z"), "2024-05-06T02:10:00Z 2024-05-06T02:15:00Z");
        assert_eq!(window(five, "2024-05-06T02:14:59.999Z"), "2024-05-06T02:10:00Z 2024-05-06T02:15:00Z");
        assert_eq!(window(windowing("7d", Tz::UTC), "2024-05-08"), "2024-05-06T00:00:00Z 2024-05-13T00:00:00Z");
        assert_eq!(window(windowing("1h", Tz::UTC), "1969-12-31T23:30:00Z"), "1969-12-31T23:00:00Z 1970-01-01T00:00:00Z");
    }

    #[test]
    fn local_days_have_23_and_25_hours() {
        let day = windowing("1d", Tz::America__New_York);
        assert_eq!(window(day, "2022-03-13T12:00:00Z"), "2022-03-13T05:00:00Z 2022-03-14T04:00:00Z");
        assert_eq!(window(day, "2022-11-06T12:00:00Z"), "2022-11-06T04:00:00Z 2022-11-07T05:00:00Z");
        let berlin = windowing("1d", Tz::Europe__Berlin);
        assert_eq!(window(berlin, "2022-03-27T12:00:00Z"), "2022-03-26T23:00:00Z 2022-03-27T22:00:00Z");
    }

    #[test]
    fn a_local_hour_that_comes_twice_is_two_windows() {
        let hour = windowing("1h", Tz::America__New_York);
        assert_eq!(window(hour, "2022-11-06T05:30:00Z"), "2022-11-06T05:00:00Z 2022-11-06T06:00:00Z");
        assert_eq!(window(hour, "2022-11-06T06:30:00Z"), "2022-11-06T06:00:00Z 2022-11-06T07:00:00Z");
        let six = windowing("6h", Tz::America__New_York);
        assert_eq!(window(six, "2022-11-06T06:30:00Z"), "2022-11-06T04:00:00Z 2022-11-06T11:00:00Z");
        let two = windowing("2h", Tz::America__New_York);
        assert_eq!(window(two, "2022-03-13T07:30:00Z"), "2022-03-13T07:00:00Z 2022-03-13T08:00:00Z");
        assert_eq!(window(two, "2022-03-13T06:30:00Z"), "2022-03-13T05:00:00Z 2022-03-13T07:00:00Z");
    }

    #[test]
    fn half_hour_zones_cut_at_the_local_hour() {
        let hour = windowing("1h", Tz::Asia__Kolkata);
        assert_eq!(window(hour, "2022-11-06T05:15:00Z"), "2022-11-06T04:30:00Z 2022-11-06T05:30:00Z");
    }

    #[test]
    fn windows_tile_the_axis_on_every_kind_of_day() {
        for zone in [Tz::America__New_York, Tz::Europe__Berlin, Tz::Asia__Kolkata, Tz::Australia__Lord_Howe, Tz::America__Sao_Paulo] {
            for width in ["15m", "30m", "1h", "2h", "6h", "12h", "1d", "2d", "7d"] {
                let windowing = windowing(width, zone);
                for (from, until) in [("2022-03-11", "2022-04-06"), ("2022-10-01", "2022-11-09"), ("2018-11-02", "2018-11-06")] {
                    let until = Instant::parse(until).unwrap();
                    let mut window = windowing.window_of(Instant::parse(from).unwrap());
                    while window.start < until {
                        assert!(window.start < window.end, "{zone} {width} {window:?}");
                        for at in [window.start.0, (window.start.0 + window.end.0) / 2, window.end.0 - 1] {
                            assert_eq!(windowing.window_of(Instant(at)), window, "{zone} {width} {}", Instant(at));
                        }
                        let next = windowing.window_of(window.end);
                        assert_eq!(next.start, window.end, "{zone} {width}");
                        window = next;
                    }
                }
            }
        }
    }

    #[test]
    fn a_width_that_does_not_divide_a_local_day_is_refused() {
        assert!(Windowing::new(Duration::parse("7h").unwrap(), Tz::Europe__Berlin).is_err());
        assert!(Windowing::new(Duration::parse("7h").unwrap(), Tz::UTC).is_ok());
    }
}

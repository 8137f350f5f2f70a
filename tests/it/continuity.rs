//! What "continuous" means for a stream: time zones, learned cadences, calendars, expectations, sequences, seams.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::support::{Case, Verified, at, iso, shared};

const HOUR: i64 = 3_600_000_000;
const ZONES: [Tz; 5] = [Tz::America__New_York, Tz::Europe__Berlin, Tz::Asia__Kolkata, Tz::Australia__Lord_Howe, Tz::UTC];

/// A CSV of rows at these microseconds.
fn rows_at(times: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("at\n");
    times.into_iter().for_each(|time| writeln!(text, "{}", iso(time)).expect("text"));
    text
}

fn verify(data: &str, flags: &[&str]) -> Verified {
    let case = Case::new();
    case.file("data.csv", data);
    case.verify(&[&["data.csv"], flags].concat())
}

fn job(case: &Case, job: &str) -> Verified {
    case.file("gapless.toml", job);
    case.verify(&["--job", "gapless.toml"])
}

fn ranges(verified: &Verified, check: &str) -> Vec<(i64, i64)> {
    verified.of(check).into_iter().map(crate::support::Finding::time_range).collect()
}

fn shown(ranges: &[(i64, i64)]) -> Vec<String> {
    ranges.iter().map(|(from, until)| format!("{} {}", iso(*from), iso(*until))).collect()
}

/// Checks that found anything.
fn checks(verified: &Verified) -> BTreeSet<&str> {
    verified.findings.iter().map(|finding| finding.check.as_str()).collect()
}

/// Both weeks of a year in which clocks change, in all five zones, with windows of an hour and of a day.
///
/// The oracle knows no windows: it writes down for each half hour what the wall clock shows, and takes those that show the same hour (with the same offset,
/// since an hour that comes twice is two) or the same date for one window.
#[test]
fn windows_without_rows_are_gaps_in_every_zone_and_both_weeks_of_change() {
    let weeks = [("2022-03-10", "2022-03-17"), ("2022-03-24", "2022-04-07"), ("2022-09-29", "2022-10-06"), ("2022-10-27", "2022-11-10")];
    let half = HOUR / 2;
    for (zone, (from, until)) in ZONES.into_iter().flat_map(|zone| weeks.into_iter().map(move |week| (zone, week))) {
        let mut rng = StdRng::seed_from_u64(7);
        let grid: Vec<i64> = (at(&format!("{from}T00:00:00Z"))..at(&format!("{until}T00:00:00Z"))).step_by(half as usize).collect();
        // Holes of one hour to three days, the first over the middle of the week, where clocks mostly change.
        let mut holes = vec![(grid.len() / 2 - 60, grid.len() / 2 + 61)];
        for _ in 0..4 {
            let start = rng.random_range(1..grid.len() - 160);
            holes.push((start, start + rng.random_range(2..150)));
        }
        let kept: Vec<i64> =
            grid.iter().enumerate().filter(|(at, _)| !holes.iter().any(|(a, b)| a <= at && at < b)).map(|(_, time)| *time).collect();
        for width in ["1h", "1d"] {
            let wall = |time: i64| {
                let moment: DateTime<Tz> = zone.from_utc_datetime(&DateTime::<Utc>::from_timestamp_micros(time).unwrap().naive_utc());
                match width {
                    "1h" => (moment.num_days_from_ce(), moment.hour(), moment.offset().fix().local_minus_utc()),
                    _ => (moment.num_days_from_ce(), 0, 0),
                }
            };
            // The windows of the grid in order, with whether they have a row. Lord Howe's clocks change by half an hour, which the grid meets.
            let mut windows: Vec<(i64, i64, bool)> = Vec::new();
            let present: BTreeSet<i64> = kept.iter().copied().collect();
            for time in &grid {
                match windows.last_mut() {
                    Some(last) if wall(last.0) == wall(*time) => (last.1, last.2) = (*time + half, last.2 || present.contains(time)),
                    _ => windows.push((*time, *time + half, present.contains(time))),
                }
            }
            let mut expected: Vec<(i64, i64)> = Vec::new();
            for (start, end, has_rows) in windows {
                match expected.last_mut() {
                    _ if has_rows => {}
                    Some(last) if last.1 == start => last.1 = end,
                    _ => expected.push((start, end)),
                }
            }
            let verified =
                verify(&rows_at(kept.iter().copied()), &["--key", "at", "--time", "at", "--window", width, "--time-zone", zone.name()]);
            assert_eq!(shown(&ranges(&verified, "gap")), shown(&expected), "{zone} {from} {width}");
            assert!(checks(&verified).is_subset(&BTreeSet::from(["gap", "bounds_inferred"])), "{zone}: {:?}", checks(&verified));
        }
        // Silence knows no clock on the wall.
        let verified =
            verify(&rows_at(kept.iter().copied()), &["--key", "at", "--time", "at", "--cadence", "30m", "--time-zone", zone.name()]);
        let silent: Vec<(i64, i64)> =
            kept.windows(2).filter(|pair| pair[1] - pair[0] > half).map(|pair| (pair[0] + half, pair[1])).collect();
        assert_eq!(ranges(&verified, "gap"), silent, "{zone} {from}");
    }
}

/// A local time that comes twice, or never, is a finding with its value, its zone and what to do; asked for, it ends the run instead.
#[test]
fn local_times_that_come_twice_or_never_are_never_silent() {
    for (zone, twice, never) in [
        ("America/New_York", "2022-11-06 01:30:00", "2022-03-13 02:30:00"),
        ("Europe/Berlin", "2022-10-30 02:30:00", "2022-03-27 02:30:00"),
        ("Australia/Lord_Howe", "2022-04-03 01:45:00", "2022-10-02 02:15:00"),
    ] {
        for (local, kind, words) in [(twice, "ambiguous", "comes twice"), (never, "nonexistent", "does not exist")] {
            for width in ["1h", "1d"] {
                let case = Case::new();
                case.file("data.csv", format!("at\n2022-01-01 00:00:00\n{local}\n"));
                let option = format!("time_zone={zone}");
                let flags = ["data.csv", "--key", "at", "--time", "at", "--window", width, "--opt", &option];
                let verified = case.verify(&flags);
                assert_eq!((verified.exit, verified.verdict()), (1, "fail"), "{zone} {local}");
                let found = verified.of("local_time");
                assert_eq!(found.len(), 1, "{zone} {local}");
                assert_eq!((found[0].kind.as_deref(), found[0].original.as_deref()), (Some(kind), Some(local)), "{zone}");
                assert!([words, local, zone].iter().all(|part| found[0].message.contains(part)), "{}", found[0].message);
                assert_eq!((verified.total("null_time"), verified.total("null_key")), (0, 0), "{zone} {local}");
                // Asked for, it ends the run and is named all the same.
                let run = case.run(&[&["verify"], &flags[..], &["--opt", "ambiguous=error"]].concat());
                assert!(matches!(run.code, Some(2 | 3)), "{zone} {local}: {:?}", run.code);
                let said = format!("{}{}", run.stdout, run.stderr);
                assert!(said.contains(words) && said.contains(local) && said.contains(zone), "{zone} {local}: {said}");
                if kind == "ambiguous" {
                    // Once said which is meant, the two are an hour (at Lord Howe half an hour) apart.
                    let mut found = Vec::new();
                    for which in ["earliest", "latest"] {
                        let meant = format!("ambiguous={which}");
                        let verified = case.verify(&["data.csv", "--key", "at", "--time", "at", "--opt", &option, "--opt", &meant]);
                        verified.assert_pass();
                        found.extend(verified.table("spans").iter().filter_map(|row| row["until_time"].as_deref().map(at)).max());
                    }
                    assert_eq!(found[1] - found[0], if zone == "Australia/Lord_Howe" { HOUR / 2 } else { HOUR }, "{zone}");
                } else {
                    // Which of two is meant says nothing of one that never was.
                    let verified = case.verify(&[&flags[..], &["--opt", "ambiguous=latest"]].concat());
                    assert_eq!((verified.exit, verified.total("local_time")), (1, 1), "{zone} {local}");
                }
            }
        }
    }
    for zone in ["Asia/Kolkata", "UTC"] {
        let option = format!("time_zone={zone}");
        verify("at\n2022-03-13 02:30:00\n2022-11-06 01:30:00\n", &["--key", "at", "--time", "at", "--opt", &option]).assert_pass();
    }
}

/// What Python's zoneinfo makes of some wall-clock times of a zone: what it is, and its two seconds behind it.
fn by_zoneinfo(zone: &str, times: &[String]) -> Vec<(String, Vec<i64>)> {
    let case = Case::new();
    case.file("times.tsv", times.iter().map(|time| format!("{zone}\t{time}\n")).collect::<String>());
    let said = crate::outside::run_python("local_times.py", &[case.path("times.tsv").as_os_str()]);
    let lines = said.lines().map(|line| {
        let mut words = line.split(' ');
        (words.next().unwrap().to_string(), words.map(|word| word.parse().unwrap()).collect())
    });
    lines.collect()
}

/// Every quarter of an hour that a clock could show, in both weeks of change of all five zones, as text and as stored timestamps: what each is, and in which
/// hour and day it lies, is what Python's zoneinfo says.
#[test]
fn local_times_are_what_zoneinfo_says_in_both_weeks_of_change() {
    let days = ["2022-03-13", "2022-03-27", "2022-04-03", "2022-10-02", "2022-10-30", "2022-11-06"];
    let times: Vec<String> =
        days.iter().flat_map(|day| (0..96).map(move |quarter| format!("{day}T{:02}:{:02}:00", quarter / 4, quarter % 4 * 15))).collect();
    let mut untold = BTreeMap::new();
    for zone in ZONES {
        let said = by_zoneinfo(zone.name(), &times);
        let expected: BTreeSet<(&str, &str)> = times
            .iter()
            .zip(&said)
            .filter(|(_, (what, _))| what != "told")
            .map(|(time, (what, _))| (what.as_str(), time.as_str()))
            .collect();
        untold.insert(zone.name(), expected.len());
        let case = Case::new();
        let rows = times.iter().enumerate().map(|(id, time)| format!("{id},{time}\n"));
        case.file("text.csv", format!("id,at\n{}", rows.collect::<String>()));
        let ids = arrow::array::Int64Array::from_iter_values(0..times.len() as i64);
        let wall = arrow::array::TimestampMillisecondArray::from_iter_values(times.iter().map(|time| at(&format!("{time}Z")) / 1_000));
        let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![("id", std::sync::Arc::new(ids)), ("at", std::sync::Arc::new(wall))];
        case.parquet("stored.parquet", &crate::support::batch(columns));
        for data in ["text.csv", "stored.parquet"] {
            for (width, place) in [("1h", 1), ("1d", 2)] {
                let option = format!("time_zone={}", zone.name());
                let verified =
                    case.verify(&[data, "--key", "id", "--time", "at", "--window", width, "--time-zone", zone.name(), "--opt", &option]);
                let found = verified.of("local_time");
                let named: BTreeSet<(&str, &str)> =
                    found.iter().map(|finding| (finding.kind.as_deref().unwrap(), finding.original.as_deref().unwrap())).collect();
                assert_eq!(named, expected, "{} {data} {width}", zone.name());
                assert_eq!(found.len(), expected.len());
                let mut windows: BTreeMap<i64, i64> = BTreeMap::new();
                for (_, seconds) in said.iter().filter(|(what, _)| what == "told") {
                    *windows.entry(seconds[place] * 1_000_000).or_default() += 1;
                }
                let held: BTreeMap<i64, i64> = verified
                    .table("windows")
                    .iter()
                    .filter_map(|row| Some((at(row["window_start"].as_deref()?), row["original_rows"].as_deref()?.parse().unwrap())))
                    .filter(|(_, rows)| *rows > 0)
                    .collect();
                assert_eq!(held, windows, "{} {data} {width}", zone.name());
            }
        }
    }
    let of = |zone: &str| untold[zone];
    assert_eq!((of("America/New_York"), of("Europe/Berlin"), of("Australia/Lord_Howe")), (8, 8, 4));
    assert_eq!((of("Asia/Kolkata"), of("UTC")), (0, 0));
}

/// Whatever the column is for, and whatever is asked, such a value is found, and nothing passes because of it.
#[test]
fn a_local_time_that_cannot_be_told_never_makes_a_pass() {
    let zone = ["--opt", "time_zone=America/New_York"];
    let (a, b) = (
        "id,at,note\n1,2022-11-06 00:30:00,x\n2,2022-11-06 01:30:00,y\n",
        "id,at,note\n1,2022-11-06 00:30:00,x\n2,2022-11-06 01:45:00,y\n",
    );
    let case = Case::new();
    case.file("a.csv", a).file("b.csv", b).file("utc.csv", "id,at,note\n1,2022-11-06T04:30:00Z,x\n2,2022-11-06T05:30:00Z,y\n");
    let accepted = |mode: &str, key: &str, original: &str, backfill: &str| {
        let text = format!(
            "[[stream]]\nmode = \"{mode}\"\nkey = [\"{key}\"]\ntime = \"at\"\nwindow = \"1d\"\n{original}\n{backfill}\n\n[severity]\nlocal_time = \"info\"\n"
        );
        self::job(&case, &text)
    };
    let local = |side: &str, file: &str| format!("{side} = {{ path = \"{file}\", time_zone = \"America/New_York\" }}");
    // Alike on both sides: each side is told, and both are the same; otherwise it is not known whether they are.
    let alike = case.verify(&[&["a.csv", "a.csv", "--key", "id", "--time", "at"], &zone[..]].concat());
    assert_eq!((alike.exit, alike.total("local_time"), alike.count("matched_keys")), (1, 2, Some(2)));
    assert_eq!(accepted("replica", "id", &local("original", "a.csv"), &local("backfill", "a.csv")).verdict(), "pass");
    let unlike = accepted("replica", "id", &local("original", "a.csv"), &local("backfill", "b.csv"));
    assert_eq!((unlike.verdict(), unlike.exit), ("incomplete", 3), "{}", unlike.stdout);
    assert!(unlike.stdout.contains("nothing says that they are the same"), "{}", unlike.stdout);
    // Against a value that is known it differs.
    let known = accepted("replica", "id", &local("original", "a.csv"), "backfill = \"utc.csv\"");
    assert_eq!((known.verdict(), known.total("value_mismatch")), ("fail", 1), "{}", known.stdout);
    // In the key, rows that are written alike on both sides are the same rows; on one side alone no row is known by it.
    assert_eq!(accepted("replica", "at", &local("original", "a.csv"), &local("backfill", "a.csv")).verdict(), "pass");
    assert_eq!(accepted("replica", "at", &local("original", "a.csv"), &local("backfill", "b.csv")).verdict(), "incomplete");
    assert_eq!(accepted("single", "at", &local("original", "a.csv"), "").verdict(), "incomplete");
    for more in [&[][..], &["--verify", "full"]] {
        let two = format!("{a}3,2022-11-06 01:45:00,z\n");
        let copies = verify(&two, &[&["--key", "at", "--time", "at"], &zone[..], more].concat());
        let of = |check: &str| copies.total(check);
        assert_eq!((of("local_time"), copies.verdict()), (2, "fail"), "{}", copies.stdout);
        assert_eq!((of("duplicate_key"), of("null_key")), (0, 0), "{more:?} {:#?}", copies.findings);
    }
    // In a fill, where both sides hold such values.
    assert_eq!(accepted("fill", "id", &local("original", "a.csv"), &local("backfill", "b.csv")).verdict(), "incomplete");
    // Beside the event time, also where a fill does not read the column at first, and under every way of looking.
    let beside = "id,at,seen\n1,2022-11-06T00:30:00Z,2022-11-06 00:30:00\n2,2022-11-06T01:30:00Z,2022-11-06 01:30:00\n";
    case.file("beside.csv", beside);
    for more in [
        &["--mode", "fill", "--window", "1h"][..],
        &["--verify", "full"],
        &["--only-compare"],
        &["--keyless"],
        &["--untrusted"],
        &["--mask", "seen"],
    ] {
        let key: &[&str] = if more[0] == "--keyless" { &[] } else { &["--key", "id"] };
        let flags = [&["beside.csv", "beside.csv", "--time", "at"], key, &zone[..], more].concat();
        let verified = case.verify(&flags);
        assert_eq!((verified.exit, verified.total("local_time")), (1, 2), "{more:?}: {}", verified.stdout);
        assert_eq!(verified.of("local_time")[0].column.as_deref(), Some("seen"));
        assert_eq!(verified.of("local_time")[0].message.contains("2022-11-06 01:30"), more[0] != "--mask", "{more:?}");
    }
    // A filter does not let it drop out, where it cannot say.
    for (filter, found) in [("at > '2022-11-06T05:00:00Z'", 1), ("id < 2", 0)] {
        let option = format!("filter={filter}");
        let verified = verify(a, &[&["--key", "id", "--time", "at", "--opt", &option], &zone[..]].concat());
        assert_eq!(verified.total("local_time"), found, "{filter}");
    }
    // A column that is proposed as the key is told apart as it is written.
    let proposed = verify("at\n2022-11-06 00:30:00\n2022-11-06 01:30:00\n2022-11-06 01:45:00\n", &[&["--time", "at"], &zone[..]].concat());
    assert_eq!((proposed.total("local_time"), proposed.exit), (2, 1), "{}", proposed.stdout);
    // The list is cut, the count is whole.
    let many: String = (0..60).map(|minute| format!("{minute},2022-11-06 01:{minute:02}:00\n")).collect();
    let cut = verify(&format!("id,at\n{many}"), &[&["--key", "id", "--time", "at", "--max-findings", "7"], &zone[..]].concat());
    assert_eq!((cut.total("local_time"), cut.of("local_time").len()), (60, 7));
}

#[test]
fn months_and_years_follow_the_calendar_of_the_zone() {
    for zone in ZONES {
        let local = |year, month, day| at(&zone.with_ymd_and_hms(year, month, day, 0, 0, 0).unwrap().to_utc().to_rfc3339());
        let firsts: Vec<i64> = (0..36).map(|month| local(2021 + month / 12, (month % 12 + 1) as u32, 1)).collect();
        let kept = firsts.iter().enumerate().filter(|(month, _)| ![3, 10, 11, 12].contains(month)).map(|(_, time)| *time);
        let flags = ["--key", "at", "--time", "at", "--cadence", "1mo", "--time-zone", zone.name()];
        let verified = verify(&rows_at(kept), &flags);
        let expected = [(firsts[3], firsts[4]), (firsts[10], firsts[13])];
        assert_eq!(shown(&ranges(&verified, "gap")), shown(&expected), "{zone}");
        assert_eq!(verified.of("gap").iter().map(|gap| gap.rows).collect::<Vec<_>>(), [Some(1), Some(3)], "{zone}");
        let yearly = [2015, 2016, 2017, 2019, 2020].map(|year| local(year, 2, 28));
        let verified = verify(&rows_at(yearly), &["--key", "at", "--time", "at", "--cadence", "1y", "--time-zone", zone.name()]);
        assert_eq!(ranges(&verified, "gap"), [(local(2018, 2, 28), local(2019, 2, 28))], "{zone}");
    }
    // Head and tail, within bounds.
    let flags = ["--key", "at", "--time", "at", "--cadence", "1mo", "--from", "2024-01-01", "--until", "2024-07-01"];
    let verified = verify("at\n2024-03-01\n2024-04-01\n", &flags);
    assert_eq!(
        shown(&ranges(&verified, "gap")),
        ["2024-01-01T00:00:00Z 2024-03-01T00:00:00Z", "2024-05-01T00:00:00Z 2024-07-01T00:00:00Z"]
    );
}

/// On the real series a cadence that is learned finds what the truth files say, and nothing else is found.
#[test]
fn the_cadences_of_real_series_are_learned_and_their_gaps_are_the_true_ones() {
    let Some(root) = shared("data/real") else { return };
    let truth = |folder: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(root.join(folder).join("TRUTH.json")).expect("TRUTH.json")).expect("JSON")
    };
    let mut all: Vec<(std::path::PathBuf, &str, serde_json::Value)> = Vec::new();
    for (file, series) in truth("nab")["series"].as_object().expect("series") {
        all.push((root.join("nab").join(file), "timestamp", series.clone()));
    }
    for (name, series) in truth("wikipedia_daily")["series"].as_object().expect("series") {
        all.push((root.join("wikipedia_daily").join(format!("{name}.csv")), "ds", series.clone()));
    }
    assert_eq!(all.len(), 9);
    for (path, time, series) in all {
        let verified = Case::new().verify(&[path.to_str().expect("UTF-8"), "--key", time, "--time", time, "--cadence", "learn"]);
        let cadence = series["cadence_s"].as_i64().expect("a cadence") * 1_000_000;
        let text = |gap: &serde_json::Value, end: &str| at(gap[end].as_str().expect("a time"));
        let expected: Vec<(i64, i64)> =
            series["gaps"].as_array().expect("gaps").iter().map(|gap| (text(gap, "after") + cadence, text(gap, "before"))).collect();
        assert_eq!(shown(&ranges(&verified, "gap")), shown(&expected), "{}", path.display());
        let learned = verified.of("cadence_learned");
        assert_eq!(learned.len(), 1);
        let said = match cadence {
            300_000_000 => "5m",
            3_600_000_000 => "1h",
            _ => "1d",
        };
        assert_eq!(learned[0].original.as_deref(), Some(said), "{}", path.display());
        let allowed = BTreeSet::from(["gap", "bounds_inferred", "cadence_learned", "duplicate_key"]);
        assert!(checks(&verified).is_subset(&allowed), "{}: {:?}", path.display(), checks(&verified));
        let copies = series["duplicate_timestamps"].as_array().map_or(0, Vec::len);
        assert_eq!(verified.of("duplicate_key").len(), copies, "{}", path.display());
    }
    // Three stations at once, one series each; the columns are read as they are.
    let weather = root.join("nycflights13/weather.csv");
    let flags =
        ["--key", "origin,time_hour", "--time", "time_hour", "--series", "origin", "--cadence", "learn", "--opt", "null_values=NA,"];
    let verified = Case::new().verify(&[&[weather.to_str().expect("UTF-8")], &flags[..]].concat());
    for (airport, series) in truth("nycflights13")["weather"].as_object().expect("airports") {
        let found = verified.of("gap").into_iter().filter(|gap| gap.series_object()["origin"] == *airport).count();
        assert_eq!(Some(found as u64), series["gap_count"].as_u64(), "{airport}");
    }
    assert_eq!(checks(&verified), BTreeSet::from(["gap", "bounds_inferred", "cadence_learned"]));
}

#[test]
fn a_learned_cadence_does_not_depend_on_order_threads_or_what_was_collected_again() {
    let mut rng = StdRng::seed_from_u64(11);
    let start = at("2024-05-06T00:00:00Z");
    // A row a minute give or take ten seconds; rows 400 to 460 are gone, and were collected again every ten seconds.
    let minute = 60_000_000;
    let mut live: Vec<i64> = (0..1_000)
        .filter(|row| !(400..460).contains(row))
        .map(|row| start + row * minute + rng.random_range(-10_000_000..10_000_000))
        .collect();
    let again: Vec<i64> = (0..180).map(|row| start + 400 * minute + row * 10_000_000).collect();
    let outage = format!("{}/{}", iso(start + 400 * minute - 15_000_000), iso(start + 460 * minute - 15_000_000));
    let mut found = BTreeSet::new();
    for threads in ["1", "3"] {
        live.shuffle(&mut rng);
        let case = Case::new();
        case.file("live.csv", rows_at(live.iter().copied())).file("again.csv", rows_at(again.iter().copied()));
        let flags = ["--mode", "fill", "--key", "at", "--time", "at", "--cadence", "learn", "--outage", &outage, "--threads", threads];
        let verified = case.verify(&[&["live.csv", "again.csv"], &flags[..]].concat());
        let gaps = ranges(&verified, "gap");
        // What was collected again covers half an hour of the hour.
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert!((gaps[0].1 - gaps[0].0 - 30 * minute).abs() < 2 * minute, "{gaps:?}");
        assert_eq!(verified.of("outage_open").len(), 1);
        assert_eq!(verified.of("cadence_changed").len(), 0);
        let mut shown: Vec<String> = verified.findings.iter().map(|finding| format!("{finding:?}")).collect();
        shown.sort();
        found.insert(shown);
    }
    assert_eq!(found.len(), 1, "the same findings");
}

#[test]
fn a_cadence_that_cannot_be_learned_leaves_the_verdict_incomplete() {
    let mut rng = StdRng::seed_from_u64(5);
    let mut time = at("2024-05-06T00:00:00Z");
    let irregular = rows_at((0..500).map(|_| {
        time += (-(rng.random_range(1e-9..1.0_f64)).ln() * 6e7) as i64 + 1;
        time
    }));
    for (data, words) in [(irregular.as_str(), "give or take"), ("at\n2024-05-06T00:00:00Z\n2024-05-06T01:00:00Z\n", "1 steps")] {
        let verified = verify(data, &["--key", "at", "--time", "at", "--cadence", "learn"]);
        assert_eq!(verified.verdict(), "incomplete");
        assert!(verified.summary.to_string().contains(words), "{}", verified.summary);
        assert_eq!(verified.of("gap").len(), 0);
    }
}

/// Eight weeks by the hour, quiet at night and at weekends.
fn weekly(rng: &mut StdRng, lost: impl Fn(i64, i64) -> bool) -> String {
    let monday = at("2024-01-01T00:00:00Z");
    let mut text = String::from("id,at\n");
    let mut id = 0;
    for hour in 0..8 * 168_i64 {
        let (day, clock) = (hour / 24 % 7, hour % 24);
        let mean = if day >= 5 || !(6..20).contains(&clock) { 0.2 } else { 150.0 };
        let mut when = 0.0;
        loop {
            when -= rng.random_range(1e-12..1.0_f64).ln() / mean;
            if when >= 1.0 {
                break;
            }
            id += 1;
            let time = monday + hour * HOUR + (when * HOUR as f64) as i64;
            if !lost(hour, time) {
                writeln!(text, "{id},{}", iso(time)).expect("text");
            }
        }
    }
    text
}

#[test]
fn a_profile_tells_a_quiet_night_from_half_a_monday_morning() {
    let flags = ["--key", "id", "--time", "at", "--window", "1h", "--expect", "profile", "--from", "2024-01-01", "--until", "2024-02-26"];
    for seed in 0..3 {
        let mut rng = StdRng::seed_from_u64(seed);
        let healthy = verify(&weekly(&mut rng, |_, _| false), &flags);
        assert_eq!(healthy.of("gap").len() + healthy.of("low_window").len(), 0, "{:?}", checks(&healthy));
        healthy.assert_pass();
        // The fifth Monday: from 9 to 12 nothing, and at 13 only the second half; the rest of that night is quiet anyway.
        let monday = 4 * 168;
        let half = |hour: i64, time: i64| {
            let clock = hour - monday;
            (9..12).contains(&clock) || clock == 13 && time % HOUR < HOUR / 2
        };
        let verified = verify(&weekly(&mut rng, half), &flags);
        assert_eq!(shown(&ranges(&verified, "gap")), ["2024-01-29T09:00:00Z 2024-01-29T12:00:00Z"]);
        let low = verified.of("low_window");
        assert_eq!(low.len(), 1, "{low:?}");
        assert_eq!(low[0].window_start.map(iso).as_deref(), Some("2024-01-29T13:00:00Z"));
        assert_eq!(low[0].kind.as_deref(), Some("profile"));
    }
    // Three weeks are too few to expect anything.
    let short = ["--key", "id", "--time", "at", "--window", "1h", "--expect", "profile", "--from", "2024-01-01", "--until", "2024-01-22"];
    let verified = verify(&weekly(&mut StdRng::seed_from_u64(1), |_, _| false), &short);
    assert_eq!(verified.verdict(), "incomplete");
}

/// Trading hours that begin in the middle of a window: what is due of it is what it has had.
#[test]
fn a_profile_goes_by_the_hours_that_are_due() {
    let monday = at("2024-01-01T00:00:00Z");
    let rows = |lost: Option<(i64, i64)>| {
        let minutes = (0..8 * 7 * 1_440_i64).filter(|minute| minute / 1_440 % 7 < 5 && (570..960).contains(&(minute % 1_440)));
        rows_at(
            minutes
                .map(|minute| monday + minute * 60_000_000)
                .filter(|time| lost.is_none_or(|(from, until)| *time < from || *time >= until)),
        )
    };
    let job_text = r#"
        [[stream]]
        original = "data.csv"
        key = ["at"]
        time = "at"
        window = "1h"
        bounds = { from = "2024-01-01", until = "2024-02-26" }
        [stream.continuity]
        expect = "profile"
        calendar = { days = "mon-fri", hours = "09:30-16:00" }
        "#;
    let case = Case::new();
    case.file("data.csv", rows(None));
    job(&case, job_text).assert_pass();
    let wednesday = at("2024-01-31T00:00:00Z");
    case.file("data.csv", rows(Some((wednesday + 9 * HOUR, wednesday + 11 * HOUR))));
    let verified = job(&case, job_text);
    assert_eq!(shown(&ranges(&verified, "gap")), ["2024-01-31T09:30:00Z 2024-01-31T11:00:00Z"]);
    assert_eq!(verified.of("low_window").len(), 0);
    case.file("data.csv", rows(Some((wednesday + 13 * HOUR, wednesday + 13 * HOUR + HOUR * 2 / 3))));
    assert_eq!(job(&case, job_text).of("low_window").len(), 1);
}

#[test]
fn windows_are_held_against_the_original() {
    let case = Case::new();
    let rows = |keep: &dyn Fn(i64) -> bool| {
        let mut text = String::from("id,at\n");
        (0..48)
            .filter(|id| keep(*id))
            .for_each(|id| writeln!(text, "{id},{}", iso(at("2024-05-06T00:00:00Z") + id * HOUR / 4)).expect("text"));
        text
    };
    case.file("a.csv", rows(&|_| true)).file("b.csv", rows(&|id| id != 5 && id != 6));
    let flags = [
        "--key",
        "id",
        "--time",
        "at",
        "--window",
        "1h",
        "--expect",
        "like_original",
        "--from",
        "2024-05-06",
        "--until",
        "2024-05-06T12:00:00Z",
    ];
    let verified = case.verify(&[&["a.csv", "b.csv"], &flags[..]].concat());
    let low = verified.of("low_window");
    assert_eq!(low.len(), 1);
    assert_eq!((low[0].side.as_deref(), low[0].rows, low[0].original.as_deref()), (Some("backfill"), Some(2), Some("4")));
    assert_eq!(verified.of("short_window").len(), 0, "told once");
}

#[test]
fn planned_and_young_silences_are_shown_and_are_no_findings() {
    let case = Case::new();
    let start = at("2024-05-06T00:00:00Z");
    case.file(
        "data.csv",
        rows_at((0..60).filter(|m| !(20..30).contains(m) && !(40..42).contains(m) && !(55..57).contains(m)).map(|m| start + m * HOUR / 60)),
    );
    let verified = job(
        &case,
        r#"
        [[stream]]
        original = "data.csv"
        key = ["at"]
        time = "at"
        cadence = "1m"
        bounds = { from = "2024-05-06T00:00:00Z", until = "2024-05-06T01:10:00Z" }
        [stream.continuity]
        maintenance = [{ from = "2024-05-06T00:22:00Z", until = "2024-05-06T00:30:00Z", reason = "a new disk" }]
        grace = "9m"
        "#,
    );
    assert_eq!(
        shown(&ranges(&verified, "gap")),
        ["2024-05-06T00:20:00Z 2024-05-06T00:22:00Z", "2024-05-06T00:40:00Z 2024-05-06T00:42:00Z"]
    );
    let mut listed: Vec<(String, String)> = verified
        .table("gaps")
        .iter()
        .map(|gap| {
            (gap["status"].clone().unwrap(), format!("{} {}", gap["from_time"].as_deref().unwrap(), gap["until_time"].as_deref().unwrap()))
        })
        .collect();
    listed.sort();
    let statuses: Vec<&str> = listed.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["open", "open", "pending", "pending", "planned"], "{listed:?}");
    assert_eq!(verified.of("window_pending").len(), 1);
    assert_eq!(verified.of("window_pending")[0].from_time.map(iso).as_deref(), Some("2024-05-06T00:50:00Z"));
}

/// Counters with steps, holes, copies and restarts at random, against a walk over the rows in order.
#[test]
fn sequences_of_any_step_with_restarts_match_a_walk() {
    for seed in 0..24 {
        let mut rng = StdRng::seed_from_u64(seed);
        let step = [1, 1, 2, 5][seed as usize % 4];
        let base: i64 = if seed % 3 == 0 { i64::from(rng.random_range(0..3_i32)) } else { 9_000_000_000_000_000_000 };
        let counters = rng.random_range(1..4);
        let (mut rows, mut copies) = (Vec::<i64>::new(), 0);
        let (mut gaps, mut resets) = (Vec::<(i128, i128)>::new(), Vec::<(i128, i128)>::new());
        for counter in 0..counters {
            let many = rng.random_range(20..60);
            // Holes lie apart and inside; a copy comes right after its row.
            let hole = rng.random_range(5..8)..rng.random_range(9..12);
            if counter > 0 {
                resets.push((i128::from(*rows.last().unwrap()), i128::from(base)));
            }
            for number in 0..many {
                if hole.contains(&number) {
                    continue;
                }
                rows.push(base + number * step);
                if rng.random_bool(0.05) {
                    rows.push(base + number * step);
                    copies += 1;
                }
            }
            gaps.push((i128::from(base + hole.start * step), i128::from(base + hole.end * step)));
        }
        let mut lines: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(id, number)| format!("{id},{},{number}", iso(at("2024-05-06T00:00:00Z") + id as i64 * 1_000_000)))
            .collect();
        lines.shuffle(&mut rng);
        let data = format!("id,at,n\n{}\n", lines.join("\n"));
        let verified = verify(&data, &["--key", "id", "--time", "at", "--sequence", "n", "--sequence-step", &step.to_string()]);
        let mut found: Vec<(i128, i128)> = verified.of("sequence_gap").into_iter().map(crate::support::Finding::sequence_range).collect();
        found.sort_unstable();
        gaps.sort_unstable();
        assert_eq!(found, gaps, "seed {seed}");
        assert_eq!(verified.of("sequence_duplicate").iter().map(|f| f.rows.unwrap()).sum::<i64>(), copies, "seed {seed}");
        let found: Vec<(i128, i128)> = verified.of("sequence_reset").into_iter().map(crate::support::Finding::sequence_range).collect();
        assert_eq!(found, resets, "seed {seed}");
        assert_eq!(verified.of("sequence_regression").len(), 0, "seed {seed}");
    }
}

#[test]
fn a_counter_that_starts_again_during_the_outage_is_told_once() {
    let case = Case::new();
    let rows = |numbers: &[(i64, i64)]| {
        let mut text = String::from("at,n\n");
        numbers
            .iter()
            .for_each(|(second, n)| writeln!(text, "{},{n}", iso(at("2024-05-06T00:00:00Z") + second * 1_000_000)).expect("text"));
        text
    };
    // 1 to 50, then the outage from second 50 on: 51 to 80, a restart, 1 to 19; live again with 20.
    let live: Vec<(i64, i64)> = (0..50).map(|s| (s, s + 1)).chain((99..140).map(|s| (s, s - 79))).collect();
    let again: Vec<(i64, i64)> = (50..80).map(|s| (s, s + 1)).chain((80..99).map(|s| (s, s - 79))).collect();
    case.file("live.csv", rows(&live)).file("again.csv", rows(&again));
    let flags = ["--mode", "fill", "--key", "at", "--time", "at", "--sequence", "n", "--cadence", "1s"];
    let verified = case.verify(&[&["live.csv", "again.csv"], &flags[..]].concat());
    let resets: Vec<(i128, i128)> = verified.of("sequence_reset").into_iter().map(crate::support::Finding::sequence_range).collect();
    assert_eq!(resets, [(80, 1)]);
    for check in ["sequence_gap", "sequence_duplicate", "sequence_regression", "seam_gap", "gap"] {
        assert_eq!(verified.of(check).len(), 0, "{check}: {:?}", verified.of(check));
    }
}

#[test]
fn offsets_that_the_payload_accounts_for_are_skipped_not_lost() {
    for seed in 0..12 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut offset, mut order, mut text) = (1_000_i64, 1_i64, String::from("log_offset,order_no\n"));
        let (mut skipped, mut lost) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..300 {
            writeln!(text, "{offset},{order}").expect("text");
            let markers = i64::from(rng.random_bool(0.1)) * rng.random_range(1..3_i64);
            let gone = i64::from(rng.random_bool(0.05)) * rng.random_range(1..5_i64);
            let next = offset + 1 + markers + gone;
            let range = (i128::from(offset + 1), i128::from(next));
            match (markers, gone) {
                (0, 0) => {}
                (_, 0) => drop(skipped.insert(range, markers)),
                _ => drop(lost.insert(range, gone)),
            }
            (offset, order) = (next, order + 1 + gone);
        }
        writeln!(text, "{offset},{order}").expect("text");
        let flags = ["--key", "log_offset", "--sequence", "log_offset", "--sequence-kind", "kafka_offset"];
        let verified = verify(&text, &[&flags[..], &["--payload-sequence", "order_no"]].concat());
        let found: BTreeMap<(i128, i128), i64> =
            verified.of("sequence_gap").into_iter().map(|gap| (gap.sequence_range(), gap.rows.unwrap())).collect();
        assert_eq!(found, lost, "seed {seed}");
        assert_eq!(
            verified.table("gaps").iter().filter(|gap| gap["status"].as_deref() == Some("skipped")).count(),
            skipped.len(),
            "seed {seed}"
        );
        // Without the payload nothing tells a skip from a loss.
        assert_eq!(verify(&text, &flags).of("sequence_gap").len(), skipped.len() + lost.len(), "seed {seed}");
    }
}

/// Rows whose head a log no longer holds: the keys say what is missing, the sequence does not say it again.
#[test]
fn a_head_that_the_log_no_longer_holds_is_retention() {
    let case = Case::new();
    let rows = |from: i64| (from..20).fold(String::from("o,n\n"), |text, o| format!("{text}{o},{o}\n"));
    case.file("a.csv", rows(0)).file("b.csv", rows(7));
    let flags = ["--key", "o", "--sequence", "o", "--sequence-kind", "kafka_offset", "--payload-sequence", "n"];
    let verified = case.verify(&[&["a.csv", "b.csv"], &flags[..]].concat());
    assert_eq!((verified.of("sequence_gap").len(), verified.of("missing_key").len()), (0, 7));
    assert_eq!(verified.table("gaps")[0]["status"].as_deref(), Some("retention"));
    let bounded = case.verify(&[&["a.csv", "b.csv"], &flags[..], &["--sequence-bounds", "0/20"]].concat());
    assert_eq!(bounded.of("sequence_gap").len(), 1, "bounds that were said must be covered");
}

/// The greatest numbers of an unsigned column have bounds too: as a flag, and in quotes in a job.
#[test]
fn bounds_of_a_sequence_reach_to_the_last_number() {
    let last = u64::MAX;
    let case = Case::new();
    case.file("data.csv", format!("n\n{}\n{}\n", last - 2, last));
    let (from, until) = (last - 4, u128::from(last) + 1);
    let bounds = format!("{from}/{until}");
    let flags = case.verify(&["data.csv", "--key", "n", "--sequence", "n", "--sequence-bounds", &bounds]);
    let text = format!(
        "[[stream]]\noriginal = 'data.csv'\nkey = ['n']\nsequence = 'n'\nsequence_bounds = {{ from = '{from}', until = '{until}' }}\n"
    );
    for run in [flags, job(&case, &text)] {
        let found: Vec<(i128, i128)> = run
            .table("gaps")
            .iter()
            .map(|row| {
                (row["from_sequence"].as_deref().unwrap().parse().unwrap(), row["until_sequence"].as_deref().unwrap().parse().unwrap())
            })
            .collect();
        let last = i128::from(last);
        assert_eq!(found, [(last - 4, last - 2), (last - 1, last)]);
    }
    let beyond = case.run(&["verify", "data.csv", "--key", "n", "--sequence", "n", "--sequence-bounds", "0/18446744073709551617"]);
    assert_eq!(beyond.code, Some(2), "{}", beyond.stderr);
}

#[test]
fn rows_that_stand_for_ranges_cover_them() {
    let data = "id,first_id,last_id\n1,0,9\n2,10,24\n3,30,39\n4,35,44\n5,18446744073709551614,18446744073709551615\n";
    let verified = verify(data, &["--key", "id", "--sequence", "first_id,last_id", "--sequence-bounds", "0/"]);
    let gaps: Vec<(i128, i128)> = verified.of("sequence_gap").into_iter().map(crate::support::Finding::sequence_range).collect();
    assert_eq!(gaps, [(25, 30), (45, 18_446_744_073_709_551_614)]);
    let copies: Vec<(i128, i128)> = verified.of("sequence_duplicate").into_iter().map(crate::support::Finding::sequence_range).collect();
    assert_eq!(copies, [(35, 40)]);
}

/// Every edge of a fill: begin and end, gap, overlap and exact, with what the overlap holds.
#[test]
fn seams_are_told_edge_by_edge() {
    let hours = |hours: &[i64], changed: &[i64]| {
        let mut text = String::from("at,v\n");
        hours.iter().for_each(|h| {
            writeln!(text, "{},{}", iso(at("2024-05-06T00:00:00Z") + h * HOUR), if changed.contains(h) { -1 } else { *h }).expect("text")
        });
        text
    };
    let live: Vec<i64> = (0..10).chain(16..24).chain(30..40).collect();
    for (again, expected) in [
        ((10..16).chain(24..30).collect::<Vec<i64>>(), vec!["begin exact", "end exact", "begin exact", "end exact"]),
        ((8..15).chain(26..33).collect(), vec!["begin overlap 2 0", "end gap", "begin gap", "end overlap 2 1"]),
        // One long run over everything.
        ((5..35).collect(), vec!["begin overlap 5 0", "end overlap 7 1", "begin overlap 7 1", "end overlap 4 1"]),
        (vec![12], vec!["begin gap", "end gap"]),
    ] {
        let case = Case::new();
        case.file("live.csv", hours(&live, &[])).file("again.csv", hours(&again, &[20, 31]));
        let flags =
            ["--mode", "fill", "--key", "at", "--time", "at", "--cadence", "1h", "--from", "2024-05-06", "--until", "2024-05-07T16:00:00Z"];
        let verified = case.verify(&[&["live.csv", "again.csv"], &flags[..]].concat());
        let found: Vec<String> = verified
            .table("seams")
            .iter()
            .map(|seam| {
                let cell = |name: &str| seam[name].clone().unwrap_or_default();
                let keys = if cell("kind") == "overlap" {
                    format!(" {} {}", cell("identical_keys"), cell("conflicting_keys"))
                } else {
                    String::new()
                };
                format!("{} {}{keys}", cell("edge"), cell("kind"))
            })
            .collect();
        assert_eq!(found, expected, "{again:?}");
        let gaps = verified.table("seams").iter().filter(|seam| seam["kind"].as_deref() == Some("gap")).count();
        assert_eq!(gaps > 0, !verified.of("gap").is_empty(), "an edge that does not join is a gap of the recovered stream");
    }
}

/// Random order makes islands of rows; whatever the order, the spans are the same.
#[test]
fn more_spans_than_are_kept_are_collected_again_in_order() {
    let mut rng = StdRng::seed_from_u64(3);
    // A million rows in random order need not be kept apart: half of this many pass through a quarter of them.
    let mut rows: Vec<i64> = (0..4_300_000_i64).filter(|row| *row != 1_234_567).collect();
    rows.shuffle(&mut rng);
    let times = arrow::array::TimestampSecondArray::from(rows.iter().map(|row| 1_700_000_000 + row).collect::<Vec<_>>());
    let batch = crate::support::batch(vec![
        ("at", std::sync::Arc::new(times) as arrow::array::ArrayRef),
        ("n", std::sync::Arc::new(arrow::array::Int64Array::from(rows)) as arrow::array::ArrayRef),
    ]);
    let case = Case::new();
    case.parquet("data.parquet", &batch);
    let flags = ["data.parquet", "--keyless", "--time", "at", "--sequence", "n", "--cadence", "1s", "--threads", "1"];
    let verified = case.verify(&flags);
    assert_eq!(
        verified.of("sequence_gap").into_iter().map(crate::support::Finding::sequence_range).collect::<Vec<_>>(),
        [(1_234_567, 1_234_568)]
    );
    assert_eq!(verified.of("gap").len(), 1);
    assert_eq!(checks(&verified), BTreeSet::from(["gap", "sequence_gap", "bounds_inferred"]));
    assert_eq!(verified.table("spans").len(), 4);
}

/// Everything that the first pass keeps for these questions merges: the same findings for any order, split, number of threads and batch size.
#[test]
fn the_findings_are_the_same_however_the_run_is_cut() {
    let mut rng = StdRng::seed_from_u64(17);
    let start = at("2024-05-06T00:00:00Z");
    let mut rows: Vec<String> = Vec::new();
    for device in 0..3_i64 {
        for n in 0..400_i64 {
            // A counter of steps of three that starts again; some rows are late, some are gone, some numbers are off the steps.
            if (60..70).contains(&n) || n % 97 == 13 {
                continue;
            }
            let number = (n % 250) * 3 + i64::from(n == 333);
            let late = if n % 41 == 5 { 2 * HOUR } else { 1_000_000 };
            let time = start + n * 60_000_000 + device;
            rows.push(format!("d{device},{},{},{number}", iso(time), iso(time + late)));
        }
    }
    let job = r#"
        [[stream]]
        original = "data/*.csv"
        key = ["device", "at"]
        time = "at"
        series = ["device"]
        sequence = "n"
        sequence_step = 3
        cadence = "learn"
        window = "1h"
        bounds = { from = "2024-05-06T00:00:00Z", until = "2024-05-06T07:00:00Z" }
        [stream.continuity]
        expect = { rows = 60 }
        ingest_time = "arrived"
        grace = "30m"
        calendar = { hours = "00:00-06:30" }
        maintenance = [{ from = "2024-05-06T01:03:00Z", until = "2024-05-06T01:05:00Z" }]
        "#;
    let mut seen = BTreeSet::new();
    for (threads, batch, files) in [("1", "8192", 1), ("3", "8192", 5), ("2", "7", 2), ("4", "64", 9)] {
        rows.shuffle(&mut rng);
        let case = Case::new();
        for (index, part) in rows.chunks(rows.len().div_ceil(files)).enumerate() {
            case.file(&format!("data/{index}.csv"), format!("device,at,arrived,n\n{}\n", part.join("\n")));
        }
        case.file("gapless.toml", job);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(["verify", "--job", "gapless.toml", "--format", "json", "--threads", threads]);
        command.current_dir(case.path("")).env("GAPLESS_BATCH_SIZE", batch);
        let run = crate::support::finish(command, std::time::Duration::from_secs(120));
        let summary: serde_json::Value = serde_json::from_str(&run.stdout).expect(&run.stderr);
        let report = case.path(summary["report"].as_str().expect("a report"));
        let findings = crate::support::read_findings(&report.join("findings.parquet"));
        let kinds: BTreeSet<&str> = findings.iter().map(|finding| finding.check.as_str()).collect();
        for check in
            ["gap", "low_window", "late_row", "sequence_reset", "sequence_invalid", "sequence_gap", "cadence_learned", "window_pending"]
        {
            assert!(kinds.contains(check), "{check} is not in {kinds:?}");
        }
        let mut shown = findings.iter().map(|finding| format!("{finding:?}\n")).collect::<String>();
        for table in ["gaps", "spans", "windows"] {
            shown.push_str(&format!("{:?}\n", crate::support::read_table(&report.join(format!("{table}.parquet")))));
        }
        seen.insert(shown);
    }
    assert_eq!(seen.len(), 1, "the same findings to the byte");
}

/// Series that are listed, as text, as numbers, and in quotes.
#[test]
fn listed_series_are_compared_as_they_are_written() {
    let case = Case::new();
    case.file("data.csv", "device,site,at\n7,north,2024-05-06\n8,\"a, b\",2024-05-06\n9,south,2024-05-06\n");
    case.file("list.csv", "site,note,device\nnorth,x,7\n\"a, b\",\"say \"\"hi\"\"\",8\nwest,,10\n");
    let verified = case.verify(&["data.csv", "--key", "device", "--time", "at", "--series", "device,site", "--expect-series", "list.csv"]);
    let missing: Vec<_> = verified.of("missing_series").iter().map(|f| f.series.clone().unwrap()).collect();
    assert_eq!(missing, [r#"{"device":"10","site":"west"}"#]);
    let unexpected: Vec<_> = verified.of("unexpected_series").iter().map(|f| f.series.clone().unwrap()).collect();
    assert_eq!(unexpected, [r#"{"device":9,"site":"south"}"#]);
    for (list, words) in
        [("device\n7\n", "no column 'site'"), ("site,device\n", "lists no series"), ("site,device\nnorth\n", "1 cells under 2 columns")]
    {
        case.file("list.csv", list);
        let run =
            case.run(&["verify", "data.csv", "--key", "device", "--time", "at", "--series", "device,site", "--expect-series", "list.csv"]);
        run.assert_error(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

/// What cannot be meant is refused with the flag that said it.
#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let case = Case::new();
    case.file("data.csv", "a,b,at\n1,1,2024-05-06\n");
    for (flags, words) in [
        (&["--expect", "profile"][..], "no window"),
        (&["--window", "1h", "--expect", "rows=0"], "fewer than 0"),
        (&["--window", "1h", "--expect", "like_original"], "needs two sides"),
        (&["--window", "1h", "--expect", "often"], "'often' is not known"),
        (&["--cadence", "learn", "--max-silence", "5m"], "a learned cadence"),
        (&["--cadence", "1mo", "--max-silence", "5d"], "shorter than the cadence"),
        (&["--cadence", "0mo"], "not a positive"),
        (&["--sequence-step", "2"], "no sequence"),
        (&["--sequence", "a", "--sequence-step", "0"], "not a step"),
        (&["--sequence", "a,b", "--sequence-step", "2"], "every number of it"),
        (&["--sequence", "a,b,at"], "one column, or two"),
        (&["--sequence", "a", "--sequence-kind", "log"], "'log' is not known"),
        (&["--sequence", "a", "--payload-sequence", "b"], "kafka_offset"),
        (&["--sequence", "a", "--sequence-bounds", "5"], "no '/'"),
        (&["--sequence", "a", "--sequence-bounds", "7/5"], "not before"),
        (&["--maintenance", "2024-05-06/"], "not a point in time"),
        (&["--grace", "soon"], "not a duration"),
        (&["--ingest-time", "at"], "no window"),
        (&["--ingest-time", "a", "--window", "1h"], "is a timestamp"),
        (&["--payload-sequence", "at", "--sequence", "a", "--sequence-kind", "kafka_offset"], "whole number"),
    ] {
        let run = case.run(&[&["verify", "data.csv", "--key", "a", "--time", "at"], flags].concat());
        run.assert_error(2);
        assert!(run.stderr.contains(words), "{flags:?}: {}", run.stderr);
    }
}

/// A series that cannot be held at once is learned from stretch by stretch, and comes to the same.
#[test]
fn a_long_series_is_learned_in_stretches() {
    let start = at("2024-05-06T00:00:00Z");
    let mut time = start;
    let mut times = Vec::new();
    for row in 0..120_000_i64 {
        // Every two seconds, and from the middle on every second; three holes, one of them where nobody would cut.
        time += if row < 60_000 { 2_000_000 } else { 1_000_000 };
        if !(20_000..20_050).contains(&row) && !(59_000..59_003).contains(&row) && !(100_000..100_007).contains(&row) {
            times.push(time);
        }
    }
    let array = arrow::array::TimestampMicrosecondArray::from(times);
    let case = Case::new();
    case.parquet("data.parquet", &crate::support::batch(vec![("at", std::sync::Arc::new(array) as arrow::array::ArrayRef)]));
    let mut seen = Vec::new();
    for memory in ["16MiB", "1GiB"] {
        let verified = case.verify(&["data.parquet", "--key", "at", "--time", "at", "--cadence", "learn", "--memory", memory]);
        let changes: Vec<Option<i64>> = verified.of("cadence_changed").iter().map(|change| change.from_time).collect();
        assert_eq!(changes.len(), 1, "{memory}");
        let rows: Vec<Option<i64>> = verified.of("gap").iter().map(|gap| gap.rows).collect();
        assert_eq!(rows, [Some(50), Some(3), Some(7)], "{memory}");
        seen.push(ranges(&verified, "gap"));
    }
    assert_eq!(seen[0], seen[1]);
}

/// What is planned for each week is no gap, by the wall clock of its zone, over both changes of the clocks; and only between its ends, where it has some.
#[test]
fn maintenance_that_comes_each_week_is_planned() {
    let start = at("2022-10-20T00:00:00Z");
    let until = at("2022-11-20T00:00:00Z");
    let zone = Tz::America__New_York;
    // Sundays from 02:00 to 03:00 on the wall; on 6 November clocks go back at 02:00, which comes once.
    let planned = |time: i64| {
        let moment = zone.from_utc_datetime(&DateTime::<Utc>::from_timestamp_micros(time).unwrap().naive_utc());
        moment.weekday() == chrono::Weekday::Sun && moment.hour() == 2
    };
    let minutes: Vec<i64> = (start..until).step_by(60_000_000).filter(|time| !planned(*time)).collect();
    let lost = at("2022-11-09T10:00:00Z")..at("2022-11-09T10:30:00Z");
    let data = rows_at(minutes.into_iter().filter(|time| !lost.contains(time)));
    let flags = ["--key", "at", "--time", "at", "--cadence", "1m", "--from", "2022-10-20T00:00:00Z", "--until", "2022-11-20T00:00:00Z"];
    let without = verify(&data, &flags);
    assert_eq!(without.total("gap"), 5, "four Sundays and the loss");
    let with = verify(&data, &[&flags[..], &["--maintenance", "sun 02:00-03:00", "--time-zone", "America/New_York"]].concat());
    assert_eq!(shown(&ranges(&with, "gap")), ["2022-11-09T10:00:00Z 2022-11-09T10:30:00Z"]);
    let of = |verified: &Verified| {
        let planned = verified.table("gaps").into_iter().filter(|row| row["status"].as_deref() == Some("planned"));
        planned.map(|row| at(row["from_time"].as_deref().unwrap())).collect::<Vec<_>>()
    };
    let sundays = ["2022-10-23T06:00:00Z", "2022-10-30T06:00:00Z", "2022-11-06T07:00:00Z", "2022-11-13T07:00:00Z"];
    assert_eq!(of(&with), sundays.map(at));
    // In a job, with a zone of its own and an end.
    let case = Case::new();
    case.file("data.csv", &data);
    let text = |maintenance: &str| {
        format!(
            "[[stream]]\noriginal = \"data.csv\"\nkey = [\"at\"]\ntime = \"at\"\ncadence = \"1m\"\nbounds = {{ from = \"2022-10-20T00:00:00Z\", until = \"2022-11-20T00:00:00Z\" }}\n[stream.continuity]\nmaintenance = [{maintenance}]\n"
        )
    };
    let ended = job(
        &case,
        &text("{ weekly = \"sun 02:00-03:00\", time_zone = \"America/New_York\", until = \"2022-11-01T00:00:00Z\", reason = \"backups\" }"),
    );
    assert_eq!((of(&ended), ended.total("gap")), (sundays[..2].iter().map(|time| at(time)).collect(), 3));
    for (wrong, words) in [
        ("{ weekly = \"someday 02:00-03:00\" }", "not a day of the week"),
        ("{ weekly = \"sun 2-3\" }", "not a time of day"),
        ("{ from = \"2022-11-01T00:00:00Z\" }", "two ends"),
        ("{ from = \"2022-11-01T00:00:00Z\", until = \"2022-11-02T00:00:00Z\", time_zone = \"Europe/Berlin\" }", "comes each week"),
        ("{}", "two ends"),
    ] {
        case.file("gapless.toml", text(wrong));
        let run = case.run(&["verify", "--job", "gapless.toml"]);
        run.assert_error(2);
        assert!(run.stderr.contains(words), "{wrong}: {}", run.stderr);
    }
}

/// A sequence of two columns starts again as one of one column does: each counter has gaps of its own, and the reset is told once.
#[test]
fn ranges_of_numbers_that_start_again_are_a_reset() {
    let start = at("2024-05-06T00:00:00Z");
    let csv = |ranges: &[(i64, i64)]| {
        let mut text = String::from("id,at,first,last\n");
        for (row, (first, last)) in ranges.iter().enumerate() {
            writeln!(text, "{row},{},{first},{last}", iso(start + row as i64 * 60_000_000)).expect("text");
        }
        text
    };
    let flags = ["--key", "id", "--time", "at", "--sequence", "first,last"];
    let verified = verify(&csv(&[(100, 109), (110, 119), (125, 129), (1, 4), (5, 9), (12, 15)]), &flags);
    let resets: Vec<_> = verified.of("sequence_reset").iter().map(|reset| reset.sequence_range()).collect();
    assert_eq!(resets, [(129, 1)]);
    let mut gaps: Vec<_> = verified.of("sequence_gap").iter().map(|gap| gap.sequence_range()).collect();
    gaps.sort_unstable();
    assert_eq!(gaps, [(10, 12), (120, 125)]);
    assert_eq!((verified.total("sequence_regression"), verified.total("sequence_duplicate")), (0, 0));
    // The same numbers twice, each by a counter of its own.
    let twice = verify(&csv(&[(0, 9), (10, 19), (0, 9), (10, 19), (20, 29)]), &flags);
    assert_eq!((twice.total("sequence_reset"), twice.total("sequence_duplicate"), twice.total("sequence_gap")), (1, 0, 0));
    // A block that came again later is none; a range that ends before it begins belongs to no counter.
    let again = verify(&csv(&[(0, 9), (10, 19), (0, 9), (20, 29)]), &flags);
    assert_eq!((again.total("sequence_reset"), again.total("sequence_regression"), again.total("sequence_duplicate")), (0, 1, 1));
    let inverted = verify(&csv(&[(10, 19), (20, 29), (9, 3), (0, 9), (10, 19)]), &flags);
    assert_eq!((inverted.total("sequence_reset"), inverted.total("sequence_invalid")), (1, 1));
}

//! Real data with real gaps, duplicates and restatements, against truth files that were computed twice with other tools.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Case, Verified, at, iso, plain, read_csv, shared};

const SECOND: i64 = 1_000_000;

fn truth(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("TRUTH.json")).expect("TRUTH.json")).expect("JSON")
}

fn lines(path: PathBuf) -> Vec<Vec<String>> {
    read_csv(&path, b',').1
}

/// Compares findings with the three truth files of a pair: lost keys, added keys, and every changed cell with both values.
#[track_caller]
fn assert_pair(verified: &Verified, folder: &Path, prefix: &str, key: &str, diff: &Value, date: &dyn Fn(&str) -> String) {
    let listed = |name: &str| -> Vec<String> {
        let mut all: Vec<_> = lines(folder.join(format!("{prefix}.{name}.csv"))).into_iter().map(|row| date(&row[0])).collect();
        all.sort();
        all
    };
    assert_eq!(verified.keys("missing_key", key), listed("missing_in_right"), "lost keys");
    assert_eq!(verified.keys("unexpected_key", key), listed("extra_in_right"), "added keys");
    let number = |text: &str| -> String { format!("{:?}", text.parse::<f64>().expect("a number")) };
    let mut wanted: Vec<_> = lines(folder.join(format!("{prefix}.mismatched_cells.csv")))
        .into_iter()
        .map(|row| (date(&row[0]), row[1].clone(), number(&row[2]), number(&row[3])))
        .collect();
    wanted.sort();
    let found: Vec<_> = verified
        .mismatches(key)
        .into_iter()
        .map(|(k, column, o, b)| (k, column, number(&o.expect("a value")), number(&b.expect("a value"))))
        .collect();
    assert_eq!(found, wanted, "changed cells");
    let count = |name: &str| diff[name].as_i64();
    assert_eq!(verified.count("original_rows"), count("left_rows"));
    assert_eq!(verified.count("backfill_rows"), count("right_rows"));
    assert_eq!(verified.count("missing_keys"), count("missing_in_right"));
    assert_eq!(verified.count("unexpected_keys"), count("extra_in_right"));
    assert_eq!(verified.count("mismatched_keys"), count("rows_mismatched_text"));
    assert_eq!(verified.total("value_mismatch"), count("cells_mismatched_text").expect("a count"));
    assert_eq!(verified.count("duplicate_keys"), Some(0));
    let kept = count("left_rows").expect("rows") - count("missing_in_right").expect("rows") - count("rows_mismatched_text").expect("rows");
    assert_eq!(verified.count("matched_keys"), Some(kept));
    verified.assert_fail();
}

/// The gaps of a truth file as [`gap`](Verified) has them: from one cadence after the last row to the next row.
fn gaps_of(series: &Value) -> BTreeMap<(i64, i64), i64> {
    let cadence = series["cadence_s"].as_i64().expect("a cadence") * SECOND;
    series["gaps"]
        .as_array()
        .expect("gaps")
        .iter()
        .map(|gap| ((at(&plain(&gap["after"])) + cadence, at(&plain(&gap["before"]))), gap["missing_slots"].as_i64().expect("slots")))
        .collect()
}

/// The gaps that were found on a side in one series (`Null` where there are none), with their estimates from the table of gaps.
fn gaps_found(verified: &Verified, side: &str, column: &str, series: Option<&str>) -> BTreeMap<(i64, i64), i64> {
    let listed: BTreeSet<(i64, i64)> = verified
        .of("gap")
        .into_iter()
        .filter(|f| f.side.as_deref() == Some(side) && series.is_none_or(|name| f.series_object()[column] == name))
        .map(crate::support::Finding::time_range)
        .collect();
    let mut all = BTreeMap::new();
    for row in verified.table("gaps") {
        let cell = |name: &str| row[name].clone().unwrap_or_else(|| panic!("{name} in {row:?}"));
        let mine = series.is_none_or(|name| serde_json::from_str::<Value>(&cell("series")).expect("JSON")[column] == name);
        if cell("side") == side && cell("kind") == "time" && mine {
            let range = (at(&cell("from_time")), at(&cell("until_time")));
            assert!(listed.contains(&range), "the table of gaps and the findings agree: {row:?}");
            all.insert(range, cell("missing_estimate").parse().expect("an estimate"));
        }
    }
    assert_eq!(all.len(), listed.len(), "the table of gaps and the findings agree");
    all
}

#[test]
fn vix_was_restated_in_129_cells() {
    let Some(folder) = shared("data/real/vix_revision") else { return };
    let (original, revised) = (folder.join("original.csv"), folder.join("revised.csv"));
    let sides = [original.to_str().expect("UTF-8"), revised.to_str().expect("UTF-8")];
    let diff = &truth(&folder)["diff"];
    // The dates are written as in America; as text they are keys as good as any.
    let text = Case::new().verify(&[&sides[..], &["--key", "DATE", "--opt", "columns=DATE:text"]].concat());
    assert_pair(&text, &folder, "TRUTH", "DATE", diff, &str::to_owned);
    // And as dates, with the format said.
    let day = |text: &str| chrono::NaiveDate::parse_from_str(text, "%m/%d/%Y").expect("a date").to_string();
    let dates =
        Case::new().verify(&[&sides[..], &["--key", "DATE", "--opt", "columns=DATE:date", "--opt", "time_format=%m/%d/%Y"]].concat());
    assert_pair(&dates, &folder, "TRUTH", "DATE", diff, &day);
}

#[test]
fn natural_gas_withdrew_six_days() {
    let Some(folder) = shared("data/real/natural_gas_revision") else { return };
    let (original, revised) = (folder.join("original.csv"), folder.join("revised.csv"));
    let sides = [original.to_str().expect("UTF-8"), revised.to_str().expect("UTF-8")];
    for flags in [&["--key", "Date"][..], &["--key", "Date", "--opt", "columns=Date:text"]] {
        let verified = Case::new().verify(&[&sides[..], flags].concat());
        assert_pair(&verified, &folder, "TRUTH", "Date", &truth(&folder)["diff"], &str::to_owned);
    }
}

#[test]
fn wikipedia_outliers_are_the_changed_cells() {
    let Some(folder) = shared("data/real/wikipedia_daily") else { return };
    let truth = truth(&folder);
    for pair in ["outliers1", "outliers2"] {
        let diff = &truth[format!("pair_{pair}")];
        let (left, right) = (folder.join(plain(&diff["left"])), folder.join(plain(&diff["right"])));
        let verified = Case::new().verify(&[
            left.to_str().expect("UTF-8"),
            right.to_str().expect("UTF-8"),
            "--key",
            "ds",
            "--time",
            "ds",
            "--cadence",
            "1d",
        ]);
        // Keys are dates; the pair has them under one another's order.
        assert_pair(&verified, &folder, &format!("TRUTH_{pair}"), "ds", diff, &str::to_owned);
        for (side, name) in [("original", plain(&diff["left"])), ("backfill", plain(&diff["right"]))] {
            let series = &truth["series"][name.trim_end_matches(".csv")];
            assert_eq!(gaps_found(&verified, side, "", None), gaps_of(series), "{pair} {side}");
        }
    }
    // One side alone.
    let series = &truth["series"]["example_wp_log_peyton_manning"];
    let file = folder.join("example_wp_log_peyton_manning.csv");
    let verified = Case::new().verify(&[file.to_str().expect("UTF-8"), "--key", "ds", "--time", "ds", "--cadence", "1d"]);
    assert_eq!(gaps_found(&verified, "original", "", None), gaps_of(series));
    assert_eq!(verified.count("gaps"), series["gap_count"].as_i64());
    assert_eq!(verified.count("original_rows"), series["rows"].as_i64());
    assert_eq!((verified.count("matched_keys"), verified.count("missing_keys")), (None, None), "nothing was compared");
}

#[test]
fn nab_series_have_their_gaps_and_one_replay() {
    let Some(folder) = shared("data/real/nab") else { return };
    for (file, series) in truth(&folder)["series"].as_object().expect("series") {
        let cadence = format!("{}s", series["cadence_s"]);
        let path = folder.join(file);
        let verified =
            Case::new().verify(&[path.to_str().expect("UTF-8"), "--key", "timestamp", "--time", "timestamp", "--cadence", &cadence]);
        assert_eq!(verified.count("original_rows"), series["rows"].as_i64(), "{file}");
        assert_eq!(gaps_found(&verified, "original", "", None), gaps_of(series), "{file}");
        assert_eq!(verified.count("gaps"), series["gap_count"].as_i64(), "{file}");
        let missing: i64 = gaps_found(&verified, "original", "", None).values().sum();
        assert_eq!(Some(missing), series["missing_slots_on_grid"].as_i64(), "{file}");
        // A row replayed with another value: copies of one key that disagree.
        let duplicates: Vec<(String, i64)> = series["duplicate_timestamps"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| (plain(&entry["ts"]), entry["count"].as_i64().expect("a count") - 1))
            .collect();
        let found: Vec<(String, i64)> =
            verified.of("duplicate_key").iter().map(|f| (plain(&f.key_value("timestamp")), f.rows.expect("rows"))).collect();
        assert_eq!(found, duplicates, "{file}");
        let conflicts = verified.of("duplicate_key").iter().filter(|f| f.kind.as_deref() == Some("conflict")).count();
        assert_eq!(Some(conflicts as i64), series["duplicate_groups_with_different_values"].as_i64(), "{file}");
        // The span table covers what the gaps leave, from the first row to the last.
        let spans = verified.table("spans");
        assert_eq!(spans.len() as i64, series["gap_count"].as_i64().expect("a count") + 1, "{file}");
        let first = spans.iter().filter_map(|row| row["from_time"].as_deref().map(at)).min().expect("a span");
        assert_eq!(iso(first), plain(&series["first"]), "{file}");
    }
}

#[test]
fn weather_misses_the_hours_that_others_find() {
    let Some(folder) = shared("data/real/nycflights13") else { return };
    let truth = truth(&folder);
    let weather = folder.join("weather.csv");
    let path = weather.to_str().expect("UTF-8");
    let flags = [
        "--key",
        "origin,time_hour",
        "--time",
        "time_hour",
        "--series",
        "origin",
        "--window",
        "1h",
        "--cadence",
        "1h",
        "--opt",
        "null_values=NA,",
    ];
    let verified = Case::new().verify(&[&[path, path], &flags[..]].concat());
    let airports = ["EWR", "JFK", "LGA"];
    let rows: i64 = airports.iter().map(|airport| truth["weather"][airport]["rows"].as_i64().expect("rows")).sum();
    assert_eq!(verified.count("matched_keys"), Some(rows), "the key comparison passes");
    for check in ["missing_key", "unexpected_key", "value_mismatch", "duplicate_key"] {
        assert_eq!(verified.total(check), 0, "{check}");
    }
    let mut gaps = 0;
    let mut hours = BTreeSet::new();
    for side in ["original", "backfill"] {
        for airport in airports {
            let found = gaps_found(&verified, side, "origin", Some(airport));
            assert_eq!(found, gaps_of(&truth["weather"][airport]), "{airport} {side}");
            gaps += found.len() as i64;
            for (from, until) in found.keys() {
                hours.extend((*from..*until).step_by(3_600 * SECOND as usize).map(|hour| (airport.to_owned(), iso(hour))));
            }
        }
    }
    assert_eq!(verified.count("gaps"), Some(gaps));
    // The list that the truth has hour by hour is the hours of the ranges on the range that all airports share.
    let listed: BTreeSet<(String, String)> =
        lines(folder.join("TRUTH_weather_missing_hours.csv")).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(hours, listed);
    verified.assert_fail();

    // The local hour that comes twice in autumn makes a key of local columns collide, once an airport.
    let local = Case::new().verify(&[path, "--key", "origin,year,month,day,hour", "--opt", "null_values=NA,"]);
    let found: BTreeSet<Vec<String>> = local.of("duplicate_key").iter().map(|f| f.key_object().values().map(plain).collect()).collect();
    let wanted: BTreeSet<Vec<String>> = truth["weather_duplicate_local_keys"]["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row.as_array().expect("a row").iter().take(5).map(plain).collect())
        .collect();
    assert_eq!(found, wanted);

    // Candidate keys of the flights: as many keys with copies as the truth says.
    let flights = folder.join("flights.parquet");
    let flights = flights.to_str().expect("UTF-8");
    for (key, copies) in truth["flight_candidate_keys"].as_object().expect("keys") {
        let verified = Case::new().verify(&[flights, "--key", key, "--max-findings", "100"]);
        assert_eq!(verified.count("original_rows"), truth["joins"]["flights_rows"].as_i64());
        assert_eq!(verified.count("duplicate_keys"), copies.as_i64(), "{key}: keys with copies, NULL tail numbers among them");
    }
}

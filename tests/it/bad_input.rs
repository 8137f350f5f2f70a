//! Bad input: each gets one clear error with the place and the next step, exit code 2 or 3, and nothing half-written.
//!
//! The texts are snapshots, because they are read by a tired person at night: what was tried, on what, and what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type};

use crate::support::{Case, batch, finish};

/// Five rows of orders, as most cases need them.
const ORDERS: &str = "order_id,event_time,region,amount\n\
    1,2024-05-06T00:00:00Z,eu,10.50\n\
    2,2024-05-06T00:00:01Z,eu,11.00\n\
    3,2024-05-06T00:00:02Z,us,12.25\n\
    4,2024-05-06T00:00:03Z,us,13.00\n\
    5,2024-05-06T00:00:04Z,us,14.75\n";

/// The same as a batch.
fn orders() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=5));
    let times: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..5).map(|n| 1_714_953_600_000_000 + n * 1_000_000)).with_timezone("UTC"));
    let regions: ArrayRef = Arc::new(StringArray::from(vec!["eu", "eu", "us", "us", "us"]));
    let amounts: ArrayRef = Arc::new(Float64Array::from(vec![10.5, 11.0, 12.25, 13.0, 14.75]));
    batch(vec![("order_id", ids), ("event_time", times), ("region", regions), ("amount", amounts)])
}

fn csv_case() -> Case {
    let case = Case::new();
    case.file("orders.csv", ORDERS);
    case
}

/// Words of the libraries underneath, and excuses: none of them belongs into a message.
const FOREIGN: [&str; 8] =
    ["DataFusion", "RuntimeEnv", "ParserError(", "AggregateFunction", "defect of gapless", "Internal error", "panicked", ".tmp"];

/// The refusals of one test, judged together when it ends: one report of all texts that are wrong is worth more than the first.
#[derive(Default)]
struct Refusals {
    wrong: std::cell::RefCell<Vec<String>>,
}

impl Drop for Refusals {
    fn drop(&mut self) {
        let wrong = self.wrong.borrow();
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "{} refusals are wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
        }
    }
}

impl Refusals {
    /// Runs `gapless ARGS` and insists on a refusal whose text is the snapshot `name`: see [`refusal`].
    fn refused(&self, case: &Case, name: &str, args: &[&str]) {
        let text = match refusal(case, args) {
            Ok(text) => text,
            Err(what) => return self.wrong.borrow_mut().push(format!("{name}: {what}")),
        };
        for word in FOREIGN {
            if text.contains(word) {
                self.wrong.borrow_mut().push(format!("{name}: '{word}' says nothing to a user: {text}"));
            }
        }
        // The text goes by its name alone: the place in this file that took it is of no interest to a reader.
        let outcome = std::panic::catch_unwind(|| {
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(format!("bad_input__{name}"), text);
            });
        });
        if outcome.is_err() {
            self.wrong.borrow_mut().push(format!("{name}: another text than the snapshot"));
        }
    }

    /// Insists on words that a text must have, so that a snapshot cannot make a habit of a poor one.
    fn says(&self, case: &Case, args: &[&str], words: &[&str]) {
        if let Ok(text) = refusal(case, args) {
            for word in words {
                if !text.contains(word) {
                    self.wrong.borrow_mut().push(format!("'{word}' is not said: {text}"));
                }
            }
        }
    }

    /// The same for `verify orders.csv orders.csv --key order_id FLAGS`.
    fn refused_flags(&self, name: &str, flags: &[&str]) {
        let case = csv_case();
        self.refused(&case, name, &[&["verify", "orders.csv", "orders.csv", "--key", "order_id"], flags].concat());
    }
}

/// The text of a refusal: exit 2 with an error line, a next step and no report; or, where reading stopped on the way, exit 3 with an incomplete verdict and its
/// reason (the first lines, because the rest holds times). Anything else is what is wrong, in words.
fn refusal(case: &Case, args: &[&str]) -> Result<String, String> {
    let before = case.runs();
    let run = case.run(args);
    let what = format!("gapless {}\nexit {:?}, signal {:?}\n{}{}", args.join(" "), run.code, run.signal, run.stdout, run.stderr);
    let line = run.stderr.lines().any(|line| line.starts_with("error: "));
    let shown = match run.code {
        _ if run.timed_out || run.panicked() => return Err(what),
        // What the parser of the flags refuses has its own words for the next step.
        Some(2) if !line || !(run.stderr.contains("help: ") || run.stderr.contains("try '--help'")) => {
            return Err(format!("no error line, or no next step: {what}"));
        }
        Some(2) if case.runs() > before || !run.stdout.is_empty() => return Err(format!("an error that leaves a result: {what}")),
        Some(2) => case.redact(&run.stderr),
        Some(3) if !run.stdout.starts_with("INCOMPLETE") => return Err(format!("no incomplete verdict: {what}")),
        Some(3) => case.redact(&run.stdout.lines().take(2).collect::<Vec<_>>().join("\n")),
        _ => return Err(what),
    };
    let half = fs::read_dir(case.dir())
        .expect("the directory")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .find(|n| n.contains("tmp"));
    match half {
        Some(left) => Err(format!("'{left}' is left beside: {what}")),
        None => Ok(format!("$ gapless {}\nexit {}\n{shown}\n", args.join(" "), run.code.unwrap_or(0))),
    }
}

#[test]
fn a_path_that_does_not_exist() {
    let all = Refusals::default();
    let case = csv_case();
    all.refused(&case, "path_missing", &["verify", "orders.csv", "order.csv", "--key", "order_id"]);
    all.refused(&case, "path_missing_original", &["verify", "lake/orders", "orders.csv", "--key", "order_id"]);
    all.refused(&case, "path_missing_single", &["verify", "nowhere.parquet"]);
}

#[test]
fn an_empty_glob_and_an_empty_directory() {
    let all = Refusals::default();
    let case = csv_case();
    all.refused(&case, "glob_empty", &["verify", "orders.csv", "backfill/*.csv", "--key", "order_id"]);
    fs::create_dir(case.path("backfill")).expect("a folder");
    all.refused(&case, "directory_empty", &["verify", "orders.csv", "backfill", "--key", "order_id"]);
}

#[test]
fn a_file_of_no_bytes() {
    let all = Refusals::default();
    for name in ["empty.csv", "empty.parquet", "empty.ndjson", "empty.arrow"] {
        let case = csv_case();
        case.file(name, "");
        all.refused(&case, &format!("no_bytes_{}", name.replace('.', "_")), &["verify", "orders.csv", name, "--key", "order_id"]);
    }
    // One among others in a directory.
    let case = csv_case();
    case.file("parts/a.csv", ORDERS).file("parts/b.csv", "");
    all.refused(&case, "no_bytes_in_directory", &["verify", "orders.csv", "parts", "--key", "order_id"]);
}

#[test]
fn parquet_that_is_none() {
    let all = Refusals::default();
    let case = Case::new();
    case.parquet("orders.parquet", &orders());
    let bytes = fs::read(case.path("orders.parquet")).expect("a file");
    case.file("cut.parquet", &bytes[..bytes.len() - 20]);
    all.refused(&case, "parquet_truncated", &["verify", "orders.parquet", "cut.parquet", "--key", "order_id"]);
    case.file("half.parquet", &bytes[..bytes.len() / 2]);
    all.refused(&case, "parquet_half", &["verify", "half.parquet", "orders.parquet", "--key", "order_id"]);
    case.file("text.parquet", ORDERS);
    all.refused(&case, "parquet_is_text", &["verify", "orders.parquet", "text.parquet", "--key", "order_id"]);
    // One of several files.
    case.parquet("parts/a.parquet", &orders()).file("parts/b.parquet", &bytes[..bytes.len() / 2]);
    all.refused(&case, "parquet_half_in_directory", &["verify", "orders.parquet", "parts", "--key", "order_id"]);
    // The others of their kind.
    case.ipc("orders.arrow", &orders());
    let ipc = fs::read(case.path("orders.arrow")).expect("a file");
    case.file("cut.arrow", &ipc[..ipc.len() / 2]);
    all.refused(&case, "arrow_truncated", &["verify", "orders.arrow", "cut.arrow", "--key", "order_id"]);
    case.ipc_stream("orders.arrows", &orders());
    let stream = fs::read(case.path("orders.arrows")).expect("a file");
    case.file("cut.arrows", &stream[..stream.len() * 2 / 3]);
    all.refused(&case, "arrow_stream_truncated", &["verify", "orders.arrows", "cut.arrows", "--key", "order_id"]);
    case.file("cut.csv.gz", {
        let whole = crate::support::gzip(ORDERS.as_bytes());
        whole[..whole.len() - 12].to_vec()
    });
    case.file("orders.csv", ORDERS);
    all.refused(&case, "gzip_truncated", &["verify", "orders.csv", "cut.csv.gz", "--key", "order_id"]);
}

#[test]
fn a_directory_that_is_not_one_table() {
    let all = Refusals::default();
    let case = csv_case();
    case.file("mixed/a.csv", ORDERS).parquet("mixed/b.parquet", &orders());
    all.refused(&case, "directory_mixed_formats", &["verify", "orders.csv", "mixed", "--key", "order_id"]);
    case.file("names/a.csv", ORDERS).file("names/b.csv", ORDERS.replace("amount", "price"));
    all.refused(&case, "directory_schemas_disagree", &["verify", "orders.csv", "names", "--key", "order_id"]);
    let other = batch(vec![
        ("order_id", Arc::new(StringArray::from(vec!["a"])) as ArrayRef),
        ("region", Arc::new(StringArray::from(vec!["eu"])) as ArrayRef),
        ("amount", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef),
    ]);
    case.parquet("types/a.parquet", &orders()).parquet("types/b.parquet", &other);
    all.refused(&case, "directory_types_disagree", &["verify", "orders.csv", "types", "--key", "order_id"]);
    case.file("unknown/a.xlsx", "PK");
    all.refused(&case, "format_unknown", &["verify", "orders.csv", "unknown/a.xlsx", "--key", "order_id"]);
}

#[test]
fn csv_that_is_broken() {
    let all = Refusals::default();
    let case = csv_case();
    case.file("long.csv", ORDERS.replace("3,2024", "3,x,2024"));
    all.refused(&case, "csv_ragged_long", &["verify", "orders.csv", "long.csv", "--key", "order_id"]);
    case.file("short.csv", ORDERS.replace(",us,13.00", ",us"));
    all.refused(&case, "csv_ragged_short", &["verify", "orders.csv", "short.csv", "--key", "order_id"]);
    case.file("latin1.csv", [ORDERS.as_bytes(), b"6,2024-05-06T00:00:05Z,M\xfcnchen,1.00\n"].concat());
    all.refused(&case, "csv_not_utf8", &["verify", "orders.csv", "latin1.csv", "--key", "order_id"]);
    case.file("twice.csv", ORDERS.replace("order_id,event_time,region,amount", "order_id,event_time,amount,amount"));
    all.refused(&case, "csv_column_twice", &["verify", "orders.csv", "twice.csv", "--key", "order_id"]);
    all.says(&case, &["verify", "orders.csv", "twice.csv", "--key", "order_id"], &["twice", "'amount'"]);
    case.file("open.csv", format!("{ORDERS}6,2024-05-06T00:00:05Z,\"eu,1.00\n"));
    all.refused(&case, "csv_open_quote", &["verify", "orders.csv", "open.csv", "--key", "order_id"]);
    all.refused(
        &case,
        "csv_value_of_another_type",
        &["verify", "orders.csv", "orders.csv", "--key", "order_id", "--opt", "columns=region:int64"],
    );
    case.file("broken.ndjson", "{\"order_id\":1}\n{\"order_id\":2\n{\"order_id\":3}\n");
    all.refused(&case, "json_broken", &["verify", "orders.csv", "broken.ndjson", "--key", "order_id"]);
    case.file("scalar.json", "42\n");
    all.refused(&case, "json_not_rows", &["verify", "orders.csv", "scalar.json", "--key", "order_id"]);
}

#[test]
fn a_column_that_is_not_there() {
    let all = Refusals::default();
    let case = csv_case();
    for (name, flags) in [
        ("key", &["--key", "oder_id"][..]),
        ("time", &["--key", "order_id", "--time", "event_tme"]),
        ("series", &["--key", "order_id", "--time", "event_time", "--series", "regoin"]),
        ("sequence", &["--key", "order_id", "--sequence", "log_offset"]),
        ("columns", &["--key", "order_id", "--columns", "order_id,amuont"]),
        ("ignore", &["--key", "order_id", "--ignore", "amuont"]),
        ("tolerance", &["--key", "order_id", "--tolerance", "amuont=abs:1"]),
        ("text", &["--key", "order_id", "--text", "regin=trim"]),
        ("mask", &["--key", "order_id", "--mask", "e_mail"]),
        ("rename", &["--key", "order_id", "--backfill-opt", "rename=ts:event_time"]),
        ("types", &["--key", "order_id", "--opt", "columns=amuont:float64"]),
    ] {
        all.refused(&case, &format!("column_missing_{name}"), &[&["verify", "orders.csv", "orders.csv"], flags].concat());
    }
    // There, but on one side only.
    case.file("other.csv", ORDERS.replace("order_id", "id"));
    all.refused(&case, "column_missing_on_one_side", &["verify", "orders.csv", "other.csv", "--key", "order_id"]);
}

#[test]
fn a_key_that_cannot_be_one() {
    let all = Refusals::default();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), Some(vec![Some(2)])]));
    let object: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int64, true)), Arc::clone(&ids))]));
    let case = Case::new();
    case.parquet("rows.parquet", &batch(vec![("id", ids), ("tags", list), ("place", object)]));
    all.refused(&case, "key_is_a_list", &["verify", "rows.parquet", "rows.parquet", "--key", "tags"]);
    all.refused(&case, "key_is_a_struct", &["verify", "rows.parquet", "rows.parquet", "--key", "id,place"]);
    // No set of columns is unique on either side.
    case.file("copies.csv", "a,b\n1,x\n1,x\n2,y\n2,y\n");
    all.refused(&case, "key_not_found", &["verify", "copies.csv", "copies.csv"]);
    case.file("orders.csv", ORDERS);
    all.refused(&case, "key_not_given", &["verify", "orders.csv", "orders.csv", "--no-infer"]);
    all.says(&case, &["verify", "orders.csv", "orders.csv", "--no-infer"], &["--no-infer", "--keyless"]);
    all.refused(&case, "key_and_keyless", &["verify", "orders.csv", "orders.csv", "--key", "order_id", "--keyless"]);
}

#[test]
fn a_time_that_is_none() {
    let all = Refusals::default();
    let case = Case::new();
    case.file("text.csv", "id,at\n1,06.05.2024 00:00\n2,06.05.2024 00:01\n");
    all.refused(&case, "time_is_text", &["verify", "text.csv", "text.csv", "--key", "id", "--time", "at", "--cadence", "1m"]);
    all.refused(
        &case,
        "time_of_another_format",
        &[
            "verify",
            "text.csv",
            "text.csv",
            "--key",
            "id",
            "--time",
            "at",
            "--opt",
            "columns=at:timestamp",
            "--opt",
            "time_format=%Y-%m-%d",
        ],
    );
    case.file("number.csv", "id,at\n1,1714953600\n2,1714953660\n");
    all.refused(&case, "time_is_a_number", &["verify", "number.csv", "number.csv", "--key", "id", "--time", "at"]);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let nulls: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![None, None]));
    let binary: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"a", b"b"]));
    case.parquet("null.parquet", &batch(vec![("id", ids), ("at", nulls), ("raw", binary)]));
    all.refused(&case, "time_all_null", &["verify", "null.parquet", "null.parquet", "--key", "id", "--time", "at"]);
    all.refused(&case, "time_is_binary", &["verify", "null.parquet", "null.parquet", "--key", "id", "--time", "raw"]);
    case.file("zones.csv", "id,at\n1,2024-05-06T00:00:00Z\n2,2024-05-06T01:00:00\n3,2024-05-06T02:00:00Z\n");
    all.refused(&case, "time_zones_mixed", &["verify", "zones.csv", "zones.csv", "--key", "id", "--time", "at"]);
    all.says(&case, &["verify", "zones.csv", "zones.csv", "--key", "id", "--time", "at"], &["offset"]);
    case.file("two.csv", "id,created,updated\n1,2024-05-06T00:00:00Z,2024-05-06T00:00:00Z\n2,2024-05-06T01:00:00Z,2024-05-06T01:00:00Z\n");
    all.refused(&case, "time_ambiguous", &["verify", "two.csv", "two.csv", "--key", "id", "--cadence", "1h"]);
    all.refused(
        &case,
        "time_zone_unknown",
        &["verify", "two.csv", "two.csv", "--key", "id", "--time", "created", "--window", "1d", "--time-zone", "America/New_Yrok"],
    );
    all.refused(
        &case,
        "time_zone_unknown_of_a_side",
        &["verify", "two.csv", "two.csv", "--key", "id", "--time", "created", "--backfill-opt", "time_zone=CEST"],
    );
    // An hour that comes twice.
    case.file("autumn.csv", "id,at\n1,2022-11-06 00:30:00\n2,2022-11-06 01:30:00\n");
    all.refused(
        &case,
        "time_comes_twice",
        &[
            "verify",
            "autumn.csv",
            "autumn.csv",
            "--key",
            "id",
            "--time",
            "at",
            "--opt",
            "time_zone=America/New_York",
            "--opt",
            "ambiguous=error",
        ],
    );
    case.file("spring.csv", "id,at\n1,2022-03-13 01:30:00\n2,2022-03-13 02:30:00\n");
    all.refused(
        &case,
        "time_never_was",
        &[
            "verify",
            "spring.csv",
            "spring.csv",
            "--key",
            "id",
            "--time",
            "at",
            "--opt",
            "time_zone=America/New_York",
            "--opt",
            "ambiguous=error",
        ],
    );
}

#[test]
fn durations_and_bounds() {
    let all = Refusals::default();
    for (name, flags) in [
        ("cadence_zero", &["--time", "event_time", "--cadence", "0s"][..]),
        ("cadence_negative", &["--time", "event_time", "--cadence=-1s"]),
        ("cadence_not_a_duration", &["--time", "event_time", "--cadence", "hourly"]),
        ("cadence_without_unit", &["--time", "event_time", "--cadence", "60"]),
        ("window_zero", &["--time", "event_time", "--window", "0s"]),
        ("window_negative", &["--time", "event_time", "--window=-5m"]),
        ("max_silence_below_cadence", &["--time", "event_time", "--cadence", "1h", "--max-silence", "1m"]),
        ("from_after_until", &["--time", "event_time", "--from", "2024-05-07T00:00:00Z", "--until", "2024-05-06T00:00:00Z"]),
        ("from_equals_until", &["--time", "event_time", "--from", "2024-05-06T00:00:00Z", "--until", "2024-05-06T00:00:00Z"]),
        ("from_not_a_time", &["--time", "event_time", "--from", "yesterday"]),
        ("from_without_time", &["--no-infer", "--from", "2024-05-06T00:00:00Z"]),
        ("outage_backwards", &["--time", "event_time", "--outage", "2024-05-06T02:00:00Z/2024-05-06T01:00:00Z"]),
    ] {
        all.refused_flags(name, flags);
    }
}

#[test]
fn tolerances_and_text_steps() {
    let all = Refusals::default();
    for (name, flags) in [
        ("tolerance_on_text", &["--tolerance", "region=abs:1"][..]),
        ("tolerance_negative", &["--tolerance", "amount=abs:-1"]),
        ("tolerance_not_a_number", &["--tolerance", "amount=abs:little"]),
        ("tolerance_unknown_kind", &["--tolerance", "amount=percent:1"]),
        ("tolerance_duration_on_a_number", &["--tolerance", "amount=1ms"]),
        ("tolerance_number_on_a_time", &["--tolerance", "event_time=abs:1"]),
        ("tolerance_on_the_key", &["--tolerance", "order_id=abs:1"]),
        ("text_unknown_step", &["--text", "region=lower"]),
        ("text_on_a_number", &["--text", "amount=trim"]),
    ] {
        all.refused_flags(name, flags);
    }
}

#[test]
fn rules() {
    let all = Refusals::default();
    for (name, flags) in [
        ("rule_does_not_parse", &["--rule", "positive: amount >="][..]),
        ("rule_unknown_column", &["--rule", "positive: amuont >= 0"]),
        ("rule_not_boolean", &["--rule", "positive: amount + 1"]),
        ("rule_without_name", &["--rule", "amount >= 0"]),
        ("rule_named_like_a_check", &["--rule", "gap: amount >= 0"]),
        ("rule_named_twice", &["--rule", "positive: amount >= 0", "--rule", "positive: amount > 0"]),
        ("rule_is_a_statement", &["--rule", "positive: SELECT 1"]),
        ("rule_with_an_aggregate", &["--rule", "positive: sum(amount) > 0"]),
        ("rule_type_error", &["--rule", "positive: region + amount > 0"]),
    ] {
        all.refused_flags(name, flags);
    }
}

#[test]
fn job_files() {
    let all = Refusals::default();
    let stream = "[[stream]]\nname = \"orders\"\noriginal = \"orders.csv\"\nbackfill = \"orders.csv\"\nkey = [\"order_id\"]\n";
    for (name, job) in [
        ("job_unknown_field", format!("{stream}windwo = \"5m\"\n")),
        ("job_unknown_table", format!("[default]\nwindow = \"5m\"\n\n{stream}")),
        ("job_wrong_type", stream.replace("[\"order_id\"]", "7")),
        ("job_wrong_type_deep", format!("{stream}tolerance = {{ amount = {{ abs = \"little\" }} }}\n")),
        ("job_not_toml", format!("{stream}window = 5m\n")),
        ("job_empty", String::new()),
        ("job_without_original", stream.replace("original = \"orders.csv\"\n", "")),
        ("job_stream_twice", format!("{stream}\n{stream}")),
        ("job_unknown_mode", format!("{stream}mode = \"mirror\"\n")),
        ("job_rule_not_boolean", format!("{stream}\n[[stream.rule]]\nname = \"r\"\nassert = \"amount\"\n")),
        ("job_rule_unknown_severity", format!("{stream}\n[[stream.rule]]\nname = \"r\"\nassert = \"amount > 0\"\nseverity = \"fatal\"\n")),
        ("job_accept_without_reason", format!("{stream}\n[[accept]]\ncheck = \"gap\"\n")),
        ("job_accept_unknown_check", format!("{stream}\n[[accept]]\ncheck = \"gaps\"\nreason = \"r\"\nexpires = \"2030-01-01\"\n")),
        ("job_unknown_side_option", stream.replace("backfill = \"orders.csv\"", "backfill = { path = \"orders.csv\", delimeter = \";\" }")),
        ("job_path_missing", stream.replace("backfill = \"orders.csv\"", "backfill = \"nowhere.csv\"")),
    ] {
        let case = csv_case();
        case.file("gapless.toml", job);
        all.refused(&case, name, &["verify", "--job", "gapless.toml"]);
    }
    let case = csv_case();
    all.refused(&case, "job_missing", &["verify", "--job", "gapless.toml"]);
    case.file("gapless.toml", stream);
    all.refused(&case, "job_unknown_stream", &["verify", "--job", "gapless.toml", "--stream", "order"]);
    all.refused(&case, "no_sides", &["verify"]);
}

#[test]
fn options_of_a_side() {
    let all = Refusals::default();
    for (name, flags) in [
        ("option_unknown", &["--opt", "delimeter=;"][..]),
        ("option_without_value", &["--opt", "header"]),
        ("option_unknown_format", &["--backfill-opt", "format=excel"]),
        ("option_wrong_format", &["--backfill-opt", "format=parquet"]),
        ("option_long_delimiter", &["--opt", "delimiter=;;"]),
        ("option_unknown_type", &["--opt", "columns=amount:money"]),
        ("option_filter_does_not_parse", &["--opt", "filter=amount >"]),
        ("option_filter_unknown_column", &["--opt", "filter=amuont > 1"]),
        ("option_header_not_a_truth", &["--opt", "header=maybe"]),
    ] {
        all.refused_flags(name, flags);
    }
}

#[test]
fn flags_that_say_nothing() {
    let all = Refusals::default();
    for (name, flags) in [
        ("mode_unknown", &["--mode", "mirror"][..]),
        ("digest_unknown", &["--digest", "crc32"]),
        ("fail_on_unknown", &["--fail-on", "info"]),
        ("max_findings_not_a_number", &["--max-findings", "many"]),
        ("threads_zero", &["--threads", "0"]),
        ("memory_not_a_size", &["--memory", "lots"]),
        ("output_unknown_suffix", &["--output", "report.docx"]),
        ("manifest_missing", &["--manifest", "SHA256SUMS"]),
        ("flag_unknown", &["--windows", "1h"]),
    ] {
        all.refused_flags(name, flags);
    }
}

#[test]
fn a_report_directory_that_is_not_writable_or_not_ours() {
    let all = Refusals::default();
    let case = csv_case();
    let args = |report| ["verify", "orders.csv", "orders.csv", "--key", "order_id", "--report", report];
    // Below a file nobody can write, root neither.
    all.refused(&case, "report_below_a_file", &args("orders.csv/report"));
    all.refused(&case, "report_is_a_file", &args("orders.csv"));
    assert_eq!(fs::read_to_string(case.path("orders.csv")).expect("the file"), ORDERS, "the file is as it was");
    case.file("photos/holiday.jpg", "not ours");
    all.refused(&case, "report_not_ours", &args("photos"));
    let kept: Vec<_> = fs::read_dir(case.path("photos")).expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(kept, ["holiday.jpg"], "nothing was written there");
    // An output file below a folder that is not there.
    all.refused(
        &case,
        "output_not_writable",
        &["verify", "orders.csv", "orders.csv", "--key", "order_id", "--output", "no/such/folder/x.json"],
    );
}

/// Two sides of so many rows, all of them different.
fn different(rows: u32) -> Case {
    use std::fmt::Write as _;
    let case = Case::new();
    let csv = |word: &str| {
        (0..rows).fold(String::from("id,v\n"), |mut text, id| {
            writeln!(text, "{id},{word} {id} of a row").expect("memory");
            text
        })
    };
    case.file("original.csv", csv("value")).file("backfill.csv", csv("other"));
    case
}

/// Starts a run, interrupts it after a while, and says how it ended: the exit code, the output, and how long it took to hear.
fn interrupted_after(case: &Case, while_: Duration) -> (std::process::Output, Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(["verify", "original.csv", "backfill.csv", "--key", "id"]).current_dir(case.dir());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the process starts");
    // What was assumed is said before the passes begin: from then on the run is under way.
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut said).expect("a line");
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        let _ = std::io::Read::read_to_string(&mut stderr, &mut rest);
        rest
    });
    std::thread::sleep(while_);
    // Only this child: by its own number.
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]);
    let _ = finish(kill, Duration::from_secs(5));
    let asked = Instant::now();
    let mut output = child.wait_with_output().expect("the process ends");
    output.stderr = format!("{said}{}", rest.join().expect("read")).into_bytes();
    (output, asked.elapsed())
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    // Bigger until the run lasts long enough to be interrupted.
    for rows in [200_000, 800_000, 3_200_000] {
        let case = different(rows);
        let (output, took) = interrupted_after(&case, Duration::from_millis(300));
        if matches!(output.status.code(), Some(0 | 1)) {
            continue; // It was over before it could be interrupted.
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{:?} {stderr}", output.status);
        assert!(took < Duration::from_secs(10), "it ends soon after it is asked: {took:?}");
        assert!(!case.left_a_run(), "no half report");
        assert!(output.stdout.is_empty(), "no verdict: {}", String::from_utf8_lossy(&output.stdout));
        assert!(stderr.contains("interrupted"), "{stderr}");
        return;
    }
    panic!("no run lasted long enough to be interrupted");
}

#[test]
fn an_interrupt_is_heard_while_differences_are_settled() {
    // Settling 300,000 differences is seconds of computing without a pause; the interrupt falls into it at one of these moments.
    let mut heard = 0;
    let case = different(300_000);
    for pause in [100, 300, 600, 1_000] {
        let (output, took) = interrupted_after(&case, Duration::from_millis(pause));
        match output.status.code() {
            Some(130) => {
                heard += 1;
                assert!(!case.left_a_run(), "no half report");
            }
            // A run that was at its very end may still end as it would have; later pauses say no more.
            Some(0 | 1) => {
                assert!(took < Duration::from_secs(2), "asked to stop after {pause} ms, it went on for {took:?} and left a report");
                break;
            }
            other => panic!("exit {other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
        assert!(took < Duration::from_secs(5), "asked to stop after {pause} ms, it took {took:?}");
    }
    assert!(heard > 0, "no interrupt was in time to be heard");
}

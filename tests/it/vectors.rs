//! The test vectors of peers: small cases taken as facts from the public test suites of other comparison tools, run through the converter below.
//!
//! Every vector is either run and asserted, or named in [`NOT_APPLICABLE`] with the reason. One that is new fails the test until
//! somebody decides which.
//!
//! How a peer's words become ours: its left is our original, its right our backfill. What it calls missing or extra is a missing or an unexpected
//! key where the other side lacks the key, and copies too many (`duplicate_key`) where it does not, because peers pair duplicates by order and we
//! cancel equal rows first. Its inclusive bounds are our half-open ones plus one unit. NULL keys and duplicates held alike are warnings.
//!
//! Two peers' options have no twin here, and each is mapped where its data allow it, which the test proves cell by cell:
//! * datacompy's tolerance is |a − b| ≤ abs + rel × |right|, ours is abs + rel × max(|a|, |b|). They differ only where |left| > |right| and
//!   the difference lies between the two limits: no cell of these vectors does (`tol_mixed` and `cells_numeric_rel` use a relative one).
//! * dbt-utils rounds both sides to `precision` decimals; a tolerance of half a unit of the last decimal differs from it where two near values round
//!   apart: no cell of these vectors does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Case, Verified, at, plain, read_csv, shared};

/// The number of vectors that lie in the folder today.
const VECTORS: usize = 100;

/// What is not run, and why.
const NOT_APPLICABLE: &[(&str, &str)] = &[(
    "dbt-utils/ranges_zero_length",
    "a range of no length holds no number, so for us it does not cut a gap in two; the peer has it do so",
)];

/// One vector with what it expects.
struct Vector {
    id: String,
    dir: PathBuf,
    spec: Value,
}

/// A side of a vector as text: a NULL is none.
struct Side {
    columns: Vec<String>,
    rows: Vec<BTreeMap<String, Option<String>>>,
}

type Key = Vec<Option<String>>;

#[test]
fn every_vector_of_the_peers_is_run_or_listed() {
    let Some(root) = shared("data/vectors") else { return };
    let mut vectors = Vec::new();
    for peer in folders(&root) {
        for dir in folders(&peer) {
            let id = format!("{}/{}", name(&peer), name(&dir));
            let spec = serde_json::from_slice(&fs::read(dir.join("expected.json")).expect("expected.json")).expect("JSON");
            vectors.push(Vector { id, dir, spec });
        }
    }
    assert_eq!(vectors.len(), VECTORS, "vectors were added or taken away: run or list them, then change the number");
    for (id, _) in NOT_APPLICABLE {
        assert!(vectors.iter().any(|vector| vector.id == *id), "{id} is listed as not applicable, and is not there");
    }
    let mut failed = Vec::new();
    for vector in &vectors {
        if NOT_APPLICABLE.iter().any(|(id, _)| *id == vector.id) {
            continue;
        }
        // One report of all vectors that fail is worth more than the first.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| vector.run()));
        if outcome.is_err() {
            failed.push(vector.id.as_str());
        }
    }
    assert!(failed.is_empty(), "{} of {VECTORS} vectors failed: {failed:#?}", failed.len());
}

impl Vector {
    fn run(&self) {
        match self.spec["check"].as_str().expect("check") {
            "keyed_diff" => self.keyed(),
            "multiset_diff" => self.multiset(),
            "schema_diff" => self.schema(),
            "sequence" => self.sequence(),
            "range_continuity" => self.ranges(),
            "time_continuity" => self.cadence(),
            other => panic!("{}: no converter for {other}; write one or list the vector as not applicable", self.id),
        }
    }

    /// The two files in a fresh directory, as they are.
    fn case(&self) -> Case {
        let case = Case::new();
        for (name, ours) in [("left.csv", "original.csv"), ("right.csv", "backfill.csv")] {
            if let Ok(bytes) = fs::read(self.dir.join(name)) {
                case.file(ours, bytes);
            }
        }
        case
    }

    fn side(&self, name: &str, rename: &BTreeMap<String, String>) -> Side {
        let delimiter = self.spec["inputs"][format!("{name}_delimiter")].as_str().unwrap_or(",").as_bytes()[0];
        let (header, lines) = read_csv(&self.dir.join(format!("{name}.csv")), delimiter);
        let columns: Vec<String> = header.into_iter().map(|column| rename.get(&column).cloned().unwrap_or(column)).collect();
        let rows = lines
            .into_iter()
            .map(|cells| {
                assert_eq!(cells.len(), columns.len(), "{}: a ragged row {cells:?}", self.id);
                columns.iter().cloned().zip(cells.into_iter().map(|cell| (cell != "\\N").then_some(cell))).collect()
            })
            .collect();
        Side { columns, rows }
    }

    fn keyed(&self) {
        let config = &self.spec["config"];
        // `shard_totals` says how the peer cut its rows; `also_run_with_partitions` asks for the same answer however they are cut.
        let known = ["key", "compare", "options", "column_options", "column_map", "time_column", "overlap_bounds", "ignore_columns"];
        for field in config.as_object().expect("config").keys() {
            let partitions = ["also_run_with_partitions", "shard_totals"].contains(&field.as_str());
            assert!(partitions || known.contains(&field.as_str()), "{}: no converter for the option {field}", self.id);
        }
        // Text is compared as text, as the peers do, and numbers as doubles where that is said. Left to its guesses, which look at all values of both
        // sides, gapless must come to the same keys.
        for types in [Types::Said, Types::Guessed] {
            for threads in ["1", "3"] {
                if threads == "3" && config.get("also_run_with_partitions").is_none() {
                    continue;
                }
                self.keyed_with(types, threads);
            }
        }
    }

    fn keyed_with(&self, types: Types, threads: &str) {
        let config = &self.spec["config"];
        let rename: BTreeMap<String, String> = config["column_map"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(left, right)| (right.as_str().expect("a name").to_owned(), left.clone()))
            .collect();
        let (left, right) = (self.side("left", &BTreeMap::new()), self.side("right", &rename));
        let key = strings(&config["key"]);
        let both: Vec<String> = left.columns.iter().filter(|column| right.columns.contains(column)).cloned().collect();
        let numeric: Vec<&String> = if config["options"]["numeric"] == true {
            both.iter().filter(|column| !key.contains(column) && is_numeric(&left, column) && is_numeric(&right, column)).collect()
        } else {
            Vec::new()
        };

        let mut args: Vec<String> =
            ["original.csv", "backfill.csv", "--key", &key.join(","), "--duplicates", "all", "--threads", threads].map(String::from).into();
        let mut push = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        push("--opt", "null_values=\\N".into());
        let delimiter = self.spec["inputs"]["right_delimiter"].as_str().unwrap_or(",");
        if delimiter != "," {
            push("--backfill-opt", format!("delimiter={delimiter}"));
        }
        if !rename.is_empty() {
            let pairs: Vec<String> = rename.iter().map(|(from, to)| format!("{from}:{to}")).collect();
            push("--backfill-opt", format!("rename={}", pairs.join(",")));
        }
        if types == Types::Said {
            for (side, columns) in [("--original-opt", &left.columns), ("--backfill-opt", &right.columns)] {
                let said: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{column}:{}", if numeric.contains(&column) { "float64" } else { "text" }))
                    .collect();
                push(side, format!("columns={}", said.join(",")));
            }
        }
        if let Some(compare) = config["compare"].as_array() {
            let mut columns = key.clone();
            columns.extend(compare.iter().map(plain));
            push("--columns", columns.join(","));
        }
        if config.get("ignore_columns").is_some() {
            push("--ignore", strings(&config["ignore_columns"]).join(","));
        }
        let mut steps = Vec::new();
        if config["options"]["trim"] == true {
            steps.push("trim");
        }
        if config["options"]["ignore_case"] == true {
            steps.push("fold");
        }
        if !steps.is_empty() {
            // Text steps speak of text columns: with types guessed, those that are text on both sides.
            for column in both.iter().filter(|column| types == Types::Said || !(is_numeric(&left, column) && is_numeric(&right, column))) {
                push("--text", format!("{column}={}", steps.join(",")));
            }
        }
        for column in &numeric {
            let (abs, rel) = self.tolerance(column);
            if abs > 0.0 || rel > 0.0 {
                push("--tolerance", format!("{column}=abs:{abs},rel:{rel}"));
            }
            self.prove_the_formulas_agree(column, &key, &left, &right, abs, rel);
        }

        let case = self.case();
        let refs: Vec<&str> = args.iter().map(String::as_str).collect();
        let verified = case.verify(&refs);
        self.assert_keyed(&verified, &key, &left, &right, &numeric, types);

        if let Some(bounds) = config.get("overlap_bounds") {
            // The peer's bounds are days, both included: our half-open ones end a day later. Inside them the sides are equal.
            let time = config["time_column"].as_str().expect("time_column");
            let until = chrono::NaiveDate::parse_from_str(&plain(&bounds[1]), "%Y-%m-%d").expect("a day").succ_opt().expect("a day");
            let (from, until) = (format!("{}T00:00:00Z", plain(&bounds[0])), format!("{until}T00:00:00Z"));
            let said = format!(
                "columns={}",
                left.columns.iter().map(|c| format!("{c}:{}", if c == time { "date" } else { "text" })).collect::<Vec<_>>().join(",")
            );
            let flags = [
                "original.csv",
                "backfill.csv",
                "--key",
                &key.join(","),
                "--time",
                time,
                "--from",
                &from,
                "--until",
                &until,
                "--opt",
                &said,
            ];
            let within = case.verify(&flags);
            assert_eq!(within.count("missing_keys"), Some(0), "{}: {:#?}", self.id, within.findings);
            assert_eq!(within.total("row_outside_bounds"), 1, "{}: the row before the bounds is counted, not compared", self.id);
            within.assert_pass();
        }
    }

    fn tolerance(&self, column: &str) -> (f64, f64) {
        let (all, own) = (&self.spec["config"]["options"], &self.spec["config"]["column_options"][column]);
        let pick = |name: &str| own[name].as_f64().or_else(|| all[name].as_f64()).unwrap_or(0.0);
        match all["precision"].as_i64() {
            Some(precision) => (0.5 * 10f64.powi(-i32::try_from(precision).expect("small")), 0.0),
            None => (pick("abs_tol"), pick("rel_tol")),
        }
    }

    /// The peer's formula and ours say the same of every pair of cells, so that the peer's expectation is ours.
    fn prove_the_formulas_agree(&self, column: &str, key: &[String], left: &Side, right: &Side, abs: f64, rel: f64) {
        let precision = self.spec["config"]["options"]["precision"].as_i64();
        let right_rows: BTreeMap<Key, &BTreeMap<String, Option<String>>> = right.rows.iter().map(|row| (key_of(row, key), row)).collect();
        for row in &left.rows {
            let Some(other) = right_rows.get(&key_of(row, key)) else { continue };
            let (Some(a), Some(b)) = (&row[column], &other[column]) else { continue };
            let (a, b): (f64, f64) = (a.parse().expect("a number"), b.parse().expect("a number"));
            if !a.is_finite() || !b.is_finite() {
                continue;
            }
            let ours = (a - b).abs() <= abs + rel * a.abs().max(b.abs());
            let theirs = match precision {
                Some(digits) => {
                    let unit = 10f64.powi(i32::try_from(digits).expect("small"));
                    (a * unit).round() == (b * unit).round()
                }
                None => (a - b).abs() <= abs + rel * b.abs(),
            };
            assert_eq!(ours, theirs, "{}: {a} and {b} in {column} tell the peer's formula from ours: say what we expect", self.id);
        }
    }

    fn assert_keyed(&self, verified: &Verified, key: &[String], left: &Side, right: &Side, numeric: &[&String], types: Types) {
        let expected = &self.spec["expected"];
        let id = format!("{} ({types:?})", self.id);
        assert_eq!(verified.count("original_rows"), Some(left.rows.len() as i64), "{id}");
        assert_eq!(verified.count("backfill_rows"), Some(right.rows.len() as i64), "{id}");
        let (copies_left, copies_right) = (copies(left, key), copies(right, key));

        // What the peer lists, in our words: (check, side) to the number of rows a key.
        let mut wanted: BTreeMap<(&str, &str), BTreeMap<Key, i64>> = BTreeMap::new();
        for (list, one_sided, side, other) in
            [("missing", "missing_key", "original", &copies_right), ("extra", "unexpected_key", "backfill", &copies_left)]
        {
            for entry in expected[list].as_array().expect("a list") {
                let value = key_of_json(entry);
                let slot = if other.contains_key(&value) { ("duplicate_key", side) } else { (one_sided, "") };
                *wanted.entry(slot).or_default().entry(value).or_default() += 1;
            }
        }
        for check in ["missing_key", "unexpected_key"] {
            let found: BTreeMap<Key, i64> =
                verified.of(check).into_iter().map(|f| (key_of_finding(f, key), f.rows.expect("rows"))).collect();
            assert_eq!(found, wanted.remove(&(check, "")).unwrap_or_default(), "{id}: {check}");
            assert_eq!(verified.count(&format!("{check}s")), Some(found.len() as i64), "{id}: the count of {check}");
        }
        let differing: BTreeSet<Key> = wanted.values().flat_map(|keys| keys.keys().cloned()).collect();
        for side in ["original", "backfill"] {
            let mut found: BTreeMap<Key, i64> = BTreeMap::new();
            for finding in verified.of("duplicate_key") {
                if finding.side.as_deref() == Some(side) && finding.kind.as_deref() != Some("alike") {
                    assert_eq!(finding.severity, "error", "{id}: {finding:?}");
                    *found.entry(key_of_finding(finding, key)).or_default() += finding.rows.expect("rows");
                }
            }
            assert_eq!(found, wanted.remove(&("duplicate_key", side)).unwrap_or_default(), "{id}: copies too many on the {side}");
        }

        // Values, both of them, a finding a column.
        let mut cells = BTreeSet::new();
        let mut mismatched = BTreeSet::new();
        for entry in expected["mismatched"].as_array().expect("a list") {
            mismatched.insert(key_of_json(&entry["key"]));
            for (column, values) in entry["columns"].as_object().expect("columns") {
                cells.insert((
                    key_of_json(&entry["key"]),
                    column.clone(),
                    self.shown(&values[0], column, numeric, types),
                    self.shown(&values[1], column, numeric, types),
                ));
            }
        }
        let found: BTreeSet<_> = verified
            .of("value_mismatch")
            .into_iter()
            .map(|f| {
                let column = f.column.clone().expect("a column");
                let (o, b) = (f.original.clone().map_or(Value::Null, Value::String), f.backfill.clone().map_or(Value::Null, Value::String));
                (key_of_finding(f, key), column.clone(), self.shown(&o, &column, numeric, types), self.shown(&b, &column, numeric, types))
            })
            .collect();
        assert_eq!(found, cells, "{id}: value_mismatch");
        let mut by_column: BTreeMap<String, i64> = BTreeMap::new();
        for finding in verified.of("value_mismatch") {
            *by_column.entry(finding.column.clone().expect("a column")).or_default() += 1;
        }
        let peers: BTreeMap<String, i64> = expected["mismatches_by_column"]
            .as_object()
            .expect("an object")
            .iter()
            .map(|(c, n)| (c.clone(), n.as_i64().expect("a count")))
            .collect();
        assert_eq!(by_column, peers, "{id}: mismatches by column");

        // Copies held alike are warnings; the peer lists every key with copies.
        let mut alike = BTreeSet::new();
        for list in ["duplicate_keys_left", "duplicate_keys_right"] {
            alike.extend(
                expected[list]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(key_of_json)
                    .filter(|value| !differing.contains(value) && copies_left.contains_key(value) && copies_right.contains_key(value)),
            );
        }
        let found: BTreeSet<Key> = verified
            .of("duplicate_key")
            .into_iter()
            .filter(|f| f.kind.as_deref() == Some("alike"))
            .inspect(|f| assert_eq!(f.severity, "warn", "{id}: {f:?}"))
            .map(|f| key_of_finding(f, key))
            .collect();
        assert_eq!(found, alike, "{id}: copies held alike");

        let nulls: BTreeSet<Key> = copies_left.keys().chain(copies_right.keys()).filter(|value| value.contains(&None)).cloned().collect();
        let found: BTreeSet<Key> = verified.of("null_key").into_iter().map(|f| key_of_finding(f, key)).collect();
        assert_eq!(found, nulls, "{id}: NULL keys");

        let conflicts: BTreeSet<Key> = verified
            .of("duplicate_key")
            .into_iter()
            .filter(|f| f.kind.as_deref() == Some("conflict"))
            .map(|f| key_of_finding(f, key))
            .collect();
        mismatched.extend(conflicts);
        assert_eq!(verified.count("mismatched_keys"), Some(mismatched.len() as i64), "{id}: mismatched keys");
        let matched = copies_left
            .keys()
            .filter(|value| copies_right.contains_key(*value) && !differing.contains(*value) && !mismatched.contains(*value))
            .count();
        assert_eq!(verified.count("matched_keys"), Some(matched as i64), "{id}: matched keys");

        self.assert_columns(verified, &id);
        let rows_differ =
            ["missing", "extra", "mismatched"].iter().any(|list| expected[*list].as_array().is_some_and(|all| !all.is_empty()));
        let columns_differ = verified.total("missing_column") > 0;
        let nothing = left.rows.is_empty() && right.rows.is_empty();
        let null_error = verified.of("null_key").iter().any(|f| f.severity == "error");
        let verdict = match (rows_differ || columns_differ || null_error, nothing) {
            (true, _) => "fail",
            (false, true) => "incomplete",
            (false, false) => "pass",
        };
        assert_eq!(verified.verdict(), verdict, "{id}: {}", verified.stream()["reason"]);
    }

    /// Columns on one side only are schema findings, unless the user left them out of the comparison.
    fn assert_columns(&self, verified: &Verified, id: &str) {
        let config = &self.spec["config"];
        let compared = |column: &String| {
            let asked = config["compare"].as_array().is_none_or(|list| list.iter().any(|name| name == column.as_str()));
            asked && !strings(&config["ignore_columns"]).contains(column)
        };
        for (list, check) in [("columns_only_left", "missing_column"), ("columns_only_right", "unexpected_column")] {
            let wanted: BTreeSet<String> = strings(&self.spec["expected"][list]).into_iter().filter(compared).collect();
            let found: BTreeSet<String> = verified.of(check).into_iter().map(|f| f.column.clone().expect("a column")).collect();
            assert_eq!(found, wanted, "{id}: {check}");
        }
    }

    /// A value as it is compared here: numbers by value (a decimal shows its scale), and times in one notation.
    fn shown(&self, value: &Value, column: &str, numeric: &[&String], types: Types) -> Option<String> {
        let text = value.as_str()?;
        if numeric.iter().any(|name| *name == column) {
            return Some(format!("{:?}", text.parse::<f64>().unwrap_or_else(|_| panic!("{}: {text} is not a number", self.id))));
        }
        if types == Types::Guessed {
            // A guessed type shows its own notation: a time as ISO 8601, a decimal with its scale.
            if let Ok(number) = text.parse::<f64>() {
                return Some(format!("{number:?}"));
            }
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                let spaced = text.trim_end_matches('Z').replacen('T', " ", 1);
                return Some(spaced.trim_end_matches(" 00:00:00").to_owned());
            }
        }
        Some(text.to_owned())
    }

    fn multiset(&self) {
        let expected = &self.spec["expected"];
        let columns = strings(&self.spec["config"]["compare"]);
        let said = format!("columns={}", columns.iter().map(|column| format!("{column}:text")).collect::<Vec<_>>().join(","));
        let verified = self.case().verify(&[
            "original.csv",
            "backfill.csv",
            "--keyless",
            "--columns",
            &columns.join(","),
            "--opt",
            "null_values=\\N",
            "--opt",
            &said,
        ]);
        for (list, check, count) in [("missing_rows", "missing_row", "missing"), ("extra_rows", "unexpected_row", "extra")] {
            let wanted: BTreeMap<Vec<String>, i64> = expected[list]
                .as_array()
                .expect("a list")
                .iter()
                .map(|entry| (strings(&entry["row"]), entry["count"].as_i64().expect("a count")))
                .collect();
            let mut found: BTreeMap<Vec<String>, i64> = BTreeMap::new();
            for finding in verified.of(check) {
                let row = finding.original.as_deref().or(finding.backfill.as_deref()).expect("the row");
                let row: Value = serde_json::from_str(row).unwrap_or_else(|_| panic!("{}: the row is not JSON: {row}", self.id));
                let cells = columns.iter().map(|column| plain(&row[column])).collect();
                *found.entry(cells).or_default() += finding.rows.expect("rows");
            }
            assert_eq!(found, wanted, "{}: {check}", self.id);
            assert_eq!(
                verified.count(if count == "missing" { "missing_rows" } else { "unexpected_rows" }),
                expected["counts"][count].as_i64(),
                "{}",
                self.id
            );
        }
        let verdict = if expected["verdict"] == "identical" { "pass" } else { "fail" };
        assert_eq!(verified.verdict(), verdict, "{}", self.id);
    }

    fn schema(&self) {
        let expected = &self.spec["expected"];
        let (left, right) = (self.side("left", &BTreeMap::new()), self.side("right", &BTreeMap::new()));
        let types = |side: &Side| {
            let row = &side.rows[0];
            let said: Vec<String> =
                side.columns.iter().map(|column| format!("{column}:{}", kind_of(row[column].as_deref().expect("a value")))).collect();
            format!("columns={}", said.join(","))
        };
        let verified = self.case().verify(&[
            "original.csv",
            "backfill.csv",
            "--key",
            "brave_column",
            "--original-opt",
            &types(&left),
            "--backfill-opt",
            &types(&right),
        ]);
        for (list, check) in [
            ("columns_only_left", "missing_column"),
            ("columns_only_right", "unexpected_column"),
            ("type_mismatch", "column_type_mismatch"),
        ] {
            let wanted: BTreeSet<String> = strings(&expected[list]).into_iter().collect();
            let found: BTreeSet<String> = verified.of(check).into_iter().map(|f| f.column.clone().expect("a column")).collect();
            assert_eq!(found, wanted, "{}: {check}", self.id);
        }
        // A column that stands elsewhere is the same column: names pair them, not places.
        for column in strings(&expected["ordinal_moved"]).iter().chain(&strings(&expected["same"])) {
            let findings: Vec<_> = verified.findings.iter().filter(|f| f.column.as_ref() == Some(column) && f.grain != "cell").collect();
            assert!(findings.is_empty(), "{}: {findings:?}", self.id);
        }
        verified.assert_fail();
    }

    fn sequence(&self) {
        let (config, expected) = (&self.spec["config"], &self.spec["expected"]);
        let step = config["step"].as_i64().expect("a step");
        let column = config["column"].as_str().expect("column");
        let bounds = match (config["min"].as_i64(), config["max"].as_i64()) {
            (Some(min), Some(max)) => format!("sequence_bounds = {{ from = {min}, until = {} }}\n", max + 1),
            _ => String::new(),
        };
        let case = self.case();
        let groups = strings(&config["group_by"]);
        let series = if groups.is_empty() { String::new() } else { format!("series = {groups:?}\n") };
        let key = if self.side("left", &BTreeMap::new()).columns.iter().any(|name| name == "name") { "name" } else { column };
        // The rest of the row is the key, so that no key is guessed; where the rest is not unique, the sequence itself.
        case.file(
            "gapless.toml",
            format!(
                "[[stream]]\nname = \"ids\"\noriginal = \"original.csv\"\nkey = [\"{key}\"]\nsequence = \"{column}\"\nsequence_step = {step}\n{series}{bounds}"
            ),
        );
        if expected["verdict"] == "error" {
            let run = case.run(&["verify", "--job", "gapless.toml"]);
            run.assert_error(2);
            assert!(run.stderr.contains(column), "{}: the error names the column: {}", self.id, run.stderr);
            return;
        }
        let mut tries = vec![case.verify(&["--job", "gapless.toml"])];
        if bounds.is_empty() {
            let (step, groups) = (step.to_string(), groups.join(","));
            let mut flags = vec!["original.csv", "--key", key, "--sequence", column, "--sequence-step", &step];
            if !groups.is_empty() {
                flags.extend(["--series", &groups]);
            }
            tries.push(case.verify(&flags));
        }
        for verified in tries {
            let missing: Vec<i128> =
                expected["missing"].as_array().into_iter().flatten().map(|n| i128::from(n.as_i64().expect("a number"))).collect();
            // xan begins at zero and ends at the last value; without bounds that is what the data hold, because they begin at zero.
            let found: Vec<i128> = verified
                .of("sequence_gap")
                .into_iter()
                .flat_map(|f| {
                    let (from, until) = f.sequence_range();
                    (from..until).step_by(usize::try_from(step).expect("a step"))
                })
                .collect();
            assert_eq!(found, missing, "{}: missing values", self.id);
            let ranges = missing.iter().enumerate().filter(|(index, value)| *index == 0 || missing[index - 1] + 1 != **value).count();
            assert_eq!(verified.count("sequence_gaps"), Some(ranges as i64), "{}: a gap is a range", self.id);
            assert_eq!(verified.total("sequence_duplicate"), expected["counts"]["duplicates"].as_i64().expect("a count"), "{}", self.id);
            assert_eq!(verified.verdict(), if missing.is_empty() { "pass" } else { "fail" }, "{}", self.id);
        }
    }

    /// Months as their first days.
    fn months(&self, column: &str) {
        let expected = &self.spec["expected"];
        let (case, side) = (self.case(), self.side("left", &BTreeMap::new()));
        let days: String = side.rows.iter().map(|row| format!("{}-01\n", row[column].as_deref().expect("a month"))).collect();
        case.file("original.csv", format!("{column}\n{days}"));
        let verified = case.verify(&["original.csv", "--key", column, "--time", column, "--cadence", "1mo"]);
        let mut found = Vec::new();
        for gap in verified.of("gap") {
            let (from, until) = gap.time_range();
            let day = |micros| chrono::DateTime::from_timestamp_micros(micros).expect("a time").date_naive();
            let mut month = day(from);
            while month < day(until) {
                found.push(month.format("%Y-%m").to_string());
                month = month.checked_add_months(chrono::Months::new(1)).expect("a month");
            }
        }
        assert_eq!(found, strings(&expected["missing"]), "{}: missing months", self.id);
        let estimates: i64 = verified.of("gap").iter().map(|gap| gap.rows.expect("an estimate")).sum();
        assert_eq!(Some(estimates), expected["counts"]["missing"].as_i64(), "{}", self.id);
        assert_eq!(verified.verdict(), if found.is_empty() { "pass" } else { "fail" }, "{}", self.id);
    }

    /// Half-open ranges, of numbers or of days, as rows that stand for all numbers from the first to the last.
    fn ranges(&self) {
        let (config, expected) = (&self.spec["config"], &self.spec["expected"]);
        let (lower, upper) = (plain(&config["lower"]), plain(&config["upper"]));
        let groups = strings(&config["group_by"]);
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).expect("a day");
        let number =
            |text: &str| -> i64 { text.parse().unwrap_or_else(|_| (text.parse::<chrono::NaiveDate>().expect("a day") - epoch).num_days()) };
        let (case, side) = (self.case(), self.side("left", &BTreeMap::new()));
        let mut data = String::from("id,series,first,last\n");
        for (id, row) in side.rows.iter().enumerate() {
            let end = row[&upper].clone().unwrap_or_else(|| plain(&config["null_upper"]));
            let series = groups.first().map_or(String::new(), |group| row[group].clone().expect("a group"));
            let (first, until) = (number(row[&lower].as_deref().expect("a bound")), number(&end));
            data.push_str(&format!("{id},s{series},{first},{}\n", until - 1));
        }
        case.file("original.csv", data);
        let verified = case.verify(&["original.csv", "--key", "id", "--series", "series", "--sequence", "first,last"]);
        let mut found: Vec<Vec<String>> = verified
            .of("sequence_gap")
            .into_iter()
            .map(|gap| {
                let (from, until) = gap.sequence_range();
                let day = |at: i128| (epoch + chrono::Days::new(u64::try_from(at).expect("after 1970"))).to_string();
                vec![plain(&gap.series_object()["series"]).trim_start_matches('s').to_owned(), day(from), day(until)]
            })
            .collect();
        found.sort();
        let wanted: Vec<Vec<String>> = expected["gaps"].as_array().expect("a list").iter().map(strings).collect();
        assert_eq!(found, wanted, "{}", self.id);
        assert_eq!(Some(verified.total("sequence_duplicate")), expected["counts"]["overlaps"].as_i64(), "{}", self.id);
        assert_eq!(verified.total("sequence_invalid"), 0, "{}", self.id);
    }

    fn cadence(&self) {
        let (config, expected) = (&self.spec["config"], &self.spec["expected"]);
        let column = config["column"].as_str().expect("column");
        if expected["verdict"] == "error" {
            // Months and days in one column: whatever the cadence, such a column is no time, and the run says so and does not pass.
            let run = self.case().run(&["verify", "original.csv", "--key", "event", "--time", column, "--cadence", "30d"]);
            run.assert_error(2);
            assert!(run.stderr.contains(column), "{}: {}", self.id, run.stderr);
            return;
        }
        if config["cadence"] == "1 month" {
            return self.months(column);
        }
        assert_eq!(config["cadence"], "1h", "{}: no converter for this cadence", self.id);
        let verified = self.case().verify(&[
            "original.csv",
            "--key",
            column,
            "--time",
            column,
            "--cadence",
            "1h",
            "--opt",
            &format!("columns={column}:timestamp"),
            "--opt",
            "time_format=%Y-%m-%d %H:%M",
        ]);
        assert_eq!(expected["missing"].as_array().map(Vec::len), Some(0), "{}: a vector with gaps wants more than this converter", self.id);
        assert_eq!(verified.count("gaps"), Some(0), "{}: {:#?}", self.id, verified.of("gap"));
        assert_eq!(verified.count("original_rows"), Some(4), "{}", self.id);
        let spans = verified.table("spans");
        assert_eq!(spans.len(), 1, "{}: one span without a hole", self.id);
        assert!(at("2021-01-01T00:00:00Z") > 0);
        verified.assert_pass();
    }
}

/// How the columns of a CSV file get their types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Types {
    /// `columns=` says text, and double where the peer compares numbers.
    Said,
    /// gapless looks at the values.
    Guessed,
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    all.sort();
    all
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(plain).collect()
}

fn key_of(row: &BTreeMap<String, Option<String>>, key: &[String]) -> Key {
    key.iter().map(|column| row[column].clone()).collect()
}

fn key_of_json(entry: &Value) -> Key {
    entry.as_array().expect("a key").iter().map(|value| (!value.is_null()).then(|| plain(value))).collect()
}

fn key_of_finding(finding: &crate::support::Finding, key: &[String]) -> Key {
    let object = finding.key_object();
    assert_eq!(object.keys().collect::<Vec<_>>(), key.iter().collect::<Vec<_>>(), "the key's columns are in the order given");
    key.iter().map(|column| (!object[column].is_null()).then(|| plain(&object[column]))).collect()
}

fn copies(side: &Side, key: &[String]) -> BTreeMap<Key, usize> {
    let mut all = BTreeMap::new();
    for row in &side.rows {
        *all.entry(key_of(row, key)).or_insert(0) += 1;
    }
    all
}

fn is_numeric(side: &Side, column: &str) -> bool {
    let mut values = side.rows.iter().filter_map(|row| row[column].as_deref()).peekable();
    values.peek().is_some() && values.all(|value| value.parse::<f64>().is_ok())
}

/// The type a person would give the value.
fn kind_of(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "int64"
    } else if value.parse::<f64>().is_ok() {
        "float64"
    } else if value.parse::<bool>().is_ok() {
        "bool"
    } else if chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok() {
        "date"
    } else if chrono::NaiveDateTime::parse_from_str(value, "%Y-%m-%dT%H:%M:%S").is_ok() {
        "timestamp"
    } else {
        "text"
    }
}

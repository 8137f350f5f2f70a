//! The flags that describe a stream, shared by `verify` and `init`: the same words as the job file.

use std::collections::BTreeMap;

use clap::Args;

use crate::error::{Error, Result, nearest};
use crate::job::raw::{RawBounds, RawNumber, RawRule, RawSequenceBounds, RawSide, RawStream, RawTolerance};
use crate::job::{RawContinuity, RawExpect, RawMaintenance};

/// What is verified. Each flag says what the field of the same name says in a job file, and wins over it.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct StreamArgs {
    /// Columns that identify a row, separated by commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Matching rows")]
    key: Option<Vec<String>>,
    /// Compare whole rows, with how often they come, instead of matching them by a key
    #[arg(long, help_heading = "Matching rows")]
    keyless: bool,
    /// The event time column
    #[arg(long, value_name = "COLUMN", help_heading = "Continuity")]
    time: Option<String>,
    /// Columns whose values each form a stream of their own (device, partition, region)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Continuity")]
    series: Option<Vec<String>>,
    /// An integer column that rises by one a row in each series (offset, order number); or two columns FIRST,LAST, where a row is a range
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Continuity")]
    sequence: Option<Vec<String>>,
    /// By how much the sequence rises [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Continuity")]
    sequence_step: Option<i64>,
    /// What its numbers are: plain, or kafka_offset (a log skips some legally)
    #[arg(long, value_name = "KIND", help_heading = "Continuity")]
    sequence_kind: Option<String>,
    /// The payload's own sequence, which tells legal skips of kafka_offset from loss
    #[arg(long, value_name = "COLUMN", help_heading = "Continuity")]
    payload_sequence: Option<String>,
    /// Numbers that the sequence must cover, FROM/UNTIL, half-open; either end may be left out
    #[arg(long, value_name = "FROM/UNTIL", help_heading = "Bounds")]
    sequence_bounds: Option<String>,
    /// What a window must hold: every_window, rows=N, like_original, profile
    #[arg(long, value_name = "WHAT", help_heading = "Continuity")]
    expect: Option<String>,
    /// How late rows may be: what is younger than the latest row less this is not judged
    #[arg(long, value_name = "DURATION", help_heading = "Continuity")]
    grace: Option<String>,
    /// A second clock, when rows arrived: lateness is told window by window
    #[arg(long, value_name = "COLUMN", help_heading = "Continuity")]
    ingest_time: Option<String>,
    /// A CSV of the series that there must be, with their columns in its header
    #[arg(long, value_name = "FILE", help_heading = "Continuity")]
    expect_series: Option<String>,
    /// A planned interruption, FROM/UNTIL, or each week 'sun 02:00-03:00'; repeatable
    #[arg(long, value_name = "FROM/UNTIL", help_heading = "Bounds")]
    maintenance: Vec<String>,
    /// Nominal step between two rows of a series, such as 250ms, 5m, 1h30m, 1d, 1mo or 1y; or learn
    #[arg(long, value_name = "DURATION", help_heading = "Continuity")]
    cadence: Option<String>,
    /// Silence from which on a gap begins [default: one and a half cadences]
    #[arg(long, value_name = "DURATION", help_heading = "Continuity")]
    max_silence: Option<String>,
    /// Width of the windows on event time; judges gaps where there is no cadence
    #[arg(long, value_name = "DURATION", help_heading = "Continuity")]
    window: Option<String>,
    /// Time zone in which windows begin, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", help_heading = "Continuity")]
    time_zone: Option<String>,
    /// First instant that the verdict speaks of
    #[arg(long, value_name = "TIME", help_heading = "Bounds")]
    from: Option<String>,
    /// First instant that it no longer speaks of
    #[arg(long, value_name = "TIME", help_heading = "Bounds")]
    until: Option<String>,
    /// The known interruption, FROM/UNTIL
    #[arg(long, value_name = "FROM/UNTIL", help_heading = "Bounds")]
    outage: Option<String>,
    /// Length from which on an incident is persistent, and not brief [default: 30m]
    #[arg(long, value_name = "DURATION", help_heading = "Continuity")]
    persistent_after: Option<String>,
    /// Compare only these columns (and the key)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Values")]
    columns: Option<Vec<String>>,
    /// Leave these columns out
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Values")]
    ignore: Option<Vec<String>>,
    /// How far values may lie apart: amount=abs:0.01,rel:1e-9 or ts=1ms
    #[arg(long, value_name = "COLUMN=TOLERANCE", help_heading = "Values")]
    tolerance: Vec<String>,
    /// What is done to text before it is compared: name=trim,fold,nfc
    #[arg(long, value_name = "COLUMN=RULES", help_heading = "Values")]
    text: Vec<String>,
    /// Columns whose values are shown as a keyed digest only (key: GAPLESS_MASK_KEY)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Values")]
    mask: Option<Vec<String>>,
    /// A rule that every row must fulfil: 'amount_not_negative: amount >= 0'
    #[arg(long, value_name = "NAME: SQL", help_heading = "Checks")]
    rule: Vec<String>,
    /// Which duplicates are findings: differing, or all (also those that both sides hold alike)
    #[arg(long, value_name = "WHICH", help_heading = "Checks")]
    duplicates: Option<String>,
    /// Digest per window and side: blake3, sha256 or md5
    #[arg(long, value_name = "ALGORITHM", help_heading = "Checks")]
    digest: Option<String>,
    /// Check the files of a side against an md5sum, sha256sum or b3sum list: FILE, original:FILE or backfill:FILE
    #[arg(long, value_name = "FILE", help_heading = "Checks")]
    manifest: Vec<String>,
    /// Option of both sides, such as format=csv
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Reading")]
    opt: Vec<String>,
    /// Option of the original: format, delimiter, header, null_values, time_format, time_zone, ambiguous, rename, columns, filter
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Reading")]
    original_opt: Vec<String>,
    /// Option of the backfill, such as time_zone=Asia/Shanghai
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Reading")]
    backfill_opt: Vec<String>,
}

const SIDE_OPTIONS: [&str; 10] =
    ["format", "delimiter", "header", "null_values", "time_format", "time_zone", "ambiguous", "rename", "columns", "filter"];

fn usage(place: &str, problem: String, help: &str) -> Error {
    Error::Usage { place: place.to_string(), problem, help: help.to_string() }
}

/// Splits `name=value`.
fn pair<'a>(flag: &str, text: &'a str, help: &str) -> Result<(&'a str, &'a str)> {
    text.split_once('=').map(|(name, value)| (name.trim(), value)).ok_or_else(|| usage(flag, format!("'{text}' has no '='"), help))
}

/// `a=b,c=d` or `a:b,c:d` as a map. Commas inside parentheses belong to a type.
fn map(flag: &str, name: &str, value: &str) -> Result<BTreeMap<String, String>> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut depth = 0;
    for character in value.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match (character, parts.last_mut()) {
            (',', _) if depth == 0 => parts.push(String::new()),
            (_, Some(part)) => part.push(character),
            (_, None) => {}
        }
    }
    parts
        .iter()
        .map(|part| {
            part.split_once(':')
                .map(|(from, to)| (from.trim().to_string(), to.trim().to_string()))
                .filter(|(from, to)| !from.is_empty() && !to.is_empty())
                .ok_or_else(|| {
                    usage(
                        &format!("{flag} {name}"),
                        format!("'{part}' is not of the form name:value"),
                        "separate pairs by commas, such as id:text,amount:decimal(12,2)",
                    )
                })
        })
        .collect()
}

/// The options of a side, those of both first.
fn side(flag: &str, both: &[String], own: &[String]) -> Result<RawSide> {
    let mut side = RawSide::default();
    for (flag, text) in both.iter().map(|text| ("--opt", text)).chain(own.iter().map(|text| (flag, text))) {
        let (name, value) = pair(flag, text, "write NAME=VALUE, such as format=csv")?;
        let said = || Some(value.to_string());
        match name {
            "format" => side.format = said(),
            "delimiter" => side.delimiter = said(),
            "header" => {
                side.header = match value {
                    "true" | "yes" | "1" => Some(true),
                    "false" | "no" | "0" => Some(false),
                    _ => return Err(usage(flag, format!("header={value} is neither true nor false"), "write header=true or header=false")),
                }
            }
            "null_values" => side.null_values = Some(value.split(',').map(str::to_string).collect()),
            "time_format" => side.time_format = said(),
            "time_zone" => side.time_zone = said(),
            "ambiguous" => side.ambiguous = said(),
            "filter" => side.filter = said(),
            "rename" => side.rename.get_or_insert_default().extend(map(flag, name, value)?),
            "columns" => side.columns.get_or_insert_default().extend(map(flag, name, value)?),
            other => return Err(usage(flag, format!("there is no option '{other}'"), &nearest(other, SIDE_OPTIONS))),
        }
    }
    Ok(side)
}

impl StreamArgs {
    /// The flags in the shape of a job file's stream, with the paths of the sides.
    pub(super) fn raw(self, mode: Option<String>, original: Option<String>, backfill: Option<String>) -> Result<RawStream> {
        let Self {
            key,
            keyless,
            time,
            series,
            sequence,
            sequence_step,
            sequence_kind,
            payload_sequence,
            sequence_bounds,
            expect,
            grace,
            ingest_time,
            expect_series,
            maintenance,
            cadence,
            max_silence,
            window,
            time_zone,
            from,
            until,
            outage,
            persistent_after,
            columns,
            ignore,
            tolerance,
            text,
            mask,
            rule,
            duplicates,
            digest,
            manifest,
            opt,
            original_opt,
            backfill_opt,
        } = self;
        let range = |flag: &str, text: &str| {
            text.split_once('/').map(|(from, until)| (from.to_string(), until.to_string())).ok_or_else(|| {
                usage(
                    flag,
                    format!("'{text}' has no '/' between its ends"),
                    "write FROM/UNTIL, such as 2024-05-06T02:10:00Z/2024-05-06T03:40:00Z",
                )
            })
        };
        let outage = outage
            .map(|text| range("--outage", &text).map(|(from, until)| RawBounds { from: Some(from), until: Some(until) }))
            .transpose()?;
        let mut planned = Vec::new();
        for text in maintenance {
            planned.push(match text.contains('/') {
                true => {
                    let (from, until) = range("--maintenance", &text)?;
                    RawMaintenance { from: Some(from), until: Some(until), ..RawMaintenance::default() }
                }
                false => RawMaintenance { weekly: Some(text), ..RawMaintenance::default() },
            });
        }
        let sequence_bounds = sequence_bounds
            .map(|text| {
                let help = "write FROM/UNTIL in whole numbers, such as 0/720, 0/ or /720";
                let (from, until) = text
                    .split_once('/')
                    .ok_or_else(|| usage("--sequence-bounds", format!("'{text}' has no '/' between its ends"), help))?;
                let end = |word: &str| match word.trim() {
                    "" => Ok(None),
                    word => word
                        .parse()
                        .map(|number| Some(RawNumber(number)))
                        .map_err(|_| usage("--sequence-bounds", format!("'{word}' is not a whole number"), help)),
                };
                Ok(RawSequenceBounds { from: end(from)?, until: end(until)? })
            })
            .transpose()?;
        let continuity = RawContinuity {
            expect: expect.map(RawExpect::Word),
            grace,
            ingest_time,
            expect_series,
            maintenance: (!planned.is_empty()).then_some(planned),
            ..RawContinuity::default()
        };
        let mut tolerances = BTreeMap::new();
        for text in tolerance {
            let (column, value) = pair("--tolerance", &text, "write COLUMN=TOLERANCE, such as amount=abs:0.01 or ts=1ms")?;
            tolerances.insert(column.to_string(), RawTolerance::Text(value.to_string()));
        }
        let mut texts = BTreeMap::new();
        for entry in text {
            let (column, value) = pair("--text", &entry, "write COLUMN=RULES, such as name=trim,fold")?;
            texts.insert(column.to_string(), value.split(',').map(|word| word.trim().to_string()).collect());
        }
        let mut rules = Vec::new();
        for text in rule {
            let (name, assert) = text.split_once(':').ok_or_else(|| {
                usage("--rule", format!("'{text}' has no name"), "write 'NAME: SQL', such as 'amount_not_negative: amount >= 0'")
            })?;
            rules.push(RawRule { name: name.trim().to_string(), assert: assert.trim().to_string(), severity: None, side: None });
        }
        Ok(RawStream {
            name: None,
            mode,
            original: Some(RawSide { path: original, ..side("--original-opt", &opt, &original_opt)? }),
            backfill: Some(RawSide { path: backfill, ..side("--backfill-opt", &opt, &backfill_opt)? }),
            key,
            keyless: keyless.then_some(true),
            time,
            series,
            sequence,
            sequence_step,
            sequence_kind,
            payload_sequence,
            continuity: Some(continuity),
            cadence,
            max_silence,
            window,
            time_zone,
            bounds: (from.is_some() || until.is_some()).then_some(RawBounds { from, until }),
            sequence_bounds,
            outage,
            persistent_after,
            columns,
            ignore,
            mask,
            tolerance: (!tolerances.is_empty()).then_some(tolerances),
            text: (!texts.is_empty()).then_some(texts),
            rule: (!rules.is_empty()).then_some(rules),
            rules: None,
            duplicates,
            digest,
            manifest: (!manifest.is_empty()).then_some(manifest),
        })
    }
}

/// `512MiB`, `2GiB`, `1.5G`, plain bytes.
pub(super) fn memory(text: &str) -> std::result::Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err("write a size such as 512MiB or 2GiB".to_string()),
    };
    let number: f64 = number.parse().map_err(|_| "write a size such as 512MiB or 2GiB".to_string())?;
    let bytes = (number * factor as f64) as u64;
    if bytes < 16 << 20 {
        return Err("at least 16MiB are needed".to_string());
    }
    Ok(bytes)
}

/// Three fifths of what the machine or its control group has.
pub(super) fn default_memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(4 << 30, |kib| kib * 1024);
    let group = read("/sys/fs/cgroup/memory.max").trim().parse::<u64>().unwrap_or(u64::MAX);
    machine.min(group) / 5 * 3
}

//! From what people wrote to a job that is valid by construction.

use std::collections::BTreeMap;
use std::path::Path;

use chrono_tz::Tz;

use super::continuity::{Around, build_continuity};
use super::raw::{RawAccept, RawBounds, RawJob, RawRule, RawSide, RawStream, RawTolerance};
use super::rule_file::read_rules;
use super::{
    Accept, Ambiguous, ColumnType, DigestAlgorithm, Duplicates, Format, Job, ManifestSpec, Rule, SequenceKind, SideSpec, Stream, TextRule,
};
use crate::domain::{Bounds, Cadence, Duration, Instant, Mode, Severity, Side, Tolerance};
use crate::error::{Error, Result, nearest, redacted};

/// Reads a job file and makes its relative paths relative to the file.
///
/// # Errors
/// The file cannot be read, or is not TOML of the documented shape.
pub fn load(path: &Path) -> Result<RawJob> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Error::JobFile { path: shown.clone(), source })?;
    let mut raw: RawJob = toml::from_str(&text).map_err(|error| {
        let message = error.message().to_string();
        Error::JobSyntax { path: shown.clone(), problem: error.to_string().trim_end().to_string(), help: syntax_help(&message) }
    })?;
    let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
    for stream in raw.stream.iter_mut().chain([&mut raw.defaults]) {
        for side in [&mut stream.original, &mut stream.backfill].into_iter().flatten() {
            if let Some(path) = &mut side.path {
                *path = relative_to(&base, path);
            }
        }
        if let Some(rules) = &mut stream.rules {
            *rules = relative_to(&base, rules);
        }
        if let Some(continuity) = &mut stream.continuity {
            continuity.locate(|path| relative_to(&base, path));
        }
        for manifest in stream.manifest.iter_mut().flatten() {
            let (side, file) = split_manifest(manifest);
            let prefix = side.map_or(String::new(), |side| format!("{side}:"));
            *manifest = format!("{prefix}{}", relative_to(&base, file));
        }
    }
    Ok(raw)
}

fn relative_to(base: &Path, path: &str) -> String {
    if path.contains("://") || Path::new(path).is_absolute() || base.as_os_str().is_empty() {
        return path.to_string();
    }
    // Joining drops a trailing slash no more than it adds one: the text after the base stays as written.
    format!("{}/{path}", base.display())
}

/// The nearest known name, where the parser listed what it expected.
fn syntax_help(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [wanted, known @ ..] if message.contains("unknown field") && !known.is_empty() => nearest(wanted, known),
        _ => "docs/job.md describes every field; `gapless init ORIGINAL BACKFILL` writes a commented example".to_string(),
    }
}

/// Checks a job. `flags` win over the file and apply to every stream that `only` names (all, when it names none).
///
/// # Errors
/// The first thing that is wrong, with its place and what would be right.
pub fn build(raw: RawJob, flags: &RawStream, only: &[String], file: Option<&Path>) -> Result<Job> {
    let RawJob { name, defaults, stream, accept, severity } = raw.without_secrets();
    let flags = flags.clone().without_secrets();
    let only: Vec<String> = only.iter().map(|name| redacted(name)).collect();
    let place = |inner: &str| match file {
        Some(path) => format!("{}: {inner}", path.display()),
        None => inner.to_string(),
    };
    if let Some(name) = &defaults.name {
        return Err(usage(
            &place("defaults.name"),
            &format!("'{name}' cannot be the name of every stream"),
            "give each [[stream]] its own name",
        ));
    }
    let mut raws = stream;
    if raws.is_empty() && file.is_some() {
        return Err(usage(&place("[[stream]]"), "the job has no stream", "add a [[stream]] with `original` and `backfill`"));
    }
    if raws.is_empty() {
        raws.push(RawStream::default());
    }
    let count = raws.len();
    let mut streams: Vec<Stream> = Vec::new();
    for (index, raw) in raws.into_iter().enumerate() {
        let name = raw.name.clone().unwrap_or_else(|| if count == 1 { "stream".to_string() } else { format!("stream{}", index + 1) });
        if streams.iter().any(|known| known.name == name) {
            return Err(usage(&place(&format!("stream '{name}'")), "two streams have this name", "give each stream a name of its own"));
        }
        let merged = flags.clone().or(raw).or(defaults.clone());
        // Without a job file every word came from a flag, and the error speaks of that.
        let at = |inner: &str| match file {
            Some(_) => place(inner),
            None => inner.split_once(", ").map_or(inner.to_string(), |(_, field)| flag_of(field)),
        };
        streams.push(build_stream(name, merged, &at)?);
    }
    for wanted in &only {
        if !streams.iter().any(|stream| stream.name == *wanted) {
            let known: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
            return Err(usage("--stream", &format!("there is no stream '{wanted}'"), &nearest(wanted, known)));
        }
    }
    let names: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    if !only.is_empty() {
        streams.retain(|stream| only.contains(&stream.name));
    }
    let mut accepts = Vec::new();
    for (index, raw) in accept.into_iter().enumerate() {
        let mut accept = build_accept(raw, &place(&format!("accept[{}]", index + 1)), &names)?;
        accept.whole_job = only.is_empty();
        // An acceptance of a stream that is not looked at this time is neither used nor stale.
        if accept.stream.as_ref().is_none_or(|name| streams.iter().any(|stream| stream.name == *name)) {
            accepts.push(accept);
        }
    }
    let mut severities = BTreeMap::new();
    for (check, word) in severity {
        let level = Severity::parse(&word).ok_or_else(|| {
            usage(&place(&format!("severity.{check}")), &format!("'{word}' is not a severity"), "use error, warn or info")
        })?;
        severities.insert(check, level);
    }
    Ok(Job { name, streams, accepts, severities })
}

/// The flag that says what a field says: `max_silence` is `--max-silence`, `tolerance.amount` is `--tolerance amount`.
fn flag_of(field: &str) -> String {
    let (name, rest) = field.split_once(['.', ' ', ',']).unwrap_or((field, ""));
    match (name, rest.trim()) {
        ("original" | "backfill", _) => name.to_uppercase(),
        ("bounds", _) => "--from and --until".to_string(),
        ("continuity", rest) => flag_of(rest),
        (name, "") => format!("--{}", name.replace('_', "-")),
        (name, rest) => format!("--{} {rest}", name.replace('_', "-")),
    }
}

fn usage(place: &str, problem: &str, help: &str) -> Error {
    Error::Usage { place: place.to_string(), problem: problem.to_string(), help: help.to_string() }
}

fn build_stream(name: String, raw: RawStream, place: &dyn Fn(&str) -> String) -> Result<Stream> {
    let at = |field: &str| place(&format!("stream '{name}', {field}"));
    let RawStream {
        name: _,
        mode,
        original,
        backfill,
        key,
        keyless,
        time,
        series,
        sequence,
        sequence_step,
        sequence_kind,
        payload_sequence,
        cadence,
        max_silence,
        window,
        time_zone,
        bounds,
        sequence_bounds,
        outage,
        persistent_after,
        continuity,
        columns,
        ignore,
        mask,
        tolerance,
        text,
        rule,
        rules,
        duplicates,
        digest,
        manifest,
    } = raw;

    // Options of a side may be given without the side itself (`--opt`); a side is there when its path is.
    let backfill = backfill.filter(|side| side.path.is_some());
    let original = original
        .filter(|side| side.path.is_some())
        .ok_or_else(|| usage(&at("original"), "no data was given", "name it: `gapless verify ORIGINAL BACKFILL`, or --job gapless.toml"))?;
    let mode = match (mode.as_deref(), backfill.is_some()) {
        (None | Some("replica"), true) => Mode::Replica,
        (Some("fill"), true) => Mode::Fill,
        (None | Some("single"), false) => Mode::Single,
        (Some("single"), true) => {
            return Err(usage(
                &at("mode"),
                "'single' looks at one side, but a backfill was given",
                "drop the backfill, or use replica or fill",
            ));
        }
        (Some(word @ ("replica" | "fill")), false) => {
            return Err(usage(&at("mode"), &format!("'{word}' compares two sides, but no backfill was given"), "add the backfill"));
        }
        (Some(word), _) => return Err(usage(&at("mode"), &format!("'{word}' is not a mode"), "use replica (the default) or fill")),
    };
    let keyless = keyless.unwrap_or(false);
    if keyless && key.is_some() {
        return Err(usage(&at("key"), "both a key and keyless were given", "keep one: --key a,b, or --keyless to compare whole rows"));
    }
    let key = key.map(|columns| named_columns(columns, &at("key"))).transpose()?;
    if key.as_ref().is_some_and(Vec::is_empty) {
        return Err(usage(&at("key"), "the key names no column", "name at least one, or use --keyless"));
    }
    let duration = |field: &str, text: Option<String>| -> Result<Option<Duration>> {
        text.map(|text| Duration::parse(&text))
            .transpose()
            .map_err(|e| usage(&at(field), &e.to_string(), "write a positive duration such as 250ms, 5m, 1h30m or 1d"))
    };
    let cadence = cadence.map(|text| Cadence::parse(&text)).transpose().map_err(|e| {
        usage(&at("cadence"), &e.to_string(), "write a positive duration such as 250ms, 5m, 1h30m or 1d; or 1mo, 1y, learn")
    })?;
    let max_silence = duration("max_silence", max_silence)?;
    let window = duration("window", window)?;
    let persistent_after = duration("persistent_after", persistent_after)?.unwrap_or(Duration::HALF_AN_HOUR);
    if max_silence.is_some() && cadence.is_none() {
        return Err(usage(&at("max_silence"), "there is no cadence for it to go with", "add --cadence, the nominal step between two rows"));
    }
    if max_silence.is_some() && cadence == Some(Cadence::Learn) {
        return Err(usage(&at("max_silence"), "a learned cadence comes with the silence that it allows", "drop one of the two"));
    }
    let least = match cadence {
        Some(Cadence::Fixed(length)) => Some(length),
        Some(Cadence::Months(months)) => Duration::from_nanos(i128::from(months) * 31 * Duration::DAY.nanos()),
        _ => None,
    };
    if let (Some(silence), Some(cadence)) = (max_silence, least)
        && silence < cadence
    {
        return Err(usage(
            &at("max_silence"),
            &format!("{silence} is shorter than the cadence of {cadence}, so every row would end in a gap"),
            "use at least one cadence; the default is one and a half",
        ));
    }
    let zone = zone(time_zone.as_deref(), &at("time_zone"))?.unwrap_or(Tz::UTC);
    if let Some(window) = window {
        crate::domain::Windowing::new(window, zone)
            .map_err(|e| usage(&at("window"), &e.to_string(), "use a width that divides a day (5m, 1h, 6h), or whole days"))?;
    }
    let sequence_bounds = sequence_bounds.map_or((None, None), |b| (b.from.map(|n| n.0), b.until.map(|n| n.0)));
    for end in [sequence_bounds.0, sequence_bounds.1].into_iter().flatten() {
        if !(i128::from(i64::MIN)..=i128::from(u64::MAX) + 1).contains(&end) {
            return Err(usage(&at("sequence_bounds"), &format!("no column holds {end}"), "numbers are those of 64 bits, signed or not"));
        }
    }
    if let (Some(from), Some(until)) = sequence_bounds
        && from >= until
    {
        return Err(usage(
            &at("sequence_bounds"),
            &format!("from {from} is not before until {until}"),
            "the range is half-open: from < until",
        ));
    }
    if sequence_bounds != (None, None) && sequence.is_none() {
        return Err(usage(&at("sequence_bounds"), "there is no sequence for them to bound", "name the column with --sequence"));
    }
    let (sequence, sequence_last) = match sequence.as_deref() {
        None => (None, None),
        Some([only]) => (Some(only.clone()), None),
        Some([first, last]) if first != last => (Some(first.clone()), Some(last.clone())),
        Some(_) => {
            return Err(usage(
                &at("sequence"),
                "a sequence is one column, or two that hold the first and the last number of a row",
                "write sequence = \"log_offset\", or sequence = [\"first_id\", \"last_id\"] (--sequence first_id,last_id)",
            ));
        }
    };
    let step = sequence_step.unwrap_or(1);
    if step < 1 {
        return Err(usage(&at("sequence_step"), &format!("{step} is not a step"), "a sequence rises: use a whole number from 1 up"));
    }
    if step > 1 && sequence_last.is_some() {
        return Err(usage(&at("sequence_step"), "a row that stands for a range holds every number of it", "drop one of the two"));
    }
    let sequence_kind = match sequence_kind.as_deref() {
        None | Some("plain") => SequenceKind::Plain,
        Some("kafka_offset") => SequenceKind::KafkaOffset,
        Some(word) => {
            return Err(usage(&at("sequence_kind"), &format!("'{word}' is not known"), "use plain (the default) or kafka_offset"));
        }
    };
    for (field, said) in [
        ("sequence_step", sequence_step.is_some()),
        ("sequence_kind", sequence_kind != SequenceKind::Plain),
        ("payload_sequence", payload_sequence.is_some()),
    ] {
        if said && sequence.is_none() {
            return Err(usage(&at(field), "there is no sequence for it to speak of", "name the column with --sequence"));
        }
    }
    if sequence_kind == SequenceKind::KafkaOffset && (step > 1 || sequence_last.is_some()) {
        return Err(usage(&at("sequence_kind"), "offsets of a log rise by one, one a row", "drop sequence_step, and name one column"));
    }
    if payload_sequence.is_some() && sequence_kind != SequenceKind::KafkaOffset {
        return Err(usage(
            &at("payload_sequence"),
            "it tells legal skips of log offsets from loss, and the sequence is not one",
            "add sequence_kind = \"kafka_offset\"",
        ));
    }
    let outage = outage.map(|raw| build_bounds(raw, &at("outage"))).transpose()?;
    let tolerance = tolerance
        .unwrap_or_default()
        .into_iter()
        .map(|(column, raw)| build_tolerance(raw, &at(&format!("tolerance.{column}"))).map(|t| (column, t)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    if let Some(column) = tolerance.keys().find(|column| key.iter().flatten().any(|k| k == *column)) {
        return Err(usage(
            &at(&format!("tolerance.{column}")),
            "a key column cannot have a tolerance: rows are matched by their exact key",
            "leave it out of the key or out of the tolerances",
        ));
    }
    let text = text
        .unwrap_or_default()
        .into_iter()
        .map(|(column, words)| {
            words
                .iter()
                .map(|word| match word.as_str() {
                    "trim" => Ok(TextRule::Trim),
                    "fold" => Ok(TextRule::Fold),
                    "nfc" => Ok(TextRule::Nfc),
                    other => Err(usage(&at(&format!("text.{column}")), &format!("'{other}' is not known"), "use trim, fold (case) or nfc")),
                })
                .collect::<Result<Vec<_>>>()
                .map(|rules| (column, rules))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;
    let mut built_rules: Vec<Rule> = Vec::new();
    for raw in rule.unwrap_or_default() {
        built_rules.push(build_rule(raw, &at("rule"))?);
    }
    if let Some(directory) = rules {
        built_rules.extend(read_rules(Path::new(&directory))?);
    }
    for (index, rule) in built_rules.iter().enumerate() {
        if built_rules[..index].iter().any(|other| other.name == rule.name) {
            return Err(usage(&rule.place, &format!("two rules are called '{}'", rule.name), "give each rule a name of its own"));
        }
        if rule.side == Some(Side::Backfill) && mode == Mode::Single {
            return Err(usage(
                &rule.place,
                &format!("rule '{}' is for the backfill, but there is one side only", rule.name),
                "drop `side`",
            ));
        }
    }
    let duplicates = match duplicates.as_deref() {
        None | Some("differing") => Duplicates::Differing,
        Some("all") => Duplicates::All,
        Some(word) => return Err(usage(&at("duplicates"), &format!("'{word}' is not known"), "use differing (the default) or all")),
    };
    let digest = match digest.as_deref() {
        None => None,
        Some("blake3") => Some(DigestAlgorithm::Blake3),
        Some("sha256") => Some(DigestAlgorithm::Sha256),
        Some("md5") => Some(DigestAlgorithm::Md5),
        Some(word) => return Err(usage(&at("digest"), &format!("'{word}' is not known"), "use blake3, sha256 or md5")),
    };
    let manifests = manifest
        .unwrap_or_default()
        .iter()
        .map(|text| {
            let (side, path) = split_manifest(text);
            ManifestSpec { path: path.to_string(), side }
        })
        .collect();
    let series = named_columns(series.unwrap_or_default(), &at("series"))?;
    let mask = named_columns(mask.unwrap_or_default(), &at("mask"))?;
    let around = Around { series: &series, mask: &mask, zone, two_sided_replica: mode == Mode::Replica, windowed: window.is_some() };
    let inner = |field: &str| at(&format!("continuity.{field}"));
    let continuity = build_continuity(continuity.unwrap_or_default(), &around, &inner, build_bounds, self::zone)?;
    Ok(Stream {
        mode,
        original: build_side(original, &at("original"))?,
        backfill: backfill.map(|side| build_side(side, &at("backfill"))).transpose()?,
        key,
        keyless,
        time,
        series,
        sequence,
        sequence_last,
        sequence_step: i128::from(step),
        sequence_kind,
        payload_sequence,
        cadence,
        max_silence,
        window,
        time_zone: zone,
        bounds: bounds.map(|raw| build_bounds(raw, &at("bounds"))).transpose()?.unwrap_or_default(),
        sequence_bounds,
        outage,
        persistent_after,
        continuity,
        columns: columns.map(|columns| named_columns(columns, &at("columns"))).transpose()?,
        ignore: named_columns(ignore.unwrap_or_default(), &at("ignore"))?,
        mask,
        tolerance,
        text,
        rules: built_rules,
        duplicates,
        digest,
        manifests,
        name,
    })
}

fn split_manifest(text: &str) -> (Option<Side>, &str) {
    for side in Side::BOTH {
        if let Some(path) = text.strip_prefix(side.as_str()).and_then(|rest| rest.strip_prefix(':')) {
            return (Some(side), path);
        }
    }
    (None, text)
}

fn named_columns(columns: Vec<String>, place: &str) -> Result<Vec<String>> {
    for (index, column) in columns.iter().enumerate() {
        if column.is_empty() {
            return Err(usage(place, "a column name is empty", "separate names by single commas"));
        }
        if columns[..index].contains(column) {
            return Err(usage(place, &format!("column '{column}' is named twice"), "name each column once"));
        }
    }
    Ok(columns)
}

fn zone(name: Option<&str>, place: &str) -> Result<Option<Tz>> {
    name.map(|name| {
        name.parse::<Tz>().map_err(|_| {
            let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            usage(
                place,
                &format!("'{name}' is not a time zone"),
                &format!("use an IANA name such as Europe/Berlin; {}", nearest(name, known)),
            )
        })
    })
    .transpose()
}

fn build_bounds(raw: RawBounds, place: &str) -> Result<Bounds> {
    let moment = |text: Option<String>, end: &str| {
        let place = if place.starts_with("--from") { format!("--{end}") } else { format!("{place}.{end}") };
        text.map(|text| Instant::parse(&text))
            .transpose()
            .map_err(|e| usage(&place, &e.to_string(), "write it in UTC or with an offset, 2024-05-06T02:10:00Z"))
    };
    let bounds = Bounds { from: moment(raw.from, "from")?, until: moment(raw.until, "until")? };
    if let (Some(from), Some(until)) = (bounds.from, bounds.until)
        && from >= until
    {
        return Err(usage(place, &format!("from {from} is not before until {until}"), "bounds are half-open: from < until"));
    }
    Ok(bounds)
}

fn build_tolerance(raw: RawTolerance, place: &str) -> Result<Tolerance> {
    let help = "write abs:0.01, rel:1e-9, both with a comma between, or a duration such as 1ms";
    let (abs, rel) = match raw {
        RawTolerance::Number { abs, rel } => (abs, rel),
        RawTolerance::Text(text) => {
            if let Ok(length) = Duration::parse(&text) {
                return Ok(Tolerance::Time { nanos: length.nanos() });
            }
            let mut parts = [0.0, 0.0];
            for part in text.split(',') {
                let (kind, number) = part.split_once(':').unwrap_or(("abs", part));
                let place_of = match kind.trim() {
                    "abs" => 0,
                    "rel" => 1,
                    other => return Err(usage(place, &format!("'{other}' is not known"), help)),
                };
                parts[place_of] = number.trim().parse::<f64>().map_err(|_| usage(place, &format!("'{number}' is not a number"), help))?;
            }
            (parts[0], parts[1])
        }
    };
    if !(abs >= 0.0 && rel >= 0.0 && abs.is_finite() && rel.is_finite()) {
        return Err(usage(place, "a tolerance is a number from zero up", help));
    }
    Ok(Tolerance::Number { abs, rel })
}

fn build_rule(raw: RawRule, place: &str) -> Result<Rule> {
    let RawRule { name, assert, severity, side } = raw;
    let place = format!("{place} '{name}'");
    let severity = match severity {
        None => Severity::Error,
        Some(word) => {
            Severity::parse(&word).ok_or_else(|| usage(&place, &format!("'{word}' is not a severity"), "use error, warn or info"))?
        }
    };
    let side = match side.as_deref() {
        None | Some("both") => None,
        Some("original") => Some(Side::Original),
        Some("backfill") => Some(Side::Backfill),
        Some(word) => return Err(usage(&place, &format!("'{word}' is not a side"), "use original, backfill or both")),
    };
    if name.is_empty() || assert.trim().is_empty() {
        return Err(usage(&place, "a rule has a name and an expression", "write 'amount_not_negative: amount >= 0'"));
    }
    Ok(Rule { name, assert, severity, side, place })
}

fn build_side(raw: RawSide, place: &str) -> Result<SideSpec> {
    let RawSide { path, format, delimiter, header, null_values, time_format, time_zone, ambiguous, rename, columns, filter } = raw;
    let option = |name: &str| format!("{place}, option {name}");
    let format = format
        .map(|word| {
            Format::parse(&word).ok_or_else(|| {
                usage(
                    &option("format"),
                    &format!("'{word}' is not a format"),
                    "use parquet, csv, json (an array), ndjson, arrow (file) or arrows (stream)",
                )
            })
        })
        .transpose()?;
    let path = path.unwrap_or_default();
    let stem = path.trim_end_matches(".gz").trim_end_matches(".zst");
    let delimiter = match delimiter.as_deref() {
        None if stem.ends_with(".tsv") => b'\t',
        None if stem.ends_with(".psv") => b'|',
        None => b',',
        Some("\\t" | "tab") => b'\t',
        Some(text) if text.len() == 1 => text.as_bytes()[0],
        Some(text) => {
            return Err(usage(&option("delimiter"), &format!("'{text}' is not one character"), "use one ASCII character, or tab"));
        }
    };
    let ambiguous = match ambiguous.as_deref() {
        None | Some("finding") => Ambiguous::Finding,
        Some("error") => Ambiguous::Error,
        Some("earliest") => Ambiguous::Earliest,
        Some("latest") => Ambiguous::Latest,
        Some(word) => return Err(usage(&option("ambiguous"), &format!("'{word}' is not known"), "use finding, error, earliest or latest")),
    };
    let columns = columns
        .unwrap_or_default()
        .into_iter()
        .map(|(column, text)| {
            ColumnType::parse(&text).map(|parsed| (column.clone(), parsed)).ok_or_else(|| {
                usage(
                    &option("columns"),
                    &format!("column '{column}': '{text}' is not a type"),
                    &format!("there are: {}", ColumnType::WORDS),
                )
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let rename: Vec<(String, String)> = rename.unwrap_or_default().into_iter().collect();
    for (index, (_, to)) in rename.iter().enumerate() {
        if rename[..index].iter().any(|(_, other)| other == to) {
            return Err(usage(&option("rename"), &format!("two columns would be called '{to}'"), "rename each to a name of its own"));
        }
    }
    Ok(SideSpec {
        path,
        format,
        delimiter,
        header: header.unwrap_or(true),
        null_values: null_values.unwrap_or_else(|| vec![String::new()]),
        time_format,
        time_zone: zone(time_zone.as_deref(), &option("time_zone"))?,
        ambiguous,
        rename,
        columns,
        filter,
    })
}

fn build_accept(raw: RawAccept, place: &str, streams: &[String]) -> Result<Accept> {
    let RawAccept { check, kind, stream, side, series, key, column, from, until, reason, expires } = raw;
    if let Some(name) = &stream
        && !streams.contains(name)
    {
        return Err(usage(&format!("{place}.stream"), &format!("there is no stream '{name}'"), &nearest(name, streams)));
    }
    if let Some(side) = side.as_deref().filter(|side| !["original", "backfill", "recovered"].contains(side)) {
        return Err(usage(
            &format!("{place}.side"),
            &format!("'{side}' is not a side of a finding"),
            "use original, backfill or recovered",
        ));
    }
    if reason.trim().is_empty() {
        return Err(usage(&format!("{place}.reason"), "the reason is empty", "say why the finding is accepted; it is shown in the report"));
    }
    let plain = |field: &str, values: BTreeMap<String, toml::Value>| {
        values
            .into_iter()
            .map(|(name, value)| match value {
                toml::Value::String(text) => Ok((name, text)),
                toml::Value::Array(_) | toml::Value::Table(_) => Err(usage(
                    &format!("{place}.{field}.{name}"),
                    "no column holds a list or a table",
                    "write the value as it is in the finding: text, a number, true or false, a time",
                )),
                other => Ok((name, other.to_string())),
            })
            .collect::<Result<BTreeMap<_, _>>>()
    };
    let expires = expires
        .map(|text| Instant::parse(&text))
        .transpose()
        .map_err(|e| usage(&format!("{place}.expires"), &e.to_string(), "write a date, 2024-06-01"))?;
    Ok(Accept {
        check,
        kind,
        stream,
        side,
        series: plain("series", series)?,
        key: plain("key", key)?,
        column,
        bounds: build_bounds(RawBounds { from, until }, place)?,
        reason,
        expires,
        whole_job: true,
        place: place.to_string(),
    })
}

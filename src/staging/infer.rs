//! Proposing the event time and the key where nobody said them. What is proposed is said aloud, with the flag that
//! makes it explicit.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::prelude::ident;
use futures::TryStreamExt;

use super::pairing::comparable;
use crate::domain::{RowHashing, Seed};
use crate::error::{Error, Result};
use crate::job::Stream;
use crate::source::{Opened, describe_engine_error, guarded};

/// Rows that a first look takes; a set of columns that repeats within them is no key.
const FIRST_LOOK_ROWS: usize = 50_000;
/// Columns that sets of two and three are made from.
const COLUMNS_IN_SETS: usize = 10;

/// The one column that can be the event time, with the line that says so; `None` where there is none or several.
/// `needed_by` names the setting that cannot do without.
///
/// # Errors
/// Time is needed, and there is none, or there are several.
pub fn infer_time(stream: &Stream, sides: &[Opened], needed_by: Option<&str>) -> Result<(Option<String>, Option<String>)> {
    let all = |wanted: fn(&DataType) -> bool| -> Vec<String> {
        sides[0]
            .schema
            .fields()
            .iter()
            .filter(|field| sides.iter().all(|side| side.schema.field_with_name(field.name()).is_ok_and(|f| wanted(f.data_type()))))
            .map(|field| field.name().clone())
            .filter(|name| !stream.ignore.contains(name))
            .collect()
    };
    let mut candidates = all(|data_type| matches!(data_type, DataType::Timestamp(_, _)));
    if candidates.is_empty() {
        candidates = all(|data_type| matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64));
    }
    match candidates.as_slice() {
        [one] => Ok((Some(one.clone()), Some(format!("event time is '{one}', the only time column (--time {one})")))),
        [] => match needed_by {
            Some(setting) => Err(Error::NoTime { problem: "no column holds times".to_string(), needed_by: setting.to_string() }),
            None => Ok((None, None)),
        },
        several => match needed_by {
            Some(_) => Err(Error::SeveralTimes { columns: several.join(", ") }),
            None => {
                Ok((None, Some(format!("no event time, since there are several time columns: {} (--time COLUMN)", several.join(", ")))))
            }
        },
    }
}

/// The smallest set of columns that is unique on at least one side, names like `id` first.
///
/// # Errors
/// No set is unique on either side, or a side cannot be read.
pub async fn infer_key(stream: &Stream, sides: &[Opened]) -> Result<(Vec<String>, String)> {
    let mut candidates: Vec<String> = sides[0]
        .schema
        .fields()
        .iter()
        .filter(|field| {
            let own = field.data_type();
            let usable = |data_type: &DataType| !data_type.is_floating() && !data_type.is_nested() && *data_type != DataType::Boolean;
            usable(own)
                && sides.iter().all(|side| {
                    side.schema
                        .field_with_name(field.name())
                        .is_ok_and(|f| usable(f.data_type()) && comparable(own, f.data_type()).is_some())
                })
        })
        .map(|field| field.name().clone())
        .filter(|name| !stream.ignore.contains(name) && stream.columns.as_ref().is_none_or(|columns| columns.contains(name)))
        .collect();
    candidates.sort_by_key(|name| likeness_to_id(name, stream));
    let mut sets: Vec<Vec<String>> = candidates.iter().map(|name| vec![name.clone()]).collect();
    let few: Vec<String> = candidates.iter().take(COLUMNS_IN_SETS).cloned().collect();
    for (i, a) in few.iter().enumerate() {
        for b in few.iter().skip(i + 1) {
            sets.push(vec![a.clone(), b.clone()]);
        }
    }
    for (i, a) in few.iter().enumerate() {
        for (j, b) in few.iter().enumerate().skip(i + 1) {
            for c in few.iter().skip(j + 1) {
                sets.push(vec![a.clone(), b.clone(), c.clone()]);
            }
        }
    }
    let tried = sets.len();
    // A first look at some rows rules most sets out, all of them in one read a side.
    let mut open: Vec<Vec<bool>> = Vec::new();
    for side in sides {
        open.push(unique(side, &sets, Some(FIRST_LOOK_ROWS)).await?);
    }
    for (index, set) in sets.iter().enumerate() {
        for (side, open) in sides.iter().zip(&open) {
            if open[index] && unique(side, std::slice::from_ref(set), None).await?[0] {
                let names = set.join(",");
                let line = format!("key is {names}, unique on the {} (--key {names})", side.side);
                return Ok((set.clone(), line));
            }
        }
    }
    Err(Error::NoKey { tried })
}

/// 0 for the names that identifiers have, more for others; the order of the schema decides between equals.
fn likeness_to_id(name: &str, stream: &Stream) -> u8 {
    let lower = name.to_lowercase();
    if lower == "id" || lower == "uuid" || lower == "key" || lower == "guid" {
        0
    } else if lower.ends_with("_id") || lower.ends_with("_key") || lower.ends_with("uuid") || name.ends_with("Id") || name.ends_with("ID") {
        1
    } else if stream.series.contains(&name.to_string()) || stream.time.as_deref() == Some(name) {
        2
    } else if stream.sequence.as_deref() == Some(name) {
        3
    } else {
        4
    }
}

/// For each set of columns, whether no two rows of the side (or of its first rows) have the same values in it.
async fn unique(side: &Opened, sets: &[Vec<String>], first_rows: Option<usize>) -> Result<Vec<bool>> {
    let mut names: Vec<String> = sets.iter().flatten().cloned().collect();
    names.sort();
    names.dedup();
    // Local times that mean no instant are told apart as they are written.
    let beside = |name: &String| side.untold.iter().find(|(column, _)| column == name).map(|(_, beside)| beside.clone());
    let besides: Vec<Option<usize>> = {
        let known = names.len();
        let found: Vec<Option<String>> = names.iter().map(beside).collect();
        names.extend(found.iter().flatten().cloned());
        found.iter().scan(known, |next, one| Some(one.as_ref().map(|_| std::mem::replace(next, *next + 1)))).collect()
    };
    let hashing = RowHashing::new(&Seed::default(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    let outcome: Result<Vec<bool>, DataFusionError> = guarded(async {
        let mut frame = side.frame.clone().select(names.iter().map(|name| ident(name.clone())).collect::<Vec<_>>())?;
        if first_rows.is_some() {
            frame = frame.limit(0, first_rows)?;
        }
        let mut stream = frame.execute_stream().await?;
        let mut seen: Vec<Option<HashSet<u128>>> = vec![Some(HashSet::new()); sets.len()];
        while let Some(batch) = stream.try_next().await? {
            for (set, seen) in sets.iter().zip(&mut seen) {
                let Some(hashes) = seen else { continue };
                let mut states = vec![0; batch.num_rows()];
                let mut repeated = false;
                for place in set.iter().filter_map(|name| names.iter().position(|known| known == name)) {
                    let column = batch.column(place);
                    let beside = besides.get(place).copied().flatten();
                    let told = beside.map_or(0, |beside| batch.num_rows() - batch.column(beside).null_count());
                    // A NULL identifies nothing, so a column that holds one is not proposed.
                    repeated |= column.logical_null_count() > told;
                    for place in std::iter::once(place).chain(beside) {
                        let column = batch.column(place).as_ref();
                        hashing.absorb(place, column, &mut states).map_err(|e| DataFusionError::Execution(e.to_string()))?;
                    }
                }
                hashing.finish_keys(&mut states);
                repeated = repeated || !states.into_iter().all(|key| hashes.insert(key));
                if repeated {
                    *seen = None;
                }
            }
            if seen.iter().all(Option::is_none) {
                break;
            }
        }
        // An empty side proves nothing about any column.
        Ok(seen.iter().map(|hashes| hashes.as_ref().is_some_and(|hashes| !hashes.is_empty())).collect())
    })
    .await;
    outcome.map_err(|e| Error::ReadFailed { side: side.side.to_string(), problem: describe_engine_error(&e) })
}

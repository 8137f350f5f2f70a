//! Whether a hole is the missing tail of a file.
//!
//! ```text
//! 03.parquet ├──────────┤            every other file ends just before the next begins;
//! 04.parquet             ├─────·····  this one ends early, and the next begins in time
//! 05.parquet                        ├──────────┤
//! ```

use super::evidence::{Edge, FileSeen};
use super::words::{counted, grouped, length};
use crate::domain::{Instant, Side};

/// Evidence that a file ends where a hole begins, and that it should not.
pub(super) struct Truncated {
    pub(super) file: usize,
    pub(super) evidence: String,
}

/// Files in order of their first event time: place, first and last.
fn in_order(files: &[FileSeen]) -> Vec<(usize, i128, i128)> {
    let mut order: Vec<(usize, i128, i128)> =
        files.iter().enumerate().filter_map(|(at, file)| file.extent.map(|(first, last)| (at, first, last))).collect();
    order.sort_by_key(|(at, first, last)| (*first, *last, *at));
    order
}

fn median(mut values: Vec<i128>) -> Option<i128> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Files of a side with their names.
pub(super) type Files<'a> = (&'a [FileSeen], &'a [String]);

/// Looks at the file that ends where the hole of a series begins. `files` are those of the side that lacks the rows, `others` those
/// of the other side, where the rows lie there.
pub(super) fn truncated(
    (files, names): Files<'_>,
    others: Option<Files<'_>>,
    series: usize,
    edge: &Edge,
    hole: (i128, i128),
) -> Option<Truncated> {
    let before = edge.before?;
    let (_, file) = before.file?;
    let own = files.get(file)?;
    let (_, ends) = own.extent?;
    // The file has no row of the series behind the hole.
    if own.series.get(&series)?.1 != before.time? || edge.after.is_some_and(|after| after.file == before.file) {
        return None;
    }
    // Nor of any other: then the file ends here, and not the series.
    if ends >= hole.1 || ends - hole.0 > (hole.1 - hole.0) / 10 {
        return None;
    }
    let name = names.get(file)?;
    // A file of the same name on the other side holds all that is missing, and more rows.
    if let Some((other_files, other_names)) = others
        && files.len() > 1
        && let Some(at) = other_names.iter().position(|other| other == name)
        && let Some(twin) = other_files.get(at)
        && let (Some((_, twin_ends)), Some((first, last))) = (twin.extent, edge.other)
    {
        let of_twin = |file: Option<(Side, usize)>| file.is_some_and(|(_, place)| place == at);
        let tail = of_twin(first.file) && of_twin(last.file) && twin.series.get(&series).is_some_and(|(_, end)| Some(*end) == last.time);
        return (tail && twin.tally.rows > own.tally.rows).then(|| Truncated {
            file,
            evidence: format!(
                "the file '{name}' ends at {}, and its twin on the other side at {}: it has {} of {}",
                Instant(ends),
                Instant(twin_ends),
                grouped(own.tally.rows),
                counted(twin.tally.rows, "row"),
            ),
        });
    }
    let order = in_order(files);
    let at = order.iter().position(|(place, _, _)| *place == file)?;
    let apart = order.windows(2).filter(|pair| pair[0].2 < pair[1].1).count();
    if order.len() >= 3 && apart + 1 >= order.len() {
        // One file after another.
        let period = median(order.windows(2).map(|pair| pair[1].1 - pair[0].1).collect())?;
        let slack = median(order.windows(2).filter(|pair| pair[0].0 != file).map(|pair| (pair[1].1 - pair[0].2).max(1)).collect())?;
        let due = order[at].1 + period;
        let next = order.get(at + 1);
        let (limit, rest) = match next {
            Some((_, first, _)) => (*first, format!("the next begins at {}", Instant(*first))),
            None => (due, "it is the last".to_string()),
        };
        // The next begins about when it should, so its head is there; and the hole lies before it.
        let in_time = limit <= due + period / 20;
        let inside = edge.after.is_none_or(|after| next.is_some_and(|(place, _, _)| after.file.is_some_and(|(_, of)| of == *place)));
        let early = limit - ends >= 2 * slack + slack / 2;
        return (in_time && inside && early).then(|| Truncated {
            file,
            evidence: format!(
                "the file '{name}' ends at {}, {} before its end is due: files begin every {} and usually end {} before the next, {rest}",
                Instant(ends),
                length(limit - ends),
                length(period),
                length(slack),
            ),
        });
    }
    if edge.after.is_some() {
        return None;
    }
    if order.len() == 1 {
        // Every series of a lone file ends with it. Only where the other side goes on behind it is its end early.
        return others.map(|_| Truncated {
            file,
            evidence: format!(
                "the file '{name}' ends at {}; {} up to {} are missing behind it",
                Instant(ends),
                length(hole.1 - ends),
                Instant(hole.1)
            ),
        });
    }
    // Side by side, a file a series or the like: the others end together, and later.
    let others: Vec<i128> = order.iter().filter(|(place, _, _)| *place != file).map(|(_, _, last)| *last).collect();
    let (first, last) = (*others.iter().min()?, *others.iter().max()?);
    let early = first - ends;
    (others.len() >= 2 && early > 3 * (last - first) && early > 0).then(|| Truncated {
        file,
        evidence: format!(
            "the file '{name}' ends at {}, and the other {} end {} later or more, within {} of each other",
            Instant(ends),
            counted(others.len() as u64, "file"),
            length(early),
            length((last - first).max(1)),
        ),
    })
}

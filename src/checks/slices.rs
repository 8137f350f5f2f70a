//! Many series, in slices that fit.
//!
//! A series takes two kilobytes and more while its rows come, whatever they hold, so a million of them do not fit a small budget. Then a pass keeps the
//! series of a slice alone: those from a first one up to another, in the order of their encoded values. The slice is not known beforehand. It begins
//! as all series that are left, and whenever what its readers hold outgrows the room, its end moves down and what lies behind is let go:
//!
//! ```text
//! pass 1   [──────────────────────────────────────────)   all series
//!          [───────────────────────────)                  too many: the last quarter is let go
//!          [────────────────────)                         again
//! pass 2                        [─────────────────────)   from there on
//! pass 3                                    [─────────)
//! ```
//!
//! What a pass keeps is complete, since its end only ever moved down; slices follow one another in the order of the series, so that what is found does not depend
//! on where they were cut. Nothing is guessed: data sorted by series and data in which all come side by side are cut alike.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::sketch::ByHash;

/// Of what a slice holds so much is let go at a time: a quarter.
const LET_GO: (usize, usize) = (1, 4);

/// The series that a pass keeps, seen by all its readers.
#[derive(Debug)]
pub(super) struct Slice {
    /// The first series.
    from: Vec<u8>,
    /// Bytes that all readers may hold together; without it everything is kept.
    room: Option<u64>,
    /// How often the end moved.
    moved: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first series no longer inside.
    until: Option<Arc<[u8]>>,
    /// Bytes that each reader said it holds.
    held: Vec<u64>,
}

impl Slice {
    /// All series from one on, in so many bytes.
    pub(super) fn new(from: Vec<u8>, room: Option<u64>) -> Self {
        Self { from, room, moved: AtomicU64::new(0), state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the slice ends by now: the first series of the next one.
    pub(super) fn until(&self) -> Option<Arc<[u8]>> {
        self.state().until.clone()
    }

    /// A reader says what its series hold, and gives their names in any order. The end moves down if that is too much.
    fn report(&self, reader: usize, bytes: u64, names: impl FnOnce() -> Vec<Arc<[u8]>>) {
        let Some(room) = self.room else { return };
        let mut state = self.state();
        if state.held.len() <= reader {
            state.held.resize(reader + 1, 0);
        }
        state.held[reader] = bytes;
        if state.held.iter().sum::<u64>() <= room {
            return;
        }
        let mut names = names();
        names.sort_unstable();
        let stay = names.len() - (names.len() * LET_GO.0).div_ceil(LET_GO.1);
        // One series alone cannot be cut: it has bounds of its own.
        let Some(end) = names.get(stay.max(1)).filter(|end| state.until.as_ref().is_none_or(|until| *end < until)) else { return };
        state.until = Some(end.clone());
        // Until the others have let go too, they are taken to hold as much less.
        for held in &mut state.held {
            *held -= *held / LET_GO.1 as u64 * LET_GO.0 as u64;
        }
        self.moved.fetch_add(1, Ordering::Release);
    }
}

/// What one reader knows of the slice.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    slice: Arc<Slice>,
    reader: usize,
    seen: u64,
    until: Option<Arc<[u8]>>,
}

impl Cut {
    /// For a further reader.
    pub(super) fn new(slice: Arc<Slice>) -> Self {
        let mut state = slice.state();
        let reader = state.held.len();
        state.held.push(0);
        drop(state);
        Self { slice, reader, seen: 0, until: None }
    }

    /// Whether the end has moved since this was asked last.
    pub(super) fn has_moved(&mut self) -> bool {
        let moved = self.slice.moved.load(Ordering::Acquire);
        if moved == self.seen {
            return false;
        }
        self.seen = moved;
        self.until = self.slice.until();
        true
    }

    /// Whether a series is kept.
    pub(super) fn holds(&self, series: &[u8]) -> bool {
        *self.slice.from <= *series && self.until.as_ref().is_none_or(|until| series < &**until)
    }

    /// Whether series may have to wait for another pass.
    pub(super) fn is_bounded(&self) -> bool {
        self.slice.room.is_some()
    }

    /// Says what is held.
    pub(super) fn report(&self, bytes: u64, names: impl FnOnce() -> Vec<Arc<[u8]>>) {
        self.slice.report(self.reader, bytes, names);
    }
}

/// How many series there are, up to a number from which on nobody asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Distinct {
    tags: HashSet<u64, ByHash>,
}

impl Distinct {
    /// Counts a series by its checksum.
    pub(super) fn add(&mut self, series: u128, most: usize) {
        if self.tags.len() < most {
            self.tags.insert(series as u64);
        }
    }

    /// Counts those of another reader.
    pub(super) fn merge(&mut self, other: &Self, most: usize) {
        for tag in &other.tags {
            if self.tags.len() >= most {
                break;
            }
            self.tags.insert(*tag);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two readers that see series in orders of their own: each pass ends with all series of its slice, and the passes together have each series once.
    #[test]
    fn slices_have_every_series_once() {
        let name = |at: u32| Arc::<[u8]>::from(at.to_be_bytes().as_slice());
        let orders: [Vec<u32>; 2] = [(0..1_000).collect(), (0..1_000).rev().collect()];
        let mut from: Option<Arc<[u8]>> = Some(Arc::from([].as_slice()));
        let mut kept: Vec<Vec<Arc<[u8]>>> = Vec::new();
        while let Some(start) = from {
            let slice = Arc::new(Slice::new(start.to_vec(), Some(20_000)));
            let mut readers: Vec<(Cut, Vec<Arc<[u8]>>)> = (0..2).map(|_| (Cut::new(slice.clone()), Vec::new())).collect();
            for turn in 0..1_000 {
                for ((cut, held), order) in readers.iter_mut().zip(&orders) {
                    if cut.has_moved() {
                        held.retain(|series| cut.holds(series));
                    }
                    let series = name(order[turn]);
                    if cut.holds(&series) {
                        held.push(series);
                    }
                    cut.report(held.len() as u64 * 100, || held.clone());
                }
            }
            let (mut cut, mut mine) = readers.remove(0);
            cut.has_moved();
            let (_, theirs) = readers.remove(0);
            mine.extend(theirs);
            mine.retain(|series| cut.holds(series));
            mine.sort();
            mine.dedup();
            assert!(mine.len() <= 120, "{}", mine.len());
            kept.push(mine);
            from = slice.until();
        }
        assert!(kept.len() > 8, "{}", kept.len());
        let all: Vec<Arc<[u8]>> = kept.concat();
        assert_eq!(all, (0..1_000).map(name).collect::<Vec<_>>());
    }

    /// What cannot be cut stays whole, however much it holds.
    #[test]
    fn one_series_is_never_let_go() {
        let slice = Arc::new(Slice::new(Vec::new(), Some(1)));
        let cut = Cut::new(slice.clone());
        cut.report(1 << 40, || vec![Arc::from(b"a".as_slice())]);
        assert!(slice.until().is_none());
        cut.report(1 << 40, || vec![Arc::from(b"b".as_slice()), Arc::from(b"a".as_slice())]);
        assert_eq!(slice.until().as_deref(), Some(b"b".as_slice()));
    }
}

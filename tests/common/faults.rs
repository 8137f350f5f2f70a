//! Faults, each planted with what must be found because of it.
//!
//! A pair starts as one clean stream on both sides. A fault takes a zone of its own (a few neighbouring
//! rows of one series, with untouched rows on both sides of it), so that faults never mix and the truth of
//! each can be written down when it is planted.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;

use super::generator::{CODE, DEVICE, ID, PAYLOAD, SEQ, Shape, TS};
use super::job::{HOUR_US, Job, Mode};
use super::table::{Cell, Column, Row, Table, object};

/// Rows at the head and at the tail of a series that zones leave alone.
const EDGE_ROWS: usize = 8;
/// Untouched rows between two zones.
const MARGIN_ROWS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Original,
    Backfill,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Backfill => "backfill",
        }
    }
}

/// What must be found. `None` leaves a field unsaid, not NULL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planted {
    pub(crate) check: &'static str,
    pub(crate) kind: Option<&'static str>,
    pub(crate) severity: Option<&'static str>,
    pub(crate) side: Option<&'static str>,
    pub(crate) series: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) column: Option<&'static str>,
    /// Original and backfill; NULL inside.
    pub(crate) values: Option<(Option<String>, Option<String>)>,
    pub(crate) times_us: Option<(i64, i64)>,
    pub(crate) sequences: Option<(i64, i64)>,
    pub(crate) rows: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    DropStretch(Side),
    DropRow(Side),
    DropHead(Side),
    DropTail(Side),
    AlterCell,
    SwapValues,
    /// Two neighbours trade their event times: nothing is missing, but the sequence falls.
    SwapTimes,
    Replay,
    LostCopy,
    AlteredCopy,
    ConflictOnOneSide,
    ConflictOnBothSides,
    AlikeCopies,
    ShiftTimeZone,
    MoveToOtherWindow,
    NullKeyOnBothSides,
    NullKeyOnOneSide,
    UnexpectedRows,
    MissingSeries,
    UnexpectedSeries,
    NullTime,
    RowsOutsideBounds,
    /// `fill`: rows on both sides of the seam, alike.
    OverlapAlike,
    /// `fill`: the same, one of them altered.
    OverlapAltered,
    /// `fill`: a part of the original's hole is still empty, or all of it.
    HoleLeft,
    HoleUnfilled,
    /// `fill` and one side alone: copies on one side only, alike or not.
    Copies,
    ConflictingCopies,
}

impl Fault {
    pub(crate) const REPLICA: [Self; 25] = [
        Self::DropStretch(Side::Backfill),
        Self::DropStretch(Side::Original),
        Self::DropRow(Side::Backfill),
        Self::DropRow(Side::Original),
        Self::DropHead(Side::Backfill),
        Self::DropTail(Side::Backfill),
        Self::DropTail(Side::Original),
        Self::AlterCell,
        Self::SwapValues,
        Self::SwapTimes,
        Self::Replay,
        Self::LostCopy,
        Self::AlteredCopy,
        Self::ConflictOnOneSide,
        Self::ConflictOnBothSides,
        Self::AlikeCopies,
        Self::ShiftTimeZone,
        Self::MoveToOtherWindow,
        Self::NullKeyOnBothSides,
        Self::NullKeyOnOneSide,
        Self::UnexpectedRows,
        Self::MissingSeries,
        Self::UnexpectedSeries,
        Self::NullTime,
        Self::RowsOutsideBounds,
    ];
    pub(crate) const FILL: [Self; 6] =
        [Self::OverlapAlike, Self::OverlapAltered, Self::HoleLeft, Self::HoleUnfilled, Self::Copies, Self::ConflictingCopies];
    pub(crate) const SINGLE: [Self; 5] =
        [Self::DropStretch(Side::Original), Self::DropRow(Side::Original), Self::Copies, Self::ConflictingCopies, Self::NullKeyOnBothSides];
}

/// Both sides while faults are planted: for each row of the clean stream, its copies on each side.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) shape: Shape,
    pub(crate) columns: Vec<Column>,
    pub(crate) planted: Vec<Planted>,
    /// Checks of which a planted fault has consequences that it does not list.
    pub(crate) unsettled: BTreeSet<&'static str>,
    clean: Vec<Row>,
    original: Vec<Vec<Row>>,
    backfill: Vec<Vec<Row>>,
    mode: Mode,
    /// The first row of each series that no zone has taken.
    free_from: Vec<usize>,
    /// The holes of a `fill`: series, first row, rows.
    holes: Vec<(usize, usize, usize)>,
    strangers: i64,
}

impl Pair {
    pub(crate) fn clean(shape: &Shape, mode: Mode) -> Self {
        let clean: Vec<Row> =
            (0..shape.series).flat_map(|s| (0..shape.rows_per_series).map(move |i| (s, i))).map(|(s, i)| shape.row(s, i)).collect();
        let copies: Vec<Vec<Row>> = clean.iter().map(|row| vec![row.clone()]).collect();
        let mut pair = Self {
            shape: shape.clone(),
            columns: Shape::columns(),
            planted: Vec::new(),
            unsettled: BTreeSet::new(),
            original: copies.clone(),
            backfill: if mode == Mode::Replica { copies } else { vec![Vec::new(); clean.len()] },
            clean,
            mode,
            free_from: vec![EDGE_ROWS; shape.series],
            holes: Vec::new(),
            strangers: 0,
        };
        if mode == Mode::Fill {
            pair.cut_holes();
        }
        pair
    }

    /// One hole in each series, which the backfill fills exactly.
    fn cut_holes(&mut self) {
        let rows = (self.shape.rows_per_series / 3).max(12);
        for s in 0..self.shape.series {
            let first = EDGE_ROWS + 6 + s;
            assert!(first + rows + 2 * EDGE_ROWS < self.shape.rows_per_series, "too short a series for a hole");
            for i in first..first + rows {
                let at = self.at(s, i);
                let copies = std::mem::take(&mut self.original[at]);
                self.backfill[at] = copies;
            }
            self.holes.push((s, first, rows));
            self.free_from[s] = first + rows + EDGE_ROWS;
        }
    }

    pub(crate) fn table(&self, side: Side) -> Table {
        let copies = if side == Side::Original { &self.original } else { &self.backfill };
        Table { columns: self.columns.clone(), rows: copies.iter().flatten().cloned().collect() }
    }

    /// Plants a fault; false where it cannot be: no zone is left, or the job gives it no meaning.
    pub(crate) fn plant(&mut self, fault: Fault, job: &Job, rng: &mut StdRng) -> bool {
        let known = self.planted.len();
        let done = self.try_plant(fault, job, rng).is_some();
        assert!(done || self.planted.len() == known, "{fault:?} gave up half-way");
        done
    }

    fn try_plant(&mut self, fault: Fault, job: &Job, rng: &mut StdRng) -> Option<()> {
        match fault {
            Fault::DropStretch(side) => {
                let rows = rng.random_range(3..12);
                let (s, first) = self.zone(rng, rows)?;
                self.drop_rows(job, side, s, first, rows);
            }
            Fault::DropRow(side) => {
                let (s, first) = self.zone(rng, 1)?;
                self.drop_rows(job, side, s, first, 1);
            }
            Fault::DropHead(side) => {
                let s = self.edge(rng, 0)?;
                self.drop_edge(job, side, s, 0, 4);
            }
            Fault::DropTail(side) => {
                let first = self.shape.rows_per_series - 4;
                let s = self.edge(rng, first)?;
                self.drop_edge(job, side, s, first, 4);
            }
            Fault::AlterCell => {
                let column = self.payload_column(job, rng)?;
                let (s, i) = self.zone(rng, 1)?;
                self.alter(job, rng, s, i, column);
            }
            Fault::SwapValues => {
                let column = self.payload_column(job, rng)?;
                let (s, i) = self.zone(rng, 2)?;
                let (at, with) = (self.at(s, i), self.at(s, i + 1));
                let (mine, theirs) = (self.clean[at][column].clone(), self.clean[with][column].clone());
                if mine != theirs {
                    self.change(job, at, column, theirs);
                    self.change(job, with, column, mine);
                }
            }
            Fault::SwapTimes => {
                if job.key.contains(&"ts") {
                    return None;
                }
                let (s, i) = self.zone(rng, 2)?;
                let (at, with) = (self.at(s, i), self.at(s, i + 1));
                let (mine, theirs) = (self.clean[at][TS].clone(), self.clean[with][TS].clone());
                self.change(job, at, TS, theirs);
                self.change(job, with, TS, mine);
                if job.time.is_some() && job.sequence.is_some() {
                    let series = self.series_of(job, s);
                    self.say(Planted {
                        check: "sequence_regression",
                        severity: Some("warn"),
                        side: Some("backfill"),
                        series,
                        ..Planted::default()
                    });
                }
            }
            Fault::Replay => {
                let rows = rng.random_range(1..6);
                let (s, first) = self.zone(rng, rows)?;
                let mut copies = 0;
                for i in first..first + rows {
                    let at = self.at(s, i);
                    let more = rng.random_range(1..4);
                    self.add_copies(at, Side::Backfill, more);
                    self.surplus(job, at, Side::Backfill, more);
                    copies += more;
                }
                self.sequence_run(job, "backfill", s, first, rows, copies);
            }
            Fault::LostCopy => {
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                self.add_copies(at, Side::Original, 1);
                self.surplus(job, at, Side::Original, 1);
                self.sequence_run(job, "original", s, i, 1, 1);
            }
            Fault::AlteredCopy => {
                let column = self.payload_column(job, rng)?;
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                self.alter(job, rng, s, i, column);
                let copy = self.clean[at].clone();
                self.original[at].push(copy.clone());
                self.backfill[at].push(copy);
                self.sequence_run(job, "original", s, i, 1, 1);
                self.sequence_run(job, "backfill", s, i, 1, 1);
            }
            Fault::ConflictOnOneSide => {
                let column = self.payload_column(job, rng)?;
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                let mut copy = self.clean[at].clone();
                copy[column] = self.shape.other_value(rng, column, &copy[column]);
                self.backfill[at].push(copy);
                if job.key.is_empty() {
                    self.row_only("unexpected_row", 1);
                } else {
                    self.duplicate(job, at, "conflict", Some(Side::Backfill), 1);
                }
                self.sequence_run(job, "backfill", s, i, 1, 1);
            }
            Fault::ConflictOnBothSides => {
                let column = [super::generator::QTY, super::generator::AMOUNT].into_iter().find(|column| self.is_compared(job, *column))?;
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                let versions: Vec<Row> = (0..4)
                    .map(|version| {
                        let mut row = self.clean[at].clone();
                        row[column] = if column == super::generator::QTY {
                            Cell::Int(2_000_000 + version)
                        } else {
                            Cell::Decimal(20_000_000 + version)
                        };
                        row
                    })
                    .collect();
                self.original[at] = versions[..2].to_vec();
                self.backfill[at] = versions[2..].to_vec();
                if job.key.is_empty() {
                    for _ in 0..2 {
                        self.row_only("missing_row", 1);
                        self.row_only("unexpected_row", 1);
                    }
                } else {
                    self.duplicate(job, at, "conflict", None, 4);
                }
                self.sequence_run(job, "original", s, i, 1, 1);
                self.sequence_run(job, "backfill", s, i, 1, 1);
            }
            Fault::AlikeCopies => {
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                self.add_copies(at, Side::Original, 1);
                self.add_copies(at, Side::Backfill, 1);
                if job.duplicates_all && !job.key.is_empty() {
                    let key = self.key_of(job, &self.clean[at]);
                    self.say(Planted { check: "duplicate_key", kind: Some("alike"), severity: Some("warn"), key, ..Planted::default() });
                }
                self.sequence_run(job, "original", s, i, 1, 1);
                self.sequence_run(job, "backfill", s, i, 1, 1);
            }
            Fault::ShiftTimeZone => self.shift_time_zone(job, rng)?,
            Fault::MoveToOtherWindow => {
                if job.key.contains(&"ts") {
                    return None;
                }
                let (s, i) = self.zone(rng, 1)?;
                let near = self.at(s, rng.random_range(4..EDGE_ROWS - 2));
                let at = self.at(s, i);
                let time = self.time_us(near) + self.shape.cadence_us / 3;
                self.change(job, at, TS, Cell::Time(time));
                self.silence(job, "backfill", s, i, 1);
                self.unsettled.insert("sequence_regression");
            }
            Fault::NullKeyOnBothSides => {
                if !job.key.contains(&"code") || job.key.len() < 2 {
                    return None;
                }
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                self.clean[at][CODE] = Cell::Null;
                for row in self.original[at].iter_mut().chain(&mut self.backfill[at]) {
                    row[CODE] = Cell::Null;
                }
                let key = self.key_of(job, &self.clean[at]);
                let severity = if self.mode == Mode::Replica { "warn" } else { "error" };
                self.say(Planted { check: "null_key", severity: Some(severity), key, ..Planted::default() });
            }
            Fault::NullKeyOnOneSide => {
                if !job.key.contains(&"code") || job.key.len() < 2 {
                    return None;
                }
                let (s, i) = self.zone(rng, 1)?;
                let mut row = self.stranger(s, i, 0);
                row[CODE] = Cell::Null;
                let key = self.key_of(job, &row);
                self.say(Planted {
                    check: "null_key",
                    severity: Some("error"),
                    side: Some("backfill"),
                    key,
                    rows: Some(1),
                    ..Planted::default()
                });
                self.add_stranger(job, row);
            }
            Fault::UnexpectedRows => {
                let rows = rng.random_range(1..5);
                let (s, first) = self.zone(rng, rows)?;
                for i in first..first + rows {
                    let row = self.stranger(s, i, 0);
                    self.add_stranger(job, row);
                }
            }
            Fault::MissingSeries => self.drop_series(job, rng, Side::Backfill, "missing_series")?,
            Fault::UnexpectedSeries => self.drop_series(job, rng, Side::Original, "unexpected_series")?,
            Fault::NullTime => {
                if job.key.contains(&"ts") {
                    return None;
                }
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                self.change(job, at, TS, Cell::Null);
                if job.time.is_some() {
                    self.say(Planted { check: "null_time", severity: Some("error"), side: Some("backfill"), ..Planted::default() });
                }
                self.silence(job, "backfill", s, i, 1);
            }
            Fault::RowsOutsideBounds => {
                let (from, until) = job.bounds_us?;
                for (number, time) in [until, until + 1, from - 1].into_iter().enumerate() {
                    let mut row = self.stranger(0, 0, number as i64);
                    row[TS] = Cell::Time(time);
                    self.backfill.push(vec![row]);
                    self.original.push(Vec::new());
                }
                self.say(Planted { check: "row_outside_bounds", severity: Some("info"), side: Some("backfill"), ..Planted::default() });
            }
            Fault::OverlapAlike | Fault::OverlapAltered => {
                let column = self.payload_column(job, rng)?;
                let (s, first, rows) = self.take_hole(rng)?;
                let before = rng.random_range(1..4);
                let after = rng.random_range(1..4);
                let altered = (fault == Fault::OverlapAltered).then(|| first - before);
                for i in (first - before..first).chain(first + rows..first + rows + after) {
                    let at = self.at(s, i);
                    self.backfill[at] = self.original[at].clone();
                    if altered == Some(i) {
                        self.alter(job, rng, s, i, column);
                    } else {
                        self.duplicate(job, at, "replay", Some(Side::Backfill), 1);
                    }
                }
                self.unsettled.insert("sequence_duplicate");
            }
            Fault::HoleLeft | Fault::HoleUnfilled => {
                let (s, first, rows) = self.take_hole(rng)?;
                let (left, count) = match fault {
                    Fault::HoleLeft => (first + rows / 3, rng.random_range(2..6)),
                    _ => (first, rows),
                };
                for i in left..left + count {
                    let at = self.at(s, i);
                    self.backfill[at].clear();
                }
                self.silence(job, "recovered", s, left, count);
            }
            Fault::Copies => {
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                let copies = rng.random_range(1..4);
                self.add_copies(at, Side::Original, copies);
                self.duplicate(job, at, "surplus", Some(Side::Original), copies);
                self.sequence_run(job, "original", s, i, 1, copies);
            }
            Fault::ConflictingCopies => {
                let column = self.payload_column(job, rng)?;
                let (s, i) = self.zone(rng, 1)?;
                let at = self.at(s, i);
                let mut copy = self.clean[at].clone();
                copy[column] = self.shape.other_value(rng, column, &copy[column]);
                self.original[at].push(copy);
                self.duplicate(job, at, "conflict", Some(Side::Original), 1);
                self.sequence_run(job, "original", s, i, 1, 1);
            }
        }
        Some(())
    }

    fn drop_rows(&mut self, job: &Job, side: Side, s: usize, first: usize, rows: usize) {
        for i in first..first + rows {
            let at = self.at(s, i);
            self.lose(job, side, at);
        }
        self.silence(job, side.name(), s, first, rows);
    }

    fn drop_edge(&mut self, job: &Job, side: Side, s: usize, first: usize, rows: usize) {
        for i in first..first + rows {
            let at = self.at(s, i);
            self.lose(job, side, at);
        }
        if !self.judges_series(job) {
            return;
        }
        let series = self.series_of(job, s);
        if job.sequence.is_some() {
            let number = |i: usize| self.clean[self.at(s, i)][SEQ].int().unwrap();
            self.planted.push(Planted {
                check: "sequence_gap",
                severity: Some("error"),
                side: Some(side.name()),
                series: series.clone(),
                sequences: Some((number(first), number(first + rows - 1) + 1)),
                ..Planted::default()
            });
        }
        let Some(cadence) = job.cadence_us else {
            return;
        };
        // At an edge the nominal step decides, not the silence that is allowed inside.
        let (head, tail) = (self.time_us(self.at(s, 0)), self.time_us(self.at(s, self.shape.rows_per_series - 1)));
        let (from, until) = job.bounds_us.unwrap_or((head, tail + cadence));
        let times_us =
            if first == 0 { (from, self.time_us(self.at(s, rows))) } else { (self.time_us(self.at(s, first - 1)) + cadence, until) };
        self.say(Planted {
            check: "gap",
            severity: Some("error"),
            side: Some(side.name()),
            series,
            times_us: Some(times_us),
            ..Planted::default()
        });
    }

    fn drop_series(&mut self, job: &Job, rng: &mut StdRng, side: Side, check: &'static str) -> Option<()> {
        if job.series.is_empty() {
            return None;
        }
        let s = self.whole_series(rng)?;
        for i in 0..self.shape.rows_per_series {
            let at = self.at(s, i);
            self.lose(job, side, at);
        }
        let series = self.series_of(job, s);
        // What the original never had may be there on purpose; what it had may not be gone.
        let severity = match side {
            Side::Backfill => "error",
            Side::Original => "warn",
        };
        self.say(Planted { check, severity: Some(severity), series, ..Planted::default() });
        Some(())
    }

    fn shift_time_zone(&mut self, job: &Job, rng: &mut StdRng) -> Option<()> {
        if job.key.contains(&"ts") {
            return None;
        }
        let s = self.whole_series(rng)?;
        for i in 0..self.shape.rows_per_series {
            let at = self.at(s, i);
            let time = self.time_us(at) + HOUR_US;
            if job.bounds_us.is_some_and(|(_, until)| time >= until) {
                self.lose(job, Side::Backfill, at);
                let mut row = self.clean[at].clone();
                row[TS] = Cell::Time(time);
                self.backfill[at] = vec![row];
            } else {
                self.change(job, at, TS, Cell::Time(time));
            }
        }
        self.unsettled.extend(["gap", "sequence_gap", "row_outside_bounds"]);
        Some(())
    }

    /// Takes the row off a side and says that its key is on the other one only.
    fn lose(&mut self, job: &Job, side: Side, at: usize) {
        let check = match (side, job.key.is_empty()) {
            (Side::Backfill, false) => "missing_key",
            (Side::Original, false) => "unexpected_key",
            (Side::Backfill, true) => "missing_row",
            (Side::Original, true) => "unexpected_row",
        };
        match side {
            Side::Original => self.original[at].clear(),
            Side::Backfill => self.backfill[at].clear(),
        }
        if self.mode == Mode::Replica {
            let key = self.key_of(job, &self.clean[at]);
            self.say(Planted { check, severity: Some("error"), key, rows: Some(1), ..Planted::default() });
        }
    }

    fn alter(&mut self, job: &Job, rng: &mut StdRng, s: usize, i: usize, column: usize) {
        let at = self.at(s, i);
        let new = self.shape.other_value(rng, column, &self.clean[at][column]);
        self.change(job, at, column, new);
    }

    /// Changes a cell on the backfill, in the first copy.
    fn change(&mut self, job: &Job, at: usize, column: usize, new: Cell) {
        let old = self.clean[at][column].clone();
        self.backfill[at][0][column] = new.clone();
        if !self.is_compared(job, column) {
            return;
        }
        if job.key.is_empty() {
            self.row_only("missing_row", 1);
            self.row_only("unexpected_row", 1);
            return;
        }
        let key = self.key_of(job, &self.clean[at]);
        let name = self.columns[column].name;
        self.say(Planted {
            check: "value_mismatch",
            severity: Some("error"),
            key,
            column: Some(name),
            values: Some((old.plain(), new.plain())),
            ..Planted::default()
        });
    }

    fn add_copies(&mut self, at: usize, side: Side, copies: i64) {
        let rows = match side {
            Side::Original => &mut self.original[at],
            Side::Backfill => &mut self.backfill[at],
        };
        let row = rows[0].clone();
        rows.extend((0..copies).map(|_| row.clone()));
    }

    fn surplus(&mut self, job: &Job, at: usize, side: Side, copies: i64) {
        match (job.key.is_empty(), side) {
            (true, Side::Backfill) => self.row_only("unexpected_row", copies),
            (true, Side::Original) => self.row_only("missing_row", copies),
            (false, _) => self.duplicate(job, at, "surplus", Some(side), copies),
        }
    }

    fn duplicate(&mut self, job: &Job, at: usize, kind: &'static str, side: Option<Side>, rows: i64) {
        if job.key.is_empty() {
            return;
        }
        let severity = match (kind, self.mode) {
            ("replay", _) => "info",
            ("surplus", Mode::Fill) => "warn",
            _ => "error",
        };
        let key = self.key_of(job, &self.clean[at]);
        self.say(Planted {
            check: "duplicate_key",
            kind: Some(kind),
            severity: Some(severity),
            side: side.map(Side::name),
            key,
            rows: Some(rows),
            ..Planted::default()
        });
    }

    fn row_only(&mut self, check: &'static str, rows: i64) {
        self.say(Planted { check, severity: Some("error"), rows: Some(rows), ..Planted::default() });
    }

    /// Says the gaps that a stretch of lost rows leaves between its untouched neighbours.
    fn silence(&mut self, job: &Job, side: &'static str, s: usize, first: usize, rows: usize) {
        if !self.judges_series(job) {
            return;
        }
        let (before, after) = (self.at(s, first - 1), self.at(s, first + rows));
        let series = self.series_of(job, s);
        let (last, next) = (self.time_us(before), self.time_us(after));
        if let (Some(cadence), Some(silence)) = (job.cadence_us, job.max_silence_us())
            && next - last > silence
        {
            self.say(Planted {
                check: "gap",
                severity: Some("error"),
                side: Some(side),
                series: series.clone(),
                times_us: Some((last + cadence, next)),
                ..Planted::default()
            });
        }
        let gone = {
            let at = self.at(s, first);
            match side {
                "original" => self.original[at].is_empty(),
                "backfill" => self.backfill[at].is_empty(),
                _ => true,
            }
        };
        if job.sequence.is_some() && gone {
            let (last, next) = (self.clean[before][SEQ].int().unwrap(), self.clean[after][SEQ].int().unwrap());
            self.say(Planted {
                check: "sequence_gap",
                severity: Some("error"),
                side: Some(side),
                series,
                sequences: Some((last + 1, next)),
                ..Planted::default()
            });
        }
    }

    /// Says the run of numbers that came again, `copies` times in all.
    fn sequence_run(&mut self, job: &Job, side: &'static str, s: usize, first: usize, rows: usize, copies: i64) {
        if job.sequence.is_none() || !self.judges_series(job) {
            return;
        }
        let from = self.clean[self.at(s, first)][SEQ].int().unwrap();
        let series = self.series_of(job, s);
        self.say(Planted {
            check: "sequence_duplicate",
            severity: Some("error"),
            side: Some(side),
            series,
            sequences: Some((from, from + rows as i64)),
            rows: Some(copies),
            ..Planted::default()
        });
    }

    /// A row that no side has, half a cadence after row `i` of series `s`, without a sequence number.
    fn stranger(&mut self, s: usize, i: usize, late_us: i64) -> Row {
        self.strangers += 1;
        let mut row = self.clean[self.at(s, i)].clone();
        row[ID] = Cell::Int(500_000_000 + self.strangers);
        row[CODE] = Cell::Text(format!("Z{}", self.strangers));
        row[TS] = Cell::Time(self.time_us(self.at(s, i)) + self.shape.cadence_us / 2 + late_us);
        row[SEQ] = Cell::Null;
        row
    }

    fn add_stranger(&mut self, job: &Job, row: Row) {
        let check = if job.key.is_empty() { "unexpected_row" } else { "unexpected_key" };
        let key = self.key_of(job, &row);
        self.say(Planted { check, severity: Some("error"), key, rows: Some(1), ..Planted::default() });
        self.backfill.push(vec![row]);
        self.original.push(Vec::new());
    }

    /// A zone of `rows` rows that is nobody else's: its series and its first row.
    fn zone(&mut self, rng: &mut StdRng, rows: usize) -> Option<(usize, usize)> {
        let fits: Vec<usize> =
            (0..self.shape.series).filter(|s| self.free_from[*s] + rows + EDGE_ROWS <= self.shape.rows_per_series).collect();
        let s = *fits.get(rng.random_range(0..fits.len().max(1)))?;
        let first = self.free_from[s];
        // A random distance, so that zones do not always lie alike in their windows.
        let spare = self.shape.rows_per_series - EDGE_ROWS - rows - first;
        let first = first + rng.random_range(0..=spare.min(5));
        self.free_from[s] = first + rows + MARGIN_ROWS;
        Some((s, first))
    }

    /// A series that no zone has touched, which then is taken whole.
    fn whole_series(&mut self, rng: &mut StdRng) -> Option<usize> {
        let whole: Vec<usize> = (0..self.shape.series)
            .filter(|s| {
                self.free_from[*s] == EDGE_ROWS && self.is_untouched(*s, 0) && self.is_untouched(*s, self.shape.rows_per_series - 1)
            })
            .collect();
        if whole.len() < 2 {
            return None;
        }
        let s = whole[rng.random_range(0..whole.len())];
        self.free_from[s] = self.shape.rows_per_series;
        Some(s)
    }

    /// A series whose row `i`, at an edge, nothing has touched.
    fn edge(&self, rng: &mut StdRng, i: usize) -> Option<usize> {
        let fits: Vec<usize> =
            (0..self.shape.series).filter(|s| self.free_from[*s] < self.shape.rows_per_series && self.is_untouched(*s, i)).collect();
        fits.get(rng.random_range(0..fits.len().max(1))).copied()
    }

    fn is_untouched(&self, s: usize, i: usize) -> bool {
        let at = self.at(s, i);
        self.original[at].len() == 1 && self.backfill[at].len() == 1
    }

    fn take_hole(&mut self, rng: &mut StdRng) -> Option<(usize, usize, usize)> {
        if self.holes.is_empty() {
            return None;
        }
        let hole = rng.random_range(0..self.holes.len());
        Some(self.holes.swap_remove(hole))
    }

    /// A column that the job compares and that is neither key nor judged by continuity.
    fn payload_column(&self, job: &Job, rng: &mut StdRng) -> Option<usize> {
        let columns: Vec<usize> = PAYLOAD.into_iter().filter(|column| self.is_compared(job, *column)).collect();
        columns.get(rng.random_range(0..columns.len().max(1))).copied()
    }

    fn is_compared(&self, job: &Job, column: usize) -> bool {
        let name = self.columns[column].name;
        !job.key.contains(&name) && job.looks_at(name)
    }

    fn judges_series(&self, job: &Job) -> bool {
        !job.series.is_empty() || self.shape.series == 1
    }

    fn series_of(&self, job: &Job, s: usize) -> Option<String> {
        (!job.series.is_empty()).then(|| object(&self.columns, &job.series, &self.clean[self.at(s, 0)]))
    }

    fn key_of(&self, job: &Job, row: &Row) -> Option<String> {
        (!job.key.is_empty()).then(|| object(&self.columns, &job.key, row))
    }

    fn time_us(&self, at: usize) -> i64 {
        self.clean[at][TS].time_us().unwrap()
    }

    fn at(&self, s: usize, i: usize) -> usize {
        s * self.shape.rows_per_series + i
    }

    fn say(&mut self, planted: Planted) {
        self.planted.push(planted);
    }

    /// The name of a series in the clean stream.
    pub(crate) fn series_name(&self, s: usize) -> &Cell {
        &self.clean[self.at(s, 0)][DEVICE]
    }
}

//! Where differing rows are over-represented: slices (column = value), files, and stretches of time.
//!
//! For a slice with n of the N rows and d of the D differing ones, the lift is (d/D) / (n/N). How likely so many would fall
//! into it by accident is bounded by exp(−D · KL(d/D ‖ n/N)): Hoeffding's bound (1963), which holds for draws without replacement
//! too. The bound is multiplied by the number of slices that were looked at, since one of many is always the fullest.

use super::evidence::{FileSeen, Shown, Tally, Wrong};

/// A slice is named where at least half of the differing rows lie in it.
const SHARE: f64 = 0.5;
/// And where they are at least so many times as frequent as elsewhere.
const LIFT: f64 = 1.5;
/// And where accident is so unlikely.
const CHANCE: f64 = 1e-3;

/// What a slice is cut by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cut {
    /// A column has this value.
    Column(String, String),
    /// Rows of a file.
    File(String),
    /// Half-open range of event time in nanoseconds.
    Time(i128, i128),
}

/// A slice with its counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slice {
    pub(super) cut: Cut,
    /// Differing rows in it, and all of them.
    pub(super) differing: u64,
    pub(super) all_differing: u64,
    /// Rows in it, and all of them.
    pub(super) rows: u64,
    pub(super) all_rows: u64,
}

impl Slice {
    pub(super) fn share(&self) -> f64 {
        self.differing as f64 / self.all_differing.max(1) as f64
    }

    pub(super) fn lift(&self) -> f64 {
        self.share() / (self.rows as f64 / self.all_rows.max(1) as f64)
    }

    /// Upper bound of the logarithm of the chance, for one slice.
    fn log_chance(&self) -> f64 {
        let (p, q) = (self.share(), (self.rows as f64 / self.all_rows.max(1) as f64).clamp(1e-300, 1.0));
        if p <= q {
            return 0.0;
        }
        let rest = if p < 1.0 { (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln() } else { 0.0 };
        -(self.all_differing as f64) * (p * (p / q).ln() + rest)
    }

    /// Upper bound of the chance that one of so many slices holds so many by accident.
    pub(super) fn chance(&self, looked_at: usize) -> f64 {
        (self.log_chance().exp() * looked_at as f64).min(1.0)
    }
}

/// A window of event time: its ends, its rows, and the differing ones among them.
pub(super) type WindowTally = (i128, i128, u64, u64);

/// The slices in which differing rows are over-represented, the most telling first, one for each column; and how many were looked at.
pub(super) fn concentrated(
    wrong: Wrong,
    columns: &[(String, Shown)],
    files: &[(String, &FileSeen)],
    windows: &[WindowTally],
    total: Tally,
) -> (Vec<Slice>, usize) {
    let all_differing = total.wrong[wrong.index()];
    if all_differing == 0 {
        return (Vec::new(), 0);
    }
    let slice =
        |cut: Cut, rows: u64, differing: u64, all_rows: u64, all_differing: u64| Slice { cut, differing, all_differing, rows, all_rows };
    let mut slices: Vec<Slice> = Vec::new();
    for (name, values) in columns {
        for (value, tally) in values {
            let cut = Cut::Column(name.clone(), value.clone());
            slices.push(slice(cut, tally.rows, tally.wrong[wrong.index()], total.rows, all_differing));
        }
    }
    for (name, file) in files {
        slices.push(slice(Cut::File(name.clone()), file.tally.rows, file.tally.wrong[wrong.index()], total.rows, all_differing));
    }
    slices.extend(densest(windows));
    let looked_at = slices.len();
    slices.retain(|slice| slice.share() >= SHARE && slice.lift() >= LIFT && slice.chance(looked_at) <= CHANCE);
    slices.sort_by(|a, b| a.log_chance().total_cmp(&b.log_chance()));
    let mut named: Vec<String> = Vec::new();
    slices.retain(|slice| {
        let name = match &slice.cut {
            Cut::Column(name, _) => format!("column {name}"),
            Cut::File(_) => "file".to_string(),
            Cut::Time(_, _) => "time".to_string(),
        };
        let new = !named.contains(&name);
        named.push(name);
        new
    });
    (slices, looked_at)
}

/// The shortest stretch of windows that holds nine tenths of the differing rows.
fn densest(windows: &[WindowTally]) -> Option<Slice> {
    let all_differing: u64 = windows.iter().map(|(_, _, _, differing)| differing).sum();
    let all_rows: u64 = windows.iter().map(|(_, _, rows, _)| rows).sum();
    let needed = (all_differing * 9).div_ceil(10);
    let mut best: Option<(u64, usize, usize, u64)> = None;
    let (mut start, mut rows, mut differing) = (0, 0, 0);
    for end in 0..windows.len() {
        rows += windows[end].2;
        differing += windows[end].3;
        while start < end && differing - windows[start].3 >= needed {
            rows -= windows[start].2;
            differing -= windows[start].3;
            start += 1;
        }
        if differing >= needed && best.is_none_or(|(fewest, ..)| rows < fewest) {
            best = Some((rows, start, end, differing));
        }
    }
    let (rows, start, end, differing) = best.filter(|_| all_differing > 0)?;
    Some(Slice { cut: Cut::Time(windows[start].0, windows[end].1), differing, all_differing, rows, all_rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rows: u64, altered: u64) -> Tally {
        Tally { rows, wrong: [0, 0, altered] }
    }

    #[test]
    fn the_slice_that_holds_them_is_named_with_its_lift() {
        let columns = vec![
            ("region".to_string(), vec![("DE".to_string(), tally(1_000, 98)), ("FR".to_string(), tally(9_000, 2))]),
            ("even".to_string(), vec![("false".to_string(), tally(5_000, 52)), ("true".to_string(), tally(5_000, 48))]),
        ];
        let (found, looked_at) = concentrated(Wrong::Altered, &columns, &[], &[], tally(10_000, 100));
        assert_eq!(looked_at, 4);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cut, Cut::Column("region".to_string(), "DE".to_string()));
        assert!((found[0].lift() - 9.8).abs() < 1e-9);
        assert!(found[0].chance(looked_at) < 1e-50);
    }

    #[test]
    fn what_is_spread_evenly_is_not_named() {
        let columns = vec![("region".to_string(), vec![("DE".to_string(), tally(9_000, 92)), ("FR".to_string(), tally(1_000, 8))])];
        assert!(concentrated(Wrong::Altered, &columns, &[], &[], tally(10_000, 100)).0.is_empty());
        assert!(concentrated(Wrong::Altered, &columns, &[], &[], tally(10_000, 0)).0.is_empty());
        // Two of two in a tenth of the rows may be an accident.
        let few = vec![("region".to_string(), vec![("DE".to_string(), tally(1_000, 2)), ("FR".to_string(), tally(9_000, 0))])];
        assert!(concentrated(Wrong::Altered, &few, &[], &[], tally(10_000, 2)).0.is_empty());
    }

    #[test]
    fn the_densest_stretch_is_the_shortest_that_holds_most() {
        let windows: Vec<WindowTally> = (0..100).map(|at| (at, at + 1, 10, if (40..44).contains(&at) { 5 } else { 0 })).collect();
        let (found, _) = concentrated(Wrong::Altered, &[], &[], &windows, tally(1_000, 20));
        assert_eq!(found[0].cut, Cut::Time(40, 44));
        assert_eq!((found[0].differing, found[0].rows), (20, 40));
    }

    /// The bound is held against the exact tail of the hypergeometric distribution.
    #[test]
    fn the_bound_is_above_the_exact_chance() {
        let choose = |n: u64, k: u64| -> f64 { (0..k).map(|at| ((n - at) as f64 / (k - at) as f64).ln()).sum() };
        for (all, rows, differing, inside) in [(1_000_u64, 100_u64, 20_u64, 12_u64), (500, 250, 30, 25), (200, 10, 10, 6)] {
            let exact: f64 = (inside..=differing.min(rows))
                .map(|k| (choose(rows, k) + choose(all - rows, differing - k) - choose(all, differing)).exp())
                .sum();
            let slice = Slice { cut: Cut::Time(0, 1), differing: inside, all_differing: differing, rows, all_rows: all };
            assert!(slice.chance(1) >= exact, "{} < {exact}", slice.chance(1));
        }
    }
}

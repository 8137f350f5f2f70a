//! Thinned-out rows against interruptions: whether holes that lie close together are one thinning, or each a hole of its own.
//!
//! Where each row is lost with the same chance, s being the share that survives, runs of lost rows are 1/s long in the mean. An
//! interruption takes many rows in a row and leaves its surroundings whole, so its runs are far longer than that.

/// A run of rows that are missing, with how many of the owner's rows lie between it and the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) rows: u64,
    pub(super) survivors_before: u64,
}

/// Runs that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Places of the first and the last run, both inclusive.
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) lost: u64,
    /// Rows that are still there between the first and the last run.
    pub(super) survivors: u64,
    pub(super) thinned: bool,
}

/// Runs that make a thinning at least; fewer are holes of their own.
const FEWEST_RUNS: usize = 5;
/// Runs are linked where so many times the median distance, in rows, lies between them at most: further apart by accident in one of
/// 30,000 pairs, whatever the share.
const REACH: u64 = 16;

/// Puts runs together that were thinned out, and leaves the others alone. Runs without survivors between them are one.
pub(super) fn stretches(runs: &[Lost]) -> Vec<Stretch> {
    let mut joined: Vec<Stretch> = Vec::new();
    let mut before: Vec<u64> = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        match joined.last_mut() {
            Some(last) if run.survivors_before == 0 => {
                last.last = at;
                last.lost += run.rows;
            }
            _ => {
                before.push(run.survivors_before);
                joined.push(Stretch { first: at, last: at, lost: run.rows, survivors: 0, thinned: false });
            }
        }
    }
    let mut distances: Vec<u64> = before.iter().skip(1).copied().collect();
    distances.sort_unstable();
    let median = distances.get(distances.len() / 2).copied().unwrap_or(0);
    let reach = median.max(1).saturating_mul(REACH);
    let mut out: Vec<Stretch> = Vec::new();
    let mut start = 0;
    for at in 1..=joined.len() {
        if at < joined.len() && before[at] <= reach {
            continue;
        }
        settle(&joined[start..at], &before[start..at], &mut out);
        start = at;
    }
    joined_again(out, runs)
}

/// Two thinnings with no more survivors between them than a run of survivors inside either may be long are one.
fn joined_again(stretches: Vec<Stretch>, runs: &[Lost]) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::with_capacity(stretches.len());
    for next in stretches {
        if let Some(last) = out.last_mut().filter(|last| last.thinned && next.thinned) {
            let between = runs.get(next.first).map_or(0, |run| run.survivors_before);
            let (survivors, lost) = (last.survivors + next.survivors, last.lost + next.lost);
            // The same bound, with the parts of the lost and the surviving rows exchanged.
            if between <= longest_run(lost, survivors, next.last - last.first + 1) {
                *last = Stretch { first: last.first, last: next.last, lost, survivors: survivors + between, thinned: true };
                continue;
            }
        }
        out.push(next);
    }
    out
}

/// The longest run that a thinning may leave. The longest of n geometric runs is about ln(n) / ln(1 / (1 − s)) long; more than
/// four beyond twice that is no thinning.
pub(super) fn longest_run(survivors: u64, lost: u64, runs: usize) -> u64 {
    let chance = (lost as f64 / (survivors + lost).max(1) as f64).clamp(1e-9, 1.0 - 1e-9);
    (2.0 * (runs as f64).ln() / -chance.ln() + 4.0) as u64
}

/// Decides about runs that are linked. A longer run among short ones (an outage beside stray losses) splits them.
fn settle(runs: &[Stretch], before: &[u64], out: &mut Vec<Stretch>) {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
    let lost: u64 = runs.iter().map(|run| run.lost).sum();
    let survivors: u64 = before.iter().skip(1).sum();
    if runs.len() < FEWEST_RUNS {
        return out.extend(runs.iter().cloned());
    }
    let share = survivors as f64 / (survivors + lost) as f64;
    let mean = lost as f64 / runs.len() as f64;
    let longest = runs.iter().enumerate().max_by_key(|(at, run)| (run.lost, std::cmp::Reverse(*at))).map_or(0, |(at, _)| at);
    if runs[longest].lost > longest_run(survivors, lost, runs.len()) {
        settle(&runs[..longest], &before[..longest], out);
        out.push(runs[longest].clone());
        return settle(&runs[longest + 1..], &before[longest + 1..], out);
    }
    if mean <= 2.0 / share.max(1e-9) {
        out.push(Stretch { first: first.first, last: last.last, lost, survivors, thinned: true });
    } else {
        out.extend(runs.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// Runs of what is false.
    fn runs(kept: &[bool]) -> Vec<Lost> {
        let mut runs: Vec<Lost> = Vec::new();
        let mut survivors = 0;
        let mut inside = false;
        for keep in kept {
            match (keep, inside) {
                (true, _) => {
                    survivors += 1;
                    inside = false;
                }
                (false, false) => {
                    runs.push(Lost { rows: 1, survivors_before: survivors });
                    survivors = 0;
                    inside = true;
                }
                (false, true) => runs.iter_mut().last().unwrap().rows += 1,
            }
        }
        runs
    }

    #[test]
    fn random_loss_is_one_thinning_whatever_its_share() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let share: f64 = rng.random_range(0.15..0.9);
            let kept: Vec<bool> = (0..2_000).map(|at| !(500..900).contains(&at) || rng.random_bool(share)).collect();
            let found = stretches(&runs(&kept));
            assert_eq!(found.len(), 1, "seed {seed}, share {share}: {found:?}");
            assert!(found[0].thinned);
            assert_eq!(found[0].lost, kept.iter().filter(|keep| !**keep).count() as u64);
        }
    }

    #[test]
    fn outages_are_not_thinned_out_rows() {
        let every_night: Vec<bool> = (0..20_000).map(|at| at % 1_440 >= 30).collect();
        assert!(stretches(&runs(&every_night)).iter().all(|stretch| !stretch.thinned));
        let outage_beside_thinning: Vec<bool> =
            (0..3_000).map(|at| !(1_000..1_400).contains(&at) && (!(2_000..=2_200).contains(&at) || at % 2 == 0)).collect();
        let found = stretches(&runs(&outage_beside_thinning));
        assert_eq!(found.iter().map(|stretch| stretch.thinned).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn runs_that_touch_are_one() {
        let found = stretches(&[Lost { rows: 2, survivors_before: 9 }, Lost { rows: 3, survivors_before: 0 }]);
        assert_eq!(found, [Stretch { first: 0, last: 1, lost: 5, survivors: 0, thinned: false }]);
        assert_eq!(stretches(&[]), []);
    }
}

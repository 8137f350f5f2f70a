//! Thinned-out rows against interruptions: whether holes that lie close together are one thinning, or each a hole of its own.
//!
//! Where each row is lost with the same chance, s being the share that survives, runs of lost rows are 1/s long in the mean. An
//! interruption takes many rows in a row and leaves its surroundings whole, so its runs are far longer than that.
//!
//! Where there are too many places to follow each, neighbours are joined to blocks, and of a block it is known how many places and how many
//! survivors it holds. Of k places that were lost at random, none survives between in (1 − s)^(k − 1) of all blocks; runs leave far more such blocks.

/// A run of rows that are missing, with how many of the owner's rows lie between it and the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) rows: u64,
    pub(super) survivors_before: u64,
    /// Places that were joined to one, and the rows that survive between them; one place and none where each is followed.
    pub(super) places: u64,
    pub(super) inside: u64,
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
    /// Of blocks of joined places: how many, those without a survivor, the places in them, and the rows that survive in them.
    blocks: u64,
    empty: u64,
    places: u64,
    inside: u64,
}

impl Stretch {
    /// Blocks of nothing but lost rows, or nearly so.
    fn is_dense(&self, share: f64) -> bool {
        (self.inside as f64) * 8.0 < (self.lost as f64) * share
    }

    /// How many runs of lost rows it holds; about, where places were joined.
    pub(super) fn runs_between(&self, all: &[Lost]) -> usize {
        let own = all.get(self.first..=self.last).unwrap_or_default();
        let apart = 1 + own.iter().skip(1).filter(|run| run.survivors_before > 0).count();
        // Between places that were lost at random lie as many ends of runs as the share of survivors says.
        let joined: f64 =
            own.iter().map(|run| run.places.saturating_sub(1) as f64 * run.inside as f64 / (run.inside + run.places) as f64).sum();
        apart + joined.round() as usize
    }

    /// About as many runs as it is made of.
    fn runs(&self) -> u64 {
        if self.blocks == 0 { 1 } else { self.places.min(self.inside + 1) }
    }
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
                last.blocks += u64::from(run.places > 1);
                last.empty += u64::from(run.places > 1 && run.inside == 0);
                last.places += run.places;
                last.inside += run.inside;
            }
            _ => {
                before.push(run.survivors_before);
                joined.push(Stretch {
                    first: at,
                    last: at,
                    lost: run.rows,
                    survivors: 0,
                    thinned: false,
                    blocks: u64::from(run.places > 1),
                    empty: u64::from(run.places > 1 && run.inside == 0),
                    places: run.places,
                    inside: run.inside,
                });
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
                *last = Stretch {
                    last: next.last,
                    lost,
                    survivors: survivors + between,
                    blocks: last.blocks + next.blocks,
                    empty: last.empty + next.empty,
                    places: last.places + next.places,
                    inside: last.inside + next.inside,
                    ..*last
                };
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
    let sum = |of: fn(&Stretch) -> u64| runs.iter().map(of).sum::<u64>();
    let (lost, all) = (sum(|run| run.lost), sum(Stretch::runs));
    let (blocks, empty) = (sum(|run| run.blocks), sum(|run| run.empty));
    let (places, inside) = (sum(|run| run.places), sum(|run| run.inside));
    let survivors: u64 = before.iter().skip(1).sum::<u64>() + inside;
    if all < FEWEST_RUNS as u64 {
        return out.extend(runs.iter().cloned());
    }
    let share = survivors as f64 / (survivors + lost) as f64;
    let dense = runs.iter().enumerate().filter(|(_, run)| run.is_dense(share));
    let longest = dense.max_by_key(|(at, run)| (run.lost, std::cmp::Reverse(*at))).map(|(at, _)| at);
    if let Some(longest) = longest.filter(|at| runs[*at].lost > longest_run(survivors, lost, all as usize)) {
        settle(&runs[..longest], &before[..longest], out);
        out.push(runs[longest].clone());
        return settle(&runs[longest + 1..], &before[longest + 1..], out);
    }
    let thinned = match blocks {
        0 => lost as f64 / all as f64 <= 2.0 / share.max(1e-9),
        _ => {
            let in_each = places as f64 / blocks as f64;
            // A fifth, and four standard deviations, more than chance has it.
            let by_chance = (1.0 - share).powf(in_each - 1.0);
            empty as f64 / blocks as f64 <= 1.2 * by_chance + 4.0 * (by_chance / blocks as f64).sqrt() + 0.02
        }
    };
    if thinned {
        out.push(Stretch { first: first.first, last: last.last, lost, survivors, thinned, blocks, empty, places, inside });
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
                    runs.push(Lost { rows: 1, survivors_before: survivors, places: 1, inside: 0 });
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

    /// Places of single rows, so many of them joined to a block.
    fn blocks(kept: &[bool], of: usize) -> Vec<Lost> {
        let lost: Vec<usize> = (0..kept.len()).filter(|at| !kept[*at]).collect();
        let mut before = 0;
        let mut found = Vec::new();
        for places in lost.chunks(of) {
            let (first, last) = (places[0], places[places.len() - 1]);
            let inside = (last - first + 1 - places.len()) as u64;
            found.push(Lost { rows: places.len() as u64, survivors_before: (first - before) as u64, places: places.len() as u64, inside });
            before = last + 1;
        }
        found
    }

    #[test]
    fn blocks_of_places_tell_the_same() {
        for of in [2, 4, 8] {
            for seed in 0..100 {
                let mut rng = StdRng::seed_from_u64(seed);
                let share: f64 = rng.random_range(0.15..0.95);
                let kept: Vec<bool> = (0..9_000).map(|at| !(500..8_000).contains(&at) || rng.random_bool(share)).collect();
                let found = stretches(&blocks(&kept, of));
                let lost = kept.iter().filter(|kept| !**kept).count() as u64;
                let thinned: u64 = found.iter().filter(|stretch| stretch.thinned).map(|stretch| stretch.lost).sum();
                assert!(thinned * 100 >= lost * 97, "seed {seed}, share {share}, blocks of {of}: {thinned} of {lost}");
                // Whole stretches are lost, and each comes back: no thinning.
                let (long, period) = (rng.random_range(12..40), rng.random_range(80..300));
                let nights: Vec<bool> = (0..20_000).map(|at| at % period >= long).collect();
                assert!(stretches(&blocks(&nights, of)).iter().all(|stretch| !stretch.thinned), "seed {seed}: {long} of {period}, {of}");
            }
        }
    }

    #[test]
    fn runs_that_touch_are_one() {
        let lost = |rows, survivors_before| Lost { rows, survivors_before, places: 1, inside: 0 };
        let found = stretches(&[lost(2, 9), lost(3, 0)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].last, found[0].lost, found[0].survivors, found[0].thinned), (1, 5, 0, false));
        assert_eq!(stretches(&[]), []);
    }
}

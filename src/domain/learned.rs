//! A cadence that is learned from the rows: the median step, the silence that it allows, and where it changes.
//!
//! * The step is the median of the steps between neighbouring distinct event times. A gap is one long step among many, so gaps cannot move it.
//! * The silence that is no gap yet is one and a half steps, or where steps vary, the step and seven times the median of their deviations from it (about
//!   4.7 standard deviations of a normal jitter).
//! * Where eight steps in a row have another median, by half or more, and six of them lie within a quarter of it, the cadence has changed. The change
//!   lies at the first row whose step is one of the new ones.
//! * Steps whose deviations have a median of more than a quarter of the step are no cadence: such a series is `irregular`, and not judged by one.

use super::Regime;

/// Steps in a row that make a cadence.
const RUN: usize = 8;
/// Fewer steps than these teach nothing.
const FEWEST: usize = 3;

/// Why nothing was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlearned {
    /// There are only so many steps outside the outage.
    TooFew(usize),
    /// The steps vary too much: their median and the median of their deviations from it, in nanoseconds.
    Irregular(i128, i128),
}

fn median(values: &mut [i128]) -> i128 {
    if values.is_empty() {
        return 0;
    }
    // The lower of the two in the middle, which is a step that occurs.
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable(middle).1
}

/// Within a quarter of a step.
fn near(step: i128, of: i128) -> bool {
    4 * (step - of).abs() <= of
}

/// Apart by half or more.
fn differs(a: i128, b: i128) -> bool {
    2 * a.max(b) >= 3 * a.min(b)
}

/// What the steps of some rows say: their median and the median of the deviations from it.
fn typical(steps: &[(i128, i128)]) -> (i128, i128) {
    let mut lengths: Vec<i128> = steps.iter().map(|(_, step)| *step).collect();
    let step = median(&mut lengths);
    lengths.iter_mut().for_each(|length| *length = (*length - step).abs());
    (step, median(&mut lengths))
}

/// Learns from event times in ascending order; equal ones count once. Steps that meet the outage teach nothing.
///
/// # Errors
/// There are too few steps, or they vary too much.
pub fn learn_cadence(times: &[i128], outage: Option<(i128, i128)>) -> Result<Vec<Regime>, Unlearned> {
    let outside = |t: i128, u: i128| outage.is_none_or(|(from, until)| u <= from || until <= t);
    let steps: Vec<(i128, i128)> =
        times.windows(2).filter(|pair| pair[0] < pair[1] && outside(pair[0], pair[1])).map(|pair| (pair[0], pair[1] - pair[0])).collect();
    if steps.len() < FEWEST {
        return Err(Unlearned::TooFew(steps.len()));
    }
    let mut starts = vec![0];
    let mut known = typical(&steps[..steps.len().min(RUN)]).0;
    let mut at = 1;
    while at + RUN <= steps.len() {
        let step = steps[at].1;
        if !near(step, known) {
            let next = typical(&steps[at..at + RUN]).0;
            let alike = steps[at..at + RUN].iter().filter(|(_, step)| near(*step, next)).count();
            if differs(next, known) && near(step, next) && alike >= RUN - 2 {
                starts.push(at);
                known = next;
                at += RUN;
                continue;
            }
        }
        at += 1;
    }
    // Cadences that turn out alike over their whole length are one.
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(steps.len());
        match parts.last_mut() {
            Some(last) if !differs(typical(&steps[last.0..last.1]).0, typical(&steps[*start..end]).0) => last.1 = end,
            _ => parts.push((*start, end)),
        }
    }
    let mut regimes = Vec::new();
    for (start, end) in parts {
        let (cadence, spread) = typical(&steps[start..end]);
        if 4 * spread > cadence {
            return Err(Unlearned::Irregular(cadence, spread));
        }
        let reach = (cadence + cadence / 2).max(cadence + 7 * spread);
        regimes.push(Regime { from: steps[start].0, cadence, reach, steps: (end - start) as u64 });
    }
    Ok(regimes)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const SECOND: i128 = 1_000_000_000;

    #[test]
    fn gaps_do_not_move_the_median_and_jitter_is_no_gap() {
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let cadence = i128::from(rng.random_range(1..100_000_u32)) * SECOND;
            let jitter = cadence * 3 / 10;
            let rows: i128 = rng.random_range(60..400);
            let mut gone = Vec::new();
            for _ in 0..rng.random_range(0..4) {
                let from = rng.random_range(5..rows - 20);
                gone.push((from, from + rng.random_range(3..15)));
            }
            let times: Vec<i128> = (0..rows)
                .filter(|row| gone.iter().all(|(from, until)| row < from || row >= until))
                .map(|row| row * cadence + rng.random_range(-jitter / 2..=jitter / 2))
                .collect();
            let regimes = learn_cadence(&times, None).unwrap();
            assert_eq!(regimes.len(), 1, "seed {seed}: {regimes:?}");
            assert!((regimes[0].cadence - cadence).abs() * 10 <= cadence, "seed {seed}: {regimes:?} of {cadence}");
            let mut merged: Vec<(i128, i128)> = Vec::new();
            gone.sort_unstable();
            for (from, until) in gone {
                match merged.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(until),
                    _ => merged.push((from, until)),
                }
            }
            let found = times.windows(2).filter(|pair| pair[1] - pair[0] > regimes[0].reach).count();
            assert_eq!(found, merged.len(), "seed {seed}");
        }
    }

    #[test]
    fn a_change_of_cadence_is_found_at_its_row() {
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (slow, fast) = (2 * 86_400 * SECOND, 86_400 * SECOND);
            let (first, second) = if seed % 2 == 0 { (slow, fast) } else { (fast, slow) };
            let (before, after) = (rng.random_range(9..200), rng.random_range(9..200));
            let mut times = vec![0];
            (0..before).for_each(|_| times.push(times.last().unwrap() + first));
            let change = *times.last().unwrap();
            (0..after).for_each(|_| times.push(times.last().unwrap() + second));
            let regimes = learn_cadence(&times, None).unwrap();
            assert_eq!(regimes.len(), 2, "seed {seed}: {regimes:?}");
            assert_eq!((regimes[1].from, regimes[0].cadence, regimes[1].cadence), (change, first, second), "seed {seed}");
            assert_eq!((regimes[0].steps, regimes[1].steps), (before, after), "seed {seed}");
        }
    }

    #[test]
    fn rows_of_an_outage_teach_nothing() {
        let mut times: Vec<i128> = (0..20).map(|row| row * 10).collect();
        // What was collected again has another step.
        times.extend((0..300).map(|row| 200 + row));
        times.extend((50..70).map(|row| row * 10));
        let regimes = learn_cadence(&times, Some((195, 500))).unwrap();
        assert_eq!(regimes.iter().map(|regime| regime.cadence).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn arrivals_by_chance_have_no_cadence() {
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut at = 0_i128;
            let times: Vec<i128> = (0..20_000)
                .map(|_| {
                    at += (-(rng.random_range(1e-12..1.0_f64)).ln() * 1e9) as i128 + 1;
                    at
                })
                .collect();
            assert!(matches!(learn_cadence(&times, None), Err(Unlearned::Irregular(_, _))), "seed {seed}");
        }
    }

    #[test]
    fn two_steps_teach_nothing() {
        assert_eq!(learn_cadence(&[1, 2, 3], None), Err(Unlearned::TooFew(2)));
        assert_eq!(learn_cadence(&[], None), Err(Unlearned::TooFew(0)));
        assert_eq!(learn_cadence(&[5; 100], None), Err(Unlearned::TooFew(0)));
    }
}

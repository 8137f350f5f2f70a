//! How many rows a window should have, by the hour of the week, from what a series has had.
//!
//! The expected count of an hour of the week is the median of its healthy windows (their mean where that is below five), which an outage or two cannot
//! move. How much counts vary beyond chance is one number for the series, the index of dispersion, from the median of the squared differences between
//! one week and the next. The
//! test is a lower tail: the chance of so few rows or fewer, under a Poisson distribution where the index is one and a negative binomial with the same
//! variance where it is greater. The variance is widened by that of the median itself, since a median of few weeks is a guess.

use std::collections::BTreeMap;

/// Windows of an hour of the week that are needed before one of them is judged.
const FEWEST: usize = 4;

/// Expected counts of a series.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Expected count of a window of nominal width and from how many windows, by hour of the week.
    hours: BTreeMap<u32, (f64, usize)>,
    dispersion: f64,
}

/// What a profile says of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// The expected count.
    pub mean: f64,
    /// The variance of the count, at least the mean.
    pub variance: f64,
}

impl Profile {
    /// From the hour of the week and the count of healthy windows in order of time, empty ones among them.
    pub fn learn(windows: impl Iterator<Item = (u32, u64)>) -> Self {
        let mut counts: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        windows.for_each(|(hour, count)| counts.entry(hour).or_default().push(count));
        let mut hours = BTreeMap::new();
        let mut deviations = Vec::new();
        for (hour, counts) in counts {
            let weeks = counts;
            let mut counts = weeks.clone();
            counts.sort_unstable();
            let many = counts.len();
            let middle = (counts[(many - 1) / 2] as f64 + counts[many / 2] as f64) / 2.0;
            let mean = counts.iter().map(|count| *count as f64).sum::<f64>() / many as f64;
            let expected = if middle < 5.0 { mean } else { middle };
            if middle >= 5.0 && many >= FEWEST {
                // Two weeks differ by twice the variance, and neither knows of the median.
                deviations.extend(weeks.windows(2).map(|pair| (pair[0] as f64 - pair[1] as f64).powi(2) / (2.0 * middle)));
            }
            hours.insert(hour, (expected, many));
        }
        deviations.sort_by(f64::total_cmp);
        // The median of the square of a standard normal variable.
        let dispersion = deviations.get(deviations.len() / 2).map_or(1.0, |middle| middle / 0.454_936);
        Self { hours, dispersion: dispersion.max(1.0) }
    }

    /// The index of dispersion: variance over mean; 1 is chance alone.
    pub fn dispersion(&self) -> f64 {
        self.dispersion
    }

    /// What a window should have whose length is `share` of the nominal one; `None` where too little is known of its hour.
    pub fn expected(&self, hour: u32, share: f64) -> Option<Expectation> {
        let (mean, many) = self.hours.get(&hour)?;
        if *many < FEWEST {
            return None;
        }
        let mean = mean * share;
        // The median of n values varies π/2n times as much as one of them.
        Some(Expectation { mean, variance: mean * self.dispersion * (1.0 + std::f64::consts::FRAC_PI_2 / *many as f64) })
    }
}

impl Expectation {
    /// The chance of so few rows or fewer.
    pub fn chance_of_at_most(&self, count: u64) -> f64 {
        let count_f = count as f64;
        if self.mean <= 0.0 || count_f >= self.mean {
            return 1.0;
        }
        // From the count downwards each term is smaller than the one before.
        let overdispersed = self.variance > self.mean * 1.000_001;
        let size = if overdispersed { self.mean * self.mean / (self.variance - self.mean) } else { 0.0 };
        let first = if overdispersed {
            let success = size / (size + self.mean);
            ln_gamma(count_f + size) - ln_gamma(size) - ln_gamma(count_f + 1.0) + size * success.ln() + count_f * (1.0 - success).ln()
        } else {
            count_f * self.mean.ln() - self.mean - ln_gamma(count_f + 1.0)
        };
        let (mut term, mut sum, mut at) = (1.0_f64, 1.0_f64, count_f);
        while at >= 1.0 && term > sum * 1e-12 {
            term *= if overdispersed { at * (size + self.mean) / ((at - 1.0 + size) * self.mean) } else { at / self.mean };
            sum += term;
            at -= 1.0;
        }
        (first.exp() * sum).min(1.0)
    }
}

/// The logarithm of the gamma function of a positive number: Stirling's series, from ten upwards.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x.max(1e-300), 0.0);
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.918_938_533_204_672_7 + series
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// A Poisson count, by sums of exponential waits.
    fn poisson(rng: &mut StdRng, mean: f64) -> u64 {
        let (mut count, mut at) = (0, 0.0);
        loop {
            at -= rng.random_range(1e-15..1.0_f64).ln();
            if at > mean {
                return count;
            }
            count += 1;
        }
    }

    #[test]
    fn tails_are_those_of_tables() {
        let poisson = |mean: f64, count| Expectation { mean, variance: mean }.chance_of_at_most(count);
        // Values of R: ppois(2, 10), ppois(0, 3), ppois(60, 100).
        assert!((poisson(10.0, 2) - 0.002_769_396).abs() < 1e-8);
        assert!((poisson(3.0, 0) - 0.049_787_068).abs() < 1e-8);
        assert!((poisson(100.0, 60) / 1.080_796_9e-5 - 1.0).abs() < 2e-2, "{}", poisson(100.0, 60));
        // Summed term by term: a negative binomial of mean 10 and variance 30 has the size 5 and the chance of success 1/3.
        let spread = Expectation { mean: 10.0, variance: 30.0 };
        let (mut term, mut sum) = ((1.0_f64 / 3.0).powi(5), 0.0);
        for count in 0..4_u64 {
            sum += term;
            assert!((spread.chance_of_at_most(count) - sum).abs() < 1e-9, "{count}");
            term *= (5.0 + count as f64) / (count as f64 + 1.0) * 2.0 / 3.0;
        }
        assert_eq!(poisson(0.0, 0), 1.0);
    }

    #[test]
    fn false_alarms_come_no_more_often_than_is_stated() {
        // Eight weeks by the hour, quiet at night, over many seeds: how often is a healthy window called too low?
        for (spread, rate) in [(1.0, 1e-3), (4.0, 1e-3), (1.0, 1e-2)] {
            let (mut judged, mut alarms) = (0_u32, 0_u32);
            for seed in 0..30 {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut windows: Vec<(u32, u64)> = Vec::new();
                for _ in 0..8 {
                    for hour in 0..168_u32 {
                        let mean = if hour % 24 < 6 { 0.3 } else { 60.0 + 20.0 * f64::from(hour % 24) };
                        let mean = if spread > 1.0 && mean > 1.0 {
                            // A mean that itself varies, so that the variance is about four times the mean.
                            let noise: f64 = (0..12).map(|_| rng.random_range(-0.5..0.5_f64)).sum();
                            (mean + noise * ((spread - 1.0) * mean).sqrt()).max(0.0)
                        } else {
                            mean
                        };
                        windows.push((hour, poisson(&mut rng, mean)));
                    }
                }
                let profile = Profile::learn(windows.iter().copied());
                for (hour, count) in windows {
                    let expected = profile.expected(hour, 1.0).unwrap();
                    judged += 1;
                    alarms += u32::from(expected.chance_of_at_most(count) <= rate);
                }
            }
            assert!(f64::from(alarms) <= rate * f64::from(judged) * 1.2, "{alarms} of {judged} at {rate}");
        }
    }

    #[test]
    fn half_a_monday_morning_is_low_and_a_quiet_night_is_not() {
        let mut rng = StdRng::seed_from_u64(7);
        let mean = |hour: u32| if hour % 24 < 6 { 0.2 } else { 400.0 };
        let windows: Vec<(u32, u64)> = (0..6).flat_map(|_| 0..168_u32).map(|hour| (hour, poisson(&mut rng, mean(hour)))).collect();
        let profile = Profile::learn(windows.into_iter());
        let chance = |hour, count| profile.expected(hour, 1.0).unwrap().chance_of_at_most(count);
        assert!(chance(3, 0) > 0.5);
        assert!(chance(9, 200) < 1e-6);
        assert!(chance(9, 380) > 1e-3);
        assert!(profile.dispersion() < 1.5);
        assert_eq!(Profile::learn([(1, 5), (1, 5), (1, 5)].into_iter()).expected(1, 1.0), None, "three weeks are too few");
    }
}

//! What the solves of a set say of learned methods beside the others.
use super::methods::LEARNED;
use super::record::Record;
use precondor::report::format::number;
use precondor::report::profile::{MEASURES, Values, shifted_mean};

/// What was found of a set.
pub struct Verdict {
    /// `[measure][method]`: shifted geometric means; none for who solved nothing.
    pub means: [Vec<Option<f64>>; 3],
    /// The best of those that did not learn, and of those that did, in each measure.
    pub classical: [Option<usize>; 3],
    pub learned: [Option<usize>; 3],
    /// `[method][system]`.
    times: Values,
}

/// Places in [`MEASURES`].
pub const TIME: usize = 0;
pub const ITERATIONS: usize = 1;
pub const PRODUCTS: usize = 2;

impl Verdict {
    pub fn of(record: &Record, values: &[Values; 3]) -> Self {
        let methods = record.methods.len();
        let means = [TIME, ITERATIONS, PRODUCTS].map(|k| {
            (0..methods).map(|of| shifted_mean(&values[k], of, MEASURES[k].shift)).collect()
        });
        let best = |k: usize, learned: bool| {
            let means: &Vec<Option<f64>> = &means[k];
            let there = (0..methods).filter(|&of| (record.methods[of].group == LEARNED) == learned);
            let known = there.filter_map(|of| Some((of, means[of]?)));
            known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(of, _)| of)
        };
        let [classical, learned] =
            [false, true].map(|learned| [TIME, ITERATIONS, PRODUCTS].map(|k| best(k, learned)));
        Verdict { means, classical, learned, times: values[TIME].clone() }
    }

    /// The best learned method over the best other one.
    pub fn ratio(&self, measure: usize) -> Option<f64> {
        let mean = |of: Option<usize>| self.means[measure][of?];
        Some(mean(self.learned[measure])? / mean(self.classical[measure])?)
    }

    /// Whether a learned method is the best; none where there is nothing to compare.
    pub fn wins(&self, measure: usize) -> Option<bool> {
        match (self.learned[measure], self.classical[measure]) {
            (None, None) => None,
            (None, _) => Some(false),
            (Some(_), None) => Some(true),
            (Some(_), Some(_)) => self.ratio(measure).map(|ratio| ratio < 1.0),
        }
    }

    /// Systems until `seconds` of training are won back by `of` against `other`; none where it is not faster on every system
    /// that was tried, so that nothing is read into the noise of a clock.
    pub fn break_even(&self, of: usize, other: usize, seconds: f64) -> Option<f64> {
        let saved = self.means[TIME][other]? - self.means[TIME][of]?;
        let mut pairs = self.times[of].iter().zip(&self.times[other]);
        let always = pairs.all(|(ours, theirs)| match (ours, theirs) {
            (Some(ours), Some(theirs)) => ours < theirs,
            (ours, None) => ours.is_some(),
            (None, Some(_)) => false,
        });
        (always && saved > 0.0).then(|| (seconds / saved).ceil())
    }

    /// As [`break_even`](Self::break_even) against a method whose M costs the same: what takes as many products is no faster.
    pub fn break_even_alike(&self, of: usize, other: usize, seconds: f64) -> Option<f64> {
        let fewer = self.means[PRODUCTS][of]? < self.means[PRODUCTS][other]?;
        fewer.then(|| self.break_even(of, other, seconds)).flatten()
    }

    /// A sentence on a measure.
    pub fn told(&self, measure: usize, record: &Record) -> Option<String> {
        let name = |of: usize| record.methods[of].label.as_str();
        let what = MEASURES[measure].name;
        Some(match (self.learned[measure], self.classical[measure]) {
            (Some(learned), Some(classical)) => {
                let ratio = self.ratio(measure)?;
                let (learned, classical) = (name(learned), name(classical));
                match ratio < 1.0 {
                    true => format!(
                        "{what}: the network wins; {learned} takes {} times what {classical} takes, the best that did not learn.",
                        number(ratio)
                    ),
                    false => format!(
                        "{what}: the network loses; {learned} takes {} times what {classical} takes, the best that did not learn.",
                        number(ratio)
                    ),
                }
            }
            (None, Some(classical)) => {
                format!(
                    "{what}: no learned method solved any system; {} is the best.",
                    name(classical)
                )
            }
            (Some(learned), None) => {
                format!(
                    "{what}: only learned methods solved any system; {} is the best.",
                    name(learned)
                )
            }
            (None, None) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Of, Solve};
    use super::*;
    use serde_json::json;

    fn record(times: &[(&str, &[Option<f64>])]) -> Record {
        let solve = |time: &Option<f64>| -> Solve {
            let told = match time {
                Some(time) => json!({ "outcome": "converged", "iterations": 100, "products": 300.0,
                    "setup_seconds": 0.0, "solve_seconds": time }),
                None => json!({ "outcome": "failed", "error": "no pivot" }),
            };
            serde_json::from_value(told).expect("a solve")
        };
        let methods = times.iter().map(|(group, times)| Of {
            label: format!("one of {group}"),
            group: (*group).into(),
            solves: times.iter().map(solve).collect(),
        });
        Record { methods: methods.collect(), n: [1, 1], nnz: [1, 1] }
    }

    #[test]
    fn the_best_of_both_kinds_are_compared_and_training_is_won_back() {
        let record = record(&[
            ("classical", &[Some(2.0), Some(2.0)]),
            (LEARNED, &[Some(1.0), Some(1.0)]),
            (LEARNED, &[None, Some(0.5)]),
        ]);
        let verdict = Verdict::of(&record, &record.values());
        assert_eq!((verdict.classical[TIME], verdict.learned[TIME]), (Some(0), Some(1)));
        assert!((verdict.ratio(TIME).expect("both") - 0.5).abs() < 1e-12);
        assert_eq!(verdict.wins(TIME), Some(true));
        assert_eq!(verdict.break_even(1, 0, 100.5), Some(101.0));
        assert_eq!(verdict.break_even(0, 1, 100.5), None);
        // Faster in the mean, and not on the first system; faster with as many products.
        assert_eq!(verdict.break_even(2, 0, 100.5), None);
        assert_eq!(verdict.break_even_alike(1, 0, 100.5), None);
        let told = verdict.told(TIME, &record).expect("a sentence");
        assert!(told.contains("the network wins; one of learned takes 0.500 times"), "{told}");
        assert_eq!(verdict.wins(ITERATIONS), Some(false));
    }

    #[test]
    fn a_network_that_solves_nothing_loses() {
        let record = record(&[("classical", &[Some(2.0)]), (LEARNED, &[None])]);
        let verdict = Verdict::of(&record, &record.values());
        assert_eq!(verdict.wins(TIME), Some(false));
        let told = verdict.told(PRODUCTS, &record).expect("a sentence");
        assert_eq!(
            told,
            "products: no learned method solved any system; one of classical is the best."
        );
        assert_eq!(record.methods[1].solves[0].why().as_deref(), Some("no pivot"));
    }
}

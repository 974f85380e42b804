//! A method on all systems of a case: what the report shows of them, in memory that does not grow with their
//! number.
use super::median;
use super::solves::{Course, End, Entry};
use super::traffic::Sent;
use crate::measure::told;
use precondor_core::instance::{Counts, Setup};
use precondor_core::kernel::random;
use std::borrow::Cow;

/// Systems that are kept one by one, the first ones.
pub const FIRST: usize = 1000;
/// Systems that medians are taken of; of more, a sample of so many.
pub const SAMPLE: usize = 4096;
/// Different remarks that are kept.
const REMARKS: usize = 20;

/// A method on all systems of a case.
#[derive(Default)]
pub struct Tally {
    /// The first systems, in order.
    pub first: Vec<End>,
    /// The stopping measure of the first system in its course.
    pub course: Course,
    /// Systems in all.
    total: u64,
    converged: u64,
    failed: u64,
    totals: Totals,
    /// Of those that converged: the sum and the most.
    iterations: (u64, usize),
    /// The largest true residual of those that were solved.
    worst: Option<f64>,
    /// How solves ended, by count.
    ends: Vec<(Cow<'static, str>, u64)>,
    /// Solves that went on by other means, and the first such case.
    fallbacks: u64,
    fallback: Option<String>,
    remarks: Vec<String>,
    /// Systems whose remarks are not among them.
    unremarked: u64,
    numbers: Sample,
    /// What the ranks sent for the first system that was counted, and its iterations.
    sent: Option<(usize, Sent)>,
}

/// What all solves took together, those that did not converge among them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// How preconditioners were come by.
    pub made: Counts,
    /// Iterations.
    pub iterations: u64,
    /// Products with A, and what takes as long; known of so many solves.
    pub products: (f64, u64),
    /// Seconds of all setups and of all solves.
    pub seconds: [f64; 2],
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        match entry.setup {
            Setup::SetUp => self.made.setups += 1,
            Setup::Refreshed => self.made.refreshes += 1,
            Setup::Kept => self.made.kept += 1,
        }
        self.iterations += entry.iterations as u64;
        if let Some(products) = entry.products {
            self.products = (self.products.0 + products, self.products.1 + 1);
        }
        self.seconds[0] += entry.setup_seconds;
        self.seconds[1] += entry.solve_seconds;
    }
}

/// What medians are taken of.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// nnz(M)/nnz(A).
    pub nnz_ratio: Option<f64>,
    /// Bytes of M.
    pub bytes: Option<f64>,
    /// Seconds of setup.
    pub setup: f64,
    /// Seconds of the solve.
    pub solve: f64,
}

/// All numbers, or as many drawn evenly from all.
#[derive(Default)]
struct Sample {
    seen: u64,
    kept: Vec<Numbers>,
}

impl Sample {
    /// J. S. Vitter, *Random Sampling with a Reservoir*, ACM TOMS 11 (1985), algorithm R.
    fn add(&mut self, numbers: Numbers) {
        self.seen += 1;
        if self.kept.len() < SAMPLE {
            self.kept.push(numbers);
        } else if let Some(place) = self
            .kept
            .get_mut((random::mix(self.seen.wrapping_mul(random::GAMMA)) % self.seen) as usize)
        {
            *place = numbers;
        }
    }
}

impl Tally {
    /// Takes in how the solve of the next system ended.
    pub fn add(&mut self, end: End) {
        self.total += 1;
        let name = match &end {
            Ok(entry) if entry.converged() && !entry.fallback.is_empty() => {
                "converged by fallback".into()
            }
            Ok(entry) => entry.outcome.clone(),
            Err(failure) => failure.outcome.clone(),
        };
        match self.ends.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => self.ends.push((name, 1)),
        }
        match &end {
            Ok(entry) => self.count(entry),
            Err(_) => self.failed += 1,
        }
        self.remark(&end);
        if self.first.len() < FIRST {
            self.first.push(end);
        }
    }

    fn count(&mut self, entry: &Entry) {
        self.totals.add(entry);
        if entry.converged() {
            self.converged += 1;
            let (sum, most) = self.iterations;
            self.iterations = (sum + entry.iterations as u64, most.max(entry.iterations));
        }
        let residual = entry.true_relative_residual;
        self.worst = Some(self.worst.map_or(residual, |worst| worst.max(residual)));
        if let Some(first) = entry.fallback.first() {
            self.fallbacks += 1;
            self.fallback.get_or_insert_with(|| told(first));
        }
        if let (None, Some(sent)) = (&self.sent, &entry.ranks) {
            self.sent = Some((entry.iterations, sent.clone()));
        }
        self.numbers.add(Numbers {
            nnz_ratio: entry.nnz_ratio,
            bytes: entry.preconditioner_bytes.map(|bytes| bytes as f64),
            setup: entry.setup_seconds,
            solve: entry.solve_seconds,
        });
    }

    fn remark(&mut self, end: &End) {
        let mut left_out = false;
        let one = |remark: &String, all: &mut Vec<String>, left_out: &mut bool| {
            if all.contains(remark) {
                return;
            }
            match all.len() < REMARKS {
                true => all.push(remark.clone()),
                false => *left_out = true,
            }
        };
        match end {
            Err(failure) => one(&failure.why, &mut self.remarks, &mut left_out),
            Ok(entry) => {
                for remark in entry.reason.iter().chain(&entry.notes) {
                    one(remark, &mut self.remarks, &mut left_out);
                }
            }
        }
        self.unremarked += u64::from(left_out);
    }

    /// Systems that were tried.
    pub fn total(&self) -> u64 {
        self.total
    }
    /// What all solves took together.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
    /// Systems that ended without a solve.
    pub fn failed(&self) -> u64 {
        self.failed
    }
    /// Whether a system ended without a solve.
    pub fn any_failed(&self) -> bool {
        self.failed > 0
    }
    /// Whether all solves converged.
    pub fn all_converged(&self) -> bool {
        self.total > 0 && self.converged == self.total
    }
    /// Solves that converged: how many, the sum of their iterations and the most.
    pub fn solved(&self) -> (u64, u64, usize) {
        (self.converged, self.iterations.0, self.iterations.1)
    }
    /// Mean and maximum of the iterations of the solves that converged.
    pub fn iterations(&self) -> Option<(f64, usize)> {
        let (sum, most) = self.iterations;
        (self.converged > 0).then(|| (sum as f64 / self.converged as f64, most))
    }
    /// The largest true residual.
    pub fn worst(&self) -> Option<f64> {
        self.worst
    }
    /// The median of what is known.
    pub fn median(&self, of: impl Fn(&Numbers) -> Option<f64>) -> Option<f64> {
        median(self.numbers.kept.iter().filter_map(of).collect())
    }
    /// Median seconds of setup and solve together.
    pub fn seconds(&self) -> Option<f64> {
        self.median(|n| Some(n.setup + n.solve))
    }
    /// The shortest and the longest time of setup and solve together, of one system that was solved several times.
    pub fn spread(&self) -> Option<(f64, f64)> {
        let [Ok(entry)] = self.first.as_slice() else { return None };
        let both = || entry.times.iter().map(|[setup, solve]| setup + solve);
        let spread = (both().reduce(f64::min)?, both().reduce(f64::max)?);
        (entry.times.len() > 1).then_some(spread)
    }
    /// Whether medians are those of a sample.
    pub fn sampled(&self) -> bool {
        self.numbers.seen > SAMPLE as u64
    }
    /// What the ranks sent for the first system that was counted, and its iterations.
    pub fn sent(&self) -> Option<(usize, &Sent)> {
        self.sent.as_ref().map(|(iterations, sent)| (*iterations, sent))
    }
    /// `converged`, or how the solves ended, by count.
    pub fn outcome(&self) -> String {
        match self.ends.as_slice() {
            [] => "not run".to_owned(),
            [(name, _)] => name.to_string(),
            several => {
                let words = several.iter().map(|(name, count)| format!("{count} {name}"));
                format!("{} of {}", words.collect::<Vec<_>>().join(", "), self.total)
            }
        }
    }
    /// On how many systems a solve went on by other means, and the first such case.
    pub fn fallback(&self) -> Option<String> {
        let first = self.fallback.as_ref()?;
        Some(format!("fallback on {} of {}: {first}", self.fallbacks, self.total))
    }
    /// Why it failed or broke down, and what the method noted; each once.
    pub fn remarks(&self) -> Vec<String> {
        let more =
            (self.unremarked > 0).then(|| format!("and more on {} systems", self.unremarked));
        self.remarks.iter().cloned().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::solves::Failure;

    fn entry(k: u64) -> Entry {
        Entry {
            iterations: (k % 10) as usize,
            outcome: if k.is_multiple_of(100) { "breakdown" } else { "converged" }.into(),
            reason: None,
            measure: 0.0,
            true_relative_residual: k as f64,
            nnz_ratio: Some(1.0),
            preconditioner_nnz: None,
            preconditioner_bytes: None,
            products: None,
            setup_seconds: k as f64,
            solve_seconds: 1.0,
            times: vec![[k as f64, 1.0]],
            setup: if k > 0 { Setup::Refreshed } else { Setup::SetUp },
            fallback: Vec::new(),
            notes: vec!["the same for all".into(), format!("system {k}")],
            ranks: None,
        }
    }

    /// Numbers kept, texts included.
    fn kept(tally: &Tally) -> [usize; 4] {
        [tally.first.len(), tally.numbers.kept.len(), tally.remarks.len(), tally.ends.len()]
    }

    #[test]
    fn what_is_kept_does_not_grow_with_the_number_of_systems() {
        let mut tally = Tally::default();
        let mut after = Vec::new();
        for k in 0..100_000 {
            tally.add(if k == 7 { Err(Failure::new("refused".into())) } else { Ok(entry(k)) });
            if k + 1 == 10_000 || k + 1 == 100_000 {
                after.push(kept(&tally));
            }
        }
        assert_eq!(after[0], after[1]);
        assert_eq!(after[0], [FIRST, SAMPLE, REMARKS, 3]);
        // What is counted is counted of all.
        assert_eq!(tally.total(), 100_000);
        assert_eq!(tally.totals().made, Counts { setups: 1, refreshes: 99_998, kept: 0 });
        // 10 000 times 0 to 9, without one 7.
        assert_eq!(tally.totals().iterations, 450_000 - 7);
        assert_eq!(tally.totals().seconds[1], 99_999.0);
        assert_eq!(tally.worst(), Some(99_999.0));
        assert_eq!(tally.outcome(), "1000 breakdown, 98999 converged, 1 failed of 100000");
        let (mean, most) = tally.iterations().unwrap();
        // The same without the 1000 zeros that broke down.
        assert_eq!((mean, most), ((450_000 - 7) as f64 / 98_999.0, 9));
        assert!(tally.sampled());
        // The rank of the median of 4096 drawn from all: half of them, ± 1/128 (one standard deviation).
        let median = tally.median(|n| Some(n.setup)).unwrap();
        assert!((median - 50_000.0).abs() < 5.0 / 128.0 * 100_000.0, "{median}");
        assert_eq!(tally.remarks().last().unwrap(), "and more on 99981 systems");
    }

    #[test]
    fn medians_of_few_systems_are_exact() {
        let mut tally = Tally::default();
        for setup_seconds in [3.0, 1.0, 2.0, 10.0] {
            tally.add(Ok(Entry { setup_seconds, ..entry(1) }));
        }
        assert_eq!(tally.median(|n| Some(n.setup)), Some(2.5));
        assert_eq!(tally.seconds(), Some(3.5));
        assert!(!tally.sampled());
        assert_eq!(Tally::default().outcome(), "not run");
    }
}

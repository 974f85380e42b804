//! A method tried on several systems: counts, spectra, sizes, times.
use super::lab::{Candidate, Counter, Rule, Sample, Solve, TOLERANCE, mean, median};
use super::library::once;
use super::spectrum::Spectrum;
use precondor::report::{Cell, Iterations};
use precondor_core::ready::Ready;

/// What is tried.
#[derive(Clone, Copy)]
pub struct Scope {
    /// Richardson's iteration.
    pub richardson: bool,
    /// Richardson's iteration with the best damping of each system, too.
    pub best_damping: bool,
    /// Conjugate gradients, or what stands in for them.
    pub krylov: bool,
    /// The spectrum of MA.
    pub spectrum: bool,
}

impl Scope {
    /// Everything but the best damping.
    pub const USUAL: Scope =
        Scope { richardson: true, best_damping: false, krylov: true, spectrum: true };
}

/// What the systems gave.
#[derive(Default)]
pub struct Trial {
    /// Richardson's iteration by the error and by the residual.
    pub error: Counter,
    pub residual: Counter,
    /// By the residual with the best damping of each system.
    pub best_damping: Counter,
    /// Conjugate gradients by the residual.
    pub krylov: Counter,
    pub spectra: Vec<Spectrum>,
    /// Numbers of M, and their share of n².
    pub entries: Vec<f64>,
    pub shares: Vec<f64>,
    /// Numbers of M for one entry of A.
    pub ratios: Vec<f64>,
    pub bytes: Vec<f64>,
    pub setup: Vec<f64>,
    /// Seconds of Richardson's iteration by the residual.
    pub solve: Vec<f64>,
    /// Iterations by the error, calculated where they were not run.
    pub predicted: Vec<usize>,
    /// What went wrong, each once.
    pub remarks: Vec<String>,
    /// Error and residual, iteration by iteration, of the first system.
    pub histories: [Vec<f64>; 2],
}

impl Trial {
    /// M could not be set up.
    pub fn fail(&mut self, why: &str) {
        once(&mut self.remarks, why.to_owned());
    }

    /// Takes in a system, the first one with index 0.
    pub fn take(
        &mut self,
        sample: &Sample,
        index: u64,
        method: &Candidate,
        ready: &Ready,
        what: Scope,
    ) {
        let m = ready.m();
        let entries = m.stored_entries() as f64;
        let n = sample.task.b.len() as f64;
        self.entries.push(entries);
        self.shares.push(entries / (n * n));
        self.ratios.push(entries / sample.task.nnz.max(1) as f64);
        self.bytes.push(m.bytes() as f64);
        self.setup.push(ready.taken.as_secs_f64());
        // The dense product of an unsymmetric M costs as much as many solves: for the first system.
        let spectrum = match what.spectrum && (m.properties().symmetric || index == 0) {
            true => sample.spectrum(m, if method.damping > 0.0 { method.damping } else { 1.0 }),
            false => None,
        };
        self.spectra.extend(spectrum);
        if what.richardson {
            self.richardson(sample, index, method, ready, spectrum.filter(|_| what.best_damping));
        }
        if what.krylov {
            match sample.krylov(m, spectrum.as_ref(), Rule::Residual(TOLERANCE)) {
                Ok((solve, by)) => {
                    self.krylov.by(by);
                    self.krylov.add(&Ok(solve));
                }
                Err(e) => once(&mut self.remarks, e.to_string()),
            }
        }
    }

    fn richardson(
        &mut self,
        sample: &Sample,
        index: u64,
        method: &Candidate,
        ready: &Ready,
        spectrum: Option<Spectrum>,
    ) {
        let (m, residual) = (ready.m(), Rule::Residual(TOLERANCE));
        let by_error = sample.richardson(m, method.damping, Rule::Error(TOLERANCE));
        let by_residual = sample.richardson(m, method.damping, residual);
        self.error.add(&by_error);
        self.residual.add(&by_residual);
        self.solve.extend(by_residual.as_ref().map(|solve| solve.seconds));
        if let Some(best) = spectrum.and_then(|s| s.best_damping()) {
            self.best_damping.add(&sample.richardson(m, best, residual));
        }
        for (history, solve) in self.histories.iter_mut().zip([by_error, by_residual]) {
            match solve {
                Ok(Solve { report, .. }) if index == 0 => *history = report.history,
                Ok(_) => (),
                Err(e) => once(&mut self.remarks, e.to_string()),
            }
        }
    }

    /// Iterations by the error of a stationary method from its rate: x* of a smooth b is nearly all
    /// in the slowest mode.
    pub fn predict(&mut self, sample: &Sample, damping: f64) {
        let Some([min, _]) = self.spectra.last().and_then(|s| s.ends) else { return };
        let start = sample.exact.iter().map(|x| x * x).sum::<f64>().sqrt();
        let count = (start / TOLERANCE).ln() / -(1.0 - damping * min).ln();
        self.predicted.push(count.ceil() as usize);
    }

    /// Iterations by the error, counted or calculated.
    pub fn by_error(&self) -> Option<Iterations> {
        let predicted = || Iterations {
            predicted: true,
            ..Iterations::of(self.predicted.clone(), self.predicted.len())
        };
        self.error.iterations().or_else(|| (!self.predicted.is_empty()).then(predicted))
    }

    /// The mean condition.
    pub fn condition(&self) -> Option<f64> {
        mean(&self.spectra.iter().map(|s| s.condition).collect::<Vec<_>>())
    }

    /// The largest radius of I − ωMA.
    pub fn radius(&self) -> Option<f64> {
        self.spectra.iter().map(|s| s.radius).reduce(f64::max)
    }

    /// The smallest and the largest eigenvalue seen.
    pub fn ends(&self) -> Option<[f64; 2]> {
        let ends = self.spectra.iter().filter_map(|s| s.ends);
        ends.reduce(|[a, b], [c, d]| [a.min(c), b.max(d)])
    }

    /// Median seconds from matrix to solution by Richardson's iteration.
    pub fn seconds(&self) -> Option<f64> {
        Some(median(&self.setup)? + median(&self.solve)?)
    }

    /// Remarks, with those about spectra.
    pub fn told(&self) -> Vec<String> {
        let mut remarks = self.remarks.clone();
        if self.spectra.iter().any(|s| !s.converged) {
            remarks.push("Lanczos' method ran out of steps: κ(MA) is a lower bound".into());
        }
        remarks
    }
}

/// A cell of counts.
pub fn its(counter: &Counter) -> Cell {
    Cell::of(counter.iterations(), Cell::Iterations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor::config::experiment::Task;
    use precondor_core::Result;
    use precondor_core::comm::Comm;
    use precondor_core::instance::{Instance, no_refresh};
    use precondor_core::persist::no_persist;
    use precondor_core::precond::{Preconditioner, Properties};
    use precondor_core::problem::{Poisson, Problem};
    use precondor_core::system::System;
    use std::time::Duration;

    /// Damped Jacobi.
    struct Jacobi(Vec<f64>);

    impl Preconditioner for Jacobi {
        fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
            z.iter_mut().zip(r).zip(&self.0).for_each(|((z, r), m)| *z = m * r);
            Ok(())
        }
        fn properties(&self) -> Properties {
            Properties::SPD
        }
        fn stored_entries(&self) -> usize {
            self.0.len()
        }
        fn bytes(&self) -> usize {
            8 * self.0.len()
        }
    }

    impl Instance for Jacobi {
        fn refresh(&mut self, _: &System) -> Result<()> {
            Err(no_refresh("this one"))
        }
        fn save(&self) -> Result<Vec<u8>> {
            Err(no_persist("this one"))
        }
    }

    #[test]
    fn counts_of_a_stationary_method_are_predicted_by_its_spectrum() {
        let (system, b) =
            Problem::Poisson(Poisson::at_level(3)).generate(Comm::solo()).expect("valid");
        let a = system.a().clone();
        let dense = super::super::spectrum::dense(&a);
        let exact = dense.lu().solve(&nalgebra::DVector::from_vec(b.clone())).expect("regular");
        let task = Task::of(a.clone(), b);
        let sample = Sample { task, exact: exact.as_slice().to_vec() };
        let scale = (0..a.n_own()).map(|i| 0.7 / a.diagonal(i)).collect();
        let ready = Ready::new(Box::new(Jacobi(scale)), Duration::ZERO, Vec::new());
        let method = Candidate { label: "Jacobi".into(), group: "", config: None, damping: 1.0 };
        let mut trial = Trial::default();
        trial.take(&sample, 0, &method, &ready, Scope { best_damping: true, ..Scope::USUAL });
        trial.predict(&sample, 1.0);
        let counted = trial.error.iterations().and_then(|its| its.mean_max()).expect("solved").0;
        let predicted = trial.predicted[0] as f64;
        assert!((predicted / counted - 1.0).abs() < 0.02, "{predicted} for {counted}");
        // The best damping is the best, and conjugate gradients are better still.
        let mean = |counter: &Counter| counter.iterations()?.mean_max().map(|(mean, _)| mean);
        let [plain, best, cg] =
            [&trial.residual, &trial.best_damping, &trial.krylov].map(|c| mean(c).expect("solved"));
        assert!(cg < best && best < plain, "{cg}, {best}, {plain}");
        assert_eq!((trial.ratios[0], trial.bytes[0]), (49.0 / 289.0, 392.0));
    }
}

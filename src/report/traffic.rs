//! What each rank of a job sends and holds in a measured solve.
use precondor_core::Result;
use precondor_core::comm::count::{Counter, Traffic};
use precondor_core::comm::{Comm, Communicator};
use precondor_core::precond::Preconditioner;
use precondor_core::system::System;
use serde::{Deserialize, Serialize};

/// Reads the counter of this rank at the ends of the parts of a solve. On a single rank it does nothing.
pub struct Meter<'a> {
    counter: Option<(&'a Counter, &'a Comm)>,
    started: Traffic,
    setup: Traffic,
    application: Traffic,
    /// At the first measure of the stopping rule, and at the last so far.
    measures: Option<(Traffic, Traffic)>,
    solve: Traffic,
}

/// What every rank sent and held, in rank order.
pub struct Counted {
    /// In setup.
    pub setup: Vec<Traffic>,
    /// In one application of M.
    pub application: Vec<Traffic>,
    /// From the first measure of the stopping rule to the last.
    pub iterations: Vec<Traffic>,
    /// In the whole solve, setup not included.
    pub solve: Vec<Traffic>,
    /// Bytes of M.
    pub bytes: Vec<u64>,
    /// The most memory that the process had in setup and solve; 0 where the system does not tell.
    pub peak: Vec<u64>,
}

impl<'a> Meter<'a> {
    /// Before setup.
    pub fn new(counter: Option<&'a Counter>, comm: &'a Comm) -> Self {
        let counter = counter.filter(|_| comm.size() > 1).map(|counter| (counter, comm));
        let nothing = Traffic::default();
        if counter.is_some() {
            forget_peak();
        }
        let mut meter = Meter {
            counter,
            started: nothing,
            setup: nothing,
            application: nothing,
            measures: None,
            solve: nothing,
        };
        meter.started = meter.read();
        meter
    }

    fn read(&self) -> Traffic {
        self.counter.map_or(Traffic::default(), |(counter, _)| counter.read())
    }

    /// After setup; applies M once to see what that sends. Collective.
    pub fn set_up(&mut self, m: &dyn Preconditioner, r: &[f64]) {
        self.setup = self.read() - self.started;
        if self.counter.is_some() {
            let mut z = vec![0.0; r.len()];
            let before = self.read();
            // A failure shows again in the solve, which tells all ranks.
            let _ = m.apply(r, &mut z);
            self.application = self.read() - before;
        }
        self.started = self.read();
    }

    /// At each measure of the stopping rule.
    pub fn measured(&mut self) {
        let now = self.read();
        self.measures.get_or_insert((now, now)).1 = now;
    }

    /// After the solve.
    pub fn solved(&mut self) {
        self.solve = self.read() - self.started;
    }

    /// What all ranks counted, where M has so many bytes on this one; none on a single rank. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn finish(self, bytes: usize) -> Result<Option<Counted>> {
        let Some((_, comm)) = self.counter else { return Ok(None) };
        let (first, last) = self.measures.unwrap_or_default();
        let parts = [self.setup, self.application, last - first, self.solve];
        let mut mine: Vec<u64> = parts.iter().flat_map(Traffic::to_words).collect();
        mine.extend([bytes as u64, peak().unwrap_or(0)]);
        let all = comm.all_gather(&mine)?;
        let part = |k: usize| {
            let words =
                |rank: &Vec<u64>| Traffic::from_words(&std::array::from_fn(|w| rank[12 * k + w]));
            all.iter().map(words).collect()
        };
        let word = |k: usize| all.iter().map(|rank| rank[48 + k]).collect();
        Ok(Some(Counted {
            setup: part(0),
            application: part(1),
            iterations: part(2),
            solve: part(3),
            bytes: word(0),
            peak: word(1),
        }))
    }
}

/// The most of any rank, and the sum of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent<T> {
    /// The most of any rank, number by number.
    pub max: T,
    /// All ranks together.
    pub sum: T,
}

impl Extent<Traffic> {
    fn of(ranks: impl Iterator<Item = Traffic> + Clone) -> Self {
        let max = ranks.clone().fold(Traffic::default(), Traffic::max);
        Extent { max, sum: ranks.sum() }
    }
}

impl Extent<u64> {
    fn of(ranks: impl Iterator<Item = u64> + Clone) -> Self {
        Extent { max: ranks.clone().max().unwrap_or(0), sum: ranks.sum() }
    }
}

/// What the ranks sent and held in one solve; the keys are stable.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sent {
    /// Setup.
    pub setup: Extent<Traffic>,
    /// One application of M.
    pub application: Extent<Traffic>,
    /// The iterations, from the first measure of the stopping rule to the last.
    pub iterations: Extent<Traffic>,
    /// The whole solve, setup not included.
    pub solve: Extent<Traffic>,
    /// Bytes of M.
    pub preconditioner_bytes: Extent<u64>,
    /// The most memory that any rank's process had in setup and solve, where the system tells.
    pub peak_bytes: Option<u64>,
}

impl Sent {
    /// Of what was counted in a solve.
    pub fn new(counted: &Counted) -> Self {
        let peak = counted.peak.iter().copied().max().filter(|&peak| peak > 0);
        Sent {
            setup: Extent::<Traffic>::of(counted.setup.iter().copied()),
            application: Extent::<Traffic>::of(counted.application.iter().copied()),
            iterations: Extent::<Traffic>::of(counted.iterations.iter().copied()),
            solve: Extent::<Traffic>::of(counted.solve.iter().copied()),
            preconditioner_bytes: Extent::<u64>::of(counted.bytes.iter().copied()),
            peak_bytes: peak,
        }
    }
}

/// Nodes a side of a square grid that the rows of A are numbered by, row after row, where the system is known to have
/// one.
pub fn side(system: &System) -> Option<u64> {
    let n = system.a().space().n_global();
    let m = n.isqrt();
    (system.aux("grid-index").is_some() && m * m == n).then_some(m)
}

/// The most memory that this process had since it was last asked to forget.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}

/// Linux only; elsewhere, and where it is not allowed, the peak is that of the whole run.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

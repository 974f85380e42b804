//! What both methods keep from setup to refresh: the pattern, and what it was made for.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::pattern::{Part, Pattern, digest, strong_entries};
use precondor_sdk::prelude::*;

/// Rows that one thread takes at a time.
pub(crate) const GRAIN: usize = 2048;

/// The pattern of M or G, reused for as long as the pattern of A stays the same.
pub(crate) struct Plan {
    pub(crate) pattern: Pattern,
    /// Tells the pattern of A.
    digest: u64,
    /// Times that values were computed on this pattern.
    pub(crate) computed: usize,
}

impl Plan {
    /// The pattern of Aᵏ, k = `power`, after entries up to `threshold` were left out of A.
    /// Collective.
    pub(crate) fn new(system: &System, power: u32, threshold: f64, part: Part) -> Result<Self> {
        let (a, host) = (system.a(), system.host().as_ref());
        let strong = if threshold > 0.0 { Some(strong_entries(a, threshold)?) } else { None };
        let from = strong.as_ref().unwrap_or(a);
        let pattern = Pattern::power(host, from, power as usize, part)?;
        Ok(Plan { pattern, digest: digest(a), computed: 0 })
    }

    /// Refuses a matrix whose pattern is another one on some rank. Collective.
    pub(crate) fn require_same(&self, a: &DistCsr) -> Result<()> {
        let same = a.n_own() + 1 == self.pattern.row_ptr.len() && digest(a) == self.digest;
        let mut changed = [f64::from(u8::from(!same))];
        a.space().comm().max(&mut changed)?;
        if changed[0] > 0.0 { Err(Error::PatternChanged) } else { Ok(()) }
    }

    /// What to tell of the reuse.
    pub(crate) fn note(&self) -> String {
        format!("values computed {} time(s) on a pattern set up once", self.computed)
    }
}

//! What both methods keep from setup to refresh: the pattern, and what it was made for.
use precondor_sdk::core::kernel::pattern::{Part, Pattern, around, digest, strong_entries};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::prelude::*;

/// Rows that one thread takes at a time.
pub(crate) const GRAIN: usize = 2048;

/// The pattern of M or G, reused for as long as the pattern of A stays the same, and with a
/// threshold that of its strong entries.
pub(crate) struct Plan {
    pub(crate) pattern: Pattern,
    /// The pattern that grown ones start from, where they do.
    base: Option<Pattern>,
    power: u32,
    threshold: f64,
    part: Part,
    /// Steps around own rows that growing takes into account, where patterns grow.
    depth: Option<u32>,
    /// Tells the pattern of A.
    digest: u64,
    /// Tells that of its strong entries.
    strong: u64,
    /// Times that a power of A was searched for its pattern.
    searched: usize,
    /// Times that values were computed.
    pub(crate) computed: usize,
}

impl Plan {
    /// The pattern of Aᵏ, k = `power`, after entries up to `threshold` were left out of A, and the rows of
    /// A that values on it need; with `steps`, those within k + `steps` steps, so that it can grow.
    /// Collective: one exchange of rows ([`around`]), and with a threshold, where k > 1, another before it.
    pub(crate) fn new(
        system: &System,
        power: u32,
        threshold: f64,
        part: Part,
        steps: Option<u32>,
    ) -> Result<(Self, Reach<'_>)> {
        let (a, host) = (system.a(), system.host().as_ref());
        let depth = steps.map(|steps| power.saturating_add(steps));
        let strong = strong(a, threshold)?;
        // Rows that are needed anyhow tell the pattern, too; of the first power it is known without.
        let near = match depth.or((power > 1).then_some(power)) {
            Some(steps) if strong.is_none() => Some(around(a, steps as usize)?),
            _ => None,
        };
        let from = strong.as_ref().unwrap_or(a);
        let pattern = match &near {
            Some(near) => Pattern::within(host, near, power as usize, part)?,
            None => Pattern::power(host, from, power as usize, part)?,
        };
        let mut plan = Plan {
            pattern,
            base: None,
            power,
            threshold,
            part,
            depth,
            digest: digest(a),
            strong: digest(from),
            searched: 1,
            computed: 0,
        };
        let near = near.map_or_else(|| plan.rows(a), Ok)?;
        Ok((plan, near))
    }

    /// The rows of A that values on the pattern need, or that it grows by; columns are numbered as they
    /// are there. Collective.
    pub(crate) fn rows<'a>(&mut self, a: &'a DistCsr) -> Result<Reach<'a>> {
        match self.depth {
            Some(depth) => around(a, depth as usize),
            None => self.pattern.reach(a),
        }
    }

    /// Makes it the plan for other values of A: searches again only where other entries are strong.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::PatternChanged`] for a matrix whose pattern is another one on some rank.
    pub(crate) fn renew(&mut self, system: &System) -> Result<()> {
        let a = system.a();
        let same_rows = a.n_own() + 1 == self.pattern.row_ptr.len();
        if a.space().comm().any(!same_rows || digest(a) != self.digest)? {
            return Err(Error::PatternChanged);
        }
        if let Some(strong) = strong(a, self.threshold)?
            && a.space().comm().any(digest(&strong) != self.strong)?
        {
            let host = system.host().as_ref();
            self.pattern = Pattern::power(host, &strong, self.power as usize, self.part)?;
            (self.base, self.strong) = (None, digest(&strong));
            self.searched += 1;
        }
        Ok(())
    }

    /// Replaces the pattern by what `grow` makes of it; that of the power is kept.
    pub(crate) fn grow(&mut self, grow: impl FnOnce(Pattern) -> Result<Pattern>) -> Result<()> {
        let base = self.base.take().unwrap_or_else(|| self.pattern.clone());
        self.pattern = grow(base.clone())?;
        self.base = Some(base);
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pattern.bytes() + self.base.as_ref().map_or(0, Pattern::bytes)
    }

    /// What to tell of the reuse.
    pub(crate) fn note(&self) -> String {
        let grown = if self.base.is_some() { "patterns grown from one" } else { "a pattern" };
        let searched = match self.searched {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        format!("values computed {} time(s) on {grown} set up {searched}", self.computed)
    }
}

/// The entries of A beyond the threshold, where there is one. Collective.
fn strong(a: &DistCsr, threshold: f64) -> Result<Option<DistCsr>> {
    if threshold > 0.0 { strong_entries(a, threshold).map(Some) } else { Ok(None) }
}

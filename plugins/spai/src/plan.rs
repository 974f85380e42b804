//! What both methods keep from setup to refresh: the pattern, and what it was made for.
use precondor_sdk::core::kernel::pattern::{
    Bound, Cut, Part, Pattern, around, digest, strong_entries,
};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::core::kernel::remote::neighbours;
use precondor_sdk::prelude::*;

/// Rows that one thread takes at a time.
pub(crate) const GRAIN: usize = 2048;

/// The pattern of M or G, reused for as long as the pattern of A stays the same, and with a
/// threshold that of its strong entries.
pub(crate) struct Plan {
    pub(crate) pattern: Pattern,
    /// The pattern that grown ones start from, where they do.
    base: Option<Pattern>,
    ask: Ask,
    /// Steps around own rows that growing takes into account, where patterns grow.
    depth: Option<u32>,
    /// Whether a row of A is longer than a row may be.
    exceeded: bool,
    /// Rows that were cut, on all ranks, and what to say of them.
    cut: Cut,
    note: Option<String>,
    /// Tells the pattern of A.
    digest: u64,
    /// Tells that of its strong entries.
    strong: u64,
    /// Times that a power of A was searched for its pattern.
    searched: usize,
    /// Times that values were computed.
    pub(crate) computed: usize,
}

/// What pattern is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) power: u32,
    pub(crate) threshold: f64,
    pub(crate) part: Part,
    /// Steps in which it grows, where it does.
    pub(crate) steps: Option<u32>,
    pub(crate) max_row: u32,
}

impl Plan {
    /// The pattern of Aᵏ, k = `power`, after entries up to `threshold` were left out of A, and the rows of
    /// A that values on it need; with `steps`, those within k + `steps` steps, so that it can grow.
    /// Collective: one exchange of rows ([`around`]), and another where a threshold is given and k > 1,
    /// or where a row of A is longer than a row may be.
    pub(crate) fn new(system: &System, ask: Ask) -> Result<(Self, Reach<'_>)> {
        let Ask { power, part, steps, .. } = ask;
        let (a, host) = (system.a(), system.host().as_ref());
        let strong = strong(a, ask.threshold)?;
        let from = strong.as_ref().unwrap_or(a);
        let whole = Bound::new(a, ask.max_row)?;
        // Rows that are needed anyhow tell the pattern, too; of the first power it is known without.
        let depth = steps.map(|steps| power.saturating_add(steps));
        let near = match depth.or((power > 1).then_some(power)) {
            Some(steps) if strong.is_none() && !whole.exceeded => {
                Some(around(a, steps as usize, usize::MAX)?)
            }
            _ => None,
        };
        let exceeded = whole.exceeded;
        let bound = if strong.is_some() { Bound::new(from, ask.max_row)? } else { whole };
        let pattern = match &near {
            Some(near) => Pattern::within(host, near, power as usize, part, &bound)?,
            None => Pattern::power(host, from, power as usize, part, &bound)?,
        };
        // Without a long row the first power has none either.
        let cut = match bound.exceeded || power > 1 {
            true => pattern.cut().of_all(a.space().comm())?,
            false => Cut::default(),
        };
        let mut plan = Plan {
            pattern,
            base: None,
            ask,
            depth,
            exceeded,
            note: bound.note(cut),
            cut,
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
            Some(depth) if self.exceeded => {
                let near = neighbours(a, depth as usize, self.ask.max_row as usize)?;
                let mut ids = [&near.ids, self.pattern.others()].concat();
                ids.sort_unstable();
                ids.dedup();
                let reach = Reach::new(a, &ids)?;
                self.pattern.renumber(&reach)?;
                Ok(reach)
            }
            Some(depth) => around(a, depth as usize, usize::MAX),
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
        let strong = strong(a, self.ask.threshold)?;
        let from = strong.as_ref().unwrap_or(a);
        // Which entries are the strongest of a row that was cut depends on values.
        let other = match &strong {
            Some(strong) => a.space().comm().any(digest(strong) != self.strong)?,
            None => false,
        };
        if other || self.cut.rows > 0 {
            let (host, bound) = (system.host().as_ref(), Bound::new(from, self.ask.max_row)?);
            let (power, part) = (self.ask.power as usize, self.ask.part);
            self.pattern = Pattern::power(host, from, power, part, &bound)?;
            (self.base, self.strong) = (None, digest(from));
            self.cut = self.pattern.cut().of_all(a.space().comm())?;
            self.note = bound.note(self.cut);
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

    /// What to tell of rows that were cut and of the reuse.
    pub(crate) fn notes(&self) -> Vec<String> {
        let grown = if self.base.is_some() { "patterns grown from one" } else { "a pattern" };
        let searched = match self.searched {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let reuse =
            format!("values computed {} time(s) on {grown} set up {searched}", self.computed);
        std::iter::once(reuse).chain(self.note.clone()).collect()
    }
}

/// The entries of A beyond the threshold, where there is one. Collective.
fn strong(a: &DistCsr, threshold: f64) -> Result<Option<DistCsr>> {
    if threshold > 0.0 { strong_entries(a, threshold).map(Some) } else { Ok(None) }
}

//! Strong couplings of a distributed matrix, as in `strength.rs` for aggregation, row by row in order of global
//! columns.
use precondor_sdk::prelude::*;

/// Strong off-diagonal entries of the own rows.
pub(crate) struct Strong {
    row_ptr: Vec<usize>,
    /// Own columns by their number, those of others behind them in the order of the matrix.
    cols: Vec<u32>,
    /// aᵢⱼ/aᵢᵢ.
    values: Vec<f64>,
    /// Sum of the other couplings of the row over aᵢᵢ, within one unknown.
    pub weak: Vec<f64>,
}

/// See `strength.rs`.
const DOMINANT: f64 = 0.25;
const NOTHING: f64 = 1e-6;

impl Strong {
    /// For `block` unknowns a node, `component` of own rows and those of others being which of them each is.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Breakdown`], not on all ranks, for a diagonal entry that is not positive; what the
    /// communicator reports.
    pub fn of(a: &DistCsr, theta: f64, component: &[f64]) -> Result<Self> {
        let n = a.n_own();
        let local = Local::new(a);
        let within = |i: usize, j: u32| component[i] == component[j as usize];
        let (mut largest, mut all, mut diagonal) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for i in 0..n {
            let mut absolute = 0.0;
            for (j, v) in local.entries(a, i) {
                if j as usize == i {
                    diagonal[i] = v;
                    continue;
                }
                absolute += v.abs();
                if within(i, j) {
                    all[i] += v;
                    largest[i] = f64::max(largest[i], -v);
                }
            }
            if !(diagonal[i] > 0.0 && diagonal[i].is_finite()) {
                let why =
                    format!("the diagonal entry is {}; amg needs it to be positive", diagonal[i]);
                return Err(Error::breakdown(a.global_row(i), why));
            }
            if absolute <= DOMINANT * diagonal[i] {
                largest[i] = 0.0;
            }
        }
        let theirs = a.on_ghosts(&largest)?;
        let of = |j: u32| match (j as usize).checked_sub(n) {
            None => largest[j as usize],
            Some(g) => theirs[g],
        };
        let mut strong = Strong { row_ptr: vec![0], cols: vec![], values: vec![], weak: vec![] };
        for i in 0..n {
            let (from, mut sum) = (strong.cols.len(), 0.0);
            if largest[i] > 0.0 {
                for (j, v) in local.entries(a, i).filter(|e| e.0 as usize != i) {
                    let mutual = of(j) > 0.0 && (v / largest[i]) * (v / of(j)) >= theta * theta;
                    if v < 0.0 && mutual && within(i, j) {
                        strong.cols.push(j);
                        strong.values.push(v / diagonal[i]);
                        sum += v;
                    }
                }
                if strong.cols.len() == from && largest[i] > NOTHING * diagonal[i] {
                    let mut entries = local.entries(a, i);
                    if let Some((j, v)) = entries.find(|&(j, v)| v == -largest[i] && within(i, j)) {
                        strong.cols.push(j);
                        strong.values.push(v / diagonal[i]);
                        sum = v;
                    }
                }
            }
            strong.weak.push((all[i] - sum) / diagonal[i]);
            strong.row_ptr.push(strong.cols.len());
        }
        Ok(strong)
    }

    pub fn entries(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.row_ptr[i]..self.row_ptr[i + 1];
        let cols = self.cols[range.clone()].iter().map(|&j| j as usize);
        cols.zip(self.values[range].iter().copied())
    }
    pub fn is_alone(&self, i: usize) -> bool {
        self.row_ptr[i] == self.row_ptr[i + 1]
    }
}

/// Local numbers of columns: own ones first, then the ghosts.
struct Local {
    start: u64,
    own: u64,
}

impl Local {
    fn new(a: &DistCsr) -> Self {
        Local { start: a.space().start(), own: a.n_own() as u64 }
    }
    /// Entries of own row `i` in order of global columns.
    fn entries<'a>(&self, a: &'a DistCsr, i: usize) -> impl Iterator<Item = (u32, f64)> + 'a {
        let Local { start, own } = *self;
        a.global_entries(i).map(move |(j, v)| {
            let here = j.wrapping_sub(start);
            let number = match here < own {
                true => here,
                false => own + a.ghost_ids().partition_point(|&id| id < j) as u64,
            };
            (number as u32, v)
        })
    }
}

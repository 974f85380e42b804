//! The exact solve at bad nodes, innermost between smoothing and the reference solve.
//!
//! A node is bad where aᵢᵢ is much larger than A0's diagonal entry, in units of the median of that ratio: cells around it are
//! flat, and neither a few steps of smoothing nor the reference solve see what A makes of it. There are few of them (0.4 % of
//! the nodes at .35 of a spacing in three dimensions), in blocks of a handful. With B the inverse of A on these blocks and
//! zero elsewhere, M becomes
//!
//! B + (I − B A) M (I − A B),
//!
//! M with what belongs to bad nodes taken out before and after. As B A B = B, this is B + (I − BA) M (I − BA)ᵀ: symmetric and
//! positive definite where M is. Where M₂ smooths after the reference solve alone, they are taken out after it alone, too: M
//! becomes M + B (I − A M).
//!
//! Blocks end where a rank's rows do: where they are coupled across, B A B = B does not hold, and nothing is claimed.
//!
//! Cost: setup one pass over A, a gather of a few thousand ratios and of sizes, a dense factorisation of each block; apply two
//! triangular solves with each block, and products with the rows of bad nodes and of those beside them; two exchanges
//! of A's ghost entries.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::random::samples;
use precondor_sdk::prelude::*;

/// Unknowns of a block, at most: beyond, fewer nodes count as bad.
const LARGEST: usize = 64;
/// What the threshold is multiplied by then.
const RAISE: f64 = 1.25;
/// Ratios, about, that the median is taken of.
const SAMPLES: u64 = 1 << 12;

/// Bad nodes that are coupled to each other: own rows, and the Cholesky factor of A there, row after row.
struct Block {
    rows: Vec<u32>,
    factor: Vec<f64>,
}

impl Block {
    /// Solves for what `right` says of the rows and tells `take` of them; `x` is work space.
    fn solve(&self, x: &mut [f64], right: impl Fn(usize) -> f64, mut take: impl FnMut(usize, f64)) {
        let x = &mut x[..self.rows.len()];
        x.iter_mut().zip(&self.rows).for_each(|(x, &i)| *x = right(i as usize));
        solve(&self.factor, x);
        x.iter().zip(&self.rows).for_each(|(x, &i)| take(i as usize, *x));
    }

    /// Adds to `y` in these rows, with `add`, the solution for what `rest` leaves of it there; `x` is work space.
    fn correct<T>(
        &self,
        x: &mut [f64],
        y: &mut [T],
        rest: impl Fn(usize, &[T]) -> f64,
        add: impl Fn(&mut T, f64),
    ) {
        let x = &mut x[..self.rows.len()];
        x.iter_mut().zip(&self.rows).for_each(|(x, &i)| *x = rest(i as usize, y));
        solve(&self.factor, x);
        x.iter().zip(&self.rows).for_each(|(x, &i)| add(&mut y[i as usize], *x));
    }
}

/// B.
pub(crate) struct Bad {
    blocks: Vec<Block>,
    /// Own rows with an entry for a bad node, of any rank.
    beside: Vec<u32>,
    /// Whether a block is coupled to another rank's.
    crossing: bool,
    notes: Vec<String>,
    /// B r, zero at other nodes; its ghost entries.
    inner: Vec<f64>,
    ghost: Vec<f64>,
    residual: Vec<f64>,
    block: Vec<f64>,
}

impl Bad {
    /// The nodes whose ratio, of the diagonal entry of A to that of A0, is more than `threshold` times the median; none where
    /// there is no such node. Collective.
    ///
    /// # Errors
    /// [`Error::Breakdown`] for a block of A that is not positive definite; what the communicator reports.
    pub fn find(a: &DistCsr, ratios: &[f64], threshold: f64) -> Result<Option<Self>> {
        let comm = a.space().comm();
        let median = median(a, ratios)?;
        let mut threshold = threshold;
        let raised_from = threshold;
        loop {
            let bad: Vec<bool> = ratios.iter().map(|ratio| *ratio > threshold * median).collect();
            let blocks = components(a, &bad);
            let mine = [
                blocks.iter().map(Vec::len).max().unwrap_or(0) as u64,
                blocks.iter().map(Vec::len).sum::<usize>() as u64,
                blocks.len() as u64,
            ];
            let all = comm.all_gather(&mine)?;
            let largest = all.iter().map(|rank| rank[0]).max().unwrap_or(0);
            let [count, number] = [1, 2].map(|k| all.iter().map(|rank| rank[k]).sum::<u64>());
            if largest > LARGEST as u64 {
                threshold *= RAISE;
                continue;
            }
            if count == 0 {
                return Ok(None);
            }
            let mut notes = vec![format!(
                "{count} bad nodes are solved for exactly, in {number} blocks of up to {largest}"
            )];
            if threshold > raised_from {
                notes.push(format!(
                    "nodes count as bad beyond {threshold:.2} only: at {raised_from} blocks have more than {LARGEST}"
                ));
            }
            return Self::of(a, &bad, blocks, notes).map(Some);
        }
    }

    /// Collective.
    fn of(a: &DistCsr, bad: &[bool], blocks: Vec<Vec<u32>>, notes: Vec<String>) -> Result<Self> {
        let own: Vec<f64> = bad.iter().map(|&bad| f64::from(u8::from(bad))).collect();
        let ghost = a.on_ghosts(&own)?;
        let (here, there) = (a.own().view(), a.ghost().view());
        let across = |i: usize| there.row(i).any(|(j, v)| v != 0.0 && ghost[j] > 0.0);
        // The pattern is symmetric: rows with an entry for a bad node are the columns of its row.
        let mut is_beside = vec![false; a.n_own()];
        for &i in blocks.iter().flatten() {
            here.row(i as usize).for_each(|(j, v)| is_beside[j] |= v != 0.0);
        }
        let at_border: Vec<usize> = match there.nnz() {
            0 => vec![],
            _ => (0..a.n_own()).filter(|&i| across(i)).collect(),
        };
        at_border.iter().for_each(|&i| is_beside[i] = true);
        let numbered = is_beside.iter().enumerate();
        let beside = numbered.filter_map(|(i, is)| is.then_some(i as u32)).collect();
        let crossing = a.space().comm().any(at_border.iter().any(|&i| bad[i]))?;
        let factored = blocks.into_iter().map(|rows| factor(a, rows)).collect::<Result<Vec<_>>>();
        let blocks = a.space().comm().agree_first(factored)?;
        let most = blocks.iter().map(|block| block.rows.len()).max().unwrap_or(0);
        let (n, ghosts) = (a.n_own(), a.ghost_ids().len());
        Ok(Bad {
            blocks,
            beside,
            crossing,
            notes,
            inner: vec![0.0; n],
            ghost: vec![0.0; ghosts],
            residual: vec![0.0; n],
            block: vec![0.0; most],
        })
    }

    /// Whether B is the same, and an inverse, on any number of ranks.
    pub fn crosses_ranks(&self) -> bool {
        self.crossing
    }

    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub fn stored_entries(&self) -> usize {
        self.blocks.iter().map(|block| block.factor.len()).sum()
    }

    pub fn bytes(&self) -> usize {
        let vectors = self.inner.len() + self.ghost.len() + self.residual.len() + self.block.len();
        let rows: usize = self.blocks.iter().map(|block| block.rows.len()).sum();
        8 * (self.stored_entries() + vectors) + 4 * (rows + self.beside.len())
    }

    /// `y = B r + (I − B A) M (I − A B) r`, given `inner(r, y)` for y = M r. Collective; does not allocate.
    ///
    /// # Errors
    /// What `inner` and the communicator report; `inner` must have communicated all it has to before it does.
    pub fn around(
        &mut self,
        a: &DistCsr,
        r: &[f64],
        y: &mut [f64],
        inner: impl FnOnce(&[f64], &mut [f64]) -> Result<()>,
    ) -> Result<()> {
        let Bad { blocks, beside, inner: known, ghost, residual, block, .. } = self;
        for part in &*blocks {
            part.solve(block, |i| r[i], |i, x| known[i] = x);
        }
        let token = a.exchange_start(known)?;
        a.exchange_finish(token, ghost)?;
        residual.copy_from_slice(r);
        for &i in &*beside {
            residual[i as usize] -= row_dot(a, i as usize, known, ghost);
        }
        let applied = inner(residual, y);
        if applied.is_err() {
            y.fill(f64::NAN);
        }
        y.iter_mut().zip(&*known).for_each(|(y, x)| *y += x);
        self.after(a, r, y)?;
        applied
    }

    /// `y ← y + B (r − A y)`. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn after(&mut self, a: &DistCsr, r: &[f64], y: &mut [f64]) -> Result<()> {
        let Bad { blocks, ghost, block, .. } = self;
        let token = a.exchange_start(y)?;
        a.exchange_finish(token, ghost)?;
        for part in &*blocks {
            let rest = |i: usize, y: &[f64]| r[i] - row_dot(a, i, y, ghost);
            part.correct(block, y, rest, |y, x| *y += x);
        }
        Ok(())
    }
}

/// What [`around`](Bad::around) does for `unit · A` of one rank, in single precision.
impl Bad {
    /// `c ← r − A B r`, where c is r.
    pub fn take_out(&mut self, a: &DistCsr, r: &[f32], c: &mut [f32]) {
        let Bad { blocks, beside, inner: known, block, .. } = self;
        for part in &*blocks {
            part.solve(block, |i| f64::from(r[i]), |i, x| known[i] = x);
        }
        for &i in &*beside {
            let row = a.own().view().row(i as usize);
            let taken: f64 = row.map(|(j, v)| v * known[j]).sum();
            c[i as usize] = (f64::from(r[i as usize]) - taken) as f32;
        }
    }

    /// `c ← c + B r`, for the r of [`take_out`](Self::take_out).
    pub fn put_back(&self, unit: f64, c: &mut [f32]) {
        for &i in self.blocks.iter().flat_map(|block| &block.rows) {
            c[i as usize] += (self.inner[i as usize] / unit) as f32;
        }
    }

    /// As [`after`](Self::after), for `unit · A` of one rank, in single precision.
    pub fn after_single(&mut self, a: &DistCsr, unit: f64, r: &[f32], c: &mut [f32]) {
        let Bad { blocks, block, .. } = self;
        let row = |i: usize| a.own().view().row(i);
        for part in &*blocks {
            let rest = |i: usize, c: &[f32]| {
                let image: f64 = row(i).map(|(j, v)| v * (unit * f64::from(c[j]))).sum();
                f64::from(r[i]) - image
            };
            part.correct(block, c, rest, |c, x| *c += (x / unit) as f32);
        }
    }
}

fn row_dot(a: &DistCsr, i: usize, own: &[f64], ghost: &[f64]) -> f64 {
    let here: f64 = a.own().view().row(i).map(|(j, v)| v * own[j]).sum();
    here + a.ghost().view().row(i).map(|(j, v)| v * ghost[j]).sum::<f64>()
}

/// The median of some of the ratios, chosen by the numbers of their rows. Collective.
fn median(a: &DistCsr, ratios: &[f64]) -> Result<f64> {
    let chosen = samples(a.n_global(), SAMPLES);
    let start = a.space().start();
    let mine: Vec<u64> = (0..ratios.len())
        .filter(|&i| chosen(start + i as u64))
        .map(|i| ratios[i].to_bits())
        .collect();
    let all = a.space().comm().all_gather(&mine)?.concat();
    let mut all: Vec<f64> = all.into_iter().map(f64::from_bits).collect();
    all.sort_unstable_by(f64::total_cmp);
    Ok(all.get(all.len() / 2).copied().unwrap_or(1.0))
}

/// The bad own rows in parts that are coupled within this rank.
fn components(a: &DistCsr, bad: &[bool]) -> Vec<Vec<u32>> {
    let own = a.own().view();
    let (mut seen, mut all) = (vec![false; bad.len()], Vec::new());
    for first in (0..bad.len()).filter(|&i| bad[i]) {
        if seen[first] {
            continue;
        }
        seen[first] = true;
        let (mut part, mut next) = (vec![first as u32], 0);
        while let Some(&i) = part.get(next) {
            next += 1;
            for (j, v) in own.row(i as usize) {
                if v != 0.0 && bad[j] && !seen[j] {
                    seen[j] = true;
                    part.push(j as u32);
                }
            }
        }
        part.sort_unstable();
        all.push(part);
    }
    all
}

/// The Cholesky factor of A in these rows and columns.
fn factor(a: &DistCsr, rows: Vec<u32>) -> Result<Block> {
    let (k, own) = (rows.len(), a.own().view());
    let mut l = vec![0.0; k * k];
    for (p, &i) in rows.iter().enumerate() {
        for (q, &j) in rows.iter().enumerate().take(p + 1) {
            let within: f64 = (0..q).map(|s| l[p * k + s] * l[q * k + s]).sum();
            let rest = own.get(i as usize, j as usize) - within;
            if p != q {
                l[p * k + q] = rest / l[q * k + q];
            } else if rest > 0.0 {
                l[p * k + p] = rest.sqrt();
            } else {
                let why = "A is not positive definite among the bad nodes coupled to it";
                return Err(Error::breakdown(a.global_row(i as usize), why));
            }
        }
    }
    Ok(Block { rows, factor: l })
}

/// `x ← (L Lᵀ)⁻¹ x`.
fn solve(l: &[f64], x: &mut [f64]) {
    let k = x.len();
    for p in 0..k {
        let before: f64 = (0..p).map(|q| l[p * k + q] * x[q]).sum();
        x[p] = (x[p] - before) / l[p * k + p];
    }
    for p in (0..k).rev() {
        let after: f64 = (p + 1..k).map(|q| l[q * k + p] * x[q]).sum();
        x[p] = (x[p] - after) / l[p * k + p];
    }
}

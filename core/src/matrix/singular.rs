//! Is A singular, and what is its null space? Only what can be seen at once: constants.
//!
//! A row whose entries add up to zero has the constant vector in its null space. Where that holds
//! for all rows of a symmetric A that hang together (a connected part of its graph), the vector that is
//! one there and zero elsewhere is in the null space: pure Neumann problems, graph Laplacians of any
//! number of parts, rows without entries. An unsymmetric A needs it of all rows (right null space) or
//! of all columns (left).
//!
//! "Zero" is relative to the sum of the absolute values of the row, so that no factor, and no scaling
//! of single rows, changes the answer.
//!
//! Cost: one pass over the entries, one more to find parts where some row adds up to zero, the check
//! of symmetry where a part does. Parts across ranks: an exchange of ghost entries for every rank that
//! a part winds its way through.
use super::{DistCsr, NullSpace, NullSpaces, Space};
use crate::comm::Communicator;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sum of a row that is at most this part of the sum of its absolute values is zero.
const ZERO: f64 = 1e-13;

/// Parts, at most, whose constants make a null space.
const PARTS: usize = 256;

impl NullSpaces {
    /// The null spaces that can be seen in A: the constants where its rows add up to zero. See the
    /// head of `matrix/singular.rs`. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn find(a: &DistCsr) -> Result<Option<Self>> {
        let (space, comm) = (a.space(), a.space().comm());
        if space.n_global() == 0 {
            return Ok(None);
        }
        let by_rows = Sums::of_rows(a);
        let columns = Sums::of_columns(a)?;
        let vanishing = [by_rows.vanish(), columns.vanish()];
        let some = vanishing[0].iter().any(|&zero| zero);
        let all = vanishing.each_ref().map(|rows| rows.iter().all(|&zero| zero));
        let mut lack = all.map(|all| f64::from(u8::from(!all)));
        comm.max(&mut lack)?;
        let all = lack.map(|lack| lack == 0.0);
        if !comm.any(some)? && !all[1] {
            return Ok(None);
        }
        let parts = Parts::of(a, &vanishing[0])?;
        if parts.is_empty() && !all[1] {
            return Ok(None);
        }
        if a.first_unsymmetric()?.is_none() {
            return Ok(parts.null_space(space, all[0])?.map(NullSpaces::symmetric));
        }
        let constant = |zero: bool| zero.then(|| NullSpace::constant(space)).transpose();
        let (right, left) = (constant(all[0])?, constant(all[1])?);
        Ok((right.is_some() || left.is_some()).then_some(NullSpaces { right, left }))
    }

    /// `right` and `left` as they were given; a symmetric A has the same on both sides. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] for vectors that A, or its transpose, does not take to zero; what the
    /// communicator reports.
    pub fn given(a: &DistCsr, right: Option<NullSpace>, left: Option<NullSpace>) -> Result<Self> {
        let symmetric = a.first_unsymmetric()?.is_none();
        if let Some(right) = &right {
            check(right, right.defect(a)?, "A")?;
        }
        if let Some(left) = left.as_ref().filter(|_| symmetric) {
            check(left, left.defect(a)?, "A")?;
        }
        Ok(match (right, left, symmetric) {
            (Some(right), None, true) => NullSpaces::symmetric(right),
            (None, Some(left), true) => NullSpaces::symmetric(left),
            (right, left, _) => NullSpaces { right, left },
        })
    }
}

/// Vectors that A takes to more than this part of |A||n| are none of its null space.
const FAR: f64 = 1e-3;

fn check(null: &NullSpace, defect: f64, of: &str) -> Result<()> {
    if defect <= FAR {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{} is not in the null space of {of}: the product is {defect:.1e} of what its entries add up \
         to in size",
        null.name()
    )))
}

/// What the entries of rows, or columns, add up to: with and without their signs.
struct Sums {
    plain: Vec<f64>,
    absolute: Vec<f64>,
}

impl Sums {
    fn zero(n: usize) -> Self {
        Sums { plain: vec![0.0; n], absolute: vec![0.0; n] }
    }

    fn add(&mut self, i: usize, value: f64) {
        self.plain[i] += value;
        self.absolute[i] += value.abs();
    }

    /// Of the own rows. Not collective.
    fn of_rows(a: &DistCsr) -> Self {
        let mut sums = Sums::zero(a.n_own());
        for block in [a.own().view(), a.ghost().view()] {
            for i in 0..a.n_own() {
                block.row(i).for_each(|(_, value)| sums.add(i, value));
            }
        }
        sums
    }

    /// Of the columns with the numbers of the own rows. Collective.
    fn of_columns(a: &DistCsr) -> Result<Self> {
        let (mut sums, mut others) = (Sums::zero(a.n_own()), Sums::zero(a.ghost_ids().len()));
        for i in 0..a.n_own() {
            a.own().view().row(i).for_each(|(j, value)| sums.add(j, value));
            a.ghost().view().row(i).for_each(|(j, value)| others.add(j, value));
        }
        let space = a.space();
        if space.comm().size() == 1 {
            return Ok(sums);
        }
        let mut send = vec![Vec::new(); space.comm().size()];
        for (j, &id) in a.ghost_ids().iter().enumerate() {
            let to = &mut send[space.owner(id)];
            for word in [id, others.plain[j].to_bits(), others.absolute[j].to_bits()] {
                to.extend_from_slice(&word.to_le_bytes());
            }
        }
        for message in space.comm().all_to_all(&send)? {
            for entry in message.as_chunks::<24>().0 {
                let word = |k: usize| u64::from_le_bytes(std::array::from_fn(|b| entry[8 * k + b]));
                let j = (word(0) - space.start()) as usize;
                sums.plain[j] += f64::from_bits(word(1));
                sums.absolute[j] += f64::from_bits(word(2));
            }
        }
        Ok(sums)
    }

    /// Where the signed sum is zero to rounding.
    fn vanish(&self) -> Vec<bool> {
        let pairs = self.plain.iter().zip(&self.absolute);
        pairs.map(|(plain, absolute)| plain.abs() <= ZERO * absolute).collect()
    }
}

/// Connected parts of the graph of a matrix with a symmetric pattern, all of whose rows add up to zero.
struct Parts {
    /// The first row of the part that each own row is in.
    label: Vec<u64>,
    /// The parts: first row, and number of rows on all ranks.
    whole: BTreeMap<u64, u64>,
}

impl Parts {
    /// Collective.
    fn of(a: &DistCsr, vanishing: &[bool]) -> Result<Self> {
        let comm = a.space().comm();
        let (own, ghost) = (a.own().view(), a.ghost().view());
        let mut forest = Forest((0..a.n_own() as u32).collect());
        for i in 0..a.n_own() {
            for (j, value) in own.row(i) {
                if value != 0.0 {
                    forest.join(i as u32, j as u32);
                }
            }
        }
        let roots: Vec<usize> = (0..a.n_own()).map(|i| forest.root(i as u32) as usize).collect();
        // A label is the smallest number of a row; that of a local part stands at its root. Whole
        // numbers of up to 2⁵³ travel as floating-point numbers.
        let mut least: Vec<f64> = (0..a.n_own()).map(|i| a.global_row(i) as f64).collect();
        let mut good: Vec<f64> = vec![1.0; a.n_own()];
        for (&root, &zero) in roots.iter().zip(vanishing) {
            good[root] = f64::min(good[root], f64::from(u8::from(zero)));
        }
        let mut arrived = vec![0.0; a.ghost_ids().len()];
        for values in [&mut least, &mut good] {
            loop {
                let spread: Vec<f64> = roots.iter().map(|&root| values[root]).collect();
                let token = a.exchange_start(&spread)?;
                a.exchange_finish(token, &mut arrived)?;
                let mut changed = false;
                for (i, &root) in roots.iter().enumerate() {
                    for (j, value) in ghost.row(i) {
                        if value != 0.0 && arrived[j] < values[root] {
                            values[root] = arrived[j];
                            changed = true;
                        }
                    }
                }
                if !comm.any(changed)? {
                    break;
                }
            }
        }
        let label: Vec<u64> = roots.iter().map(|&root| least[root] as u64).collect();
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for (&root, &label) in roots.iter().zip(&label) {
            if good[root] == 1.0 {
                *counts.entry(label).or_default() += 1;
            }
        }
        // More parts than are taken anyway need not travel.
        let most = PARTS + 1;
        let words: Vec<u64> = counts.iter().take(most).flat_map(|(&l, &n)| [l, n]).collect();
        let mut whole: BTreeMap<u64, u64> = BTreeMap::new();
        for words in comm.all_gather(&words)? {
            for pair in words.as_chunks::<2>().0 {
                *whole.entry(pair[0]).or_default() += pair[1];
            }
        }
        Ok(Parts { label, whole })
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    /// The constants on the parts; `everywhere`: all rows are in one of them. Not collective.
    fn null_space(&self, space: &Arc<Space>, everywhere: bool) -> Result<Option<NullSpace>> {
        match self.whole.len() {
            0 => Ok(None),
            n if everywhere && (n == 1 || n > PARTS) => NullSpace::constant(space).map(Some),
            n if n > PARTS => Ok(None),
            n => {
                let mut mine: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
                for (label, i) in self.label.iter().zip(0u32..) {
                    if self.whole.contains_key(label) {
                        mine.entry(*label).or_default().push(i);
                    }
                }
                let parts = self
                    .whole
                    .iter()
                    .map(|(label, &size)| (mine.remove(label).unwrap_or_default(), size));
                let name = match (n, everywhere) {
                    (1, _) => "the constant vector on a part of A".to_owned(),
                    (_, true) => format!("the constant vectors on the {n} parts of A"),
                    (_, false) => format!("the constant vectors on {n} of the parts of A"),
                };
                Ok(Some(NullSpace::of_indicators(space, parts.collect(), &name)))
            }
        }
    }
}

/// Sets of rows, each a tree whose root stands for it.
struct Forest(Vec<u32>);

impl Forest {
    fn root(&mut self, mut i: u32) -> u32 {
        while self.0[i as usize] != i {
            // Halves the way for those who come after.
            self.0[i as usize] = self.0[self.0[i as usize] as usize];
            i = self.0[i as usize];
        }
        i
    }

    /// The smaller root becomes that of both.
    fn join(&mut self, i: u32, j: u32) {
        let (i, j) = (self.root(i), self.root(j));
        self.0[i.max(j) as usize] = i.min(j);
    }
}

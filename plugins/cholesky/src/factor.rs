//! The factor, made and solved with by `faer`, on one thread.
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::LltError;
use faer::perm::PermRef;
use faer::sparse::linalg::cholesky::{
    LltRef, SymbolicCholesky, SymmetricOrdering, factorize_symbolic_cholesky,
};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Side};
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::core::memory;
use precondor_sdk::prelude::*;

/// L, its pattern, and room to work in.
pub struct Factor {
    symbolic: SymbolicCholesky<u32>,
    values: Vec<f64>,
    scratch: MemBuffer,
    scratch_bytes: usize,
}

/// A symmetric matrix by rows is one by columns.
fn columns<'a>(a: &CsrView<'a>) -> SparseColMatRef<'a, u32, f64> {
    let n = a.n_rows();
    let symbolic = SymbolicSparseColMatRef::new_checked(n, n, a.row_ptr, None, a.cols);
    SparseColMatRef::new(symbolic, a.values)
}

impl Factor {
    /// L, its columns in this order; AMD is that of the crate.
    pub fn new(a: &Csr, ordering: Ordering) -> Result<Self> {
        let forward = match ordering {
            Ordering::Amd => None,
            // A permutation that changes nothing: without one, faer reads the other triangle.
            Ordering::Natural => Some((0..a.n_rows() as u32).collect()),
            Ordering::Rcm => ordering.rows(a.view())?,
        };
        let inverse = forward.as_ref().map(|forward| {
            let mut inverse = vec![0u32; forward.len()];
            forward.iter().enumerate().for_each(|(k, &i)| inverse[i as usize] = k as u32);
            inverse
        });
        let ordering = match (&forward, &inverse) {
            (Some(forward), Some(inverse)) => {
                SymmetricOrdering::Custom(PermRef::new_checked(forward, inverse, forward.len()))
            }
            _ => SymmetricOrdering::Amd,
        };
        let pattern = columns(&a.view()).symbolic();
        let symbolic =
            factorize_symbolic_cholesky(pattern, Side::Lower, ordering, Default::default());
        let symbolic = symbolic
            .map_err(|e| Error::Unsupported(format!("cholesky: the factor's pattern: {e:?}")))?;
        let bytes = 8 * symbolic.len_val() as u128;
        memory::require(bytes, "the Cholesky factor; take an incomplete one (ic, fsai)")?;
        let request = symbolic.solve_in_place_scratch::<f64>(1, Par::Seq);
        let mut factor = Factor {
            values: memory::vec_of(0.0, symbolic.len_val(), "the Cholesky factor")?,
            scratch: MemBuffer::new(request),
            scratch_bytes: request.unaligned_bytes_required(),
            symbolic,
        };
        factor.refresh(a)?;
        // The products of dense blocks make room for themselves when they are first done.
        factor.solve(&mut vec![0.0; a.n_rows()]);
        Ok(factor)
    }

    /// New values on the same pattern.
    pub fn refresh(&mut self, a: &Csr) -> Result<()> {
        let request =
            self.symbolic.factorize_numeric_llt_scratch::<f64>(Par::Seq, Default::default());
        let mut memory = MemBuffer::new(request);
        let made = self.symbolic.factorize_numeric_llt(
            &mut self.values,
            columns(&a.view()),
            Side::Lower,
            Default::default(),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        );
        match made {
            Ok(_) => Ok(()),
            // Steps follow the ordering, and faer counts them differently from method to method.
            Err(LltError::NonPositivePivot { .. }) => Err(Error::Breakdown(
                "the matrix is not positive definite: a pivot of its factorisation is not positive"
                    .into(),
            )),
        }
    }

    /// `x ← A⁻¹ x`. Does not allocate.
    pub fn solve(&mut self, x: &mut [f64]) {
        let n = x.len();
        LltRef::new(&self.symbolic, &self.values).solve_in_place_with_conj(
            Conj::No,
            MatMut::from_column_major_slice_mut(x, n, 1),
            Par::Seq,
            MemStack::new(&mut self.scratch),
        );
    }

    pub fn stored_entries(&self) -> usize {
        self.values.len()
    }

    /// Values and work space; the pattern of L takes little beside them.
    pub fn bytes(&self) -> usize {
        8 * self.values.len() + self.scratch_bytes
    }
}

//! The test kit of the interface: what every method must keep, whoever wrote it.
//!
//! ```text
//! // tests/conformance.rs of a plugin
//! use precondor_plugin_jacobi::Jacobi;
//!
//! precondor_sdk::conformance! {
//!     default: Kit::<Jacobi>::new(json!({}));
//!     damped: Kit::<Jacobi>::new(json!({"damping": 0.7}));
//! }
//! ```
//!
//! Each line becomes a module of tests. They set the method up for a perturbed Poisson matrix
//! (symmetric positive definite, on a grid, with all auxiliary data; [`Kit::level`] and
//! [`Kit::system`] choose another), on one to three ranks, and compare it with dense matrices. What
//! is declared independent of the ranks is compared on up to eight, in even and uneven blocks of rows,
//! with ranks that have none, and on small systems with more ranks than rows. One rank fails at each of
//! its collective operations in turn, and panics at each of those of an application.
//!
//! What M keeps when A changes ([`Generator::invariances`](precondor_core::precond::Generator::invariances):
//! A times a factor, scaled rows and columns, another order) is checked natively, across the C tables and on
//! ranks; what is not declared must not hold either.
//!
//! The kit crosses the C tables in one program. That a real library gives the same bits is tested
//! where libraries are loaded, with [`same`].
mod again;
mod checks;
mod dense;
mod faults;
mod invariance;
mod memory;
mod setting;

pub use memory::Counting;
pub use precondor_core::registry::Native;
pub use serde_json::json;
pub use setting::{Kit, same};

/// Tests that a method keeps what the interface asks; see [the module](mod@crate::conformance).
///
/// Defines the global allocator of the test program, to count what `apply` allocates.
#[macro_export]
macro_rules! conformance {
    ($($name:ident: $kit:expr;)+) => {
        #[global_allocator]
        static COUNTING: $crate::conformance::Counting = $crate::conformance::Counting;

        $(
            mod $name {
                #[allow(unused_imports)]
                use super::*;
                #[allow(unused_imports)]
                use $crate::conformance::{Kit, json};

                $crate::conformance!(@tests $kit;
                    describes_itself
                    is_linear
                    overwrites_its_result
                    gives_the_same_bits_again
                    allocates_nothing_in_apply
                    is_symmetric_and_definite_as_declared
                    is_the_same_on_any_number_of_ranks_as_declared
                    refuses_or_survives_a_zero_row_on_all_ranks
                    refuses_or_survives_a_zero_diagonal_entry_on_all_ranks
                    works_with_ranks_that_have_no_rows
                    tells_all_ranks_of_a_failure_at_any_collective
                    ends_the_job_of_all_ranks_when_one_panics_in_apply
                    gives_the_same_bits_across_the_c_tables
                    applies_what_it_shows
                    applies_many_as_one_by_one
                    applies_and_multiplies
                    applies_its_transpose
                    refreshes_to_what_it_would_generate
                    refreshes_with_less_work_than_it_generates
                    tells_all_ranks_of_another_pattern
                    loads_what_it_saved
                    declares_the_same_across_the_c_tables
                    keeps_a_factor_of_the_matrix_as_declared
                    keeps_scaled_rows_and_columns_as_declared
                    keeps_a_permutation_as_declared
                    refreshes_for_a_factor_to_what_it_would_generate
                    takes_right_hand_sides_of_any_size
                );
            }
        )+
    };
    (@tests $kit:expr; $($check:ident)+) => {
        $(#[test] fn $check() { ($kit).$check(); })+
    };
}

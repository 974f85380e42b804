//! Precondor's methods as preconditioners of PETSc: what `libprecondor_petsc.so` is.
//!
//! Any program of PETSc loads the library with `-dll_append /path/libprecondor_petsc.so` and gains the
//! type `precondor` (method by `-pc_precondor_name`) and one type for every method that is found,
//! `precondor_spai` and so on.
//!
//! A PC of such a type is PETSc's shell under another name, so that everything PETSc does with
//! preconditioners (nesting, prefixes, reuse, views) works as for its own. What belongs to it is kept
//! in a table by its address (`context`), as PETSc hides a shell's context once the name is changed.
//!
//! | file | what |
//! |---|---|
//! | `register` | loading: which PETSc, which MPI; the types |
//! | `methods` | which methods there are, and what their types are called |
//! | `options` | `-pc_precondor_…`, read into a configuration and checked as one; help |
//! | `settings` | what they said |
//! | `value` | texts of options as values that a schema expects |
//! | `setup` | matrix in, preconditioner out; what a failure becomes |
//! | `known` | what PETSc tells beside entries: null spaces, blocks, coordinates |
//! | `coordinates` | `PCSetCoordinates` |
//! | `grid` | what a DMDA says about the grid |
//! | `explicit` | stored inverses as matrices of PETSc |
//! | `apply` | products with M |
//! | `solved` | what solves tell, for how long M is kept |
//! | `view` | `-ksp_view` |
//!
//! Nothing knows `register`, which knows all; the others know what stands beside them without a circle.
mod apply;
mod callback;
mod context;
mod coordinates;
mod explicit;
mod grid;
mod host;
mod known;
mod methods;
mod options;
mod register;
mod settings;
mod setup;
mod solved;
mod value;
mod view;

pub use context::live;
pub use register::register;

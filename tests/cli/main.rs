//! The command line as its users meet it: the built program, real files, plugins that are really
//! loaded.
mod auto;
mod bad_input;
mod check;
mod compare;
mod describe;
mod documents;
mod fallback;
mod files;
mod formats;
mod given;
mod inputs;
mod install;
mod interrupt;
mod irregular;
mod kept;
mod known;
mod limits;
#[path = "../support/mpirun.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts of it")]
mod mpirun;
mod plugins;
mod reproduce;
mod solve;
mod spaces;
mod stopping;
mod support;
mod train;
mod units;

//! The command line as its users meet it: the built program, real files, plugins that are really
//! loaded.
mod auto;
mod bad_input;
mod compare;
mod fallback;
mod formats;
mod given;
mod install;
mod interrupt;
mod kept;
mod plugins;
mod reproduce;
mod solve;
mod spaces;
mod support;
mod train;
mod units;

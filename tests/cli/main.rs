//! The command line as its users meet it: the built program, real files, plugins that are really
//! loaded.
mod bad_input;
mod compare;
mod fallback;
mod formats;
mod install;
mod kept;
mod plugins;
mod reproduce;
mod solve;
mod support;
mod train;
mod units;

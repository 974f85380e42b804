//! The learned inverses from outside: on fresh systems, their training, their shipped models.
#![allow(clippy::unwrap_used)]

mod configurations;
mod dense;
mod training_ranks;

use precondor_testkit::learning as support;
use precondor_testkit::learning_ranks;
use precondor_testkit::patience;

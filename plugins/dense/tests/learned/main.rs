//! The learned inverses from outside: on fresh systems, their training, their shipped models.
#![allow(clippy::unwrap_used)]

mod configurations;
mod dense;
#[path = "../../../../tests/support/learning_ranks.rs"]
mod learning_ranks;
#[path = "../../../../tests/support/patience.rs"]
mod patience;
#[path = "../../../../tests/support/learning.rs"]
mod support;
mod training_ranks;

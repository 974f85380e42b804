//! What a plugin author depends on: the traits of the core, and one macro that exports them.
#![deny(missing_docs)]

pub mod conformance;
#[doc(hidden)]
pub mod export;

pub use precondor_abi as abi;
pub use precondor_core as core;
pub use {schemars, serde, serde_json};

/// `use precondor_sdk::prelude::*;`
pub mod prelude {
    pub use crate::export_plugin;
    pub use precondor_core::prelude::*;
    pub use schemars::{self, JsonSchema};
    pub use serde::{self, Deserialize, Serialize};
}
